"""The property ``melting``: the temperature at which solid and liquid coexist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from pydantic import Field

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.validation.base import Chart, Findings, Piece, PropertySettings, Result, Row, Series
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.defects import is_cubic
from lammps_dpgen.validation.dynamics import (
    BLOCKS,
    DynamicsSettings,
    block_average,
    compact_repeat,
    equilibrate,
    joined,
    prepare_solid_share,
    refuse_nonsense,
    sampled,
    start,
)
from lammps_dpgen.validation.potential import Potential, Simulation

#: Table of the report.
PART = "Melting"

#: Axis of the charts.
TIME = "time (ps)"

#: Steps between samples of the coexistence.
SAMPLE = 50

#: Shares of solid atoms between which both phases are there.
COEXISTENCE = (0.15, 0.85)

#: In equilibrium the temperature of the last fifth of the second half is that of the first one, to this share.
STEADY = 0.02

#: Shares of a run, from its beginning, in which the motion of the front is measured, and standard errors that count.
FRONT, CERTAIN = 0.5, 2.0


class MeltingSettings(DynamicsSettings):
    """Melting temperature by coexistence of solid and liquid at constant enthalpy and zero pressure.

    Each starting temperature is a run of its own, whose result is stored when it is done: a command that was broken
    off goes on with the next one.

    Examples
    --------
    >>> MeltingSettings(temperatures=(850.0, 900.0, 950.0)).elongation
    3
    """

    only_pieces: ClassVar[frozenset[str]] = frozenset({"temperatures", "elongation"})

    atoms: int = Field(default=2000, ge=32, description="Atoms of the elongated cell, at least.")
    temperatures: tuple[float, ...] = Field(
        min_length=1,
        description="Starting temperatures in K, around the melting point: those within some 50 K of it end in "
        "coexistence, others bound it.",
    )
    elongation: int = Field(default=3, ge=2, description="Length of the cell along z over the other two, about.")


class MeltingProperty:
    """Melting temperature: where a cell that is half solid and half liquid stays so.

    The lower half of a crystal, at the lattice constants of the starting temperature, is held while the upper half
    melts; then all atoms move at constant enthalpy and zero pressure along z. What freezes or melts warms or cools the
    cell, until the two phases are in equilibrium at the melting temperature.
    """

    name: ClassVar[str] = "melting"
    version: ClassVar[int] = 2
    Settings: ClassVar[type[PropertySettings]] = MeltingSettings

    def __init__(self, settings: MeltingSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings
        self._crystals = crystals

    def pieces(self) -> list[Piece]:
        """Return one piece for each crystal and starting temperature."""
        return [
            Piece(
                f"{crystal.name} from {temperature:g} K",
                {
                    "crystal": crystal.to_json(),
                    "repeat": list(elongated_repeat(crystal.atoms, self._settings.atoms, self._settings.elongation)),
                    "temperature": temperature,
                    "pressure": "iso 0 0" if is_cubic(crystal.atoms) else "aniso 0 0",
                },
            )
            for crystal in self._crystals
            for temperature in self._settings.temperatures
        ]

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Let solid and liquid coexist from one starting temperature."""
        given, settings = piece.payload, self._settings
        temperature: float = given["temperature"]
        bulk = potential.crystal(Crystal.from_json(given["crystal"]))
        atoms = bulk.atoms.repeat(given["repeat"])
        with potential.simulation(atoms) as lammps:
            prepare_solid_share(lammps, bulk.atoms)
            start(lammps, settings, temperature, settings.seed)
            self._expand(lammps, potential, temperature, given["pressure"])
            self._melt_half(lammps, temperature)
            samples = self._coexist(lammps, potential)
        return self._outcome(samples, len(atoms))

    def _expand(self, lammps: Simulation, potential: Potential, temperature: float, pressure: str) -> None:
        """Give the crystal its mean lattice constants at the starting temperature."""
        settings = self._settings
        equilibrate(lammps, settings, temperature, settings.equilibration / 2.0, pressure)
        lammps.run(
            [
                *(f"variable {length} equal {length}" for length in ("lx", "ly", "lz")),
                f"fix bath all npt temp {temperature} {temperature} {settings.thermostat_time} "
                f"{pressure} {settings.barostat_time}",
            ]
        )
        file = potential.folder / "lengths.dat"
        means = sampled(lammps, settings, ["lx", "ly", "lz"], file, settings.equilibration / 2.0).mean(axis=0)
        scales = [f"{axis} scale {means[i] / lammps.thermo(f'l{axis}')}" for i, axis in enumerate("xyz")]
        lammps.run(["unfix bath", f"change_box all {' '.join(scales)} remap units box"])

    def _melt_half(self, lammps: Simulation, temperature: float) -> None:
        """Melt the upper half of the cell beside the lower one, which is held, and cool the liquid down."""
        settings = self._settings
        hot = settings.melt_temperature or 2.0 * temperature
        bath = f"{settings.thermostat_time} z 0 0 {settings.barostat_time} dilate liquid"
        lammps.run(
            [
                "variable middle equal zlo+0.5*lz",
                "variable upper atom z>v_middle",
                "group liquid variable upper",
                "group held subtract all liquid",
                "velocity held set 0 0 0",
                f"velocity liquid create {hot} {settings.seed} mom yes rot no dist gaussian",
                "compute liquid_temp liquid temp",
                f"fix bath liquid npt temp {hot} {hot} {bath}",
                "fix_modify bath temp liquid_temp",
                f"run {settings.steps(settings.melt_time)}",
                "unfix bath",
                f"fix bath liquid npt temp {hot} {temperature} {bath}",
                "fix_modify bath temp liquid_temp",
                f"run {settings.steps(settings.melt_time)}",
                "unfix bath",
                # Half of the energy given to atoms in their places goes into the potential.
                f"velocity held create {2.0 * temperature} {settings.seed} mom yes rot no dist gaussian",
            ]
        )
        refuse_nonsense(lammps)
        equilibrate(lammps, settings, temperature, 1.0, "z 0 0")

    def _coexist(self, lammps: Simulation, potential: Potential) -> FloatArray:
        """Run at constant enthalpy; returns temperature (K), share of solid atoms, and pressure (bar) in the plane."""
        settings = self._settings
        lammps.run(
            [
                "variable temperature equal temp",
                "variable plane equal 0.5*(pxx+pyy)",
                f"fix bath all nph z 0 0 {settings.barostat_time}",
            ]
        )
        names = ["temperature", "solid_share", "plane"]
        file = potential.folder / "coexistence.dat"
        samples = sampled(lammps, settings, names, file, settings.production, SAMPLE)
        lammps.run(["unfix bath"])
        return samples

    def _outcome(self, samples: FloatArray, n_atoms: int) -> dict[str, Any]:
        """Return the melting temperature, or on which side of it the run began."""
        half = samples[len(samples) // 2 :]
        solid = float(half[-max(1, len(half) // BLOCKS) :, 1].mean())
        temperature, error = block_average(half[:, 0])
        outcome = "coexists" if COEXISTENCE[0] < solid < COEXISTENCE[1] else "solid" if solid > 0.5 else "liquid"
        fifths = np.array_split(samples[:, 0], BLOCKS)
        if outcome == "liquid" and fifths[-1].mean() > fifths[0].mean():
            outcome = "other"  # melting takes up heat
        stride = max(1, len(samples) // 400)
        return {
            "outcome": outcome,
            "solid": solid,
            "temperature": [temperature, error],
            "plane": float(half[:, 2].mean()),
            "n_atoms": n_atoms,
            "times": (np.arange(len(samples))[::stride] * SAMPLE * self._settings.timestep).tolist(),
            "temperatures": samples[::stride, 0].tolist(),
            "shares": samples[::stride, 1].tolist(),
        }

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return the melting temperature of each crystal, and how the runs went."""
        rows: list[Row] = []
        charts: list[Chart] = []
        for crystal in self._crystals:
            mine = {t: results[f"{crystal.name} from {t:g} K"] for t in self._settings.temperatures}
            rows.append(self._row(crystal.name, mine))
            charts += _charts(crystal.name, mine)
        return Findings(tuple(rows), tuple(charts))

    def _row(self, subject: str, runs: Mapping[float, Result]) -> Row:
        settings = self._settings
        values = {begin: result.value for begin, result in runs.items() if result.value is not None}
        coexisting = [value["temperature"] for value in values.values() if not _unsettled(value)]
        n_atoms = max((value["n_atoms"] for value in values.values()), default=settings.atoms)
        told = (
            f"coexistence at constant enthalpy, zero pressure along z, {n_atoms} atoms, second half of "
            f"{settings.production:g} ps, {len(coexisting)} of {len(runs)} starting temperatures"
        )
        note = "; ".join(_told(begin, result) for begin, result in runs.items())
        if not coexisting:
            failure = f"no run ended in coexistence: {note}. {_bracket(list(values.values()))}"
            return Row(PART, subject, "T_m", "K", definition=told, failure=failure)
        mean, error = joined(*zip(*coexisting, strict=True))
        return Row(PART, subject, "T_m", "K", mean, error, told, note=note)


def elongated_repeat(atoms: Atoms, n_atoms: int, elongation: int) -> tuple[int, int, int]:
    """Return copies of a cell that hold at least `n_atoms`, about `elongation` times as long along z as across."""
    a, b, _ = compact_repeat(atoms, max(1, n_atoms // elongation))
    height = float(atoms.cell.lengths()[2])
    width = float(min(a * atoms.cell.lengths()[0], b * atoms.cell.lengths()[1]))
    return a, b, max(ceil(n_atoms / (a * b * len(atoms))), round(elongation * width / height))


def _unsettled(value: Mapping[str, Any]) -> str:
    """Say why a run is no coexistence in equilibrium; empty where it is one."""
    if value["outcome"] != "coexists":
        return str(value["outcome"])
    half = len(value["times"]) // 2
    temperatures, shares = np.array(value["temperatures"][half:]), np.array(value["shares"][half:])
    fifths = [float(part.mean()) for part in np.array_split(shares, BLOCKS)]
    if not all(COEXISTENCE[0] < share < COEXISTENCE[1] for share in fifths):
        return f"the share of solid atoms went through {min(fifths):.0%} to {max(fifths):.0%}"
    parts = np.array_split(temperatures, BLOCKS)
    drift = float(parts[-1].mean() - parts[0].mean())
    return f"the temperature still changes, by {drift:+.0f} K" if abs(drift) > STEADY * temperatures.mean() else ""


def _front(value: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return temperature (K), growth of the solid's share (1/ps) and its standard error while both phases are there.

    It is measured from the beginning until one phase is nearly gone, at most over the first half of the run.
    """
    shares = np.array(value["shares"])
    gone = np.flatnonzero((shares <= COEXISTENCE[0]) | (shares >= COEXISTENCE[1]))
    end = max(BLOCKS, min(int(FRONT * len(shares)), int(gone[0]) if len(gone) else len(shares)))
    times = np.array(value["times"])[:end]
    slopes = [float(np.polyfit(times[part], shares[part], 1)[0]) for part in np.array_split(np.arange(end), BLOCKS)]
    whole = float(np.polyfit(times, shares[:end], 1)[0])
    return float(np.mean(value["temperatures"][:end])), whole, float(np.std(slopes, ddof=1) / np.sqrt(BLOCKS))


def _bracket(values: Sequence[Mapping[str, Any]]) -> str:
    """Say between which temperatures the melting point lies by the motion of the front, or what to do."""
    fronts = [_front(value) for value in values if len(value["times"]) > BLOCKS**2]
    melts = [temperature for temperature, rate, error in fronts if rate < -CERTAIN * error]
    grows = [temperature for temperature, rate, error in fronts if rate > CERTAIN * error]
    if melts and grows and max(grows) < min(melts):
        low, high = max(grows), min(melts)
        return f"While both are there the crystal grows at {low:.0f} K and melts at {high:.0f} K: T_m lies between"
    if melts and not grows:
        return f"The crystal melts at {min(melts):.0f} K already: choose lower temperatures"
    if grows and not melts:
        return f"The crystal still grows at {max(grows):.0f} K: choose higher temperatures"
    return "Choose temperatures between those that freeze and melt, or a longer cell"


def _told(begin: float, result: Result) -> str:
    """Return what became of a run, in a few words."""
    value = result.value
    if value is None:
        return f"from {begin:g} K: {result.failure}"
    if value["outcome"] == "coexists":
        why = _unsettled(value)
        if why:
            return f"from {begin:g} K: both phases, but no equilibrium: in the second half {why}"
        return f"from {begin:g} K: {value['temperature'][0]:.0f} K, {value['plane']:.0f} bar in the plane"
    if value["outcome"] == "other":
        return (
            f"from {begin:g} K: the crystal vanished while the cell became warmer, so that it did not melt but "
            "turned into something else"
        )
    side = "above" if value["outcome"] == "liquid" else "below"
    return f"from {begin:g} K: all {value['outcome']}, so that it began {side} the melting point"


def _charts(subject: str, runs: Mapping[float, Result]) -> list[Chart]:
    temperatures, shares = [], []
    for begin, result in runs.items():
        if result.value is not None:
            name = f"from {begin:g} K"
            temperatures.append(Series(name, result.value["times"], result.value["temperatures"]))
            shares.append(Series(name, result.value["times"], result.value["shares"]))
    if not temperatures:
        return []
    caption = "Solid and liquid at constant enthalpy; in coexistence the temperature is the melting point."
    return [
        Chart(f"melting-{subject}-{name}", PART, f"{title}, {subject}", caption, TIME, label, "lines", tuple(series))
        for name, title, label, series in (
            ("temperature", "Temperature of coexistence", "temperature (K)", temperatures),
            ("solid", "Solid atoms in coexistence", "share of solid atoms", shares),
        )
    ]
