"""The property ``fusion``: the enthalpy that melting takes, from the solid and the liquid at one temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from ase.units import kJ, mol
from pydantic import Field

from lammps_dpgen.validation.base import Findings, Piece, PropertySettings, Result, Row
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.defects import is_cubic
from lammps_dpgen.validation.dynamics import (
    ALL_LIQUID,
    ALL_SOLID,
    DynamicsSettings,
    block_average,
    compact_repeat,
    equilibrate,
    melt,
    prepare_solid_share,
    sampled,
    solid_share,
    start,
)
from lammps_dpgen.validation.failures import UnstableError
from lammps_dpgen.validation.potential import Potential, Simulation

#: Table of the report.
PART = "Melting"

PHASES = ("solid", "liquid")


class FusionSettings(DynamicsSettings):
    """Enthalpy of fusion at a given temperature, which should be the potential's melting point.

    Examples
    --------
    >>> FusionSettings(temperature=900.0).atoms
    500
    """

    temperature: float = Field(gt=0.0, description="K; the melting point of the potential, or near it.")


class FusionProperty:
    """Enthalpy of fusion: the enthalpies of the liquid and of the solid, each at zero pressure, subtracted."""

    name: ClassVar[str] = "fusion"
    version: ClassVar[int] = 1
    Settings: ClassVar[type[PropertySettings]] = FusionSettings

    def __init__(self, settings: FusionSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings
        self._crystals = crystals

    def pieces(self) -> list[Piece]:
        """Return a piece for each phase of each crystal."""
        return [
            Piece(
                f"{crystal.name} {phase}",
                {
                    "crystal": crystal.to_json(),
                    "phase": phase,
                    "repeat": list(compact_repeat(crystal.atoms, self._settings.atoms)),
                    "pressure": "iso 0 0" if phase == "liquid" or is_cubic(crystal.atoms) else "aniso 0 0",
                },
            )
            for crystal in self._crystals
            for phase in PHASES
        ]

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Compute enthalpy (eV/atom) and volume (Å³/atom) of one phase."""
        settings, phase = self._settings, piece.payload["phase"]
        bulk = potential.crystal(Crystal.from_json(piece.payload["crystal"]))
        atoms = bulk.atoms.repeat(piece.payload["repeat"])
        with potential.simulation(atoms) as lammps:
            prepare_solid_share(lammps, bulk.atoms)
            if phase == "liquid":
                melt(lammps, settings, settings.temperature, settings.seed)
            else:
                start(lammps, settings, settings.temperature, settings.seed)
                equilibrate(lammps, settings, settings.temperature, settings.equilibration, piece.payload["pressure"])
            samples = self._measure(lammps, potential, piece.payload["pressure"]) / len(atoms)
            solid = solid_share(lammps)
        if (phase == "solid") != (solid > 0.5) or ALL_LIQUID < solid < ALL_SOLID:
            raise UnstableError(
                f"the {phase} did not stay {phase} at {settings.temperature:g} K: {solid:.0%} of its atoms are solid "
                "in the end. Choose a temperature nearer to the melting point"
            )
        return {"enthalpy": block_average(samples[:, 0]), "volume": block_average(samples[:, 1]), "n_atoms": len(atoms)}

    def _measure(self, lammps: Simulation, potential: Potential, pressure: str) -> Any:
        settings = self._settings
        lammps.run(
            [
                "variable enthalpy equal enthalpy",
                "variable volume equal vol",
                f"fix bath all npt temp {settings.temperature} {settings.temperature} {settings.thermostat_time} "
                f"{pressure} {settings.barostat_time}",
            ]
        )
        file = potential.folder / "enthalpy.dat"
        samples = sampled(lammps, settings, ["enthalpy", "volume"], file, settings.production)
        lammps.run(["unfix bath"])
        return samples

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return the enthalpy of fusion and the volumes of both phases."""
        rows: list[Row] = []
        for crystal in self._crystals:
            rows += self._rows(crystal, *(results[f"{crystal.name} {phase}"] for phase in PHASES))
        return Findings(tuple(rows))

    def _rows(self, crystal: Crystal, solid: Result, liquid: Result) -> list[Row]:
        settings = self._settings
        told = (
            f"{settings.temperature:g} K, zero pressure, {settings.production:g} ps after "
            f"{settings.equilibration:g} ps, at least {settings.atoms} atoms; errors from blocks"
        )
        failure = "; ".join(result.failure for result in (solid, liquid) if result.failure)
        row = Row(PART, crystal.name, "Delta_H_f", "kJ/mol", definition=told, failure=failure)
        rows = [row]
        if solid.value is not None and liquid.value is not None:
            (one, one_error), (other, other_error) = solid.value["enthalpy"], liquid.value["enthalpy"]
            unit = kJ / mol
            rows = [replace(row, value=(other - one) / unit, error=float(np.hypot(one_error, other_error)) / unit)]
        for phase, result in zip(PHASES, (solid, liquid), strict=True):
            entry = replace(row, quantity=f"V_{phase}", unit="Å³/atom", failure=result.failure)
            if result.value is not None:
                entry = replace(entry, value=result.value["volume"][0], error=result.value["volume"][1])
            rows.append(entry)
        return rows
