"""Runs tasks in warm worker processes on this machine."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from lammps_dpgen.errors import ExecutionError
from lammps_dpgen.execution.base import Outcome, Task, check_task, plain_text
from lammps_dpgen.execution.devices import VISIBLE
from lammps_dpgen.execution.environment import clean_environment
from lammps_dpgen.execution.process import WorkerProcess

#: Name of the file in a task's folder that takes what the service prints.
LOG_NAME = "task.log"

_SECONDS_TO_DIE = 5.0


@dataclass
class _Job:
    """A task on its way."""

    task: Task
    key: str
    limit: float
    attempts: int = 0
    seconds: float = 0.0


@dataclass
class _Place:
    """A worker process, the service that it holds, and the job that it runs."""

    worker: WorkerProcess
    key: str
    device: str | None = None
    job: _Job | None = None
    since: float = field(default_factory=time.monotonic)


class LocalExecutor:
    """Runs tasks side by side in worker processes of this machine; see :class:`lammps_dpgen.execution.base.Executor`.

    A worker holds one service object, made on its first task, and waits for further tasks of the same service and
    settings; so expensive start-up is paid once per worker. Workers have an environment without MPI (see
    :mod:`lammps_dpgen.execution.environment`), the working directory and the import path of this process, and a
    session of their own: Ctrl-C reaches this process only, and nothing of them outlives it, even after ``kill -9``.

    Call :meth:`submit` and :meth:`poll` from one thread, the one that lives longest: there is no thread inside, so
    time limits are looked at in :meth:`poll`.

    Parameters
    ----------
    width
        How many tasks run at the same time, at least 1.
    threads
        Threads of each task, at least 1.
    name
        Shown in the command line of the workers.
    devices
        GPUs, of which each worker sees the one that the fewest others have. Empty: all see all.
    """

    def __init__(self, width: int, threads: int = 1, name: str = "local", devices: Sequence[str] = ()) -> None:
        for what, value in (("width", width), ("threads", threads)):
            if value < 1:
                raise ExecutionError(f"executor '{name}': {what} is {value}, expected at least 1")
        self._width = width
        self._name = name
        self._devices = tuple(devices)
        self._environment = clean_environment(threads)
        self._waiting: deque[_Job] = deque()
        self._places: list[_Place] = []
        self._dying: list[WorkerProcess] = []
        self._done: list[Outcome] = []
        self._open: set[str] = set()
        self._closed = False

    @property
    def open_tasks(self) -> int:
        """Number of tasks that are queued or running."""
        return len(self._open)

    def submit(self, task: Task) -> None:
        """Queue a task; returns at once.

        Raises
        ------
        ExecutionError
            The executor is closed, the id is that of an open task, or settings or payload are no plain data.
        """
        check_task(task, self._name, self._open, closed=self._closed)
        key = plain_text(task, task.service, task.service_settings)
        plain_text(task, task.payload)
        self._open.add(task.id)
        self._waiting.append(_Job(task, key, task.timeout))
        self._start_waiting()

    def poll(self) -> list[Outcome]:
        """Return the outcomes since the last call, in the order in which they came; never blocks."""
        for place in list(self._places):
            self._look_at(place)
        self._start_waiting()
        self._dying = [worker for worker in self._dying if not worker.reaped()]
        done, self._done = self._done, []
        return done

    def cancel(self, reason: str) -> list[Outcome]:
        """Kill what runs, drop what waits, and return an outcome with `reason` for each.

        What was finished before is not lost: the next :meth:`poll` returns it.
        """
        for place in list(self._places):
            self._look_at(place)
        cancelled = []
        for place in [place for place in self._places if place.job is not None]:
            job = self._release(place)
            self._remove(place)
            cancelled.append(_outcome(job, None, reason))
        cancelled += [_outcome(job, None, reason) for job in self._waiting]
        self._waiting.clear()
        self._open.clear()
        return cancelled

    def close(self) -> None:
        """Kill every worker and all that they have started; open tasks are forgotten."""
        self._closed = True
        self._waiting.clear()
        self._open.clear()
        for place in list(self._places):
            self._remove(place)
        for worker in self._dying:
            worker.wait(_SECONDS_TO_DIE)
        self._dying.clear()

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look_at(self, place: _Place) -> None:
        """Take a worker's answer, or find that it has died or has taken too long."""
        for answer in place.worker.receive():
            if place.job is not None and answer["id"] == place.job.task.id:
                self._finish(self._release(place), answer.get("value"), answer.get("error"))
        if place.worker.ended:
            cause = place.worker.why_it_ended()
        elif place.job is not None and time.monotonic() - place.since > place.job.limit:
            cause = f"it ran longer than its time limit of {place.job.limit:g} s and was killed"
            place.job.limit *= place.job.task.growth
        else:
            return
        job = self._release(place) if place.job is not None else None
        self._remove(place)
        if job is not None:
            self._finish(job, None, cause)

    def _release(self, place: _Place) -> _Job:
        """Take the job from its worker, and note what it cost."""
        job, place.job = place.job, None
        if job is None:
            raise ExecutionError("a worker without a task cannot be released")
        now = time.monotonic()
        job.seconds += now - place.since
        place.since = now
        return job

    def _finish(self, job: _Job, value: dict[str, Any] | None, error: str | None) -> None:
        """Keep the outcome, or queue the next attempt."""
        if error is not None and job.attempts <= job.task.retries:
            self._waiting.append(job)
        else:
            self._open.remove(job.task.id)
            self._done.append(_outcome(job, value, error))

    def _remove(self, place: _Place) -> None:
        self._places.remove(place)
        place.worker.kill()
        self._dying.append(place.worker)

    def _start_waiting(self) -> None:
        """Give waiting jobs to workers that hold their service, or to new ones, up to the width."""
        running = sum(place.job is not None for place in self._places)
        while self._waiting and running < self._width:
            job = self._waiting.popleft()
            job.attempts += 1
            try:
                place = self._place_for(job.key)
            except ExecutionError as error:
                self._finish(job, None, str(error))
                return  # no process can be started now; the next poll tries again
            place.job, place.since = job, time.monotonic()
            place.worker.send(_request(job.task))
            running += 1

    def _place_for(self, key: str) -> _Place:
        """Return a warm worker of this service, or start one; the longest idle other one goes if there are many."""
        idle = sorted((place for place in self._places if place.job is None), key=lambda place: place.since)
        for place in idle:
            if place.key == key:
                return place
        if idle and len(self._places) >= 2 * self._width:  # enough to keep labeler and trainer both warm
            self._remove(idle[0])
        taken = [place.device for place in self._places]
        device = min(self._devices, key=taken.count, default=None)
        environment = self._environment if device is None else {**self._environment, VISIBLE: device}
        place = _Place(WorkerProcess(environment, self._name), key, device)
        self._places.append(place)
        return place


def _request(task: Task) -> dict[str, Any]:
    return {
        "id": task.id,
        "service": task.service,
        "settings": task.service_settings,
        "method": task.method,
        "payload": task.payload,
        "folder": str(Path(task.folder).absolute()),
        "log": LOG_NAME,
        "keep_folder": task.keep_folder,
        "path": sys.path,
    }


def _outcome(job: _Job, value: dict[str, Any] | None, error: str | None) -> Outcome:
    log = Path(job.task.folder) / LOG_NAME
    return Outcome(job.task, value, error, job.attempts, job.seconds, log if log.exists() else None)
