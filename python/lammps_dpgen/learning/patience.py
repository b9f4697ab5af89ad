"""How long a run waits for labels in the queue of a cluster where there is nothing else to do."""

from __future__ import annotations

import time
from collections.abc import Callable

from lammps_dpgen.config.execution import ExecutionSettings
from lammps_dpgen.errors import GoOnLater
from lammps_dpgen.execution.base import Executor
from lammps_dpgen.monitor.state import counted


class Patience:
    """Ends a run with ``execution.wait: exit``, so that its allocation does not idle; others wait for ever.

    Parameters
    ----------
    executor
        Of the labels; where it stays in the queue, its jobs are left there when the run ends.
    is_idle
        Whether nobody has anything else to do.
    """

    def __init__(
        self, executor: Executor, settings: ExecutionSettings, is_idle: Callable[[], bool] = lambda: True
    ) -> None:
        self._executor, self._settings, self._is_idle = executor, settings, is_idle
        self._open, self._since, self._looked = 0, 0.0, 0.0

    def look(self) -> None:
        """Look whether anything has happened; called again and again while labels are waited for.

        Raises
        ------
        GoOnLater
            It lasted too long.
        """
        if self._settings.wait != "exit":
            return
        now, n_open = time.monotonic(), self._executor.open_tasks
        waited_before = now - self._looked < self._settings.exit_after
        self._looked = now
        if n_open != self._open or not waited_before or not self._is_idle():
            self._open, self._since = n_open, now
        elif now - self._since > self._settings.exit_after:
            raise GoOnLater(f"wait: exit, with {counted(n_open, 'job')} for labels left in the queue")
