"""What an executor is: tasks go in, outcomes come out, nothing blocks."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from lammps_dpgen.errors import ExecutionError


@dataclass(frozen=True)
class Task:
    """A piece of work for a worker process.

    Attributes
    ----------
    id
        Unique among the tasks that are open.
    service
        Import path "package.module:Class" of the object that a worker makes once, from `service_settings`, and then
        calls for each task of the same service and settings.
    method
        Name of its method; called as ``method(payload, folder)``, returns plain data.
    payload
        Plain data (JSON).
    folder
        Scratch folder of the task; made empty before each attempt, removed after success unless `keep_folder`.
    timeout
        Seconds after which the worker's whole process group is killed.
    retries
        How many further attempts follow a failure.
    growth
        By this the time limit is multiplied after each attempt that exceeded it.
    kept
        The result is good for the next controller too, where this one leaves its jobs in the queue.
    """

    id: str
    service: str
    service_settings: dict[str, Any]
    method: str
    payload: dict[str, Any]
    folder: Path
    timeout: float = 3600.0
    retries: int = 1
    keep_folder: bool = False
    growth: float = 1.0
    kept: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a task ended: `value` is its result, or None with `error` as the cause of the last attempt."""

    task: Task
    value: dict[str, Any] | None
    error: str | None = None
    attempts: int = 1
    seconds: float = 0.0
    log: Path | None = field(default=None)


def check_task(task: Task, executor: str, open_ids: Collection[str], *, closed: bool) -> None:
    """Refuse a task that an executor of this name, with these open tasks, cannot take.

    Raises
    ------
    ExecutionError
        The executor is closed, the id is that of an open task, or the service is no import path.
    """
    if closed:
        raise ExecutionError(f"executor '{executor}' is closed; task {task.id} cannot be queued")
    if task.id in open_ids:
        raise ExecutionError(f"a task with id {task.id} is open already; each open task needs an id of its own")
    if task.service.count(":") != 1:
        raise ExecutionError(f"task {task.id}: service is '{task.service}', expected 'package.module:Class'")


def plain_text(task: Task, *parts: Any) -> str:
    """Return parts of a task as one JSON text, the same for the same parts.

    Raises
    ------
    ExecutionError
        They are no plain data.
    """
    try:
        return json.dumps(parts, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ExecutionError(f"task {task.id}: settings or payload are no plain data: {error}") from error


class Executor(Protocol):
    """Runs tasks side by side."""

    def submit(self, task: Task) -> None:
        """Queue a task; returns at once."""
        ...

    def poll(self) -> list[Outcome]:
        """Return the outcomes since the last call; never blocks."""
        ...

    @property
    def open_tasks(self) -> int:
        """Number of tasks that are queued or running."""
        ...

    def cancel(self, reason: str) -> list[Outcome]:
        """Kill what runs, drop what waits, and return an outcome with `reason` for each."""
        ...

    def __enter__(self) -> Executor: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
