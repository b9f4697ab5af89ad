"""One instance of LAMMPS with one potential, whose atoms and box are exchanged from one structure to the next.

Making a pair style anew costs far more than many a calculation here: a Deep Potential is loaded for a second. So the
interaction stays and only the atoms change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ase import Atoms

from lammps_dpgen.errors import LabelError, PropertyError
from lammps_dpgen.frame import FloatArray, Frame
from lammps_dpgen.labeling.lammps import ENERGY_UNIT, LammpsSettings, box_lines, interaction_lines
from lammps_dpgen.labeling.lammps_box import LammpsBox, lammps_box
from lammps_dpgen.labeling.lammps_library import LammpsLibrary
from lammps_dpgen.validation.failures import CollapsedError, NotFiniteError, PairStyleError

_MISSING_STYLE = re.compile(r"Unrecognized|Unknown (?:command|identifier)")

_NOT_FINITE = re.compile(r"[Nn]on-numeric")
_TOO_DENSE = re.compile(r"Neighbor list overflow")

_COMPUTES = [
    "compute validation_stress all pressure NULL virial",
    "thermo_style custom step pe c_validation_stress[*]",
    "thermo_modify norm no lost warn",
]


class LammpsSession:
    """LAMMPS with a potential; atoms are put in one structure at a time.

    Parameters
    ----------
    settings
        The potential, as the labeler ``lammps`` takes it.
    """

    def __init__(self, settings: LammpsSettings) -> None:
        self._settings = settings
        self._plugins = settings.plugins == "yes"
        self._library: LammpsLibrary | None = None
        self._boundary = ""
        self._box: LammpsBox | None = None
        self.unit = ENERGY_UNIT[settings.units]

    def put(self, atoms: Atoms) -> LammpsBox:
        """Put `atoms` in place of those that are there.

        Raises
        ------
        PairStyleError
            LAMMPS' message.
        """
        try:
            return self._put(atoms)
        except PairStyleError as error:
            if self._plugins or self._settings.plugins == "no" or _MISSING_STYLE.search(str(error)) is None:
                raise
        self._plugins = True
        return self._put(atoms)

    def _put(self, atoms: Atoms) -> LammpsBox:
        box = lammps_box(Frame.from_ase(atoms), reduce=not is_lammps_cell(atoms))
        fresh = self._library is None or box.boundary != self._boundary
        if fresh:
            self._start(box)
        else:
            self.run(["delete_atoms group all compress no", f"change_box all {_box_change(box)}"])
        elements = self._settings.elements
        missing = sorted(set(atoms.get_chemical_symbols()) - set(elements))
        if missing:
            raise PairStyleError(f"the potential has no {', '.join(missing)}; its elements are {', '.join(elements)}")
        self._create([elements.index(symbol) + 1 for symbol in atoms.get_chemical_symbols()], box)
        if fresh:
            self.run([*interaction_lines(self._settings), *_COMPUTES])
        else:
            self.run(list(self._settings.commands))
        self._box = box
        return box

    def _start(self, box: LammpsBox) -> None:
        try:
            if self._library is None:
                self._library = LammpsLibrary(self._plugins)
        except LabelError as error:
            raise PairStyleError(str(error)) from error
        self._boundary = box.boundary
        self.run(["clear", *box_lines(self._settings, box)])

    def _create(self, types: list[int], box: LammpsBox) -> None:
        try:
            self.library.create_atoms(types, box.positions.ravel().tolist())
        except LabelError as error:
            self.close()
            raise PairStyleError(str(error)) from error

    def run(self, lines: list[str]) -> None:
        """Run LAMMPS commands.

        Raises
        ------
        NotFiniteError, CollapsedError
            LAMMPS met numbers that are not finite, or far more neighbours than atoms of a crystal have.
        PairStyleError
            LAMMPS' message; the instance is gone, and the next :meth:`put` makes another.
        """
        try:
            self.library.run(lines)
        except LabelError as error:
            self.close()
            raise _cause(error) from error

    @property
    def library(self) -> LammpsLibrary:
        """The instance; only when atoms have been put in."""
        if self._library is None:
            raise PairStyleError("LAMMPS is not running: it ended with an error, or no atoms have been put in")
        return self._library

    @property
    def box(self) -> LammpsBox:
        """The box as it was when the atoms were put in."""
        if self._box is None:
            raise PairStyleError("LAMMPS has no atoms")
        return self._box

    def energy(self) -> float:
        """Return the potential energy in eV."""
        with _as_pair_style_error():
            return float(self.library.thermo("pe") * self.unit)

    def stress(self) -> FloatArray:
        """Return the stress ``[3, 3]`` in eV/Å³ in LAMMPS' axes, tension positive."""
        with _as_pair_style_error():
            xx, yy, zz, xy, xz, yz = self.library.global_vector("validation_stress", 6)
        pressure = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        return np.asarray(-pressure / self.library.setting("nktv2p") * self.unit, dtype=np.float64)

    def atoms(self, start: Atoms) -> Atoms:
        """Return `start` with the positions, and the cell, that it has now in LAMMPS: same order, axes and images."""
        box = self.box
        periodic = slice(0, box.n_periodic)
        lower, vectors = self.library.box()
        before = np.linalg.solve(box.vectors.T, (box.positions - box.lo).T).T
        after = np.linalg.solve(vectors.T, (self.library.vectors("x") - lower).T).T
        moved = after - before
        moved[:, periodic] -= np.rint(moved[:, periodic])
        given = np.array(box.prism.vector_to_lammps(start.positions), dtype=np.float64)
        fractions = np.linalg.solve(box.vectors.T, (given - box.lo).T).T + moved
        new = start.copy()
        new.positions = box.vectors_to_frame(fractions @ vectors + box.lo)
        # The frame's vectors are whole-numbered sums of LAMMPS' (those of free directions are LAMMPS' own business).
        pbc = np.array(start.pbc)
        given_cell = np.array(box.prism.vector_to_lammps(start.cell.array), dtype=np.float64)
        sums = np.rint(np.linalg.solve(box.vectors.T, given_cell.T).T)[:, periodic]
        cell = start.cell.array.copy()
        cell[pbc] = box.vectors_to_frame(sums[pbc] @ vectors[periodic])
        new.cell = cell
        return new

    def close(self) -> None:
        """Throw LAMMPS away; the next :meth:`put` makes another instance."""
        if self._library is not None:
            library, self._library = self._library, None
            library.close()

    def log_to(self, path: Path | None) -> None:
        """Write LAMMPS' log to a file, or nowhere."""
        self.run([f'log "{path}"' if path is not None else "log none"])


