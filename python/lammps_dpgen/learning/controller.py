"""The learning run: a script of the user's own, unchanged, that pauses, learns and goes on.

All ranks run this together, as one walker. Rank 0 has the desk, which labels, trains and decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lammps_dpgen.config.learn import LearnConfig
from lammps_dpgen.errors import ConfigError, DpgenError, LearningError
from lammps_dpgen.learning.desk import LearningDesk, open_desk
from lammps_dpgen.learning.interrupts import Interrupts
from lammps_dpgen.learning.session import LammpsSession, raised_alone, threads_of_this_process
from lammps_dpgen.learning.trajectory import Trajectory
from lammps_dpgen.learning.walker import Walker
from lammps_dpgen.mpi import on_root
from lammps_dpgen.noise import divert_library_output
from lammps_dpgen.report import build, print_summary
from lammps_dpgen.store.run_folder import RunFolder

if TYPE_CHECKING:
    from mpi4py import MPI

#: Reason of the last event of a run that somebody stopped; its cause says how.
INTERRUPTED = "interrupted"


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
        desks: list[LearningDesk] = []
        on_root(comm, lambda: desks.append(open_desk(script, config, interrupts, stack)))
        if desks:
            stack.enter_context(interrupts.watched(run, config.limits.margin))
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
        desk: LearningDesk | None,
        interrupts: Interrupts,
    ) -> None:
        self._script, self._config, self._variables, self._comm, self._desk = script, config, variables, comm, desk
        self._run_folder = RunFolder(config.run_folder)
        self._interrupts = interrupts
        self._walker: Walker | None = None
        self._error: BaseException | None = None

    def run(self) -> int:
        """Make or find models, run the script, and close the books; return the exit code."""
        hashes = on_root(self._comm, self._begin)
        walker = self._walker = self._make_walker(hashes)
        try:
            with self._interrupts.noted():
                walker.run(self._script)
        except BaseException as error:
            readable = _readable(error, self._script, self._run_folder.lammps_log)
            walker.fail(readable)
            if self._comm.size > 1 and raised_alone(error):
                self._error = walker.error
                if self._desk is not None:
                    self._close_books()
                # The other ranks wait inside LAMMPS: whoever started this program has to end them.
                raise readable from None
        if walker.looks and not walker.ended and not walker.anywhere(walker.error is not None):
            self._finish(walker)
        self._error = next((error for error in self._comm.allgather(walker.error) if error is not None), None)
        on_root(self._comm, self._close_books)
        if self._error is not None:
            raise self._error
        if walker.looks == 0:
            raise ConfigError(
                f"{self._script} ran to its end, but fix {self._config.fix} never looked at a step: no run command "
                "came after the fix"
            )
        return 1 if walker.ended else 0

    def _begin(self) -> tuple[str, ...]:
        assert self._desk is not None
        try:
            return self._desk.begin(self._comm.size)
        except BaseException as error:
            self._error = error
            with suppress(DpgenError):  # the books can be what is broken
                self._close_books()
            raise

    def _make_walker(self, hashes: tuple[str, ...]) -> Walker:
        log, models = self._run_folder.lammps_log, self._run_folder.models
        session = LammpsSession(self._comm, self._config.fix, log, models, self._variables)
        walker = Walker(
            self._comm,
            session,
            self._config,
            self._desk,
            hashes,
            rng=np.random.default_rng([self._config.seed, 1]),
            trajectory=lambda margin: Trajectory(self._config.safe_points, margin),
            check=self._interrupts.check,
        )
        if self._desk is not None:
            self._desk.learner.on_model = walker.announce
        return walker

    def _finish(self, walker: Walker) -> None:
        """Make the final models on rank 0; an error there, or an interrupt, is one of the run."""

        def finish() -> None:
            assert self._desk is not None
            with self._interrupts.raised():
                self._desk.finish(walker.session.step)

        try:
            with self._interrupts.noted():
                on_root(self._comm, finish)
        except BaseException as error:
            walker.fail(error)

    def _close_books(self) -> None:
        assert self._desk is not None
        walker, step, ended, spent = self._walker, -1, "", (0.0, 0.0)
        if walker is not None:
            step, ended = walker.session.step, walker.ended
            spent = walker.deviation_seconds, walker.pause_seconds
            self._desk.note_runs_without_fix(walker.session.api.runs_without_fix)
        reason = ended or ("end of script" if self._error is None else "error")
        if isinstance(self._error, KeyboardInterrupt):
            reason = INTERRUPTED
        self._desk.close(step, reason, "" if self._error is None else str(self._error), *spent)


def _readable(error: BaseException, script: Path, log: Path) -> BaseException:
    """Return LAMMPS' own errors as one of the package, with where to read on."""
    if isinstance(error, DpgenError) or not isinstance(error, Exception):
        return error
    message = getattr(error, "message", str(error))  # that of an error of one rank is a quotation
    return LearningError(f"LAMMPS stopped in {script}: {message.strip()}. See {log}; labels and models are stored")
