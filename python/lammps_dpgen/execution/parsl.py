"""The engine Parsl: pilot jobs that run many tasks each, on any scheduler that Parsl knows (its HTEX executor)."""

from __future__ import annotations

import logging
import math
import os
import queue
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import parsl
from parsl.executors import HighThroughputExecutor
from parsl.jobs.states import JobState

from lammps_dpgen.errors import ExecutionError
from lammps_dpgen.execution.box import TaskBox
from lammps_dpgen.execution.engine import Attempt
from lammps_dpgen.execution.parsl_pilot import ALIVE, Node
from lammps_dpgen.execution.run_task import run_ticket
from lammps_dpgen.execution.schedulers import is_refusal, list_jobs
from lammps_dpgen.execution.sessions import LeftPilots, Session, clear_sessions
from lammps_dpgen.execution.sites import Site, provider_class

#: What Parsl has to say, in the folder of the engine.
LOG_NAME = "parsl.log"
#: Pilots that ended one after another without ever asking for a task: the site's lines are wrong.
_DEAD_PILOTS = 3
#: Seconds between two attempts to submit while the scheduler is down: the first, and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 300.0
_ALIVE_INTERVAL = 5.0
#: Seconds between two looks for what pilots of an earlier controller have done.
_LOOK_INTERVAL = 0.5
#: Seconds that Parsl gets to submit the first pilot before the controller leaves.
_SECONDS_TO_SUBMIT = 10.0
#: Seconds that a pilot waits for a controller which it does not hear; the watch of `parsl_pilot` comes long before.
_FOR_EVER = 10**8


class _Pilots(HighThroughputExecutor):  # type: ignore[misc]
    """Parsl's executor, but for one thing: asked to give back no pilot, it would cancel all that have not begun."""

    def scale_in(self, blocks: int, max_idletime: float | None = None) -> list[str]:
        return list(super().scale_in(blocks, max_idletime)) if blocks > 0 else []


