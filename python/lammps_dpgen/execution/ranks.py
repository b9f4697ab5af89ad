"""Runs tasks on the ranks of an MPI job: rank 0 hands them out, and every rank has a worker process for them.

What happens to a task is then what happens on one machine: a time limit that is exceeded or a crash ends the worker
process, not the rank, and is the outcome of the task.
"""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING

from lammps_dpgen.execution.base import Outcome, Task, check_task
from lammps_dpgen.execution.local import LocalExecutor

if TYPE_CHECKING:
    from mpi4py import MPI

#: Of messages from rank 0 (a task, the reason why it is cancelled, or None for the end) and to it (an outcome, or None
#: for the end).
_TASK, _OUTCOME = 1801, 1802
#: Seconds between two looks of a rank that serves.
_NAP = 0.005
#: Seconds within which the other ranks say that they have ended.
_SECONDS_TO_END = 10.0


class RanksExecutor:
    """On rank 0: runs one task on each rank; see :class:`lammps_dpgen.execution.base.Executor`.

    The other ranks of `comm` have to call :func:`serve_tasks`. A rank that has worked for a service gets the tasks of
    this service first, since its worker is warm.
    """

    def __init__(self, comm: MPI.Comm, name: str = "ranks") -> None:
        self._comm, self._name = comm, name
        self._own = LocalExecutor(1, name=name)
        self._waiting: deque[Task] = deque()
        self._busy: dict[int, Task] = {}
        self._last: dict[int, object] = {}
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
            The executor is closed, or the id is that of an open task.
        """
        check_task(task, self._name, self._open, closed=self._closed)
        self._open.add(task.id)
        self._waiting.append(task)

    def poll(self) -> list[Outcome]:
        """Return the outcomes that have come since the last call, and give waiting tasks to free ranks."""
        came = [(0, outcome) for outcome in self._own.poll()]
        for rank in list(self._busy):
            if rank and self._comm.iprobe(source=rank, tag=_OUTCOME):
                came.append((rank, self._comm.recv(source=rank, tag=_OUTCOME)))
        for rank, outcome in came:
            del self._busy[rank]
            self._open.remove(outcome.task.id)
        self._hand_out()
        return [outcome for _, outcome in came]

    def _hand_out(self) -> None:
        for rank in range(self._comm.size):
            if rank in self._busy or not self._waiting:
                continue
            task = next((one for one in self._waiting if _service(one) == self._last.get(rank)), self._waiting[0])
            self._waiting.remove(task)
            self._busy[rank], self._last[rank] = task, _service(task)
            if rank == 0:
                self._own.submit(task)
            else:
                self._comm.send(task, rank, _TASK)

    def cancel(self, reason: str) -> list[Outcome]:
        """Kill what runs on all ranks, drop what waits, and return an outcome with `reason` for each."""
        dropped = [Outcome(task, None, reason, attempts=0) for task in self._waiting]
        self._waiting.clear()
        for rank in self._busy:
            if rank:
                self._comm.send(reason, rank, _TASK)
        self._open -= {outcome.task.id for outcome in dropped}
        killed = self._own.cancel(reason)
        self._open -= {outcome.task.id for outcome in killed}
        self._busy.pop(0, None)
        while self._busy:
            killed += self.poll()
            time.sleep(_NAP)
        return [*killed, *dropped]

    def close(self) -> None:
        """Kill what runs on all ranks, and let the other ranks go; open tasks are forgotten."""
        if self._closed:
            return
        self._closed = True
        self._own.close()
        others = set(range(1, self._comm.size))
        for rank in others:
            self._comm.send(None, rank, _TASK)
        deadline = time.monotonic() + _SECONDS_TO_END
        while others and time.monotonic() < deadline:
            for rank in list(others):
                came = self._comm.iprobe(source=rank, tag=_OUTCOME)
                if came and self._comm.recv(source=rank, tag=_OUTCOME) is None:
                    others.remove(rank)
            time.sleep(_NAP)

    def __enter__(self) -> RanksExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve_tasks(comm: MPI.Comm, name: str = "ranks") -> None:
    """On the other ranks: run what rank 0 hands out, until it says that this is all."""
    with LocalExecutor(1, name=name) as executor:
        while True:
            outcomes = executor.poll()
            if comm.iprobe(source=0, tag=_TASK):
                told = comm.recv(source=0, tag=_TASK)
                if told is None:
                    break
                if isinstance(told, Task):
                    executor.submit(told)
                else:
                    outcomes += executor.cancel(told)
            for outcome in outcomes:
                comm.send(outcome, 0, _OUTCOME)
            time.sleep(_NAP)
    comm.send(None, 0, _OUTCOME)


def _service(task: Task) -> object:
    return task.service, task.service_settings
