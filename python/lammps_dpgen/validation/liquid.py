"""The property ``liquid``: radial distribution function, density, viscosity and diffusion of the melt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase.units import _amu
from pydantic import Field

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.validation.base import Chart, Findings, Piece, PropertySettings, Result, Row, Series
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.dynamics import (
    ALL_LIQUID,
    BLOCKS,
    DynamicsSettings,
    block_average,
    compact_repeat,
    joined,
    melt,
    prepare_solid_share,
    refuse_nonsense,
    sampled,
    solid_share,
)
from lammps_dpgen.validation.failures import UnstableError
from lammps_dpgen.validation.potential import Potential, Simulation
from lammps_dpgen.validation.transport import (
    DIFFUSION_UNIT,
    VISCOSITY_UNIT,
    Measured,
    diffusion,
    size_correction,
    viscosity,
)

#: Table of the report.
PART = "Liquid"

#: Stress is sampled each so many steps, positions each `TRAJECTORY`.
STRESS, TRAJECTORY = 5, 50

#: eV/Å³ in bar, LAMMPS' unit of pressure.
BAR = 1602176.6208

#: Relative change of the diffusion coefficient in a run that is said.
DRIFT = 0.2

#: A viscosity is used for the correction when it is so many times its error.
RESOLVED = 2.0
UNRESOLVED = (
    "the viscosity, which the correction for size needs, is lost in noise: raise production, or give viscosity. D_cell "
    "is not corrected"
)

#: Values of a run that become rows: name, unit, factor, what it is.
ROWS = (
    ("D", "1e-9 m²/s", DIFFUSION_UNIT, "diffusion coefficient of the infinite liquid"),
    ("D_cell", "1e-9 m²/s", DIFFUSION_UNIT, "diffusion coefficient in the periodic cell, not corrected"),
    ("eta", "mPa s", VISCOSITY_UNIT, "shear viscosity by Green and Kubo"),
    ("density", "g/cm³", 1.0, "at zero pressure"),
)


class LiquidSettings(DynamicsSettings):
    """The melt at one or several temperatures.

    Examples
    --------
    >>> LiquidSettings(temperatures=(1000.0,)).runs
    1
    """

    only_pieces: ClassVar[frozenset[str]] = frozenset({"temperatures", "runs", "seed"})

    temperatures: tuple[float, ...] = Field(min_length=1, description="K.")
    runs: int = Field(default=1, ge=1, description="Independent runs at each temperature, with other first velocities.")
    viscosity: float | None = Field(
        default=None, gt=0.0, description="mPa s, for the correction of D, where it is known. Default: as measured."
    )
    rdf_cutoff: float = Field(default=10.0, gt=0.0, description="Å, up to half the shortest height of the cell.")
    rdf_bins: int = Field(default=200, ge=20, description="Bins of the radial distribution function.")
    correlation: float = Field(
        default=3.0, gt=0.0, description="ps, up to which the correlation of the stress is integrated: the viscosity."
    )


class LiquidProperty:
    """Liquid at the volume of zero pressure: g(r), density, viscosity, and D with its correction for size."""

    name: ClassVar[str] = "liquid"
    version: ClassVar[int] = 2
    Settings: ClassVar[type[PropertySettings]] = LiquidSettings

    def __init__(self, settings: LiquidSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings
        self._crystals = crystals

    def pieces(self) -> list[Piece]:
        """Return one piece for each crystal, temperature and run."""
        return [
            Piece(
                _name(crystal, temperature, run),
                {
                    "crystal": crystal.to_json(),
                    "repeat": list(compact_repeat(crystal.atoms, self._settings.atoms)),
                    "temperature": temperature,
                    "seed": self._settings.seed + run,
                },
            )
            for crystal in self._crystals
            for temperature in self._settings.temperatures
            for run in range(self._settings.runs)
        ]

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Melt a crystal, bring it to the volume of zero pressure, and measure."""
        given, settings = piece.payload, self._settings
        temperature: float = given["temperature"]
        bulk = potential.crystal(Crystal.from_json(given["crystal"]))
        atoms = bulk.atoms.repeat(given["repeat"])
        with potential.simulation(atoms) as lammps:
            prepare_solid_share(lammps, bulk.atoms)
            melt(lammps, settings, temperature, given["seed"])
            volume = self._fix_volume(lammps, temperature, potential.folder)
            cutoff = min(settings.rdf_cutoff, 0.49 * volume ** (1 / 3))
            stresses = self._produce(lammps, temperature, cutoff, potential.folder)
            solid = solid_share(lammps)
        if solid > ALL_LIQUID:
            raise UnstableError(f"the liquid froze at {temperature:g} K: {solid:.0%} of the atoms are solid in the end")
        positions = read_positions(potential.folder / "positions.dump", len(atoms))
        interval = TRAJECTORY * settings.timestep
        eta = viscosity(stresses, STRESS * settings.timestep, volume, temperature, settings.correlation, BLOCKS)
        cell = diffusion(positions, interval, BLOCKS)
        known = settings.viscosity
        used = eta if known is None else Measured(known / VISCOSITY_UNIT, 0.0)
        resolved = used.value > RESOLVED * used.error
        correction = size_correction(temperature, volume, used) if resolved else Measured(0.0, 0.0)
        mass = float(atoms.get_masses().sum()) * _amu * 1e3
        r, g = read_rdf(potential.folder / "rdf.dat")
        return {
            "D": [cell.value + correction.value, float(np.hypot(cell.error, correction.error))] if resolved else None,
            "D_cell": [cell.value, cell.error],
            "drift": cell.drift,
            "eta": [eta.value, eta.error],
            "density": [mass / (volume * 1e-24), 0.0],
            "r": r.tolist(),
            "g": g.tolist(),
            "n_atoms": len(atoms),
        }

    def _fix_volume(self, lammps: Simulation, temperature: float, folder: Path) -> float:
        """Give the cell its mean volume at zero pressure (Å³)."""
        settings = self._settings
        lammps.run(
            [
                "variable volume equal vol",
                f"fix bath all npt temp {temperature} {temperature} {settings.thermostat_time} "
                f"iso 0 0 {settings.barostat_time}",
            ]
        )
        samples = sampled(lammps, settings, ["volume"], folder / "volume.dat", settings.equilibration)
        volume, _ = block_average(samples[:, 0])
        scale = (volume / lammps.thermo("vol")) ** (1 / 3)
        change = " ".join(f"{axis} scale {scale!r}" for axis in "xyz")
        lammps.run(["unfix bath", f"change_box all {change} remap units box"])
        return volume

    def _produce(self, lammps: Simulation, temperature: float, cutoff: float, folder: Path) -> FloatArray:
        """Run at constant volume; returns the stresses ``[n_samples, 6]`` in eV/Å³."""
        settings = self._settings
        n_steps = settings.steps(settings.production)
        names = ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")
        lammps.run(
            [
                *(f"variable {name} equal {name}" for name in names),
                f"fix bath all nvt temp {temperature} {temperature} {5.0 * settings.thermostat_time}",
                f"run {settings.steps(settings.equilibration) // 4}",
                "reset_timestep 0",
                f"comm_modify cutoff {cutoff + 2.5}",
                f"compute rdf all rdf {settings.rdf_bins} cutoff {cutoff}",
                f"fix rdf all ave/time {TRAJECTORY} {n_steps // TRAJECTORY} {n_steps // TRAJECTORY * TRAJECTORY} "
                f'c_rdf[*] mode vector file "{folder / "rdf.dat"}"',
                f'dump positions all custom {TRAJECTORY} "{folder / "positions.dump"}" xu yu zu',
                "dump_modify positions sort id format float %.5f",
            ]
        )
        stresses = sampled(lammps, settings, names, folder / "stress.dat", settings.production, STRESS)
        lammps.run(["undump positions", "unfix rdf", "uncompute rdf", "unfix bath"])
        refuse_nonsense(lammps)
        return stresses / BAR

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return the rows of each temperature, and the radial distribution functions."""
        rows: list[Row] = []
        charts: list[Chart] = []
        for crystal in self._crystals:
            for temperature in self._settings.temperatures:
                mine = [results[_name(crystal, temperature, run)] for run in range(self._settings.runs)]
                values = [result.value for result in mine if result.value is not None]
                failures = [result.failure for result in mine if result.failure]
                rows += self._rows(f"{crystal.name} {temperature:g} K", values, failures)
                charts += _rdf_chart(f"{crystal.name} {temperature:g} K", values)
        return Findings(tuple(rows), tuple(charts))

    def _rows(self, subject: str, values: list[dict[str, Any]], failures: list[str]) -> list[Row]:
        settings = self._settings
        told = (
            f"{len(values)} of {settings.runs} runs of {settings.production:g} ps at the volume of zero pressure, "
            f"{values[0]['n_atoms'] if values else settings.atoms} atoms"
        )
        rows = []
        for name, unit, factor, words in ROWS:
            row = Row(PART, subject, name, unit, definition=told, note=words)
            if not values:
                rows.append(replace(row, failure="; ".join(failures)))
                continue
            known = [value[name] for value in values if value[name] is not None]
            if not known:
                rows.append(replace(row, failure=UNRESOLVED))
                continue
            mean, error = joined(*zip(*known, strict=True))
            if name in ("D", "D_cell"):
                row = replace(row, note=row.note + _drift_note(values))
            if name == "D":
                row = replace(
                    row, definition=f"{told}; finite-size correction of Yeh and Hummer with the viscosity eta"
                )
            rows.append(replace(row, value=mean * factor, error=error * factor))
        return [*rows, *_peak_rows(subject, told, values)]


def read_positions(file: Path, n_atoms: int) -> FloatArray:
    """Return ``[n_samples, n_atoms, 3]`` of a LAMMPS dump with three columns, sorted by atom."""
    lines = file.read_text(encoding="ascii").splitlines()
    header = 9
    samples = [lines[start + header : start + header + n_atoms] for start in range(0, len(lines), header + n_atoms)]
    text = " ".join(line for sample in samples for line in sample)
    return np.array(text.split(), dtype=np.float64).reshape(len(samples), n_atoms, 3)


def read_rdf(file: Path) -> tuple[FloatArray, FloatArray]:
    """Return distances (Å) and g(r) of the last entry of an averaged ``compute rdf``."""
    lines = [line for line in file.read_text(encoding="ascii").splitlines() if not line.startswith("#")]
    n_bins = int(lines[0].split()[1])
    table = np.array([line.split()[1:3] for line in lines[-n_bins:]], dtype=np.float64)
    return table[:, 0], table[:, 1]


def _name(crystal: Crystal, temperature: float, run: int) -> str:
    return f"{crystal.name} {temperature:g} K run {run + 1}"


def _drift_note(values: list[dict[str, Any]]) -> str:
    """Return a warning where the diffusion coefficient changes in the course of a run: the melt is no equilibrium."""
    worst = max((value["drift"] for value in values), key=abs)
    if abs(worst) < DRIFT:
        return ""
    return f"; it changes by {worst:+.0%} in the course of a run: the melt is not in equilibrium, raise equilibration"


def _peak_rows(subject: str, told: str, values: list[dict[str, Any]]) -> list[Row]:
    """Return place and height of the first peak of the mean g(r)."""
    if not values:
        return []
    r, g = np.array(values[0]["r"]), np.mean([value["g"] for value in values], axis=0)
    peak = int(np.argmax(g))
    row = Row(PART, subject, "r_1", "Å", definition=told)
    return [
        replace(row, value=float(r[peak]), note="place of the first peak of g(r)"),
        replace(row, quantity="g_1", unit="", value=float(g[peak]), note="height of the first peak of g(r)"),
    ]


def _rdf_chart(subject: str, values: list[dict[str, Any]]) -> list[Chart]:
    if not values:
        return []
    g = np.mean([value["g"] for value in values], axis=0)
    series = (Series("", values[0]["r"], g.tolist()),)
    title, caption = f"Liquid {subject}: g(r)", "Radial distribution function of the liquid at zero pressure."
    return [Chart(f"rdf-{subject.replace(' ', '-')}", PART, title, caption, "r (Å)", "g(r)", "lines", series)]
