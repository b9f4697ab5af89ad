"""What an engine is: it brings tasks of a box to the nodes of a cluster. Engines live in the broker's process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from lammps_dpgen.errors import ExecutionError
from lammps_dpgen.execution.box import TaskBox

#: A task and the number of the attempt at it.
Attempt = tuple[str, int]


class Engine(Protocol):
    """Brings tasks to nodes, where :mod:`lammps_dpgen.execution.run_task` runs them.

    The result is in the box; an engine only says when it is worth a look. All methods are called from one thread.
    """

    def start(self, key: str, attempt: int) -> None:
        """Queue an attempt at a task.

        Raises
        ------
        ExecutionError
            The scheduler refuses it for good.
        """
        ...

    def knows(self, key: str, attempt: int) -> bool:
        """Tell whether a job of an earlier controller is queued for this attempt; the engine then looks after it."""
        ...

    def ended(self) -> list[tuple[Attempt, str | None]]:
        """Return the attempts that ended since the last call, with what the engine knows of the cause.

        Raises
        ------
        ExecutionError
            Nothing can run any more.
        """
        ...

    def forget(self, keys: Sequence[str]) -> None:
        """Cancel what can be cancelled of tasks that were withdrawn."""
        ...

    def close(self) -> None:
        """Cancel all jobs and end."""
        ...

    def leave(self) -> list[str]:
        """End without cancelling anything: jobs stay in the queue and work on open tasks without a controller.

        Returns
        -------
        list of str
            Their numbers.
        """
        ...

    def abandon(self) -> None:
        """End without the controller, which died; leave to the next one what is worth it, running tasks above all."""
        ...


def make_engine(settings: Mapping[str, Any], box: TaskBox, folder: Path, name: str) -> Engine:
    """Make an engine.

    Parameters
    ----------
    settings
        Plain data: ``engine`` is its name, the rest its settings.
    folder
        For what the engine writes.
    name
        Of the jobs in the queue.

    Raises
    ------
    ExecutionError
        The package that it needs is missing.
    """
    kind = settings["engine"]
    try:
        if kind == "parsl":
            from lammps_dpgen.execution.parsl import ParslEngine

            return ParslEngine.from_settings(settings, box, folder, name)
        from lammps_dpgen.execution.dpdispatcher import DpdispatcherEngine

        return DpdispatcherEngine.from_settings(settings, box, folder, name)
    except ImportError as error:
        raise ExecutionError(
            f"execution.engine is {kind}, and its package cannot be imported ({error}); install it with "
            f"pip install 'lammps-dpgen[{kind}]'"
        ) from error
