"""Relaxed crystals of one potential, remembered in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lammps_dpgen.errors import PropertyError
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.failures import UnstableError, UnsuitableError
from lammps_dpgen.validation.potential import CellFreedom, Static
from lammps_dpgen.validation.stability import crystal_decay

if TYPE_CHECKING:
    from lammps_dpgen.validation.potential import Potential

#: What each relaxation of a crystal goes through.
STAGES: dict[str, tuple[CellFreedom, ...]] = {
    "iso": ("iso",),
    "aniso": ("iso", "aniso"),
    "tri": ("iso", "aniso", "tri"),
    "lammps": ("iso", "aniso"),
}
#: Residuals of a relaxed crystal: eV/Å and GPa. Other properties are differences from it.
FORCE, STRESS = 1e-5, 1e-4


class CrystalMemory:
    """Relaxes each crystal once, and remembers why one could not be."""

    def __init__(self, potential: Potential) -> None:
        self._potential = potential
        self._found: dict[str, Static | PropertyError] = {}

    def relaxed(self, crystal: Crystal) -> Static:
        """Return the relaxed crystal; see :meth:`lammps_dpgen.validation.potential.Potential.crystal`."""
        if crystal.hash not in self._found:
            try:
                self._found[crystal.hash] = self._relax(crystal)
            except PropertyError as error:
                self._found[crystal.hash] = error
        found = self._found[crystal.hash]
        if isinstance(found, PropertyError):
            raise found
        return found

    def _relax(self, crystal: Crystal) -> Static:
        unknown = sorted(set(crystal.elements) - set(self._potential.elements))
        if unknown and self._potential.elements:
            raise UnsuitableError(
                f"{crystal.name}: the potential has no {', '.join(unknown)}, only {', '.join(self._potential.elements)}"
            )
        if crystal.relaxation == "none":
            return self._potential.static(crystal.atoms)
        relaxed = relaxed_as_asked(self._potential, crystal)
        change = crystal_decay(crystal.atoms, relaxed.atoms)
        if change:
            raise UnstableError(f"{crystal.name} is not stable: {change}")
        return relaxed


def relaxed_as_asked(potential: Potential, crystal: Crystal) -> Static:
    """Relax a crystal as it asks for, whatever becomes of it (raises PropertyError where there is no minimum)."""
    strict = crystal.relaxation != "lammps"
    return potential.relax(crystal.atoms, STAGES[crystal.relaxation], force=FORCE, stress=STRESS, strict=strict)
