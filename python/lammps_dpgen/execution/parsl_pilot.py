"""What a job of Parsl's executes on a node: the pool of workers, and the watch over the controller.

``python -m lammps_dpgen.execution.parsl_pilot BOX SESSION NODE -- ARGUMENTS`` runs Parsl's worker pool with a clean
environment. While the controller lives, the file ``alive`` in the session's folder changes. When it is gone or does not
change any more, tasks that run here are finished, since they are paid for, and then the node is given back: without
this a pilot would hold it to the end of its walltime. Where the controller has left its jobs in the queue (file
``left``), the pilot takes tasks from the box itself, until none waits.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from lammps_dpgen.execution.box import PILOT_NAME, TaskBox
from lammps_dpgen.execution.devices import VISIBLE
from lammps_dpgen.execution.environment import clean_environment
from lammps_dpgen.execution.parsl_interchange import die_with_parent

#: File of a session that changes while its controller lives.
ALIVE = "alive"
#: File of a session whose controller has left its jobs in the queue.
LEFT = "left"
#: Seconds between two looks at them, and without a change before the controller is taken for dead.
_LOOK_INTERVAL, _PATIENCE = 1.0, 120.0
_SECONDS_TO_END = 5.0


@dataclass(frozen=True)
class Node:
    """What a pilot may do on its node.

    Attributes
    ----------
    threads
        Of a task.
    tasks
        Side by side.
    gpus
        That tasks get, one each.
    drain
        Seconds after which no task is begun any more; None: none.
    """

    threads: int
    tasks: int
    gpus: int
    drain: int | None

    def to_text(self) -> str:
        """Return it as a word of a command line."""
        return json.dumps(list(asdict(self).values()), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> Node:
        """Inverse of :meth:`to_text`."""
        return cls(*json.loads(text))


class _Controller:
    """The controller, as far as a node can see it."""

    def __init__(self, session: Path) -> None:
        self._alive, self._left = session / ALIVE, session / LEFT
        self._content = b""
        self._since = time.monotonic()

    def has_left(self) -> bool:
        """Tell whether it has ended, and wants its jobs to go on without it."""
        return self._left.exists()

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


class _Pool:
    """Parsl's worker pool on this node."""

    def __init__(self, box: TaskBox, pilot: str, arguments: list[str], environment: dict[str, str]) -> None:
        self._box, self._pilot = box, pilot
        parent = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "parsl.executors.high_throughput.process_worker_pool", *arguments],
            env={**environment, PILOT_NAME: pilot},
            start_new_session=True,
            preexec_fn=lambda: die_with_parent(parent),
        )

    @property
    def code(self) -> int | None:
        """Exit code; None while it works."""
        return self._process.poll()

    def n_tasks(self) -> int:
        """Return how many tasks run in it."""
        if self.code is not None:
            return 0
        return sum((self._box.claim(key) or {}).get("pilot") == self._pilot for key in self._box.keys_of_claims())

    def end(self) -> None:
        """End it and all that it has started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_SECONDS_TO_END)


def main() -> NoReturn:
    """Run the pool until it ends, or until nobody needs it any more."""
    begun = time.monotonic()
    folder, session, text, *arguments = sys.argv[1:]
    node, pilot = Node.from_text(text), f"{Path(session).name}-{uuid.uuid4().hex[:12]}"
    environment = clean_environment(node.threads)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    controller, box = _Controller(Path(session)), TaskBox(Path(folder))
    pool: _Pool | None = None

    def end(number: int, frame: FrameType | None) -> None:
        if pool is not None:
            pool.end()
        sys.exit(128 + number)  # tasks begun without a controller die with this process

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    if not controller.has_left():
        if controller.is_gone():
            sys.exit(0)
        pool = _Pool(box, pilot, arguments[1:], environment)
        while pool.code is None and not controller.has_left():
            time.sleep(_LOOK_INTERVAL)
            if controller.is_gone() and not controller.has_left() and not pool.n_tasks():
                pool.end()
    if controller.has_left():
        _Leftovers(box, node, begun, {**environment, PILOT_NAME: f"{pilot}-alone"}).work_off(pool)
        sys.exit(0)
    sys.exit(0 if pool is None or pool.code is None else max(0, pool.code))


class _Leftovers:
    """The tasks of a box that no controller hands out any more.

    Parameters
    ----------
    begun
        When the job began (monotonic clock, s).
    """

    def __init__(self, box: TaskBox, node: Node, begun: float, environment: dict[str, str]) -> None:
        self._box, self._node, self._environment = box, node, environment
        self._last = float("inf") if node.drain is None else begun + node.drain
        self._own: dict[int, subprocess.Popen[bytes]] = {}
        self._tried: set[str] = set()

    def work_off(self, pool: _Pool | None) -> None:
        """Run tasks side by side until none waits; `pool` finishes those that it has, and is ended."""
        if pool is not None:
            time.sleep(_LOOK_INTERVAL)  # a task that it got a moment ago is claimed by then
        while True:
            n_pooled = 0 if pool is None else pool.n_tasks()
            if pool is not None and not n_pooled:
                pool.end()
                pool = None
            self._own = {place: process for place, process in self._own.items() if process.poll() is None}
            if not (pool is not None and self._node.gpus):  # its tasks hold GPUs, nobody knows which
                self._begin(n_pooled)
            if pool is None and not self._own:
                return
            time.sleep(_LOOK_INTERVAL)

    def _begin(self, n_pooled: int) -> None:
        """Fill the free places of the node."""
        if time.monotonic() > self._last:
            return
        places = [place for place in range(self._node.tasks) if place not in self._own]
        places = places[: max(0, len(places) - n_pooled)]
        if not places:
            return
        waiting = sorted(self._box.keys_waiting() - self._tried)
        random.Random(self._environment[PILOT_NAME]).shuffle(waiting)  # pilots that begin together take different ones
        for place, key in zip(places, waiting, strict=False):
            self._tried.add(key)
            self._own[place] = self._run(place, key)

    def _run(self, place: int, key: str) -> subprocess.Popen[bytes]:
        environment, parent = self._environment, os.getpid()
        if self._node.gpus:
            environment = {**environment, VISIBLE: _device(environment, place % self._node.gpus)}
        return subprocess.Popen(
            [sys.executable, "-m", "lammps_dpgen.execution.run_task", str(self._box.folder), key],
            env=environment,
            preexec_fn=lambda: die_with_parent(parent),
        )


def _device(environment: dict[str, str], number: int) -> str:
    """Return a GPU by its number among those that the queue has given to the job."""
    given = [word for word in environment.get(VISIBLE, "").split(",") if word]
    return given[number] if number < len(given) else str(number)


if __name__ == "__main__":
    main()
