"""Runs tasks as jobs of a cluster, through an engine in a process of its own; see :mod:`lammps_dpgen.execution.broker`.

What does not depend on the engine is here: which task is run again and how often, time limits that grow, and that a
controller which was killed finds its tasks again, finished or running.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from lammps_dpgen.errors import ExecutionError, GoOnLater
from lammps_dpgen.execution.base import Outcome, Task, check_task, plain_text
from lammps_dpgen.execution.box import Result, TaskBox
from lammps_dpgen.execution.environment import clean_environment
from lammps_dpgen.execution.local import LOG_NAME
from lammps_dpgen.execution.process import WorkerProcess

#: How often a task is started again because its job was lost (node, walltime, scancel); that is not the task's fault.
LOSSES = 5
#: How often the broker may die; open tasks are found again by the next one.
_BROKER_DEATHS = 3
_BROKER = "lammps_dpgen.execution.broker"
#: File of an executor's folder with the numbers of the jobs that it has left in the queue.
QUEUED = "queued"
#: Seconds that a broker gets to cancel its jobs; a scheduler that is down answers late.
_SECONDS_TO_CLOSE = 60.0


@dataclass
class _Job:
    """A task on its way."""

    task: Task
    limit: float
    attempt: int = 1
    failures: int = 0
    losses: int = 0
    seconds: float = 0.0


class ClusterExecutor:
    """Runs tasks as jobs of a scheduler; see :class:`lammps_dpgen.execution.base.Executor`.

    Nothing is started before the first task. A task that an earlier executor of the same folder finished, or that runs
    still, is not paid again.

    Parameters
    ----------
    engine
        What the broker makes its engine of; plain data (JSON).
    folder
        Of requests and results, on a disk that all nodes see under the same path; of this executor alone.
    threads
        Threads of each task.
    name
        Shown in the scheduler's queue.
    heartbeat
        Seconds between the signs of life of a task; one that gave none for four of them is taken for dead.
    stays
        Where the program ends to go on later (:class:`GoOnLater`), jobs stay in the queue and work without it.
    """

    def __init__(
        self,
        engine: Mapping[str, Any],
        folder: Path,
        *,
        threads: int = 1,
        name: str = "jobs",
        heartbeat: float = 15.0,
        stays: bool = False,
    ) -> None:
        self._stays = stays
        self._engine, self._name, self._threads, self._heartbeat = dict(engine), name, threads, heartbeat
        self._folder = folder.absolute()
        self._box = TaskBox(self._folder / "tasks")
        self._jobs: dict[str, _Job] = {}
        self._ids: set[str] = set()
        self._done: list[Outcome] = []
        self._told: list[str] = []
        self._recorded: list[str] = []
        self._kept: list[str] = []
        self._broker: WorkerProcess | None = None
        self._deaths = 0
        self._closed = False

    @property
    def open_tasks(self) -> int:
        """Number of tasks that are queued or running."""
        return len(self._jobs)

    def submit(self, task: Task) -> None:
        """Queue a task; returns at once.

        Raises
        ------
        ExecutionError
            The executor is closed, the id is that of an open task, or settings or payload are no plain data.
        """
        check_task(task, self._name, self._ids, closed=self._closed)
        key = _key(task)
        self._box.create()
        done, earlier = self._box.result(key), self._box.request(key)
        if done is not None and done.value is not None:
            self._finish(key, _Job(task, task.timeout, done.attempt), done.value, None)
            return
        if earlier is not None and done is not None:  # it failed in the eyes of a controller that is gone
            self._box.reset(key)
        job = _Job(task, task.timeout, attempt=1 if earlier is None else earlier["attempt"] + (done is not None))
        self._jobs[key] = job
        self._ids.add(task.id)
        self._start(key, job)

    def poll(self) -> list[Outcome]:
        """Return the outcomes since the last call; never blocks.

        What the last call returned must have been recorded by now: its files are removed.

        Raises
        ------
        ExecutionError
            The engine cannot run anything: the scheduler refuses the jobs, or all of them die. Open tasks stay as they
            are; an executor that is made anew when the cause is mended takes them up.
        """
        self._remove_recorded()
        if self._broker is not None:
            for answer in self._broker.receive():
                if "refused" in answer:
                    raise ExecutionError(f"{self._name}: {answer['refused']}")
                self._take(answer["ended"], answer["attempt"], answer["cause"])
            if self._broker.ended:
                self._replace_broker()
        done, self._done = self._done, []
        self._recorded, self._told = self._told, []
        return done

    def cancel(self, reason: str) -> list[Outcome]:
        """Kill what runs, drop what waits, and return an outcome with `reason` for each.

        A result that came since the last :meth:`poll` is not lost: who asks for the same task again gets it.
        """
        keys = list(self._jobs)
        for key in keys:
            done = self._box.result(key)
            if done is None or done.value is None:
                self._box.remove(key)
        if self._broker is not None and keys:
            self._broker.send({"forget": keys})
        cancelled = [_outcome(job, None, reason) for job in self._jobs.values()]
        self._jobs.clear()
        self._ids.clear()
        return cancelled

    def close(self) -> None:
        """Cancel all jobs; open tasks are forgotten, and results that nobody has taken wait for the next executor."""
        if self._closed:
            return
        self._closed = True
        self.cancel("closed")
        self._remove_recorded()
        for key in self._kept:
            self._box.remove(key)
        self._end_broker("close")

    def leave(self) -> None:
        """End, and leave jobs in the queue: the next executor of the same folder takes up the tasks.

        The numbers of the jobs are in the file ``queued`` of the folder, with colons between them.
        """
        if self._closed:
            return
        self._closed = True
        self._remove_recorded()
        jobs = self._end_broker("leave" if self._jobs else "close")
        if jobs:
            (self._folder / QUEUED).write_text(":".join(jobs))

    def _end_broker(self, how: str) -> list[str]:
        """Let the broker end; return the jobs that it says it leaves."""
        (self._folder / QUEUED).unlink(missing_ok=True)  # the list of an earlier controller
        if self._broker is None:
            return []
        left: list[str] = []
        self._broker.send({how: True})
        deadline = time.monotonic() + _SECONDS_TO_CLOSE
        while not self._broker.ended and time.monotonic() < deadline:
            for answer in self._broker.receive():
                left += answer.get("left", [])
            time.sleep(0.02)
        self._broker.kill()
        self._broker.wait(5.0)
        return left

    def __enter__(self) -> ClusterExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._stays and isinstance(error, GoOnLater):
            self.leave()
        else:
            self.close()

    def _remove_recorded(self) -> None:
        for key in self._recorded:
            if key not in self._kept:
                self._box.remove(key)
        self._recorded.clear()

    def _start(self, key: str, job: _Job) -> None:
        """Write the request, and tell the broker of it."""
        task = {**asdict(job.task), "folder": str(Path(job.task.folder).absolute()), "timeout": job.limit, "retries": 0}
        request = {
            "task": task,
            "attempt": job.attempt,
            "threads": self._threads,
            "heartbeat": self._heartbeat,
            "path": sys.path,
            "cwd": os.getcwd(),
        }
        self._box.write_request(key, request)
        if self._broker is None:
            self._open_broker()
        else:
            self._broker.send({"start": [[key, job.attempt]]})

    def _open_broker(self) -> None:
        """Start the broker, and tell it of all open tasks."""
        environment = clean_environment(self._threads)
        for name in [name for name in environment if name.startswith("SLURM_") and name != "SLURM_CONF"]:
            del environment[name]  # the job around us is no business of the jobs that the broker submits
        self._broker = WorkerProcess(environment, self._name, module=_BROKER)
        self._broker.send({**self._engine, "folder": str(self._folder), "heartbeat": self._heartbeat})
        self._broker.send({"start": [[key, job.attempt] for key, job in self._jobs.items()]})

    def _replace_broker(self) -> None:
        assert self._broker is not None
        cause = self._broker.why_it_ended()
        self._broker.kill()
        self._broker.wait(5.0)
        self._broker = None
        self._deaths += 1
        if self._deaths > _BROKER_DEATHS:
            raise ExecutionError(
                f"the process that submits the jobs of '{self._name}' ended {self._deaths} times: {cause}; see "
                f"{self._folder / 'broker.log'}"
            )
        if self._jobs:
            self._open_broker()

    def _take(self, key: str, attempt: int, cause: str | None) -> None:
        """Look at what became of an attempt, and repeat it or not."""
        job = self._jobs.get(key)
        if job is None or attempt != job.attempt:
            return
        result = self._box.result(key)
        if result is None:
            job.losses += 1
            error = f"its job was lost: {cause or 'it ended without a result'}"
            if job.losses <= LOSSES:
                self._again(key, job)
            else:
                self._finish(key, job, None, f"{error} ({job.losses} times)")
            return
        job.seconds += result.seconds
        if result.value is None:
            job.failures += 1
            if job.failures <= job.task.retries:
                self._again(key, job, result)
                return
        self._finish(key, job, result.value, result.error)

    def _again(self, key: str, job: _Job, failed: Result | None = None) -> None:
        if failed is not None and failed.seconds >= job.limit:
            job.limit *= job.task.growth
        job.attempt += 1
        self._box.reset(key)
        self._start(key, job)

    def _finish(self, key: str, job: _Job, value: dict[str, Any] | None, error: str | None) -> None:
        self._jobs.pop(key, None)
        self._ids.discard(job.task.id)
        self._done.append(_outcome(job, value, error))
        self._told.append(key)
        if self._stays and job.task.kept and value is not None:
            self._kept.append(key)


def _key(task: Task) -> str:
    """Return what a task is known by: the same work has the same key, whichever controller asks for it."""
    text = plain_text(task, task.id, task.service, task.service_settings, task.method, task.payload)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _outcome(job: _Job, value: dict[str, Any] | None, error: str | None) -> Outcome:
    log = Path(job.task.folder) / LOG_NAME
    return Outcome(job.task, value, error, job.attempt, job.seconds, log if log.exists() else None)
