"""Trajectories that do not use LAMMPS: each configuration is judged by the walker's ensemble, and learnt from alike."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lammps_dpgen.campaign.messages import Explore, Models
from lammps_dpgen.campaign.remote_desk import Held, RemoteDesk
from lammps_dpgen.campaign.shelf import ModelShelf
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.ensemble import ModelDeviation, deviation
from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.learning.audit import AuditSample
from lammps_dpgen.learning.selection import check_max_atoms
from lammps_dpgen.learning.walker import Orders, WalkerState
from lammps_dpgen.mpi import on_root
from lammps_dpgen.sampling.base import TrajectoryEnd

if TYPE_CHECKING:
    from mpi4py import MPI

#: Steps that count as one stretch of a search: it cannot go back, so that they only bound how often it may fail.
_STRETCH = 10
_NO_RETURN = WalkerState((), "a search without LAMMPS has no safe points", 1)


class Search:
    """Judges the configurations of one trajectory; every method is called on all ranks of the walker.

    Attributes
    ----------
    deviation_seconds, pause_seconds
        Wall time of looks and pauses.
    """

    def __init__(
        self, comm: MPI.Comm, config: CampaignConfig, task: Explore, desk: RemoteDesk | None, shelf: ModelShelf
    ) -> None:
        self._comm, self._config, self._task, self._desk, self._shelf = comm, config, task, desk, shelf
        self._window = task.trust
        self._held: list[Frame] = []
        self._policy = None if desk is None else desk.trajectory(_STRETCH)
        rng = np.random.default_rng([config.seed, 3, task.number])
        self._audit = AuditSample(config.audit, config.selection.batch, rng)
        self.deviation_seconds = self.pause_seconds = 0.0

    def look(self, frame: Frame, step: int) -> ModelDeviation:
        """Judge a configuration; wait for new models where it has failed or enough candidates are held.

        Raises
        ------
        TrajectoryEnd
            The trajectory ends here.
        """
        begin = time.monotonic()
        if self._config.extract is None:
            check_max_atoms(frame.n_atoms, self._config.selection.max_atoms)
        found = deviation(self._shelf.ensemble.predict(frame))
        lo, hi = self._window
        failed = not found.max_f < hi  # NaN as well
        word = "failed" if failed else "candidate" if found.max_f >= lo else "accurate"
        judged = self._judged(frame, step, word, found)
        if word == "candidate" and self._desk is not None:
            self._held.append(judged)
        elif word == "accurate":
            self._audit.offer(lambda: replace(judged, origin=replace(judged.origin, source="audit")))
        if self._desk is not None:
            self._desk.count(word, found.max_f, step, self._task.plan.n_steps)
        looked = time.monotonic()
        self.deviation_seconds += looked - begin
        self._follow(on_root(self._comm, lambda: self._decide(judged if failed else None, step)))
        self.pause_seconds += time.monotonic() - looked
        return found

    def rest(self) -> None:
        """Hand over what is held when the search is over."""
        if self._desk is not None:
            self._desk.hand_over(self._held, self._audit.frames)

    def _decide(self, failed: Frame | None, step: int) -> tuple[Orders, Models | None]:
        """On the leader: what follows a look."""
        desk, policy = self._desk, self._policy
        assert desk is not None
        assert policy is not None
        requested = desk.wants_pause()
        if failed is None and not requested and len(self._held) < self._task.candidates:
            return Orders(), None
        reason = "failed" if failed is not None else "requested" if requested else "candidates"
        desk.audits = ()
        orders = desk.decide_on(Held(reason, step, self._held, failed), _NO_RETURN, policy)
        self._held = []
        return orders, desk.models if orders.swap_to else None

    def _follow(self, told: tuple[Orders, Models | None]) -> None:
        orders, models = told
        if models is not None:
            self._shelf.take(models)
            self._audit.clear()
            self._window = self._window if orders.trust is None else orders.trust
        if orders.end:
            raise TrajectoryEnd(orders.end)

    def _judged(self, frame: Frame, step: int, word: str, found: ModelDeviation) -> Frame:
        generation = -1 if self._desk is None else self._desk.generation_number
        origin = FrameOrigin(
            "search", reason=word, generation=generation, step=step, max_devi_f=found.max_f, max_devi_v=found.max_v
        )
        return replace(frame, origin=origin, spread=found.spread)
