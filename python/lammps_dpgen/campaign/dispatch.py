"""What the controller says to walkers, and what it makes of their letters."""

from __future__ import annotations

import time

from lammps_dpgen.campaign.messages import (
    Ended,
    Explore,
    Finish,
    Interrupted,
    Learn,
    Models,
    Note,
    Offer,
    Park,
    Progress,
    Ready,
    Resume,
    Stop,
    Swap,
    ToController,
)
from lammps_dpgen.campaign.pool import Pool
from lammps_dpgen.campaign.post import ControllerPost
from lammps_dpgen.campaign.roster import Roster
from lammps_dpgen.campaign.stages import StageRun, policy_of
from lammps_dpgen.campaign.trust_windows import TrustWindows
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.learning.interrupts import Interrupts
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.monitor.view import View
from lammps_dpgen.sampling.restart import newest_restart
from lammps_dpgen.store.run_folder import RunFolder

#: Seconds between two looks at the post when nothing has come.
NAP = 0.01


class Dispatch:
    """Hands trajectories of a stage out, collects candidates, and answers walkers that pause.

    Attributes
    ----------
    roster
        What each walker does.
    stage
        The one that is carried out now; None before the first and after the last.
    models
        The generation that walkers get; None before there is one.
    may_learn
        Whether the stage may train another generation.
    closing
        The campaign ends: nobody gets a trajectory any more.
    pauses, rollbacks
        How many there were.
    """

    def __init__(
        self,
        config: CampaignConfig,
        run: RunFolder,
        logbook: Logbook,
        view: View,
        post: ControllerPost,
        pool: Pool,
        windows: TrustWindows,
        interrupts: Interrupts,
    ) -> None:
        self._config, self._run, self._logbook, self._view = config, run, logbook, view
        self._post, self._pool, self._windows, self._interrupts = post, pool, windows, interrupts
        self.roster = Roster(post.n_walkers)
        self.stage: StageRun | None = None
        self.models: Models | None = None
        self.may_learn = True
        self.closing = False
        self.pauses = self.rollbacks = 0

    def serve(self) -> bool:
        """Read all letters that have come; tell whether there were any."""
        came = False
        for letter in self._post.receive():
            came = True
            self._read(letter)
        return came

    def _read(self, letter: ToController) -> None:
        if isinstance(letter, Ready):
            self.roster.is_free(letter.walker)
        elif isinstance(letter, Progress):
            self.roster.moved(letter.walker, letter.step, letter.last_step, letter.max_devi_f)
        elif isinstance(letter, Note):
            self._note(letter)
        elif isinstance(letter, Offer):
            self._pool.offer(letter.frames)
        elif isinstance(letter, Learn):
            self._pause(letter)
        elif isinstance(letter, Ended):
            self._trajectory_ended(letter)
        elif isinstance(letter, Interrupted):
            self._interrupts.wish(letter.cause, goes_on=letter.goes_on)

    def _note(self, letter: Note) -> None:
        self.rollbacks += letter.kind == "rollback"
        self.pauses += letter.kind == "pause"
        if letter.kind == "swap":
            self.roster.swapped(letter.walker, int(letter.data["generation"]))
        self._logbook.write(letter.kind, letter.step, walker=letter.walker, **letter.data)

    def _pause(self, letter: Learn) -> None:
        """Answer a walker that cannot go on without new models, or let it wait for them."""
        assert self.stage is not None
        assert self.models is not None
        walker = letter.walker
        self.roster.waits(walker)
        self._pool.offer(letter.frames)
        self._pool.offer_audits(letter.audits)
        if self.roster[walker].told_to_end:
            return
        if letter.generation < self.models.generation:
            self.roster.resumes(walker)  # the news that crossed with this letter is the answer
        elif self.closing:
            self._post.send(Stop(park=True, cause="the campaign ends"), walker)
            self.roster[walker].told_to_end = True
        elif not self.may_learn and letter.reason == "candidates":
            self._post.send(Resume(), walker)
            self.roster.resumes(walker)
        elif not self.may_learn:
            number = self.stage.stage.max_generations
            cause = f"failed after the last generation of the stage (max_generations: {number})"
            self._post.send(Stop(park=False, cause=cause), walker)
        elif letter.resumable and (not self._config.walkers.overlap or self.stage.n_queued):
            self._post.send(Park(), walker)

    def _trajectory_ended(self, letter: Ended) -> None:
        number = self.roster.left(letter.walker, letter.seconds)
        assert self.stage is not None
        self._pool.offer_audits(letter.audits)
        record = self.stage.ended(number, letter)
        self._logbook.write(
            "trajectory",
            letter.step,
            number=number,
            stage=record.stage,
            round=record.round,
            structure=record.structure,
            conditions=dict(record.conditions),
            state=record.state,
            cause=letter.cause,
            walker=letter.walker,
            accurate=letter.looks.accurate,
            candidate=letter.looks.candidate,
            failed=letter.looks.failed,
            seconds=dict(letter.seconds),
        )
        if letter.outcome in ("set_aside", "crashed"):
            self._logbook.write("set_aside", letter.step, trajectory=number, cause=letter.cause)
            self._view.message(f"trajectory {number} ({record.structure}): {letter.cause}")
        models = self.models
        if record.state == "parked" and models is not None and letter.generation < models.generation:
            self.stage.release_parked()  # the models that it waits for came while it was being parked

    def hand_out(self) -> None:
        """Give the next trajectories to walkers that have none."""
        stage, models = self.stage, self.models
        if stage is None or models is None or self.closing:
            return
        for walker in self.roster.free():
            record = stage.take(walker)
            if record is None:
                return
            plan = stage.plan_of(record)
            restart = newest_restart(self._run.trajectory_of(record.number)) if stage.sampler.resumable else None
            lo, hi = self._windows.window(stage.stage.trust)
            self._post.send(
                Explore(
                    number=record.number,
                    stage=record.stage,
                    structure=record.structure,
                    sampler=record.sampler,
                    settings=stage.stage.settings,
                    plan=plan,
                    restart=None if restart is None else str(restart),
                    models=models,
                    every=stage.stage.every,
                    candidates=stage.stage.candidates,
                    trust=(lo, hi),
                    keywords=stage.stage.fix,
                    policy=policy_of(record) if restart is not None else None,
                ),
                walker,
            )
            self.roster.takes(walker, record, models.generation, (lo, hi))

    def answer(self, learnt: bool) -> None:
        """Tell walkers that wait, and those that are under way with older models, what there is now."""
        assert self.models is not None
        assert self.stage is not None
        swap = Swap(self.models, self._windows.window(self.stage.stage.trust))
        behind = [walker for walker in self.roster.in_md() if self.roster[walker].generation < swap.models.generation]
        for walker in self.roster.waiting():
            self._post.send(swap if learnt else Resume(), walker)
            self.roster.resumes(walker)
        for walker in behind if learnt else ():
            self._post.send(swap, walker)

    def dismiss(self) -> None:
        """Let all walkers end: parked where they can go on later. Serves them until the last one has gone.

        Raises
        ------
        Exception
            The first error on the way, when the walkers have gone: none of them may wait for ever.
        """
        errors: list[Exception] = []
        while not self.roster.all_gone:
            for walker in self.roster.free():
                self._post.send(Finish(), walker)
                self.roster.gone(walker)
            for walker in self.roster.busy():
                if not self.roster[walker].told_to_end:
                    self.roster[walker].told_to_end = True
                    self._post.send(Stop(park=True, cause="the campaign ends"), walker)
            for letter in self._post.receive():
                try:
                    self._read(letter)
                except Exception as error:
                    errors.append(error)
            time.sleep(NAP)
        while not self._post.all_arrived:
            time.sleep(NAP)
        if errors:
            raise errors[0]
