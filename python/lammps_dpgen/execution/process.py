"""The executor's side of a worker process: start it, send it a task, read its answers, kill it with all it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from lammps_dpgen.errors import ExecutionError

#: What runs tasks.
WORKER = "lammps_dpgen.execution.worker"

_READ_SIZE = 1 << 16


class WorkerProcess:
    """A worker process and the pipes to it; no method blocks.

    Parameters
    ----------
    environment
        Of the process.
    name
        Last argument of its command line, so that `ps` shows whose it is.
    module
        What the process runs: something that reads and writes JSON lines.

    Raises
    ------
    ExecutionError
        The process could not be started.
    """

    def __init__(self, environment: Mapping[str, str], name: str, module: str = WORKER) -> None:
        # What Python itself says while it starts; once a task runs, its output goes to the task's log.
        self._start_log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in kill()
        command = [sys.executable, "-m", module, name]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._start_log,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            self._start_log.close()
            raise ExecutionError(
                f"a worker process could not be started ({sys.executable}): {error}; see to the limits on processes "
                "and memory (ulimit -u, ulimit -v)"
            ) from error
        if self._process.stdin is None or self._process.stdout is None:
            raise ExecutionError("a worker process has no pipes")
        self._requests, self._answers = self._process.stdin, self._process.stdout
        for pipe in (self._requests, self._answers):
            os.set_blocking(pipe.fileno(), False)
        self._unsent = b""
        self._unread = b""
        self._last_words = ""
        self.ended = False

    def send(self, request: dict[str, Any]) -> None:
        """Send a request; what the pipe does not take at once goes with the next :meth:`receive`."""
        self._unsent += json.dumps(request).encode() + b"\n"
        self._push()

    def receive(self) -> list[dict[str, Any]]:
        """Return the answers that have come; afterwards `ended` says whether more can come."""
        self._push()
        while True:
            try:
                piece = os.read(self._answers.fileno(), _READ_SIZE)
            except BlockingIOError:
                break
            if not piece:
                self.ended = True
                break
            self._unread += piece
        *lines, self._unread = self._unread.split(b"\n")
        answers = []
        for line in lines:
            with suppress(ValueError):  # the broken line of a worker that died while it wrote
                answer = json.loads(line)
                if "died" in answer:
                    self._last_words = answer["died"]
                else:
                    answers.append(answer)
        return answers

    def why_it_ended(self) -> str:
        """Return in one line why the process ended; what it said at its start, where it never ran a task."""
        cause = self._last_words or "the worker process was killed from outside"
        self._start_log.seek(0)
        said = self._start_log.read().decode(errors="replace").split("\n")
        words = [line.strip() for line in said if line.strip()]
        return f"{cause}: {words[-1]}" if words else cause

    def kill(self) -> None:
        """Kill the process group, and with it every program that the worker has started."""
        # The leader is not waited for before this, so its number cannot belong to another process by now.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._requests, self._answers):
            with suppress(OSError):
                pipe.close()
        self._start_log.close()

    def reaped(self) -> bool:
        """Tell whether the killed process is gone for good."""
        return self._process.poll() is not None

    def wait(self, timeout: float) -> None:
        """Wait until the killed process is gone, at most `timeout` seconds."""
        with suppress(subprocess.TimeoutExpired):  # hanging in the kernel, on a network disk: it dies with its call
            self._process.wait(timeout)

    def _push(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._requests.fileno(), self._unsent) :]
        except (BlockingIOError, BrokenPipeError):
            pass  # busy or dead; the second shows when its answers are read
