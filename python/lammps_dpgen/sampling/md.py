"""The sampler ``md``: molecular dynamics of LAMMPS at given temperatures and pressures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, ValidationInfo, field_validator, model_validator
from typing_extensions import Self

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame
from lammps_dpgen.mpi import on_root
from lammps_dpgen.part import config_folder
from lammps_dpgen.sampling.base import SamplerSettings, SamplerWalker, TrajectoryPlan
from lammps_dpgen.sampling.md_script import md_script
from lammps_dpgen.sampling.quantities import Femtoseconds, Picoseconds, Pressures, Temperatures
from lammps_dpgen.sampling.restart import discard_restarts
from lammps_dpgen.sampling.spread import spread
from lammps_dpgen.sampling.starts import check_starts, describe, write_start

Ensemble = Literal["nvt", "npt", "npt-aniso", "npt-tri", "nve"]

#: Damping times in timesteps, as the LAMMPS manual advises.
THERMOSTAT_STEPS, BAROSTAT_STEPS = 100.0, 1000.0
#: Pressure of an NPT ensemble where none is given, bar.
NORMAL_PRESSURE = 1.0

#: Commands that the sampler gives itself, so that it cannot be the user who does.
_OWN_COMMANDS = (
    *("run", "minimize", "rerun", "read_data", "read_restart", "create_box", "clear", "pair_style", "pair_coeff"),
    *("jump", "next", "label", "quit", "units", "atom_style", "boundary", "timestep", "restart", "reset_timestep"),
    *("temper", "neb", "prd", "tad", "hyper"),
)


class MdSettings(SamplerSettings):
    """Molecular dynamics in LAMMPS (units metal), driven by the first model of the ensemble.

    Trajectories are spread evenly over start structures, temperatures and pressures. Velocities are drawn at the
    temperature, with the total momentum at zero.

    Examples
    --------
    >>> MdSettings(ensemble="npt", temperatures=[300, 600], pressures=[1, 10000], time="2 ps", timestep=2).n_steps
    1000
    """

    ensemble: Ensemble = Field(
        default="nvt",
        description="``nvt`` (Nosé-Hoover), ``npt`` (Nosé-Hoover, Parrinello-Rahman; the cell keeps its shape), "
        "``npt-aniso`` (each length for itself), ``npt-tri`` (lengths and angles), ``nve``.",
    )
    temperatures: Temperatures = Field(
        description="Temperatures (K); with ``nve`` those of the velocities at the start."
    )
    pressures: Pressures | None = Field(
        default=None, description="Pressures (bar) of the NPT ensembles. Default there: 1 bar."
    )
    time: Picoseconds = Field(
        description='Length of a trajectory (ps, or a text such as "2 ps", "500 fs", "1 ns"), rounded to timesteps.'
    )
    timestep: Femtoseconds = Field(
        default=1.0,
        description='Timestep (fs, or a text such as "2 fs"). 2 fs is usual for metals; hydrogen needs 0.5 fs.',
    )
    thermostat_damping: Picoseconds | None = Field(
        default=None, description="Damping time of the thermostat (ps). Default: 100 timesteps."
    )
    barostat_damping: Picoseconds | None = Field(
        default=None, description="Damping time of the barostat (ps). Default: 1000 timesteps."
    )
    skin: float = Field(
        default=1.0, gt=0.0, description="Neighbor lists reach this much (Å) farther than the models' cut-off."
    )
    thermo: int = Field(default=100, ge=1, description="Steps between two lines of thermo output in log.lammps.")
    lammps: str = Field(
        default="",
        description="LAMMPS lines that stand before the run command, such as further fixes and dumps. A trajectory "
        "that is resumed carries them out again. Variables: see the page on samplers.",
    )

    @field_validator("lammps")
    @classmethod
    def _leaves_the_run_alone(cls, lines: str, info: ValidationInfo) -> str:
        for line in lines.replace("&\n", " ").splitlines():
            word = line.partition("#")[0].split()[:1]
            if word and word[0] in _OWN_COMMANDS:
                raise ValueError(
                    f"{line.strip()!r}: the command {word[0]} is the sampler's own; for a script with commands of "
                    "this kind take the sampler 'template'"
                )
        if re.search(r"^\s*fix\s+(dpgen|ensemble|drift)\s", lines, re.MULTILINE):
            raise ValueError("the fixes 'dpgen', 'ensemble' and 'drift' are the sampler's own; take another fix ID")
        return lines.replace("${dpgen_home}", str(config_folder(info)))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.pressures is not None and not self.at_pressure:
            raise ValueError(f"pressures: {self.ensemble} has a fixed cell; leave them out, or take an NPT ensemble")
        if self.barostat_damping is not None and not self.at_pressure:
            raise ValueError(f"barostat_damping: {self.ensemble} has no barostat; leave it out, or take npt")
        if self.thermostat_damping is not None and self.ensemble == "nve":
            raise ValueError("thermostat_damping: nve has no thermostat; leave it out, or take nvt")
        if self.n_steps < 1:
            raise ValueError(f"time ({self.time:g} ps) is shorter than half a timestep ({self.timestep:g} fs)")
        return self

    @property
    def at_pressure(self) -> bool:
        """Whether the ensemble has a barostat."""
        return self.ensemble.startswith("npt")

    @property
    def n_steps(self) -> int:
        """Number of steps of a trajectory."""
        return round(self.time / (self.timestep * 1e-3))

    @property
    def thermostat_ps(self) -> float:
        """Damping time of the thermostat, ps."""
        return self.thermostat_damping or THERMOSTAT_STEPS * self.timestep * 1e-3

    @property
    def barostat_ps(self) -> float:
        """Damping time of the barostat, ps."""
        return self.barostat_damping or BAROSTAT_STEPS * self.timestep * 1e-3


class MdSampler:
    """Plain molecular dynamics, resumable at any restart file."""

    name: ClassVar[str] = "md"
    Settings: ClassVar[type[SamplerSettings]] = MdSettings
    resumable: ClassVar[bool] = True

    def __init__(self, settings: MdSettings) -> None:
        self._settings = settings

    def check(self, starts: Sequence[Frame], type_map: Sequence[str]) -> None:
        """Refuse starts that LAMMPS or the models cannot take, and ensembles that do not fit them.

        Raises
        ------
        ConfigError
            Names the start.
        """
        check_starts(starts, type_map)
        for frame in starts:
            if frame.n_atoms < 2:
                raise ConfigError(f"{describe(frame)} has a single atom, which never moves; take a larger cell")
            if self._settings.at_pressure and not all(frame.pbc):
                raise ConfigError(
                    f"{describe(frame)} has no periodic cell, so there is no pressure; take the ensemble nvt or nve"
                )

    def plan(self, starts: Sequence[Frame], number: int, rng: np.random.Generator) -> list[TrajectoryPlan]:
        """Return `number` trajectories, spread evenly over starts, temperatures and pressures."""
        settings = self._settings
        axes = {"temperature": settings.temperatures}
        if settings.at_pressure:
            axes["pressure"] = settings.pressures or (NORMAL_PRESSURE,)
        chosen = spread(starts, axes, number, rng)
        return [TrajectoryPlan(start, conditions, settings.n_steps, seed) for start, conditions, seed in chosen]

    def explore(self, plan: TrajectoryPlan, walker: SamplerWalker) -> None:
        """Write start and script into the walker's folder and run them."""
        script, data = walker.folder / "in.lammps", walker.folder / "start.data"

        def write() -> None:
            if walker.restart is None:
                discard_restarts(walker.folder)
                write_start(plan.start, walker.type_map, data)
            script.write_text(md_script(self._settings, plan, walker, data), encoding="utf-8")

        on_root(walker.comm, write)
        walker.run_lammps(script, {})