def is_lammps_cell(atoms: Atoms) -> bool:
    """Tell whether LAMMPS takes the cell as it is: lower triangular, and not tilted by more than its lengths."""
    cell = atoms.cell.array
    diagonal = np.diag(cell)
    if not all(atoms.pbc) or (diagonal <= 0.0).any() or np.abs(np.triu(cell, 1)).max() > 1e-10 * np.abs(cell).max():
        return False
    return bool(abs(cell[1, 0]) <= cell[0, 0] and abs(cell[2, 0]) <= cell[0, 0] and abs(cell[2, 1]) <= cell[1, 1])


def _cause(error: LabelError) -> PropertyError:
    """Return what LAMMPS' message means for a structure."""
    if _NOT_FINITE.search(str(error)):
        return NotFiniteError(f"the potential gives numbers that are not finite: {error}")
    if _TOO_DENSE.search(str(error)):
        return CollapsedError(f"the cell has collapsed, atoms have too many neighbours: {error}")
    return PairStyleError(str(error))


@contextmanager
def _as_pair_style_error() -> Iterator[None]:
    try:
        yield
    except LabelError as error:
        raise PairStyleError(str(error)) from error


def _box_change(box: LammpsBox) -> str:
    hi = box.lo + np.diag(box.vectors)
    lengths = [f"{axis} final {float(a)!r} {float(b)!r}" for axis, a, b in zip("xyz", box.lo, hi, strict=True)]
    tilts = [f"{n} final {float(box.vectors[i, j])!r}" for n, i, j in (("xy", 1, 0), ("xz", 2, 0), ("yz", 2, 1))]
    return " ".join([*lengths, *tilts, "units box"])
