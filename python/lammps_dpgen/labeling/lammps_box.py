"""From a frame's cell to LAMMPS' box and back.

LAMMPS wants the first cell vector along x and the second in the xy plane, short vectors, and atoms inside the box. A
frame has a cell of any orientation, handedness and tilt. The crystal is the same; only its description changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.calculators.lammps import Prism
from ase.cell import Cell
from ase.geometry import minkowski_reduce

from lammps_dpgen.errors import LabelError
from lammps_dpgen.frame import FloatArray, Frame

#: Room in Å that a non-periodic direction gets on both sides of the atoms.
MARGIN = 1.0


@dataclass(frozen=True)
class LammpsBox:
    """A frame in LAMMPS' coordinates.

    Attributes
    ----------
    prism
        Rotation between the frame's axes and LAMMPS' axes.
    vectors
        ``[3, 3]`` lower triangular, rows are vectors, Å; periodic vectors first.
    lo
        ``[3]`` lower corner in Å.
    positions
        ``[n_atoms, 3]`` in Å, atoms in the frame's order, inside the box.
    n_periodic
        How many of the vectors are periodic.
    """

    prism: Prism
    vectors: FloatArray
    lo: FloatArray
    positions: FloatArray
    n_periodic: int

    @property
    def boundary(self) -> str:
        """Arguments of LAMMPS' command ``boundary``."""
        return " ".join(["p"] * self.n_periodic + ["f"] * (3 - self.n_periodic))

    @property
    def region(self) -> str:
        """Arguments of LAMMPS' command ``region`` after its ID."""
        hi = self.lo + np.diag(self.vectors)
        edges = [float(x) for pair in zip(self.lo, hi, strict=True) for x in pair]
        tilts = [float(self.vectors[i, j]) for i, j in ((1, 0), (2, 0), (2, 1))]
        return " ".join(["prism", *(repr(x) for x in edges + tilts), "units box"])

    def vectors_to_frame(self, vectors: FloatArray) -> FloatArray:
        """Rotate ``[n, 3]`` vectors, such as forces, back to the frame's axes."""
        return np.asarray(self.prism.vector_to_ase(vectors), dtype=np.float64)

    def tensor_to_frame(self, tensor: FloatArray) -> FloatArray:
        """Rotate a ``[3, 3]`` tensor, such as the virial, back to the frame's axes."""
        return np.asarray(self.prism.tensor2_to_ase(tensor), dtype=np.float64)


def lammps_box(frame: Frame, *, reduce: bool = True) -> LammpsBox:
    """Describe `frame` the way LAMMPS wants it.

    Periodic vectors come first and are reduced to the shortest ones of the same lattice (Minkowski reduction); along
    the other directions the box is a right prism around the atoms, whatever the frame's cell says.

    Parameters
    ----------
    reduce
        Without it the vectors stay as they are, only turned: for cells whose directions have a meaning.

    Raises
    ------
    LabelError
        The periodic cell vectors are not independent.
    """
    pbc = np.array(frame.pbc)
    order = np.argsort(~pbc, kind="stable")
    n_periodic = int(pbc.sum())
    basis = np.where(pbc[:, None], frame.cell, 0.0)[order]
    if n_periodic and np.linalg.matrix_rank(basis, tol=1e-6) < n_periodic:
        raise LabelError(f"the {n_periodic} periodic vectors of the cell {frame.cell.tolist()} are not independent")
    complete = Cell(basis).complete()
    reduced = minkowski_reduce(complete, pbc[order])[0] if reduce else complete
    prism = Prism(np.array(reduced), pbc[order])
    vectors = np.array(prism.lammps_tilt, dtype=np.float64)
    positions = np.array(prism.vector_to_lammps(frame.positions), dtype=np.float64)
    fractional = np.linalg.solve(vectors.T, positions.T).T
    fractional[:, :n_periodic] %= 1.0
    lo = np.zeros(3)
    for axis in range(n_periodic, 3):
        # The vector of a free direction has length 1 and is at right angles to the others: fractional means Å.
        lo[axis] = fractional[:, axis].min() - MARGIN
        vectors[axis, axis] = fractional[:, axis].max() + MARGIN - lo[axis]
    unit = np.array(prism.lammps_tilt)
    return LammpsBox(prism, vectors, lo, np.asarray(fractional @ unit, dtype=np.float64), n_periodic)
