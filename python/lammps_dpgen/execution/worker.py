"""A worker process: makes service objects, calls them for one task after another, and never outlives its executor.

Started by :class:`lammps_dpgen.execution.local.LocalExecutor` as ``python -m lammps_dpgen.execution.worker`` in a
session of its own. Two processes come of it. The first, the guard, loads nothing and only waits: when the executor's
process is gone, however it ended, or when the worker itself is gone, it kills the whole process group, with every
program that a service has started. The second, the worker, reads one JSON line per task and answers each with one.
"""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import json
import os
import select
import shutil
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NoReturn

from lammps_dpgen.errors import DpgenError, ExecutionError
from lammps_dpgen.execution.environment import without_secrets

_PR_SET_PDEATHSIG = 1


def main() -> NoReturn:
    """Split into guard and worker."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a queue may send it to all processes of a job: it is for the run
    # Private copies, which programs started by a service do not inherit; 0, 1 and 2 are the service's own.
    requests, answers = os.dup(0), os.dup(1)
    _redirect(os.devnull, os.O_RDONLY, 0)
    os.dup2(2, 1)
    alive, life = os.pipe()
    guard = os.getpid()
    worker = os.fork()
    if worker:
        os.close(life)
        _guard(worker, requests, answers, alive)
    os.close(alive)
    _die_with(guard)
    with os.fdopen(requests, "rb") as source, os.fdopen(answers, "wb") as sink:
        _Worker().serve(source, sink)
    os._exit(0)


def _guard(worker: int, requests: int, answers: int, alive: int) -> NoReturn:
    """Wait until the executor or the worker is gone, say how the worker ended, and kill the process group."""
    ends = select.poll()
    ends.register(requests, 0)  # no event but "the other end is closed": what it says is for the worker
    ends.register(alive, 0)
    died = status = 0
    while not died:
        closed = [descriptor for descriptor, _ in ends.poll(1000)]
        if requests in closed:
            break
        # A process forked by the service may hold the other end of `alive`, hence the look every second.
        died, status = os.waitpid(worker, 0 if alive in closed else os.WNOHANG)
    if died:
        with suppress(OSError):  # nobody may be left to be told
            os.write(answers, b"\n" + json.dumps({"died": _how_it_ended(status)}).encode() + b"\n")
    os.killpg(os.getpgid(0), signal.SIGKILL)
    os._exit(1)


def _how_it_ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"the worker process ended by itself with exit code {code}"
    name = signal.Signals(-code).name
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return f"the worker process was killed by {name}{hint}"


def _die_with(guard: int) -> None:
    """Ask Linux to kill this process when the guard dies; elsewhere the executor sees to it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:
        os._exit(1)


def _redirect(path: str | Path, flags: int, *descriptors: int) -> None:
    opened = os.open(path, flags, 0o644)
    for descriptor in descriptors:
        os.dup2(opened, descriptor)
    os.close(opened)


def _flush() -> None:
    """Write out what Python and the C library still hold of the service's output."""
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)


class _Worker:
    """Makes one service object at a time, and calls it."""

    def __init__(self) -> None:
        self._key: tuple[str, dict[str, Any]] | None = None
        self._service: Any = None

    def serve(self, source: IO[bytes], sink: IO[bytes]) -> None:
        """Answer requests until the executor closes its end."""
        faulthandler.enable()  # a crash leaves its stack in the task's log
        for line in source:
            sink.write(json.dumps(self._answer(json.loads(line))).encode() + b"\n")
            sink.flush()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one task in its empty folder, with its output in its log; return its value or its cause."""
        home = os.getcwd()
        folder = Path(request["folder"])
        answer: dict[str, Any]
        try:
            sys.path[:] = request["path"]
            _make_empty(folder)
            _redirect(folder / request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 1, 2)
            answer = {"value": self._call(request, folder)}
        except BaseException as error:  # SystemExit too: nothing that a service does ends its worker
            print(without_secrets(traceback.format_exc()), file=sys.stderr, end="")
            self._key = self._service = None  # the next attempt begins with a fresh object
            answer = {"error": _cause(error)}
        _flush()
        _redirect(os.devnull, os.O_WRONLY, 1, 2)
        os.chdir(home)
        if "value" in answer and not request["keep_folder"]:
            shutil.rmtree(folder, ignore_errors=True)
        return {"id": request["id"], **answer}

    def _call(self, request: dict[str, Any], folder: Path) -> dict[str, Any]:
        name = f"{request['service']}.{request['method']}"
        key = (request["service"], request["settings"])
        if key != self._key:
            self._service = None  # gone before the next one is made: both may not fit into memory
            self._service, self._key = _make_service(*key), key
        value = getattr(self._service, request["method"])(request["payload"], folder)
        if not isinstance(value, dict):
            raise ExecutionError(f"{name} returned a {type(value).__name__}, expected a dictionary of plain data")
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise ExecutionError(f"{name} returned what is no plain data: {error}") from error
        return value


def _make_empty(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _make_service(path: str, settings: dict[str, Any]) -> Any:
    """Import "module:Class" and make the object; a class with a ``Settings`` model gets one of these."""
    module, _, name = path.partition(":")
    made = getattr(importlib.import_module(module), name)
    return made(made.Settings(**settings)) if hasattr(made, "Settings") else made(**settings)


def _cause(error: BaseException) -> str:
    """Return the error in one line; an error of this package speaks for itself."""
    text = without_secrets(" ".join(str(error).split()))
    if isinstance(error, DpgenError) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


if __name__ == "__main__":
    main()