class ParslEngine:
    """Runs tasks in pilot jobs; see :class:`lammps_dpgen.execution.engine.Engine`.

    Parameters
    ----------
    site
        Of the pool.
    box
        Of the tasks.
    folder
        For the sessions of this engine and Parsl's own files.
    name
        Of the jobs.
    threads
        Threads of a task.
    heartbeat
        Seconds between two signs of life of a pilot.
    poll
        Seconds between two questions to the scheduler, each about all jobs.
    address
        Name or address of this machine as nodes see it; None: all that it has are tried.
    """

    def __init__(
        self,
        site: Site,
        box: TaskBox,
        folder: Path,
        name: str,
        *,
        threads: int,
        heartbeat: float,
        poll: float,
        address: str | None = None,
    ) -> None:
        self._site, self._box = site, box
        self._ended: queue.SimpleQueue[tuple[Attempt, BaseException | None]] = queue.SimpleQueue()
        self._refusal = ""
        self._dead_pilots = 0
        self._old = clear_sessions(folder / "sessions", box, site.provider)
        self._left = LeftPilots([one for one in self._old if one.was_left], site.provider, poll)
        self._started: dict[str, int] = {}
        self._looked = 0.0
        self._session = Session.begin(folder / "sessions", site.provider)
        self._beats, self._beaten = 0, 0.0
        self._tick()
        _log_to(folder / LOG_NAME)
        made, arguments = provider_class(site)
        provider = _watched(made, poll, self._session, self._left, self._refuse)(**arguments)
        self._label = name
        executor = _Pilots(
            label=name,
            provider=provider,
            address=address,
            max_workers_per_node=site.tasks,
            cores_per_worker=max(1, site.cores // site.tasks),
            available_accelerators=site.gpus,
            heartbeat_period=math.ceil(heartbeat),
            heartbeat_threshold=4 * math.ceil(heartbeat),
            drain_period=site.drain,
            launch_cmd=_launch_command(box, self._session, site, threads),
            interchange_launch_cmd=[
                sys.executable, "-m", "lammps_dpgen.execution.parsl_interchange", str(os.getpid()),
            ],
            block_error_handler=self._look_at_pilots,
        )  # fmt: skip
        self._kernel = parsl.DataFlowKernel(
            parsl.Config(
                executors=[executor],
                run_dir=str(self._session.folder / "parsl"),
                strategy="htex_auto_scale",
                strategy_period=1.0,
                max_idletime=site.idle,
                retries=0,
                initialize_logging=False,
            )
        )

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], box: TaskBox, folder: Path, name: str) -> ParslEngine:
        """Make the engine from plain data."""
        return cls(
            Site.from_json(settings["site"]),
            box,
            folder,
            name,
            threads=settings["threads"],
            heartbeat=settings["heartbeat"],
            poll=settings["poll"],
            address=settings["address"],
        )

    def start(self, key: str, attempt: int) -> None:
        """Queue an attempt at a task."""
        self._started[key] = attempt
        future = self._kernel.submit(
            run_ticket, app_args=(str(self._box.folder), key), app_kwargs={}, executors=[self._label], cache=False,
            ignore_for_cache=None,
        )  # fmt: skip
        future.add_done_callback(lambda done: self._ended.put(((key, attempt), done.exception())))

    def knows(self, key: str, attempt: int) -> bool:
        """Tell that it knows nothing: what waits in a pilot's queue is lost with its controller."""
        return False

    def ended(self) -> list[tuple[Attempt, str | None]]:
        """Return the attempts that ended since the last call."""
        if self._refusal:
            raise ExecutionError(self._refusal)
        self._tick()
        found = []
        while not self._ended.empty():
            attempt, error = self._ended.get()
            if self._started.get(attempt[0]) == attempt[1]:
                del self._started[attempt[0]]
                found.append((attempt, None if error is None else _cause(error)))
        return [*found, *self._done_by_left_pilots()]

    def _done_by_left_pilots(self) -> list[tuple[Attempt, str | None]]:
        """Return the queued attempts that pilots of an earlier controller have carried out."""
        now = time.monotonic()
        if now - self._looked < _LOOK_INTERVAL or not any(session.was_left for session in self._old):
            return []
        self._looked = now
        done = self._box.keys_of_results() & self._started.keys()
        return [((key, self._started.pop(key)), None) for key in done]

    def forget(self, keys: Sequence[str]) -> None:
        """Do not wait for them; a task whose claim is gone ends by itself."""
        for key in keys:
            self._started.pop(key, None)

    def close(self) -> None:
        """Cancel all pilots, those of earlier controllers too; what they said stays where nothing could run."""
        self._session.end()
        try:
            self._kernel.cleanup()
        finally:
            for session in [self._session, *self._old]:
                session.cancel()
                if not self._refusal:
                    session.remove()

    def leave(self) -> list[str]:
        """End; pilots go on with the tasks of the box by themselves, those that still wait in the queue too."""
        deadline = time.monotonic() + _SECONDS_TO_SUBMIT
        while self._started and not (self._session.jobs() or self._left.count()) and time.monotonic() < deadline:
            time.sleep(0.1)  # tasks that came a moment ago: Parsl asks for their pilots now
        self._session.leave()
        jobs = [job for session in [self._session, *self._old] if session.was_left for job in session.jobs()]
        try:
            there = list_jobs(self._site.provider)
            return [job for job in jobs if job in there]
        except ExecutionError as error:
            print(error, flush=True)
            return jobs

    def abandon(self) -> None:
        """End without the controller: pilots with running tasks finish them, the others are cancelled."""
        self._session.end()
        self._session.cancel(spare=self._box)

    def _tick(self) -> None:
        """Show pilots that the controller lives."""
        now = time.monotonic()
        if now - self._beaten > _ALIVE_INTERVAL:
            self._beats, self._beaten = self._beats + 1, now
            (self._session.folder / ALIVE).write_text(str(self._beats))

    def _refuse(self, cause: str) -> None:
        self._refusal = self._refusal or cause

    def _look_at_pilots(self, executor: Any, status: Mapping[str, Any]) -> None:
        """Give up when pilots die one after another before they ask for a task; called in a thread of Parsl's."""
        jobs = [status[block] for block in sorted(status, key=int) if block in executor.blocks_to_job_id]
        last = [job for job in jobs if job.state not in (JobState.PENDING, JobState.SCALED_IN)][-_DEAD_PILOTS:]
        if len(last) == _DEAD_PILOTS and all(job.state in (JobState.MISSING, JobState.FAILED) for job in last):
            said = " ".join((last[-1].stderr_summary or "").split())[-1000:]
            self._refuse(
                f"{_DEAD_PILOTS} jobs in a row ended before they could run a task; the last one said: "
                f"{said or 'nothing'}. Look at worker_init, options and walltime of the pool, and at the files under "
                f"{self._session.folder}"
            )


