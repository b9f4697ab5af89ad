"""What a potential can do for a property."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from ase import Atoms
from ase.calculators.calculator import Calculator

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.failures import UnsuitableError

#: What of the cell a relaxation may change: nothing; the volume; the lengths of the three vectors, at their angles;
#: lengths and angles; the length along z alone (tilts and the xy plane stay).
CellFreedom = Literal["fixed", "iso", "aniso", "tri", "z"]

#: Which components of the positions a relaxation may change.
Directions = Literal["xyz", "z", "none"]


@dataclass(frozen=True)
class Static:
    """Energy and its derivatives.

    Attributes
    ----------
    atoms
        Atoms in the order, orientation and cell that they were given in; after a relaxation, the relaxed ones.
    energy
        eV, of the whole cell.
    forces
        ``[n_atoms, 3]`` eV/Å.
    known_stress
        ``[3, 3]`` eV/Å³, tension positive (ASE's sign); None where a labeler gives no virial.
    """

    atoms: Atoms
    energy: float
    forces: FloatArray
    known_stress: FloatArray | None

    @property
    def stress(self) -> FloatArray:
        """The stress, for what cannot do without.

        Raises
        ------
        UnsuitableError
            There is none.
        """
        if self.known_stress is None:
            raise UnsuitableError(
                f"{self.atoms.get_chemical_formula()}: the labels have no virial, and so there is no stress: no cell "
                "can relax and there are no elastic constants. Take a labeler with virials, or 'relax: none' for the "
                "crystals and properties of cells that stay as they are"
            )
        return self.known_stress

    @property
    def energy_per_atom(self) -> float:
        """In eV."""
        return self.energy / len(self.atoms)

    @property
    def volume_per_atom(self) -> float:
        """In Å³."""
        return float(self.atoms.get_volume()) / len(self.atoms)


class Simulation(Protocol):
    """LAMMPS with the atoms and the potential set up, in ``metal`` units, for molecular dynamics."""

    def run(self, lines: list[str]) -> None:
        """Run LAMMPS commands; raises PairStyleError with LAMMPS' message."""
        ...

    def thermo(self, name: str) -> float:
        """Return the present value of a thermo keyword, such as "temp"."""
        ...

    def variable(self, name: str) -> float:
        """Return the value of an equal-style variable."""
        ...

    def atoms(self) -> Atoms:
        """Return the atoms as they are now, in their order, with LAMMPS' box as the cell, and velocities (ASE's)."""
        ...


class Potential(Protocol):
    """A potential in this process."""

    #: Name in the configuration.
    name: str
    #: Elements that it knows; empty where it does not say.
    elements: tuple[str, ...]
    #: SHA-256 of what decides its numbers: files by content.
    identity: str
    #: Scratch folder of the task that runs; what is in it is gone after success.
    folder: Path

    def static(self, atoms: Atoms) -> Static:
        """Compute energy, forces and stress; periodic as the atoms are."""
        ...

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
        """Relax atoms and cell.

        Parameters
        ----------
        cell
            A tuple is gone through in order, each from where the last one ended: ("iso", "aniso").
        force
            Largest component of a force that may be left (eV/Å).
        stress
            Largest difference from zero pressure, of the components that are free, that may be left (GPa).
        strict
            Without it each stage is one go of the minimiser, and where its line search ends is taken as it is.

        Raises
        ------
        NotConvergedError, CollapsedError, NotFiniteError, PairStyleError
            Why there is no minimum.
        """
        ...

    def crystal(self, crystal: Crystal) -> Static:
        """Return the crystal relaxed as it asks for; remembered, so that every property starts from the same.

        Raises
        ------
        UnstableError
            It has decayed into another structure (symmetry and neighbours have changed).
        """
        ...

    def simulation(self, atoms: Atoms, *, velocities: bool = False) -> Any:
        """Return a context manager that gives a :class:`Simulation`.

        Raises
        ------
        UnsuitableError
            The potential is no LAMMPS pair style.
        """
        ...

    def calculator(self) -> Calculator:
        """Return an ASE calculator (energy, forces, stress) on this potential, for packages that want one."""
        ...

    def model_files(self) -> tuple[str, ...]:
        """Return the model files of a Deep Potential, all of its ensemble; empty for others."""
        ...
