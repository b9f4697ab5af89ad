"""What a sampler is, and what a walker offers it; third parties register theirs in ``lammps_dpgen.samplers``.

A sampler decides what a trajectory is: which start, which conditions, and how the configuration space is searched from
there. It never decides what is learned: every configuration that it passes through is judged by the walker's ensemble,
in LAMMPS by ``fix dpgen``, elsewhere by :meth:`SamplerWalker.look`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from lammps_dpgen.ensemble import EnsemblePrediction, ModelDeviation
from lammps_dpgen.frame import Frame

if TYPE_CHECKING:
    from mpi4py import MPI

#: Largest seed of a plan: all random number generators of LAMMPS take it.
MAX_SEED = 900_000_000


class SamplerSettings(BaseModel):
    """Base class of a sampler's settings: unknown keys are refused, values never change afterwards.

    Whoever reads a configuration file validates with ``context={"folder": ...}``, the folder of that file; settings
    that name files make them absolute with it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrajectoryEnd(Exception):
    """Raised by :meth:`SamplerWalker.look` on all ranks when the trajectory has to end; samplers let it pass."""


@dataclass(frozen=True)
class TrajectoryPlan:
    """One trajectory, decided before it starts.

    Attributes
    ----------
    start
        Configuration it starts from.
    conditions
        Values by name. "temperature" (K) and "pressure" (bar) are known to tables and the report; others are free.
    n_steps
        How many steps it has when it is complete; 0 where only the sampler's own script knows.
    seed
        For everything random in it, from 1 to 900,000,000.
    """

    start: Frame
    conditions: Mapping[str, float]
    n_steps: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Return all but the start as plain data; the start is known by its source."""
        return {"conditions": dict(self.conditions), "n_steps": self.n_steps, "seed": self.seed}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], start: Frame) -> TrajectoryPlan:
        """Inverse of :meth:`to_json`."""
        conditions = {str(name): float(value) for name, value in data["conditions"].items()}
        return cls(start, conditions, int(data["n_steps"]), int(data["seed"]))


class SamplerWalker(Protocol):
    """What a walker offers to the sampler whose trajectory it carries out."""

    @property
    def comm(self) -> MPI.Comm:
        """The walker's ranks."""

    @property
    def folder(self) -> Path:
        """Folder of this trajectory, absolute; it exists, and belongs to the sampler, but for parked.restart."""

    @property
    def type_map(self) -> tuple[str, ...]:
        """Chemical symbols; LAMMPS type k+1 is ``type_map[k]``."""

    @property
    def models(self) -> Path:
        """Folder of the links to the current models, 0.pb, 1.pb ... (absolute); a swap changes what they lead to."""

    @property
    def suffix(self) -> str:
        """Suffix of the models, such as ".pb"."""

    @property
    def fix_options(self) -> str:
        """All that follows ``fix ID all dpgen``: N, models, ``types`` (the type map, in order), trust, stop, files."""

    @property
    def restart(self) -> Path | None:
        """LAMMPS restart file to go on from, or None to begin with the plan's start."""

    @property
    def safe_interval(self) -> int:
        """Steps between periodic restart files (:mod:`lammps_dpgen.sampling.restart`), for kills."""

    def run_lammps(self, script: Path, variables: Mapping[str, list[str]]) -> None:
        """Run a script in a fresh LAMMPS instance, with :attr:`folder` as the working folder; collective.

        The script has ``fix dpgen all dpgen`` followed by :attr:`fix_options`. Returns when it has ended, was parked or
        was stopped: the sampler has nothing more to do then.

        Parameters
        ----------
        variables
            Index-style variables that LAMMPS has from the beginning: name and values.
        """
        ...

    def look(self, frame: Frame, step: int) -> ModelDeviation:
        """Judge a configuration of a search that does not use LAMMPS; collective, with the same frame on all ranks.

        A candidate is stored; its origin is the walker's to fill in. May take long: new labels and models are waited
        for here.

        Parameters
        ----------
        step
            Number of the configuration in the trajectory, rising.

        Raises
        ------
        TrajectoryEnd
            The trajectory ends here (stop of the campaign, set aside); let it pass.
        """
        ...

    def predict(self, frame: Frame, n_models: int = 1) -> EnsemblePrediction:
        """Return what the first `n_models` of the current models say about a frame; collective like :meth:`look`.

        The energy surface changes at a :meth:`look` that brings new models, and at no other time.
        """
        ...


class Sampler(Protocol):
    """Plans trajectories and carries them out on a walker."""

    #: Name in the configuration.
    name: ClassVar[str]
    #: Class of its settings; its docstring and field descriptions are the reference page.
    Settings: ClassVar[type[SamplerSettings]]

    def __init__(self, settings: Any) -> None: ...

    @property
    def resumable(self) -> bool:
        """Whether :meth:`explore` can go on from ``walker.restart``; a trajectory that cannot starts again."""

    def plan(self, starts: Sequence[Frame], number: int, rng: np.random.Generator) -> list[TrajectoryPlan]:
        """Return exactly `number` trajectories, the same ones for the same state of `rng`.

        Starts and conditions are spread evenly: with `number` at least ``len(starts)`` every start is used.
        """
        ...

    def explore(self, plan: TrajectoryPlan, walker: SamplerWalker) -> None:
        """Carry out one trajectory; collective over ``walker.comm``.

        Raises
        ------
        DpgenError
            Why it cannot go on; costs this trajectory.
        """
        ...

    def check(self, starts: Sequence[Frame], type_map: Sequence[str]) -> None:
        """Refuse what cannot work, before anything is paid.

        Raises
        ------
        ConfigError
            What does not fit which start, and what to do.
        """
        ...
