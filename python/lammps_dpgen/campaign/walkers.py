"""What each rank of a walker does in a campaign: take trajectories as they come, until there is nothing more to do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from lammps_dpgen import registry
from lammps_dpgen.campaign.explorer import Explorer
from lammps_dpgen.campaign.messages import Ended, Explore, Finish, Interrupted, Looks, Models, Ready
from lammps_dpgen.campaign.post import LeaderPost
from lammps_dpgen.campaign.remote_desk import RemoteDesk
from lammps_dpgen.campaign.shelf import ModelShelf
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.learning.interrupts import Interrupts
from lammps_dpgen.learning.preload import Preload
from lammps_dpgen.learning.session import load_lammps, raised_alone
from lammps_dpgen.mpi import NAP, on_root
from lammps_dpgen.sampling.base import Sampler, TrajectoryEnd
from lammps_dpgen.sampling.restart import PARKED
from lammps_dpgen.store.run_folder import RunFolder

if TYPE_CHECKING:
    from mpi4py import MPI


class WalkerLoop:
    """A walker on the ranks of `comm`; `post` is None except on its leader."""

    def __init__(
        self,
        comm: MPI.Comm,
        number: int,
        config: CampaignConfig,
        run: RunFolder,
        post: LeaderPost | None,
        interrupts: Interrupts,
    ) -> None:
        self._comm, self._config, self._run, self._post, self._interrupts = comm, config, run, post, interrupts
        self._preload = Preload(comm, config.models, config.kernel)
        self._shelf = ModelShelf(run.models_of_walker(number), leader=post is not None)

    def run(self) -> None:
        """Carry out trajectories until the controller has no more."""
        load_lammps()  # takes seconds, in which the controller labels and trains for generation 0
        while True:
            task = on_root(self._comm, self._next)
            if task is None:
                return
            self._carry_out(task)

    def _next(self) -> Explore | None:
        assert self._post is not None
        self._post.send(Ready(self._post.walker))
        told = False
        while True:
            if self._interrupts.cause and not told:
                told = True
                self._post.send(Interrupted(self._post.walker, self._interrupts.cause, self._interrupts.goes_on))
            letter = self._post.receive()
            if isinstance(letter, Explore):
                return letter
            if isinstance(letter, Finish):
                return None
            if letter is None:  # others are news for a trajectory that has ended meanwhile
                time.sleep(NAP)

    def _carry_out(self, task: Explore) -> None:
        begin = time.monotonic()
        folder = self._run.trajectory_of(task.number)
        sampler: Sampler = registry.make(registry.SAMPLERS, task.sampler, task.settings)
        explorer: Explorer | None = None
        desk: RemoteDesk | None = None
        error: BaseException | None = None
        try:
            ensemble = self._take_models(task, folder)
            if self._post is not None:
                parked = folder / PARKED if sampler.resumable else None
                desk = RemoteDesk(
                    self._post,
                    task,
                    self._config,
                    ensemble,
                    take_models=self._take_new,
                    parked=parked,
                    interrupts=self._interrupts,
                )
            explorer = Explorer(self._comm, self._config, folder, task, desk, self._shelf, self._preload)
            sampler.explore(task.plan, explorer)
            explorer.close()
        except TrajectoryEnd:
            pass
        except Exception as caught:
            if self._comm.size > 1 and raised_alone(caught):
                raise  # the other ranks wait inside LAMMPS: whoever started this program has to end them
            error = caught
        error = next((one for one in self._comm.allgather(error) if one is not None), None)
        if self._post is not None:
            self._post.send(self._letter(self._post.walker, task, desk, explorer, error, begin))

    def _take_new(self, models: Models) -> Ensemble:
        """On the leader, in a pause: the others load the files at the same time."""
        for file in models.files:
            self._preload.announce(Path(file))
        return self._shelf.take(models)

    def _take_models(self, task: Explore, folder: Path) -> Ensemble:
        if self._post is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._shelf.take(task.models)
        self._comm.Barrier()  # the links are there
        return self._shelf.take(task.models) if self._post is None else self._shelf.ensemble

    @staticmethod
    def _letter(
        walker: int,
        task: Explore,
        desk: RemoteDesk | None,
        explorer: Explorer | None,
        error: BaseException | None,
        begin: float,
    ) -> Ended:
        """Return how the trajectory that was begun at `begin` (monotonic clock, s) ended."""
        seconds = time.monotonic() - begin
        cause = "" if error is None else _first_line(error)
        if desk is None or explorer is None:
            return Ended(walker, "crashed", cause, 0, Looks(), task.models.generation)
        looked_after = explorer.first_look - begin  # NaN where there was no look
        start = min(seconds, looked_after) if looked_after == looked_after else seconds
        md = max(0.0, seconds - start - explorer.deviation_seconds - explorer.pause_seconds)
        pause = max(0.0, explorer.pause_seconds - desk.waited)  # the wait itself is counted by the controller
        spent = {"start": start, "md": md, "deviation": explorer.deviation_seconds, "pause": pause}
        return Ended(
            walker,
            desk.outcome if error is None else "crashed",
            desk.cause if error is None else cause,
            explorer.step,
            desk.looks,
            desk.generation_number,
            desk.audits,
            desk.policy,
            spent,
        )


def _first_line(error: BaseException) -> str:
    text = str(getattr(error, "message", error)).strip() or type(error).__name__
    return text.splitlines()[0]
