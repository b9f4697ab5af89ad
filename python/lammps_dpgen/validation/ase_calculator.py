"""A potential as an ASE calculator, for packages that want one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from lammps_dpgen.validation.potential import Potential


class PotentialCalculator(Calculator):  # type: ignore[misc]
    """ASE calculator: energy, forces and stress of single structures."""

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self._potential = potential

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute everything, whatever is asked for; a stress that is asked for must be there (UnsuitableError)."""
        super().calculate(atoms, properties, system_changes)
        found = self._potential.static(self.atoms)
        self.results: dict[str, Any] = {
            "energy": found.energy,
            "free_energy": found.energy,
            "forces": found.forces,
        }
        if found.known_stress is not None or "stress" in properties:
            self.results["stress"] = full_3x3_to_voigt_6_stress(found.stress)
