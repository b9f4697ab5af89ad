"""What a job of Parsl's executes on a node: the pool of workers, and the watch over the controller.

``python -m lammps_dpgen.execution.parsl_pilot BOX SESSION THREADS -- ARGUMENTS`` runs Parsl's worker pool with a clean
environment. While the controller lives, the file ``alive`` in the session's folder changes. When it is gone or does not
change any more, tasks that run here are finished, since they are paid for, and then the node is given back: without
this a pilot would hold it to the end of its walltime.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from lammps_dpgen.execution.box import PILOT_NAME, TaskBox
from lammps_dpgen.execution.environment import clean_environment
from lammps_dpgen.execution.parsl_interchange import die_with_parent

#: File of a session that changes while its controller lives.
ALIVE = "alive"
#: Seconds between two looks at it, and without a change before the controller is taken for dead.
_LOOK_INTERVAL, _PATIENCE = 1.0, 120.0
_SECONDS_TO_END = 5.0


class _Controller:
    """The controller, as far as a node can see it."""

    def __init__(self, session: Path) -> None:
        self._alive = session / ALIVE
        self._content = b""
        self._since = time.monotonic()

    def is_gone(self) -> bool:
        """Tell whether it has ended or died; a disk that is away for a while is no reason to think so."""
        try:
            content = self._alive.read_bytes()
        except FileNotFoundError:
            return True
        except OSError:
            content = self._content
        if content != self._content:
            self._content, self._since = content, time.monotonic()
        return time.monotonic() - self._since > _PATIENCE


def main() -> NoReturn:
    """Run the pool until it ends, or until nobody needs it any more."""
    folder, session, threads, *arguments = sys.argv[1:]
    pilot = f"{Path(session).name}-{uuid.uuid4().hex[:12]}"
    environment = {**clean_environment(int(threads)), PILOT_NAME: pilot}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    controller, box = _Controller(Path(session)), TaskBox(Path(folder))
    if controller.is_gone():
        sys.exit(0)
    parent = os.getpid()
    pool = subprocess.Popen(
        [sys.executable, "-m", "parsl.executors.high_throughput.process_worker_pool", *arguments[1:]],
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: die_with_parent(parent),
    )

    def end(number: int, frame: FrameType | None) -> None:
        _end(pool)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    while pool.poll() is None:
        time.sleep(_LOOK_INTERVAL)
        if controller.is_gone() and not _works(box, pilot):
            _end(pool)
    sys.exit(max(0, pool.returncode))


def _works(box: TaskBox, pilot: str) -> bool:
    """Tell whether a task runs in this pilot."""
    return any((box.claim(key) or {}).get("pilot") == pilot for key in box.keys_of_claims())


def _end(pool: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(pool.pid, number)
        with suppress(subprocess.TimeoutExpired):
            pool.wait(_SECONDS_TO_END)


if __name__ == "__main__":
    main()
