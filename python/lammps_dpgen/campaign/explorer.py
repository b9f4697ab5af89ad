"""A walker at one trajectory: what a sampler may ask of it, and how it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lammps_dpgen.campaign.messages import Explore
from lammps_dpgen.campaign.remote_desk import RemoteDesk
from lammps_dpgen.campaign.search import Search
from lammps_dpgen.campaign.shelf import ModelShelf
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.ensemble import EnsemblePrediction, ModelDeviation
from lammps_dpgen.errors import LearningError
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.preload import Preload
from lammps_dpgen.learning.session import LammpsSession, raised_alone
from lammps_dpgen.learning.trajectory import Trajectory
from lammps_dpgen.learning.walker import Walker

if TYPE_CHECKING:
    from mpi4py import MPI

#: ID of the fix dpgen in the scripts of samplers.
FIX_ID = "dpgen"
#: Steps between two restart files, in intervals of looks.
LOOKS_PER_RESTART = 50


class Explorer:
    """What a sampler sees of a walker (:class:`lammps_dpgen.sampling.base.SamplerWalker`).

    Attributes
    ----------
    step
        Where the trajectory is.
    first_look
        When the first look was (monotonic clock, s); NaN before it.
    deviation_seconds, pause_seconds
        Wall time of looks and pauses.
    """

    def __init__(
        self,
        comm: MPI.Comm,
        config: CampaignConfig,
        folder: Path,
        task: Explore,
        desk: RemoteDesk | None,
        shelf: ModelShelf,
        preload: Preload,
    ) -> None:
        self.comm, self.folder, self._preload = comm, folder, preload
        self._config, self._task, self._desk, self._shelf = config, task, desk, shelf
        self.type_map = config.type_map
        self.models = shelf.folder
        self.suffix = Path(task.models.files[0]).suffix
        self.restart = None if task.restart is None else Path(task.restart)
        self.safe_interval = LOOKS_PER_RESTART * task.every
        self.step = 0
        self._search: Search | None = None
        self.first_look = float("nan")
        self.deviation_seconds = self.pause_seconds = 0.0

    @property
    def fix_options(self) -> str:
        """All that follows ``fix ID all dpgen``."""
        task = self._task
        links = " ".join(str(self.models / f"{index}{self.suffix}") for index in range(len(task.models.files)))
        log = self.folder / "model_devi.out"
        number = 1
        while log.exists():  # an earlier part of the same trajectory
            number += 1
            log = self.folder / f"model_devi.{number}.out"
        return (
            f"{task.every} {links} types {' '.join(self.type_map)} trust {task.trust[0]:.8g} {task.trust[1]:.8g} "
            f"{task.keywords} stop candidates {task.candidates} out_file {log} frames none"
        )

    def run_lammps(self, script: Path, variables: Mapping[str, list[str]]) -> None:
        """Run a script in a fresh LAMMPS instance until it has ended, was parked or was stopped."""
        with _working_in(self.folder):
            session = LammpsSession(self.comm, FIX_ID, self.folder / "log.lammps", self.models, variables)
            walker = Walker(
                self.comm,
                session,
                self._config,
                self._desk,
                self._task.models.hashes,
                rng=np.random.default_rng([self._config.seed, 3, self._task.number]),
                trajectory=self._policy,
                at_hand=self._shelf.ensemble,
                preload=self._preload,
            )
            try:
                walker.run(script)
                if not walker.ended and not walker.anywhere(walker.error is not None):
                    walker.drain()
            except Exception as error:
                if self.comm.size > 1 and raised_alone(error):
                    raise  # the other ranks wait inside LAMMPS, which must not be closed on this one alone
                walker.fail(error)  # where there is an error already, LAMMPS only says that it was stopped
            self.step = session.step
            self.deviation_seconds += walker.deviation_seconds
            self.pause_seconds += walker.pause_seconds
            self.first_look = walker.first_look
            session.close()
        first = next((one for one in self.comm.allgather(walker.error) if one is not None), None)
        if first is not None:
            raise first
        if walker.looks == 0:
            raise LearningError(
                f"{script} ran to its end, but fix {FIX_ID} never looked at a step: no run command came after the fix"
            )

    def look(self, frame: Frame, step: int) -> ModelDeviation:
        """Judge a configuration of a search that does not use LAMMPS; may wait for new models."""
        begin = time.monotonic()
        if self._search is None:
            self._search = Search(self.comm, self._config, self._task, self._desk, self._shelf)
            self.first_look = begin
        self.step = step
        try:
            return self._search.look(frame, step)
        finally:
            self.deviation_seconds = self._search.deviation_seconds
            self.pause_seconds = self._search.pause_seconds

    def close(self) -> None:
        """Hand over what a search without LAMMPS still holds; the sampler has returned."""
        if self._search is not None:
            self._search.rest()

    def predict(self, frame: Frame, n_models: int = 1) -> EnsemblePrediction:
        """Return what the first `n_models` of the current models say about a frame."""
        return self._shelf.ensemble.predict(frame, n_models)

    def _policy(self, margin: int) -> Trajectory:
        return Trajectory(self._config.safe_points, margin) if self._desk is None else self._desk.trajectory(margin)


@contextmanager
def _working_in(folder: Path) -> Iterator[None]:
    """Let files that a script names without a folder lie in `folder`."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
