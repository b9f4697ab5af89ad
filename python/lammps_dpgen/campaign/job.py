"""The MPI job of a campaign: ranks become walkers, rank 0 has the controller beside its own."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from mpi4py.MPI import COMM_TYPE_SHARED, UNDEFINED

from lammps_dpgen.campaign.controller import Controller
from lammps_dpgen.campaign.finalize import finalize
from lammps_dpgen.campaign.held_out import check_held_out
from lammps_dpgen.campaign.post import ControllerPost, LeaderPost, check_threads, dismiss_all
from lammps_dpgen.campaign.walkers import WalkerLoop
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.errors import ConfigError, DpgenError
from lammps_dpgen.execution.devices import take_device
from lammps_dpgen.learning.continuation import check_continuation
from lammps_dpgen.learning.interrupts import Interrupts
from lammps_dpgen.learning.learner import Learner
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.learning.session import threads_of_this_process
from lammps_dpgen.monitor.journal import Journal
from lammps_dpgen.monitor.recording import RecordingView
from lammps_dpgen.monitor.view import open_view
from lammps_dpgen.mpi import on_root
from lammps_dpgen.noise import divert_library_output
from lammps_dpgen.report import build, print_summary
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

if TYPE_CHECKING:
    from mpi4py import MPI


def run_campaign(config: CampaignConfig, comm: MPI.Comm) -> int:
    """Carry out a campaign, or go on with one; collective over `comm`.

    Returns
    -------
    int
        0 if all stages are over; 1 if a limit ended it before.

    Raises
    ------
    DpgenError
        The configuration, the run folder or the learning failed; the message says what to do.
    """
    threads_of_this_process()
    check_threads()
    _make_import_paths_absolute()
    _take_device(comm, config)
    per_walker = config.walkers.ranks_per_walker
    n_walkers = comm.size // per_walker
    if n_walkers == 0:
        raise ConfigError(
            f"walkers.ranks_per_walker is {per_walker}, but the job has {comm.size} ranks; start it with at least "
            f"{per_walker} (mpirun -n {per_walker} lammps-dpgen run ...), or lower ranks_per_walker"
        )
    number, used = comm.rank // per_walker, comm.rank < n_walkers * per_walker
    walker = comm.Split(number if used else UNDEFINED, comm.rank)
    leads = used and comm.rank % per_walker == 0
    leaders = comm.Split(0 if leads else UNDEFINED, comm.rank)
    on_root(comm, lambda: _check_files(config))
    run = RunFolder(config.run_folder)
    interrupts = Interrupts()
    with divert_library_output(run.path / "log.libraries"), interrupts.taken(), interrupts.noted():
        office = Office(config, run, ControllerPost(leaders), comm.size, interrupts) if comm.rank == 0 else None
        if office is not None:
            office.start()
        if used:
            WalkerLoop(walker, number, config, run, LeaderPost(leaders) if leads else None, interrupts).run()
        code = on_root(comm, lambda: 0 if office is None else office.result())
    on_root(comm, lambda: _close(config, run, are_stages_over=code == 0))
    return code


def _take_device(comm: MPI.Comm, config: CampaignConfig) -> None:
    """Let this rank see its GPU alone, before anything looks for one."""
    node = comm.Split_type(COMM_TYPE_SHARED)
    try:
        take_device(node.rank, config.walkers.devices)
    finally:
        node.Free()


def _check_files(config: CampaignConfig) -> None:
    """Refuse labels of others that cannot be used before anything is paid."""
    check_held_out(config)
    if not RunFolder(config.run_folder).ledger.exists():
        check_continuation(config)  # later they are in the ledger


def _close(config: CampaignConfig, run: RunFolder, *, are_stages_over: bool) -> None:
    """Write the report, and what is handed on where the campaign has come to its end."""
    if are_stages_over:
        try:
            print(f"to hand on: {finalize(config, run)}")
        except DpgenError:
            build(run.path)
            raise
    else:
        build(run.path)
    print(f"report: {run.report}")
    print_summary(run.path)


def _make_import_paths_absolute() -> None:
    """Walkers work in the folders of their trajectories; what Python finds by relative paths must still be found."""
    sys.path[:] = [os.path.abspath(path) if path else os.getcwd() for path in sys.path]
    if os.environ.get("PYTHONPATH"):
        paths = os.environ["PYTHONPATH"].split(os.pathsep)
        os.environ["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths if path)


class Office:
    """The thread of the controller, and all that it keeps open."""

    def __init__(
        self, config: CampaignConfig, run: RunFolder, post: ControllerPost, ranks: int, interrupts: Interrupts
    ) -> None:
        self._config, self._run, self._post, self._interrupts = config, run, post, interrupts
        self._ranks = ranks
        self._code = 0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="controller", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def result(self) -> int:
        """Wait for the end; return the exit code, or raise what ended the campaign."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._code

    def _work(self) -> None:
        try:
            with ExitStack() as stack:
                self._open_and_run(stack)
        except BaseException as error:
            self._error = error

    def _open_and_run(self, stack: ExitStack) -> None:
        controller: Controller | None = None
        try:
            config, run = self._config, self._run.create()
            stack.enter_context(run.lock())
            stack.enter_context(self._interrupts.watched(run, config.limits.margin))
            ledger = stack.enter_context(Ledger.open(run.ledger, config_hash=config.config_hash()))
            journal = stack.enter_context(Journal(run.journal))
            title = run.path.name
            view = RecordingView(open_view(title), run, title)
            stack.callback(view.close)
            logbook = Logbook(ledger, journal)
            learner = stack.enter_context(Learner(config, run, ledger, logbook, view))
            controller = Controller(
                config, run, ledger, logbook, view, learner, self._post, self._interrupts, self._ranks
            )
        finally:
            if controller is None:
                dismiss_all(self._post)
        self._code = controller.work()
