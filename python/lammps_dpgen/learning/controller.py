"""The learning run: a script of the user's own, unchanged, that pauses, learns and goes on.

All ranks run this together. Rank 0 has the desk and decides; its orders go to all ranks, which carry them out in
LAMMPS.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from mpi4py.MPI import IN_PLACE, MAX

from lammps_dpgen.config.learn import LearnConfig
from lammps_dpgen.errors import ConfigError, DpgenError, LearningError
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.audit import AuditSample
from lammps_dpgen.learning.desk import Desk, Orders, WalkerState, frame_of, open_desk
from lammps_dpgen.learning.interrupts import Interrupts
from lammps_dpgen.learning.plugin_api import END_ALL, FAIL, GO_ON
from lammps_dpgen.learning.selection import check_max_atoms
from lammps_dpgen.learning.session import (
    SAME_FORCES,
    LammpsSession,
    raised_alone,
    threads_of_this_process,
)
from lammps_dpgen.learning.trajectory import Trajectory
from lammps_dpgen.mpi import on_root
from lammps_dpgen.noise import divert_library_output
from lammps_dpgen.report import build, print_summary
from lammps_dpgen.store.run_folder import RunFolder

if TYPE_CHECKING:
    from mpi4py import MPI

    from lammps_dpgen import _core

#: Reason of the last event of a run that somebody stopped; its cause says how.
INTERRUPTED = "interrupted"

#: Energies of LAMMPS and of an independent evaluation of the same model may differ by this much, eV/atom.
SAME_ENERGY = 1e-5


def learn(script: Path, config: LearnConfig, variables: Mapping[str, list[str]], comm: MPI.Comm) -> int:
    """Run an input script and learn whenever its fix dpgen asks for it; end with a report.

    Collective over `comm`. Killed anywhere and called again, it goes on with all labels and the newest models.

    Returns
    -------
    int
        0 if the script ran to its end; 1 if the trajectory was set aside or a limit ended it, with everything stored.

    Raises
    ------
    DpgenError
        The configuration, the script, the run folder or the learning failed; the message says what to do.
    """
    threads_of_this_process()
    run = RunFolder(config.run_folder)
    with ExitStack() as stack:
        stack.enter_context(divert_library_output(run.path / "log.libraries"))
        interrupts = Interrupts()
        stack.enter_context(interrupts.taken())
        desks: list[Desk] = []
        on_root(comm, lambda: desks.append(open_desk(script, config, stack)))
        if desks:
            stack.enter_context(interrupts.watched(run))
        code = LearningRun(script, config, variables, comm, desks[0] if desks else None, interrupts).run()
    on_root(comm, lambda: _report(run))
    return code


def _report(run: RunFolder) -> None:
    print(f"report: {build(run.path)}")
    print_summary(run.path)


class LearningRun:
    """One walker on all ranks of a communicator; `desk` is None except on rank 0."""

    def __init__(
        self,
        script: Path,
        config: LearnConfig,
        variables: Mapping[str, list[str]],
        comm: MPI.Comm,
        desk: Desk | None,
        interrupts: Interrupts,
    ) -> None:
        self._script, self._config, self._variables, self._comm, self._desk = script, config, variables, comm, desk
        self._run_folder = RunFolder(config.run_folder)
        self._session: LammpsSession | None = None
        self._trajectory: Trajectory | None = None
        self._hashes: tuple[str, ...] = ()
        self._error: BaseException | None = None
        self._interrupts = interrupts
        self._ended = ""
        self._looks = 0
        self._deviation_seconds = self._pause_seconds = 0.0
        self._check_next_look = True
        self._driver_is_model: bool | None = None
        self._replay: tuple[int, int] | None = None  # step at which a replay is over, and the usual interval of looks
        rng = np.random.default_rng([config.seed, 1])
        self._audit = AuditSample(config.audit, config.selection.batch, rng)

    def run(self) -> int:
        """Make or find models, run the script, and close the books; return the exit code."""
        self._hashes = on_root(self._comm, self._begin)
        log, models = self._run_folder.lammps_log, self._run_folder.models
        self._session = LammpsSession(self._comm, self._config.fix, log, models, self._variables)
        try:
            with self._interrupts.noted():
                self._session.run_script(self._script, self._on_look, self._on_pause)
        except BaseException as error:
            readable = _readable(error, self._script, log)
            self._fail(readable)
            if self._comm.size > 1 and raised_alone(error):
                if self._desk is not None:
                    self._close_books()
                # The other ranks wait inside LAMMPS: whoever started this program has to end them.
                raise readable from None
        if self._looks and not self._ended and not self._anywhere(self._error is not None):
            self._finish()
        first = next((error for error in self._comm.allgather(self._error) if error is not None), None)
        if first is not None:
            self._fail(first)
        on_root(self._comm, self._close_books)
        if first is not None:
            raise first
        if self._looks == 0:
            raise ConfigError(
                f"{self._script} ran to its end, but fix {self._config.fix} never looked at a step: no run command "
                "came after the fix"
            )
        return 1 if self._ended else 0

    def _begin(self) -> tuple[str, ...]:
        assert self._desk is not None
        try:
            return self._desk.begin(self._comm.size)
        except BaseException as error:
            self._fail(error)
            with suppress(DpgenError):  # the books can be what is broken
                self._close_books()
            raise

    def _finish(self) -> None:
        """Make the final models on rank 0; an error there, or an interrupt, is one of the run."""

        def finish() -> None:
            assert self._desk is not None
            assert self._session is not None
            with self._interrupts.raised():
                self._desk.finish(self._session.step)

        try:
            with self._interrupts.noted():
                on_root(self._comm, finish)
        except BaseException as error:
            self._fail(error)

    def _close_books(self) -> None:
        assert self._desk is not None
        reason = self._ended or ("end of script" if self._error is None else "error")
        if isinstance(self._error, KeyboardInterrupt):
            reason = INTERRUPTED
        cause = "" if self._error is None else str(self._error)
        step = -1
        if self._session is not None:
            step = self._session.step
            self._desk.note_runs_without_fix(self._session.api.runs_without_fix)
        self._desk.close(step, reason, cause, self._deviation_seconds, self._pause_seconds)

    # ---- looks -------------------------------------------------------------------------------------------------------

    def _on_look(self, look: _core.Look) -> None:
        try:
            self._look(look)
            self._interrupts.check()
        except BaseException as error:
            self._fail(error)
        # LAMMPS leaves its loop rank by rank: an error on one of them has to end the run on all at the same step.
        if self._anywhere(self._error is not None) and self._session is not None:
            self._session.api.interrupt()

    def _anywhere(self, mine: bool) -> bool:
        flag = np.array([int(mine)])
        if self._comm.size > 1:
            self._comm.Allreduce(IN_PLACE, flag, op=MAX)
        return bool(flag[0])

    def _look(self, look: _core.Look) -> None:
        session = self._session
        assert session is not None
        self._looks += 1
        self._deviation_seconds += look.seconds
        if self._trajectory is None:
            self._trajectory = self._first_look(session, look)
        if self._check_next_look:
            self._check_next_look = False
            self._check_driver(session)
        if self._replay is not None and look.step > self._replay[0]:
            session.api.set_every(self._replay[1])
            self._replay = None
        if look.frame_class == "accurate":
            self._audit.offer(lambda: self._frame_to_audit(session))
        if self._desk is not None:
            self._desk.note_look(look)

    def _first_look(self, session: LammpsSession, look: _core.Look) -> Trajectory:
        check_max_atoms(session.n_atoms, self._config.selection.max_atoms)
        session.check_models(self._hashes)
        every = session.api.every()
        settings = self._config.safe_points
        margin = settings.every or 10 * every
        session.api.set_safe_points(margin, settings.keep)
        if self._desk is not None:
            trust, n_atoms = list(look.trust), session.n_atoms
            self._desk.logbook.write("run", look.step, last=look.last_step, n_atoms=n_atoms, every=every, trust=trust)
        return Trajectory(settings, margin)

    def _frame_to_audit(self, session: LammpsSession) -> Frame | None:
        frame = session.api.current_frame()
        return None if frame is None or self._desk is None else frame_of(frame, "audit", self._desk.generation_number)

    def _frames_to_audit(self) -> list[Frame]:
        """Return the drawn frames as far as the limit of labels goes; candidates come first."""
        assert self._desk is not None
        left = self._desk.learner.labels_left()
        return self._audit.frames[: None if left is None else max(0, left - self._config.selection.batch)]

    def _check_driver(self, session: LammpsSession) -> None:
        """Assert that the models which drive the MD are those of the current generation.

        Two independent facts: the pair style's forces differ from those of model 1 in the fix (whose file hash was
        asserted) as little as before the swap; and where they are equal, the pair style's energy is that of model 1
        loaded a second time from its own file.
        """
        difference, energy = session.api.driver_difference(), session.api.pair_energy()
        frame = session.api.current_frame()
        is_model = difference < SAME_FORCES
        if self._driver_is_model and not is_model:
            raise LearningError(
                f"after the swap at step {session.step} the pair style's forces differ from those of model 1 by "
                f"{difference:.3g} eV/Å: it does not run the new model. Name the models by their stable links in the "
                "pair_style command"
            )
        self._driver_is_model = is_model
        if self._desk is None or frame is None or not is_model:
            return
        ensemble = self._desk.learner.ensemble
        assert ensemble is not None
        expected = float(ensemble.predict(frame_of(frame, "check"), n_models=1).energies[0])
        error = abs(expected - energy) / len(frame.species)  # NaN where LAMMPS has not summed up an energy at this step
        if error > SAME_ENERGY:
            raise LearningError(
                f"at step {session.step} the pair style's energy is {energy:.8f} eV, but model 1 of the current "
                f"generation gives {expected:.8f} eV for the same atoms: another model drives the MD"
            )

    # ---- pauses ------------------------------------------------------------------------------------------------------

    def _on_pause(self, pause: _core.Pause) -> int:
        begin = time.monotonic()
        try:
            return self._pause(pause)
        except BaseException as error:
            self._fail(error)
            return FAIL
        finally:
            self._pause_seconds += time.monotonic() - begin

    def _pause(self, pause: _core.Pause) -> int:
        session, trajectory = self._session, self._trajectory
        if self._error is not None or session is None or trajectory is None:
            return FAIL
        points = session.api.safe_points()
        walker = WalkerState(points, session.api.rollback_refusal() if points else "", session.api.every())

        def decide() -> Orders:
            assert self._desk is not None
            with self._interrupts.raised():
                return self._desk.decide(pause, walker, trajectory, self._frames_to_audit())

        orders = on_root(self._comm, decide)
        if orders.end:
            self._ended = orders.end
            return END_ALL
        self._carry_out(orders, session, trajectory)
        return GO_ON

    def _carry_out(self, orders: Orders, session: LammpsSession, trajectory: Trajectory) -> None:
        """All ranks: roll back, swap, set the looks' interval."""
        api, desk, step = session.api, self._desk, session.step
        usual = self._replay[1] if self._replay is not None else api.every()
        self._replay = None
        if orders.rollback is not None:
            to_step = api.safe_points()[orders.rollback]
            api.roll_back(orders.rollback)
            trajectory.returned(step, to_step)
            if desk is not None:
                desk.note_rollback(step, to_step, orders.every)
            if not orders.swap_to:
                self._replay = (2 * step - to_step, usual)
        api.set_every(orders.every)
        if orders.swap_to:
            begin = time.monotonic()
            at_hand = None if desk is None or desk.learner.ensemble is None else desk.learner.ensemble.core
            session.swap_models(orders.swap_to, at_hand)
            self._check_next_look = True
            self._audit.clear()
            seconds, frame = time.monotonic() - begin, api.current_frame()
            if desk is not None and frame is not None:
                desk.note_swap(frame_of(frame, "swap"), seconds)
        if desk is not None:
            desk.resume(step)

    def _fail(self, error: BaseException) -> None:
        """Keep the first error; the run ends, and it is raised again when LAMMPS has returned."""
        if self._error is None:
            self._error = error


def _readable(error: BaseException, script: Path, log: Path) -> BaseException:
    """Return LAMMPS' own errors as one of the package, with where to read on."""
    if isinstance(error, DpgenError) or not isinstance(error, Exception):
        return error
    message = getattr(error, "message", str(error))  # that of an error of one rank is a quotation
    return LearningError(f"LAMMPS stopped in {script}: {message.strip()}. See {log}; labels and models are stored")
