"""A frame as plane-wave codes take it, the same for the labelers ``vasp``, ``gpaw`` and ``espresso``.

Atoms stand grouped by element in alphabetical order, whatever the order of the frame or of a type map is; a
:class:`GroupedCell` knows how to put them back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
from ase.cell import Cell
from ase.geometry.minkowski_reduction import is_minkowski_reduced, minkowski_reduce
from numpy.typing import NDArray

from lammps_dpgen.errors import LabelError
from lammps_dpgen.frame import FloatArray, Frame


def chemical_system(elements: Iterable[str]) -> str:
    """Return elements in alphabetical order, joined by dashes: ``Al-Mg``."""
    return "-".join(sorted({element.strip() for element in elements}))


@dataclass(frozen=True)
class GroupedCell:
    """A frame as plane-wave codes take it: the same crystal, in the same orientation.

    Attributes
    ----------
    order
        Index in the frame of each atom here.
    species
        Chemical symbols, grouped by element, elements in alphabetical order.
    lattice
        ``[3, 3]`` in Å, rows are vectors: right-handed, and the shortest ones of the frame's lattice, so that a cell
        that MD has sheared does not need more k-points than its like.
    fractional
        ``[n_atoms, 3]`` positions in units of these vectors, from 0 to 1.
    periodic
        Along which of them the frame is periodic.
    """

    order: NDArray[np.int_]
    species: tuple[str, ...]
    lattice: FloatArray
    fractional: FloatArray
    periodic: tuple[bool, bool, bool]

    @property
    def elements(self) -> list[str]:
        """Elements in the order of the atoms."""
        return [element for element, _ in groupby(self.species)]

    @cached_property
    def volume(self) -> float:
        """Volume in Å3."""
        return float(np.linalg.det(self.lattice))

    def to_frame(self, per_atom: FloatArray) -> FloatArray:
        """Return values of the atoms here in the frame's order."""
        values = np.empty_like(per_atom)
        values[self.order] = per_atom
        return values

    def mesh(self, spacing: float) -> tuple[int, int, int]:
        """Return the k-points along each vector that VASP's KSPACING (1/Å) means; one where it is not periodic."""
        lengths = 2.0 * np.pi * np.linalg.norm(np.linalg.inv(self.lattice).T, axis=1)
        # A whole number is meant where rounding has left a little more.
        numbers = np.maximum(1, np.ceil(lengths / spacing - 1e-6)).astype(int)
        a, b, c = (int(n) if p else 1 for n, p in zip(numbers, self.periodic, strict=True))
        return a, b, c


def grouped_cell(frame: Frame, vacuum: float) -> GroupedCell:
    """Describe `frame` the way plane-wave codes take it, with `vacuum` (Å) along directions that are not periodic.

    Raises
    ------
    LabelError
        The periodic cell vectors are not independent.
    """
    pbc = np.array(frame.pbc)
    basis = np.where(pbc[:, None], frame.cell, 0.0)
    if pbc.any() and np.linalg.matrix_rank(basis, tol=1e-6) < pbc.sum():
        raise LabelError(f"the {pbc.sum()} periodic vectors of the cell {frame.cell.tolist()} are not independent")
    lattice = np.array(Cell(basis).complete())
    if not is_minkowski_reduced(lattice, pbc):
        lattice = np.array(minkowski_reduce(lattice, pbc)[0])
    if np.linalg.det(lattice) < 0.0:
        lattice = -lattice  # the same lattice; some codes refuse left-handed vectors
    fractional = np.linalg.solve(lattice.T, frame.positions.T).T
    for axis in np.flatnonzero(~pbc):
        # The vector of a free direction has length 1 and is at right angles to the others: fractional means Å.
        low, high = fractional[:, axis].min(), fractional[:, axis].max()
        length = high - low + vacuum
        fractional[:, axis] = (fractional[:, axis] - 0.5 * (low + high)) / length + 0.5
        lattice[axis] *= length
    order = np.argsort(np.array(frame.species), kind="stable")
    species = tuple(frame.species[i] for i in order)
    return GroupedCell(order, species, lattice, np.asarray(fractional[order] % 1.0), frame.pbc)
