"""Tasks on a shared disk: requests, claims of those who work on them, and results; all that survives a controller.

A controller writes a request, a job on any node claims it, works and writes the result. Each of the three is a small
JSON file that is there whole or not at all, in one folder per sort, so that one listing tells about all tasks.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

#: Variables by which schedulers tell a process in which job it is.
JOB_NAMES = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
#: Variable by which a pilot tells the tasks in it which pilot they are in.
PILOT_NAME = "LAMMPS_DPGEN_PILOT"


@dataclass(frozen=True)
class Result:
    """How one attempt at a task ended: `value`, or None with the cause in `error`; `seconds` is its wall time."""

    attempt: int
    value: dict[str, Any] | None
    error: str | None
    seconds: float


class TaskBox:
    """The files of the tasks of one executor.

    Parameters
    ----------
    folder
        On a disk that the controller and all nodes see under the same path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._requests, self.claims, self._results = (folder / name for name in ("requests", "claims", "results"))

    def create(self) -> TaskBox:
        """Make the folders, if they are absent."""
        for folder in (self._requests, self.claims, self._results):
            folder.mkdir(parents=True, exist_ok=True)
        return self

    def write_request(self, key: str, request: Mapping[str, Any]) -> None:
        """Put a request into the box; it replaces an older one of the same key."""
        _write(self._requests / key, request)

    def request(self, key: str) -> dict[str, Any] | None:
        """Return a request; None if it was withdrawn."""
        return _read(self._requests / key)

    def write_result(self, key: str, result: Result) -> None:
        """Put a result into the box, unless the request was withdrawn."""
        if (self._requests / key).exists():
            _write(self._results / key, asdict(result))

    def result(self, key: str) -> Result | None:
        """Return the result of a task if it is there."""
        data = _read(self._results / key)
        return None if data is None else Result(**data)

    def keys_of_results(self) -> set[str]:
        """Return the keys of all tasks that have a result: one listing, however many there are."""
        return _names(self._results)

    def keys_of_claims(self) -> set[str]:
        """Return the keys of all tasks that somebody works on, or worked on when he died."""
        return _names(self.claims)

    def keys_waiting(self) -> set[str]:
        """Return the keys of all tasks that nobody has begun."""
        return _names(self._requests) - self.keys_of_claims() - self.keys_of_results()

    def claim(self, key: str) -> dict[str, Any] | None:
        """Return who works on a task: attempt, host, pid, job, pilot and the number of signs of life so far."""
        return _read(self.claims / key)

    def reset(self, key: str) -> None:
        """Forget what became of earlier attempts; who still works on one of them ends when he notices."""
        for folder in (self.claims, self._results):
            (folder / key).unlink(missing_ok=True)

    def remove(self, key: str) -> None:
        """Take a task out of the box; who works on it ends when he notices."""
        (self._requests / key).unlink(missing_ok=True)
        self.reset(key)


class Claim:
    """What a job holds while it works on a task: nobody else does then."""

    def __init__(self, path: Path, descriptor: int, content: dict[str, Any]) -> None:
        self._path, self._descriptor, self._content = path, descriptor, content

    @classmethod
    def take(cls, box: TaskBox, key: str, attempt: int) -> Claim | None:
        """Claim a task; None if somebody else has."""
        path = box.claims / key
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except (FileExistsError, FileNotFoundError):
            return None
        content = {
            "attempt": attempt,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "job": next((os.environ[name] for name in JOB_NAMES if name in os.environ), ""),
            "pilot": os.environ.get(PILOT_NAME, ""),
            "beats": 0,
        }
        claim = cls(path, descriptor, content)
        claim._write()
        return claim

    def beat(self) -> None:
        """Give a sign of life."""
        self._content["beats"] += 1
        self._write()

    def is_held(self) -> bool:
        """Tell whether the claim still stands: it ends when the controller has withdrawn or repeated the task."""
        try:
            return os.stat(self._path).st_ino == os.fstat(self._descriptor).st_ino
        except OSError:
            return False

    def release(self) -> None:
        """Give the claim up."""
        if self.is_held():
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def _write(self) -> None:
        """Write in one piece and in place: the file must stay the same one, and its length never shrinks."""
        os.pwrite(self._descriptor, json.dumps(self._content).encode(), 0)


def _write(path: Path, data: Mapping[str, Any]) -> None:
    fresh = path.parent / f".{path.name}.{os.getpid()}"
    try:
        fresh.write_text(json.dumps(data))
        os.replace(fresh, path)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _read(path: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        data = json.loads(path.read_text())
        return data if isinstance(data, dict) else None
    return None


def _names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if not entry.name.startswith(".")}
    except FileNotFoundError:
        return set()
