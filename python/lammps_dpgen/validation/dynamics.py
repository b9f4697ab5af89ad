"""What molecular dynamics of a property is made of: the cell, equilibration, sampled averages, and what is solid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from pydantic import Field

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.validation.base import PropertySettings
from lammps_dpgen.validation.failures import CollapsedError, NotFiniteError, UnstableError
from lammps_dpgen.validation.potential import Simulation
from lammps_dpgen.validation.stability import nearest_distance

#: An atom is solid with at least this many neighbours whose surroundings have its orientation (ten Wolde, Ruiz-Montero
#: and Frenkel, DOI 10.1063/1.471721).
SOLID_BONDS = 7
#: Smallest normalised product of their 6th-order bond parameters.
SOLID_PRODUCT = 0.5
#: Neighbours of that criterion lie within this many times the nearest distance of the crystal.
SOLID_SHELL = 1.35

#: Shares of solid atoms above and below which all counts as solid or liquid.
ALL_SOLID, ALL_LIQUID = 0.8, 0.2

#: A melt whose volume is larger than this many times that of the crystal is a gas.
EVAPORATED = 1.8

#: Independent blocks of a run, whose spread gives the error of an average.
BLOCKS = 5


class DynamicsSettings(PropertySettings):
    """Molecular dynamics at constant temperature and zero pressure."""

    atoms: int = Field(
        default=500, ge=32, description="Atoms of the cell, at least: whole copies of the crystal's cell."
    )
    timestep: float = Field(default=0.002, gt=0.0, le=0.01, description="Time step in ps.")
    thermostat_time: float = Field(default=0.1, gt=0.0, description="Damping time in ps of the thermostat.")
    barostat_time: float = Field(default=1.0, gt=0.0, description="Damping time in ps of the barostat.")
    melt_temperature: float | None = Field(
        default=None,
        gt=0.0,
        description="K, at which the crystal is melted before it is brought to the temperature asked for. Default: "
        "twice that temperature.",
    )
    melt_time: float = Field(default=10.0, gt=0.0, description="How long it melts, ps.")
    equilibration: float = Field(default=20.0, gt=0.0, description="How long it equilibrates, ps.")
    production: float = Field(default=100.0, gt=0.0, description="How long it is measured, ps.")
    seed: int = Field(default=1, ge=1, description="Of the first velocities.")

    def steps(self, time: float) -> int:
        """Return the number of steps of a time in ps."""
        return max(1, round(time / self.timestep))


def compact_repeat(atoms: Atoms, n_atoms: int) -> tuple[int, int, int]:
    """Return copies of a cell that hold at least `n_atoms`, with vectors of similar lengths."""
    lengths = atoms.cell.lengths()
    repeat = [1, 1, 1]
    while len(atoms) * int(np.prod(repeat)) < n_atoms:
        shortest = int(np.argmin(np.round(lengths * repeat, 6)))
        repeat[shortest] += 1
    return repeat[0], repeat[1], repeat[2]


def start(lammps: Simulation, settings: DynamicsSettings, temperature: float, seed: int) -> None:
    """Give the atoms of a perfect crystal velocities; half of the energy goes into the potential."""
    lammps.run(
        [
            f"timestep {settings.timestep}",
            f"velocity all create {2.0 * temperature} {seed} mom yes rot no dist gaussian",
        ]
    )


def equilibrate(
    lammps: Simulation, settings: DynamicsSettings, temperature: float, time: float, pressure: str = "iso 0 0"
) -> None:
    """Run at constant temperature (K) and pressure for `time` ps."""
    lammps.run(
        [
            f"fix bath all npt temp {temperature} {temperature} {settings.thermostat_time} "
            f"{pressure} {settings.barostat_time}",
            f"run {settings.steps(time)}",
            "unfix bath",
        ]
    )
    refuse_nonsense(lammps)


def melt(lammps: Simulation, settings: DynamicsSettings, temperature: float, seed: int) -> None:
    """Melt the crystal, and bring the liquid to `temperature` (K).

    Raises
    ------
    UnstableError
        The crystal did not melt.
    CollapsedError
        The melt evaporates.
    """
    hot = settings.melt_temperature or 2.0 * temperature
    solid_volume = lammps.thermo("vol")
    start(lammps, settings, hot, seed)
    equilibrate(lammps, settings, hot, settings.melt_time)
    solid = solid_share(lammps)
    if solid > ALL_LIQUID:
        raise UnstableError(
            f"the crystal did not melt within {settings.melt_time} ps at {hot:g} K: {solid:.0%} of the atoms are "
            "solid. Raise melt_temperature or melt_time"
        )
    growth = lammps.thermo("vol") / solid_volume
    if growth > EVAPORATED:
        raise CollapsedError(
            f"the melt evaporates at {hot:g} K and zero pressure: its volume is {growth:.1f} times the "
            "crystal's. Lower melt_temperature"
        )
    lammps.run([f"velocity all scale {temperature}"])
    equilibrate(lammps, settings, temperature, settings.equilibration)


def refuse_nonsense(lammps: Simulation) -> None:
    """Refuse energies that are not finite.

    Raises
    ------
    NotFiniteError
        The dynamics has blown up.
    """
    energy = lammps.thermo("etotal")
    if not np.isfinite(energy):
        raise NotFiniteError(f"the dynamics has blown up: the energy became {energy}")


def prepare_solid_share(lammps: Simulation, crystal: Atoms) -> None:
    """Define what :func:`solid_share` counts, by the nearest distance of the crystal."""
    cutoff = SOLID_SHELL * nearest_distance(crystal)
    lammps.run(
        [
            f"compute order all orientorder/atom degrees 1 6 nnn NULL cutoff {cutoff} components 6",
            f"compute bonds all coord/atom orientorder order {SOLID_PRODUCT}",
            f'variable solid atom "c_bonds > {SOLID_BONDS - 0.5}"',
            "compute solid all reduce ave v_solid",
            "variable solid_share equal c_solid",
        ]
    )


def solid_share(lammps: Simulation) -> float:
    """Return the share of atoms that are solid now; they need as many oriented neighbours as `SOLID_BONDS`."""
    lammps.run(["run 0 post no"])
    return lammps.variable("solid_share")


def sampled(
    lammps: Simulation, settings: DynamicsSettings, variables: Sequence[str], file: Path, time: float, every: int = 10
) -> FloatArray:
    """Run for `time` ps and return ``[n_samples, n_variables]`` of equal-style variables, each `every` steps."""
    names = " ".join(f"v_{name}" for name in variables)
    steps = settings.steps(time)
    lammps.run(
        [
            f'fix sampled all ave/time {every} 1 {every} {names} file "{file}"',
            f"run {steps - steps % every}",
            "unfix sampled",
        ]
    )
    refuse_nonsense(lammps)
    samples = np.loadtxt(file, ndmin=2)[1:, 1:]
    if not np.isfinite(samples).all():
        raise NotFiniteError(f"{' or '.join(variables)} became NaN or infinite in the dynamics")
    return np.asarray(samples, dtype=np.float64)


def block_average(samples: FloatArray, n_blocks: int = BLOCKS) -> tuple[float, float]:
    """Return the mean of a series, and its standard error from the means of consecutive blocks."""
    means = np.array([part.mean() for part in np.array_split(samples, n_blocks)])
    return float(samples.mean()), float(means.std(ddof=1) / np.sqrt(n_blocks))


def joined(values: Sequence[float], errors: Sequence[float]) -> tuple[float, float]:
    """Return the mean of independent runs and its standard error.

    The larger one of the error by the runs' own errors and that by their spread.
    """
    mean = float(np.mean(values))
    own = float(np.sqrt(np.sum(np.square(errors)))) / len(values)
    spread = float(np.std(values, ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return mean, max(own, spread)
