"""A labeler, such as DFT, as a potential: relaxations by ASE's optimisers, one label for every step."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NoReturn

from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.constraints import FixCartesian
from ase.filters import Filter, FrechetCellFilter
from ase.optimize import BFGS
from ase.units import GPa

from lammps_dpgen.errors import LabelError
from lammps_dpgen.frame import Frame
from lammps_dpgen.labeling.base import Labeler
from lammps_dpgen.validation.ase_calculator import PotentialCalculator
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.failures import CollapsedError, NotConvergedError, PairStyleError, UnsuitableError
from lammps_dpgen.validation.memory import CrystalMemory
from lammps_dpgen.validation.potential import CellFreedom, Directions, Static
from lammps_dpgen.validation.stability import cell_collapse

#: Components of the strain (xx, yy, zz, yz, xz, xy) that each freedom of the cell lets relax.
_MASK: dict[str, list[bool]] = {
    "iso": [True] * 3 + [False] * 3,
    "aniso": [True] * 3 + [False] * 3,
    "tri": [True] * 6,
    "z": [False, False, True, False, False, False],
}
_HELD = {"z": (True, True, False), "none": (True, True, True)}


class LabelerPotential:
    """A labeler as a potential; see :class:`lammps_dpgen.validation.potential.Potential`.

    Every step of a relaxation is a label, so it is meant for few atoms. There is no molecular dynamics.
    """

    def __init__(self, name: str, labeler: Labeler, identity: str, folder: Path | None = None) -> None:
        self.name = name
        self.elements: tuple[str, ...] = tuple(getattr(labeler, "elements", ()))
        self.identity = identity
        self.folder = Path(tempfile.mkdtemp(prefix="validation-")) if folder is None else folder
        self._labeler = labeler
        self._labels = 0
        self._memory = CrystalMemory(self)

    def static(self, atoms: Atoms) -> Static:
        """See :meth:`lammps_dpgen.validation.potential.Potential.static`."""
        self._labels += 1
        folder = self.folder / f"label-{self._labels}"
        folder.mkdir(parents=True)
        frame = Frame.from_ase(atoms)
        try:
            label = self._labeler.label(frame, folder)
        except LabelError as error:
            raise PairStyleError(f"labeler {self._labeler.name}: {error}") from error
        stress = None if label.virial is None else -label.virial / frame.volume
        return Static(atoms.copy(), label.energy, label.forces, stress)

    def relax(
        self,
        atoms: Atoms,
        cell: CellFreedom | tuple[CellFreedom, ...] = "fixed",
        directions: Directions = "xyz",
        *,
        force: float = 1e-4,
        stress: float = 1e-4,
        most_steps: int = 10000,
        strict: bool = True,
    ) -> Static:
        """See :meth:`lammps_dpgen.validation.potential.Potential.relax`."""
        work = atoms.copy()
        work.calc = self.calculator()
        if directions != "xyz":
            work.set_constraint(FixCartesian(list(range(len(work))), _HELD[directions]))
        for freedom in (cell,) if isinstance(cell, str) else cell:
            criterion = force
            target: Atoms | Filter = work
            if freedom != "fixed":
                # The filter's forces on the cell are stress times volume, in eV.
                criterion = min(force, stress * GPa * float(work.get_volume()))
                target = FrechetCellFilter(work, mask=_MASK[freedom], hydrostatic_strain=freedom == "iso")
            converged = BFGS(target, logfile=None).run(fmax=criterion, steps=most_steps)
            if strict and not converged:
                formula = work.get_chemical_formula()
                raise NotConvergedError(f"relaxation ({freedom}) of {formula}: not converged in {most_steps} steps")
        work.set_constraint()
        work.calc = None
        collapse = cell_collapse(atoms, work)
        if collapse:
            raise CollapsedError(f"{atoms.get_chemical_formula()}: {collapse}")
        return self.static(work)

    def crystal(self, crystal: Crystal) -> Static:
        """See :meth:`lammps_dpgen.validation.potential.Potential.crystal`."""
        return self._memory.relaxed(crystal)

    def simulation(self, atoms: Atoms, *, velocities: bool = False) -> Any:
        """Refuse: see :meth:`lammps_dpgen.validation.potential.Potential.simulation`."""
        self._refuse_dynamics()

    def _refuse_dynamics(self) -> NoReturn:
        raise UnsuitableError(f"{self.name} is a labeler: molecular dynamics needs a LAMMPS pair style")

    def calculator(self) -> Calculator:
        """See :meth:`lammps_dpgen.validation.potential.Potential.calculator`."""
        return PotentialCalculator(self)

    def model_files(self) -> tuple[str, ...]:
        """See :meth:`lammps_dpgen.validation.potential.Potential.model_files`."""
        return ()
