"""Runs one task of a box on the node where a scheduler has put it.

``python -m lammps_dpgen.execution.run_task BOX KEY`` is what a job executes; the pilots of Parsl call
:func:`run_ticket`. The task runs in a warm worker process of :class:`lammps_dpgen.execution.local.LocalExecutor`, with
a clean environment, its own session and a time limit, and dies with this process.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from lammps_dpgen.execution.base import Outcome, Task
from lammps_dpgen.execution.box import Claim, Result, TaskBox
from lammps_dpgen.execution.local import LocalExecutor

#: Seconds between two looks at whether the controller still wants the task.
_LOOK_INTERVAL = 1.0
_SHORTEST_NAP, _LONGEST_NAP = 0.002, 0.2

_executors: dict[int, LocalExecutor] = {}


def run_ticket(folder: str, key: str) -> None:
    """Run the task `key` of the box in `folder`, unless it was withdrawn, is done, or somebody works on it.

    The result is in the box before this returns.
    """
    box = TaskBox(Path(folder))
    request = box.request(key)
    done = box.result(key)
    if request is None or (done is not None and (done.value is not None or done.attempt >= request["attempt"])):
        return
    claim = Claim.take(box, key, request["attempt"])
    if claim is None:
        return
    try:
        outcome = _run(request, claim)
        if outcome is not None and claim.is_held():
            result = Result(request["attempt"], outcome.value, outcome.error, outcome.seconds)
            box.write_result(key, result)
    finally:
        claim.release()


def _run(request: dict[str, Any], claim: Claim) -> Outcome | None:
    """Return how the task ended; None if it was withdrawn meanwhile."""
    sys.path[:] = request["path"]
    with suppress(OSError):  # a folder that this node does not have; the paths in a task are absolute
        os.chdir(request["cwd"])
    executor = _executor(request["threads"])
    executor.submit(Task(**{**request["task"], "folder": Path(request["task"]["folder"])}))
    beaten = looked = time.monotonic()
    nap = _SHORTEST_NAP
    while not (outcomes := executor.poll()):
        now = time.monotonic()
        if now - beaten > request["heartbeat"]:
            claim.beat()
            beaten = now
        if now - looked > _LOOK_INTERVAL:
            looked = now
            if not claim.is_held():
                executor.cancel("the controller has withdrawn the task")
                return None
        time.sleep(nap)
        nap = min(1.5 * nap, _LONGEST_NAP)
    return outcomes[0]


def _executor(threads: int) -> LocalExecutor:
    """Return the executor of this process: its worker stays warm from one task to the next."""
    if threads not in _executors:
        _executors[threads] = LocalExecutor(1, threads, name="job")
        atexit.register(_executors[threads].close)
    return _executors[threads]


if __name__ == "__main__":
    run_ticket(sys.argv[1], sys.argv[2])
