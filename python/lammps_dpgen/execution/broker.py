"""The process beside the controller in which an engine lives.

A controller may be rank 0 of an MPI job with LAMMPS and TensorFlow inside, where nothing should fork and no foreign
thread should run; so the engine, its threads and every call of a scheduler's programs are in this process, which
:class:`lammps_dpgen.execution.cluster.ClusterExecutor` starts as ``python -m lammps_dpgen.execution.broker``. The two
exchange JSON lines. When the controller is gone, however it ended, the engine puts its house in order and ends.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from lammps_dpgen.errors import ExecutionError
from lammps_dpgen.execution.box import TaskBox
from lammps_dpgen.execution.engine import Attempt, Engine, make_engine

#: Seconds between two looks at the engine.
_LOOK_INTERVAL = 0.05
#: Seconds between two looks at tasks that an earlier controller has started.
_ADOPTED_INTERVAL = 0.5
#: After so many missed signs of life a task is taken for dead.
MISSED_BEATS = 4
_LOG = "broker.log"


def main() -> NoReturn:
    """Serve the controller until it says that it closes, or is gone."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a queue may send it to all processes of a job: it is for the run
    requests, answers = os.dup(0), os.dup(1)
    name = sys.argv[1]
    line = _first_line(requests)
    settings = json.loads(line)
    folder = Path(settings["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.set_blocking(requests, False)
    os.set_blocking(answers, False)
    box = TaskBox(folder / "tasks").create()
    lines = _Lines(requests, answers)
    try:
        engine = make_engine(settings, box, folder, name)
    except Exception as error:
        traceback.print_exc()
        _refuse(lines, error)
    else:
        _Broker(engine, box, lines, float(settings["heartbeat"])).serve()
    sys.stdout.flush()
    os._exit(0)  # threads of an engine may wait for nodes that never answer


def _first_line(descriptor: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(descriptor, 1)
        if not piece:
            os._exit(0)
        line += piece
    return line


def _refuse(lines: _Lines, error: Exception) -> None:
    """Tell why nothing can run, and wait until the controller is done with us."""
    text = " ".join(str(error).split()) or type(error).__name__
    lines.send({"refused": text if isinstance(error, ExecutionError) else f"{type(error).__name__}: {text}"})
    while not lines.ended and not any("close" in request for request in lines.receive(1.0)):
        pass


class _Lines:
    """JSON lines over two pipes; sending never blocks, since the controller may be busy with MD for hours."""

    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink = source, sink
        self._unread = self._unsent = b""
        self.ended = False

    def receive(self, timeout: float) -> Iterator[dict[str, Any]]:
        """Yield the requests that come within `timeout` seconds; `ended` says whether the controller is gone."""
        self.send(None)
        if not select.select([self._source], [], [], timeout)[0]:
            return
        with suppress(BlockingIOError):
            piece = os.read(self._source, 1 << 16)
            self.ended = not piece
            self._unread += piece
        *whole, self._unread = self._unread.split(b"\n")
        for line in whole:
            yield json.loads(line)

    def send(self, answer: dict[str, Any] | None) -> None:
        """Send an answer, and what could not be sent before."""
        if answer is not None:
            self._unsent += json.dumps(answer).encode() + b"\n"
        with suppress(BlockingIOError, BrokenPipeError):
            while self._unsent:
                self._unsent = self._unsent[os.write(self._sink, self._unsent) :]


@dataclass
class _Adopted:
    """A running task that a job of an earlier controller has begun, and its last sign of life."""

    beats: int
    since: float


class _Broker:
    """Passes tasks to the engine and looks after those that were adopted."""

    def __init__(self, engine: Engine, box: TaskBox, lines: _Lines, heartbeat: float) -> None:
        self._engine, self._box, self._lines = engine, box, lines
        self._patience = MISSED_BEATS * heartbeat
        self._adopted: dict[Attempt, _Adopted] = {}
        self._looked = 0.0

    def serve(self) -> None:
        """Work until the controller closes or dies."""
        try:
            while not self._lines.ended:
                for request in self._lines.receive(_LOOK_INTERVAL):
                    if "close" in request:
                        self._engine.close()
                        return
                    if "leave" in request:
                        self._lines.send({"left": self._engine.leave()})
                        return
                    self._obey(request)
                for attempt, cause in [*self._ended(), *self._adopted_ended()]:
                    self._lines.send({"ended": attempt[0], "attempt": attempt[1], "cause": cause})
        except Exception as error:
            traceback.print_exc()
            _refuse(self._lines, error)
            if not self._lines.ended:
                self._engine.close()
                return
        self._engine.abandon()

    def _obey(self, request: dict[str, Any]) -> None:
        for key, attempt in request.get("start", []):
            if not self._adopts((key, attempt)) and not self._engine.knows(key, attempt):
                self._engine.start(key, attempt)
        if keys := request.get("forget"):
            self._engine.forget(keys)

    def _adopts(self, attempt: Attempt) -> bool:
        """Look after an attempt that a job of an earlier controller works on, or seems to; tell whether one does."""
        claim = self._box.claim(attempt[0])
        if claim is None or claim["attempt"] != attempt[1]:
            return False
        self._adopted[attempt] = _Adopted(claim["beats"], time.monotonic())
        return True

    def _ended(self) -> Iterator[tuple[Attempt, str | None]]:
        """Yield the attempts that the engine is done with, but for those that it found in the hands of another job."""
        for attempt, cause in self._engine.ended():
            if cause is not None or self._box.result(attempt[0]) is not None or not self._adopts(attempt):
                yield attempt, cause

    def _adopted_ended(self) -> Iterator[tuple[Attempt, str | None]]:
        """Yield the adopted tasks that have a result, or whose job gives no sign of life any more."""
        now = time.monotonic()
        if not self._adopted or now - self._looked < _ADOPTED_INTERVAL:
            return
        self._looked = now
        done = self._box.keys_of_results()
        for attempt, seen in list(self._adopted.items()):
            claim = None if attempt[0] in done else self._box.claim(attempt[0])
            if claim is not None and claim["beats"] != seen.beats:
                seen.beats, seen.since = claim["beats"], now
            elif claim is None or now - seen.since > self._patience:
                del self._adopted[attempt]
                lost = f"it gave no sign of life for {self._patience:g} s" if claim is not None else None
                yield attempt, lost


if __name__ == "__main__":
    main()