def _launch_command(box: TaskBox, session: Session, site: Site, threads: int) -> str:
    """Return the command line of a pilot, with Parsl's own fields in it."""
    words = [sys.executable, "-m", "lammps_dpgen.execution.parsl_pilot", str(box.folder), str(session.folder)]
    node = Node(threads, site.tasks, site.gpus, site.drain)
    text = " ".join(shlex.quote(word) for word in [*words, node.to_text()]).replace("{", "{{").replace("}", "}}")
    return (
        f"{text} -- {{debug}} {{max_workers_per_node}} -a {{addresses}} -p {{prefetch_capacity}} "
        "-c {cores_per_worker} -m {mem_per_worker} --poll {poll_period} --port={worker_port} --cert_dir {cert_dir} "
        "--logdir={logdir} --logconf={logconf} --block_id={{block_id}} --hb_period={heartbeat_period} "
        f"--hb_threshold={_FOR_EVER} --drain_period={{drain_period}} --cpu-affinity {{cpu_affinity}} "
        "{address_probe_timeout_string} {enable_mpi_mode} --mpi-launcher={mpi_launcher} "
        "--available-accelerators {accelerators}"
    )


def _watched(
    made: type[Any], poll: float, session: Session, left: LeftPilots, refuse: Callable[[str], None]
) -> type[Any]:
    """Return a provider that notes every job, counts those of earlier controllers, and has patience with a scheduler.

    One that is down is asked less and less often.
    """

    class Watched(made):  # type: ignore[misc]
        status_polling_interval = poll
        _paused_until, _pause = 0.0, _FIRST_PAUSE

        @property
        def max_blocks(self) -> int:
            return 0 if time.monotonic() < self._paused_until else max(0, self._most - left.count())

        @max_blocks.setter
        def max_blocks(self, number: int) -> None:
            self._most = number

        def submit(self, *args: Any, **kwargs: Any) -> Any:
            try:
                job = super().submit(*args, **kwargs)
            except Exception as error:
                self._note_failure(" ".join(str(getattr(error, "stderr", None) or error).split()))
                raise
            if not job:  # providers other than Slurm's say so, and log what the scheduler answered
                self._note_failure(f"it gave no number of a job; see {session.folder.parent.parent / LOG_NAME}")
                return job
            self._pause = _FIRST_PAUSE
            session.note_job(str(job if made.__name__ != "KubernetesProvider" else self.resources[job]["pod_name"]))
            return job

        def _note_failure(self, answer: str) -> None:
            logging.getLogger("parsl").warning("a job could not be submitted: %s", answer)
            if is_refusal(answer):
                refuse(f"the scheduler refuses the jobs of this pool: {answer}. Mend the pool's lines and run again")
            self._paused_until = time.monotonic() + self._pause
            self._pause = min(2.0 * self._pause, _LONGEST_PAUSE)

    return Watched


def _cause(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _log_to(path: Path) -> None:
    logger = logging.getLogger("parsl")
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
