"""The controller of a campaign: hands out trajectories, collects candidates, learns, ends stages that have converged.

It is a thread of rank 0 beside that rank's own walker. It never waits without looking at the post, so that walkers are
served also while labels and trainings run.
"""

from __future__ import annotations

import math
import time

from lammps_dpgen.campaign.dispatch import NAP, Dispatch
from lammps_dpgen.campaign.messages import Models
from lammps_dpgen.campaign.pool import Pool
from lammps_dpgen.campaign.post import ControllerPost
from lammps_dpgen.campaign.stages import StageRun
from lammps_dpgen.campaign.trust_windows import TrustWindows
from lammps_dpgen.campaign.validate import Validations
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.config.stage import Stage
from lammps_dpgen.errors import LearningError
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.interrupts import Interrupts
from lammps_dpgen.learning.learner import Learner
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.learning.second_look import TrustBounds
from lammps_dpgen.monitor.campaign_state import StageProgress
from lammps_dpgen.monitor.state import Totals, counted
from lammps_dpgen.monitor.view import View
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.structures.sources import frames_of_sources

#: Reason of the last event of a campaign that somebody stopped; its cause says how.
INTERRUPTED = "interrupted"
#: Seconds between two pictures of the campaign for the view.
SHOW_INTERVAL = 0.5


