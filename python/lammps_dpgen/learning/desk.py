"""The desk of rank 0: run folder, ledger, view and learner, and the decision what follows a pause."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from lammps_dpgen.config.learn import LearnConfig
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.ensembles import beyond_sanity
from lammps_dpgen.learning.interrupts import Interrupts
from lammps_dpgen.learning.learner import Learner
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.learning.looks import LookLog
from lammps_dpgen.learning.session import check_script
from lammps_dpgen.learning.trajectory import Situation, Trajectory
from lammps_dpgen.learning.walker import Orders, WalkerState, frame_of
from lammps_dpgen.monitor.journal import Journal
from lammps_dpgen.monitor.recording import RecordingView
from lammps_dpgen.monitor.state import Totals, counted
from lammps_dpgen.monitor.view import open_view
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

if TYPE_CHECKING:
    from lammps_dpgen import _core


class LearningDesk:
    """What rank 0 keeps during a learning run; made by :func:`open_desk`. The desk of its one walker."""

    def __init__(
        self,
        script: Path,
        config: LearnConfig,
        ledger: Ledger,
        logbook: Logbook,
        view: RecordingView,
        learner: Learner,
        looks: LookLog,
        interrupts: Interrupts,
    ) -> None:
        self._script, self._config, self._ledger, self._interrupts = script, config, ledger, interrupts
        self.logbook, self.view, self.learner, self.looks = logbook, view, learner, looks
        self._started = time.monotonic()
        self._pauses = self._rollbacks = 0

    def begin(self, ranks: int) -> tuple[str, ...]:
        """Make or find the models; return their hashes."""
        self.logbook.write("start", script=self._script.name, ranks=ranks)
        self.learner.begin()
        self.show_totals()
        self.view.phase("MD", self._script.name)
        return self.model_hashes()

    @property
    def generation_number(self) -> int:
        """Number of the current generation, -1 before there is one."""
        return -1 if self.learner.generation is None else self.learner.generation.number

    def model_hashes(self) -> tuple[str, ...]:
        """SHA-256 of the current models."""
        assert self.learner.generation is not None
        return tuple(model.sha256 for model in self.learner.generation.models)

    @property
    def ensemble(self) -> Ensemble:
        """Models of the current generation, loaded from their own files."""
        assert self.learner.ensemble is not None
        return self.learner.ensemble

    def note_run(self, look: _core.Look, n_atoms: int, every: int) -> None:
        """Note the first look of the script."""
        trust = list(look.trust)
        self.logbook.write("run", look.step, last=look.last_step, n_atoms=n_atoms, every=every, trust=trust)

    def take_rest(self, pause: _core.Pause, audits: Sequence[Frame]) -> None:
        """Candidates at the end of the script are not labelled: nothing would be learnt from them any more."""

    def wants_pause(self) -> bool:
        """Nobody but the fix asks for a pause: there is nothing to learn while the only walker runs."""
        return False

    def note_look(self, look: _core.Look) -> None:
        """Store and show a look."""
        self.looks.write(look, self.generation_number)
        self.view.md(look.step, look.last_step, look.temperature, look.deviation.max_f, look.trust)

    def decide(
        self, pause: _core.Pause, walker: WalkerState, trajectory: Trajectory, audits: Sequence[Frame]
    ) -> Orders:
        """Say what follows this pause; label and train where that is it."""
        with self._interrupts.raised():
            return self._decide(pause, walker, trajectory, audits)

    def _decide(
        self, pause: _core.Pause, walker: WalkerState, trajectory: Trajectory, audits: Sequence[Frame]
    ) -> Orders:
        self._pauses += 1
        self.looks.flush()
        candidates = [frame_of(frame, "md", self.generation_number) for frame in pause.candidates]
        failed = None if pause.failed is None else frame_of(pause.failed, "md", self.generation_number)
        self._note_pause(pause, candidates, failed)
        limit = self.learner.limit_reached(time.monotonic() - self._started)
        if limit:
            return self._end(limit)
        reaction = trajectory.react(
            Situation(
                reason=pause.reason,
                step=pause.step,
                n_candidates=len(candidates),
                failed_is_sane=failed is not None and not beyond_sanity(self.ensemble, failed, self._config),
                safe_points=walker.safe_points,
                refusal=walker.refusal,
                every=walker.every,
            )
        )
        if reaction.give_up:
            self.logbook.write("set_aside", pause.step, cause=reaction.give_up)
            return self._end(f"trajectory set aside: {reaction.give_up}")
        if walker.refusal and pause.reason == "failed":
            self.view.message(f"no return to a safe point: {walker.refusal}")
        if not reaction.learn:
            return Orders(rollback=reaction.rollback, every=reaction.every)
        frames = [*candidates, failed] if reaction.use_failed and failed is not None else candidates
        learnt = self.learner.learn(
            frames,
            pause.reason,
            pause.step,
            self._within_limit(audits),
            at_hand=walker.at_hand if reaction.rollback is None else None,
        )
        return Orders(reaction.rollback, reaction.every, self.model_hashes() if learnt else ())

    def _within_limit(self, audits: Sequence[Frame]) -> Sequence[Frame]:
        """Return the drawn frames as far as the limit of labels goes; candidates come first."""
        left = self.learner.labels_left()
        return audits[: None if left is None else max(0, left - self._config.selection.batch)]

    def note_rollback(self, step: int, to_step: int, every: int) -> None:
        """Note that the walker returned to a safe point."""
        self._rollbacks += 1
        self.logbook.write("rollback", step, to_step=to_step, every=every)

    def note_swap(self, frame: Frame, seconds: float) -> None:
        """Report how far energy and forces of the frame at hand jump from the old to the new model 1."""
        energy, force = self.learner.jump(frame)
        self.logbook.hold(
            "swap",
            frame.origin.step,
            generation=self.generation_number,
            energy_jump_per_atom=energy,
            force_jump_max=force,
            seconds=seconds,
        )

    def resume(self, step: int) -> None:
        """Note that MD goes on."""
        self.logbook.write("resume", step)
        self.show_totals()
        self.view.reached(step)
        self.view.phase("MD", self._script.name)

    def finish(self, step: int) -> None:
        """Make the final models when the script has run to its end, where the configuration asks for them."""
        self.looks.flush()
        self.logbook.write("script_end", step)
        if self.learner.finish():
            self.show_totals()

    def note_runs_without_fix(self, number: int) -> None:
        """Say that run commands of the script were not watched, which may or may not be what the user wants."""
        if number > 0:
            self.view.message(
                f"{counted(number, 'run command')} went without fix {self._config.fix}: nothing was learnt there"
            )

    def close(self, step: int, reason: str, cause: str, deviation: float, in_pauses: float) -> None:
        """Write the last event, with where the time went (seconds).

        Parameters
        ----------
        deviation
            Spent on looks.
        in_pauses
            From the stop of each run to its resumption, labels and training included.
        """
        self.looks.flush()
        learning = sum(self.learner.seconds.values())
        other = max(0.0, in_pauses - self.learner.seconds_in_rounds)
        md = max(0.0, time.monotonic() - self._started - learning - other - deviation)
        seconds = {"md": md, "deviation": deviation, **self.learner.seconds, "other": other}
        self.logbook.write("end", step, reason=reason, seconds=seconds, cause=cause)
        self.view.reached(step)
        self.view.phase("done", reason)

    def show_totals(self) -> None:
        """Show counts and limits."""
        limits = self._config.limits
        self.view.totals(
            Totals(
                self.generation_number,
                self._ledger.counts().labels,
                self._pauses,
                self._rollbacks,
                max_labels=limits.labels,
                max_generations=limits.generations,
                wall_limit=limits.wall_time,
            )
        )

    def _note_pause(self, pause: _core.Pause, candidates: Sequence[Frame], failed: Frame | None) -> None:
        worst = failed if failed is not None else max(candidates, key=lambda frame: frame.origin.max_devi_f)
        self.logbook.hold(
            "pause",
            pause.step,
            reason=pause.reason,
            n_candidates=len(candidates),
            n_failed=int(failed is not None),
            n_dropped=pause.n_dropped,
            max_devi_f=worst.origin.max_devi_f,
        )

    def _end(self, why: str) -> Orders:
        self.view.message(why)
        return Orders(end=why)


def open_desk(script: Path, config: LearnConfig, interrupts: Interrupts, stack: ExitStack) -> LearningDesk:
    """Open everything that rank 0 keeps; `stack` closes it.

    Raises
    ------
    DpgenError
        The script cannot learn, or the run folder is in use, belongs to another configuration or cannot be written.
    """
    check_script(script, config.fix)
    run = RunFolder(config.run_folder).create()
    stack.enter_context(run.lock())
    ledger = stack.enter_context(Ledger.open(run.ledger, config_hash=config.config_hash()))
    journal = stack.enter_context(Journal(run.journal))
    view = RecordingView(open_view(script.name), run, script.name)
    stack.callback(view.close)
    logbook = Logbook(ledger, journal)
    learner = stack.enter_context(Learner(config, run, ledger, logbook, view))
    looks = stack.enter_context(LookLog(run.deviation))
    return LearningDesk(script, config, ledger, logbook, view, learner, looks, interrupts)