class Controller:
    """Carries out the stages of a campaign with the walkers at the other end of the post.

    Attributes
    ----------
    ended
        Why the campaign ended before its last stage was over; empty if it did not.
    """

    def __init__(
        self,
        config: CampaignConfig,
        run: RunFolder,
        ledger: Ledger,
        logbook: Logbook,
        view: View,
        learner: Learner,
        post: ControllerPost,
        interrupts: Interrupts,
        ranks: int,
    ) -> None:
        self._ranks = ranks
        self._config, self._run, self._ledger, self._logbook, self._view = config, run, ledger, logbook, view
        self._learner, self._interrupts, self._n_walkers = learner, interrupts, post.n_walkers
        self._started = time.monotonic()
        self._shown = 0.0
        self._pool = Pool(ledger, config.selection.batch)
        self._windows = TrustWindows(ledger, logbook)
        self._dispatch = Dispatch(config, run, logbook, view, post, self._pool, self._windows, interrupts)
        self._roster = self._dispatch.roster
        self._validations = Validations(config, run, ledger, logbook, view)
        self._generations_of_stage = 0
        self._learnt_in_round = False
        self.ended = ""
        learner.meanwhile, learner.is_idle = self._while_learning, self._is_idle

    def work(self) -> int:
        """Carry out the campaign, let the walkers go, and close the books; return the exit code.

        Raises
        ------
        DpgenError
            What cannot be mended; everything stored is usable.
        KeyboardInterrupt
            Somebody wished that the job end.
        """
        reason, cause = "error", ""
        try:
            with self._validations:
                self._all_stages()
            reason = self.ended or "all stages are over"
        except BaseException as error:
            reason = INTERRUPTED if isinstance(error, KeyboardInterrupt) else "error"
            cause = str(error)
            raise
        finally:
            try:
                self._dispatch.dismiss()
            finally:
                self._close_books(reason, cause)
        return 1 if self.ended else 0

    def _all_stages(self) -> None:
        walkers = self._config.walkers
        self._logbook.write(
            "start",
            walkers=self._n_walkers,
            ranks=self._ranks,
            ranks_per_walker=walkers.ranks_per_walker,
            overlap=walkers.overlap,
        )
        unused = self._ranks - self._n_walkers * walkers.ranks_per_walker
        if unused:
            self._view.message(
                f"{counted(unused, 'rank')} of {self._ranks} cannot be used: walkers have "
                f"{walkers.ranks_per_walker} ranks each (walkers.ranks_per_walker)"
            )
        self._roster.learning(True)
        self._learner.begin()
        self._roster.learning(False)
        self._validations.begin()
        self._adopt_generation()
        self._show_totals()
        ends = self._ledger.events("stage_end")
        over = {event.data["stage"] for event in ends if not event.data.get("blind", False)}
        seen = False
        for stage in self._config.resolved_stages():
            if stage.name in over:
                seen = True
                self._view.message(f"stage {stage.name} is over already")
                continue
            self._carry_out(stage)
            if self.ended:
                return
            seen = seen or not self._blind
        if not seen:
            raise LearningError(f"no stage came to a look: {self._blind}. Nothing is lost: mend it and run again")
        self._dispatch.stage = None
        self._logbook.write("script_end")
        self._roster.learning(True)
        better = self._learner.finish()
        self._roster.learning(False)
        if better:
            self._show_totals()
        assert self._learner.generation is not None
        self._validations.finish(self._learner.generation, self._wait_at_end)

    def _close_books(self, reason: str, cause: str) -> None:
        seconds = self._roster.seconds()
        for walker, parts in enumerate(seconds):
            self._logbook.write("walker_time", walker=walker, seconds=parts)
        mean = {part: sum(parts[part] for parts in seconds) / len(seconds) for part in ("md", "deviation")}
        spent = {**mean, **self._learner.seconds}
        other = max(0.0, time.monotonic() - self._started - sum(spent.values()))
        own = time.thread_time()  # CPU time of this thread: what the campaign costs beside MD, labels and trainings
        self._logbook.write("end", reason=reason, seconds={**spent, "other": other}, cause=cause, controller_cpu=own)
        self._view.phase("done", reason)

    # ---- stages ------------------------------------------------------------------------------------------------------

    def _carry_out(self, stage: Stage) -> None:
        run = self._dispatch.stage = StageRun(
            stage, self._starts(stage), self._config.seed, self._ledger, self._config.walkers.retries
        )
        assert self._learner.generation is not None
        newest = self._learner.generation.number
        first = self._generation_before(stage, newest)
        self._generations_of_stage = newest - first
        self._learnt_in_round = self._generations_of_stage > 0
        self._dispatch.may_learn = self._generations_of_stage < stage.max_generations
        self._planned, self._blind = 0, ""
        window = list(self._windows.window(stage.trust))
        self._logbook.write(
            "stage",
            stage=stage.name,
            number=stage.number,
            n_trajectories=stage.trajectories,
            trust=window,
            generation=first,
        )
        self._view.phase("MD", stage.name)
        while not self.ended:
            self._tick()
            if self._learning_is_due(run):
                self._learn(run)
            elif not run.is_open and not self._roster.busy() and self._round_is_over(run):
                return

    def _generation_before(self, stage: Stage, newest: int) -> int:
        """Return the generation that a stage began with, in whichever start of the campaign.

        Those after it are the stage's, also one that was trained at a start, for labels that an earlier one had left.
        """
        begins = [event for event in self._ledger.events("stage") if event.data["stage"] == stage.name]
        return int(begins[0].data.get("generation", newest)) if begins else newest

    def _starts(self, stage: Stage) -> list[Frame]:
        """Return the structures that the trajectories of a stage start from."""
        sources = [source for source in self._config.structures if source.source_name in stage.structures]
        made = frames_of_sources(sources, self._config.seed, self._config.type_map)
        return [frame for frames in made for frame in frames]

    def _round_is_over(self, run: StageRun) -> bool:
        """Begin the next round, or end the stage and return True."""
        stage, now = run.stage, run.convergence()
        unseen = math.isnan(now.accurate_share)  # no trajectory that ended has looked at a single step
        reason = ""
        if now.reached:
            reason = "converged"
        elif self._planned == run.round > 0 and unseen:
            reason = self._blind = run.why_nothing_was_seen()
        elif self._generations_of_stage >= stage.max_generations and run.round and not unseen:
            reason = f"not converged after {self._generations_of_stage} generations (max_generations)"
        elif run.round and not self._learnt_in_round and now.n_trajectories >= stage.converging and not unseen:
            reason = "not converged, and the last round found nothing to learn from"
        if not reason:
            self._learnt_in_round = False
            number = run.plan_round()
            self._planned = run.round
            self._logbook.write("round", stage=stage.name, round=run.round, n=number)
            return False
        self._logbook.write(
            "stage_end",
            stage=stage.name,
            converged=now.reached,
            reason=reason,
            blind=bool(self._blind),
            accurate_share=now.accurate_share,
            n_failed=now.n_failed,
            n_trajectories=run.n_ended,
            rounds=run.round,
            generations=self._generations_of_stage,
            labels=self._ledger.counts().labels,
        )
        self._view.message(f"stage {stage.name}: {reason}, accurate {now.accurate_share:.2%}")
        self._pool.clear(f"stage {stage.name} is over")
        return True

    # ---- learning ----------------------------------------------------------------------------------------------------

    def _learning_is_due(self, run: StageRun) -> bool:
        """Tell whether there is enough to learn from, or nobody can go on without."""
        if not self._dispatch.may_learn:
            return False
        stuck = not run.n_queued and not self._roster.in_md()
        if stuck:
            return bool(len(self._pool) or self._roster.waiting() or run.states().get("parked"))
        return self._config.walkers.overlap and len(self._pool) >= self._config.selection.batch

    def _learn(self, run: StageRun) -> None:
        limit = self._learner.limit_reached(time.monotonic() - self._started)
        if limit:
            self._end(limit)
            return
        frames = self._pool.frames()
        batch, left = self._config.selection.batch, self._learner.labels_left()
        share = self._config.audit.share
        n_audits = max(1, round(share * batch)) if share > 0 else 0
        audits = self._pool.audits(n_audits if left is None else min(n_audits, max(0, left - batch)))
        step = max((frame.origin.step for frame in frames), default=0)
        self._roster.learning(True)
        lo, _ = self._windows.window(run.stage.trust)
        bounds = TrustBounds.of_fix(lo, run.stage.fix)
        learnt = bool(frames) and self._learner.learn(frames, "candidates", step, audits, bounds)
        self._roster.learning(False)
        self._pool.settle(frames, self._learner.selection if frames else None, learnt)
        if learnt:
            self._generations_of_stage += 1
            self._dispatch.may_learn = self._generations_of_stage < run.stage.max_generations
            self._learnt_in_round = True
            number = self._adopt_generation().generation
            self._windows.follow(run.stage.trust)
            self._logbook.write("learning", step, stage=run.stage.name, round=run.round, generation=number)
        self._dispatch.answer(learnt)
        run.release_parked()
        self._show_totals()
        self._view.phase("MD", run.stage.name)

    def _adopt_generation(self) -> Models:
        """Make the learner's generation the one that walkers get."""
        generation, ensemble = self._learner.generation, self._learner.ensemble
        assert generation is not None
        assert ensemble is not None
        files = tuple(str(self._run.path / model.path) for model in generation.models)
        kernel = "auto" if ensemble.is_native else "deepmd"
        models = Models(generation.number, files, tuple(model.sha256 for model in generation.models), kernel)
        self._dispatch.models = models
        self._validations.offer(generation)
        return models

    # ---- waiting -----------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Serve walkers once; sleep where there was nothing to do."""
        self._interrupts.check()
        limit = self._config.limits.wall_time
        if limit is not None and time.monotonic() - self._started > limit:
            self._end(f"limit of {limit:.0f} s wall time reached")
            return
        self._validations.tick()
        came = self._dispatch.serve()
        self._dispatch.hand_out()
        self._show()
        if not came:
            self._view.tick()
            time.sleep(NAP)

    def _end(self, why: str) -> None:
        self._view.message(why)
        self.ended = why
        self._dispatch.closing = True

    def _while_learning(self) -> None:
        """Serve walkers while labels and trainings run; the learner calls this as long as it waits."""
        self._interrupts.check()
        self._validations.tick()
        self._dispatch.serve()
        if self._config.walkers.overlap and self._dispatch.models is not None:
            self._dispatch.hand_out()
        self._show()

    def _wait_at_end(self) -> bool:
        """Nap once when all stages are over; tell whether there is time left."""
        self._while_learning()
        time.sleep(NAP)
        limit = self._config.limits.wall_time
        return limit is None or time.monotonic() - self._started <= limit

    def _is_idle(self) -> bool:
        """Tell, while labels are waited for, whether no walker is under way, and none will be without them."""
        run = self._dispatch.stage
        to_hand_out = self._config.walkers.overlap and run is not None and run.n_queued
        return not self._roster.in_md() and not to_hand_out

    # ---- the view ----------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        now = time.monotonic()
        run = self._dispatch.stage
        if run is None or now - self._shown < SHOW_INTERVAL:
            return
        self._shown = now
        stage, found = run.stage, run.convergence()
        self._view.stage(
            StageProgress(
                name=stage.name,
                number=stage.number + 1,
                n_stages=len(self._config.stages),
                round=max(1, run.round),
                generations=self._generations_of_stage,
                max_generations=stage.max_generations,
                trajectories={str(state): number for state, number in run.states().items()},
                pool=len(self._pool),
                accurate_share=found.accurate_share,
                wanted_share=stage.accurate,
            )
        )
        self._view.walkers(self._roster.progress())

    def _show_totals(self) -> None:
        limits, generation = self._config.limits, self._learner.generation
        self._view.totals(
            Totals(
                -1 if generation is None else generation.number,
                self._ledger.counts().labels,
                self._dispatch.pauses,
                self._dispatch.rollbacks,
                max_labels=limits.labels,
                max_generations=limits.generations,
                wall_limit=limits.wall_time,
            )
        )
