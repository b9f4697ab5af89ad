"""The lock of a run folder: one job at a time, on local and on network disks.

The lock is a file that is made in one step (a hard link to a complete file), which network disks bear where ``flock``
does not work or works per machine. It names its owner; a thread touches it every few seconds, and its age is the time
since. Ages are differences of two times of the file server, so clocks of machines need not agree. A lock whose owner is
gone is taken over: on the same machine as soon as the process is gone, else when it was not touched for minutes.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from lammps_dpgen.errors import StoreError

_log = logging.getLogger(__name__)

#: Seconds between two touches of the lock.
HEARTBEAT = 5.0
#: A lock of another machine that was not touched for so many seconds is stale.
STALE_AFTER = 300.0

#: After a take-over, so that of two jobs that do it at the same moment only the last one goes on.
_SETTLE = 0.1
#: A process found by its number is the owner if it began at the time noted, up to this (ticks or seconds).
_START_TOLERANCE = 2.0


@dataclass(frozen=True)
class LockOwner:
    """Who holds a lock.

    Attributes
    ----------
    host, pid
        Machine and process number.
    started
        When the process began: clock ticks since boot on Linux, seconds since 1970 elsewhere.
    processes
        Which process table the number belongs to: a machine's boot, and the container on it.
    token
        Differs between any two locks.
    """

    host: str
    pid: int
    started: float
    processes: str
    token: str


class RunLock:
    """A lock that is held; see :func:`hold`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def check(self) -> None:
        """Make sure that the lock is still this process's.

        Raises
        ------
        StoreError
            It was taken over, after this process stood still for minutes, or removed.
        """
        if not self._is_mine():
            raise StoreError(
                f"the lock {self._path} is no longer this job's: another job has taken it over, or someone removed it; "
                "this job stops, so that two jobs do not write one run folder"
            )

    def _is_mine(self) -> bool:
        try:
            there, held = os.stat(self._path), os.fstat(self._descriptor)
        except OSError:
            return False
        return (there.st_ino, there.st_dev) == (held.st_ino, held.st_dev)

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(HEARTBEAT):
            # By descriptor: after a take-over this touches the old file, never the new owner's.
            with suppress(OSError):
                os.utime(self._descriptor)


@contextmanager
def hold(path: Path, stale_after: float = STALE_AFTER) -> Iterator[RunLock]:
    """Hold the lock file `path` as a context.

    Parameters
    ----------
    stale_after
        Seconds after which a lock of another machine is stale.

    Raises
    ------
    StoreError
        Another job holds it: with its machine, process number and the age of its heartbeat.
    """
    try:
        descriptor = _acquire(path, stale_after)
    except OSError as error:
        raise StoreError(
            f"the lock {path} cannot be written: {error}; make the folder writable or free space on its disk"
        ) from error
    lock = RunLock(path, descriptor)
    stop = threading.Event()
    thread = threading.Thread(target=lock._beat, args=(stop,), name="lock heartbeat", daemon=True)
    thread.start()
    try:
        yield lock
    finally:
        stop.set()
        thread.join()
        if lock._is_mine():
            path.unlink()
        os.close(descriptor)


def owner_of(path: Path) -> LockOwner | None:
    """Return who holds the lock file `path`, or None where there is none or it cannot be read."""
    try:
        return LockOwner(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def heartbeat_age(path: Path) -> float | None:
    """Return the seconds since the lock file `path` was touched, by this machine's clock; None: there is no lock.

    It only looks. A clock that is wrong by minutes against the file server's makes the age wrong by as much.
    """
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return None


def owner_runs(owner: LockOwner) -> bool | None:
    """Tell whether the owner's process runs; None if it belongs to another machine or container."""
    if (owner.host, owner.processes) != (platform.node(), _process_table()):
        return None
    try:
        process = psutil.Process(owner.pid)
        same = abs(_start_of(process) - owner.started) < _START_TOLERANCE
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _own_content() -> bytes:
    process = psutil.Process()
    owner = LockOwner(platform.node(), process.pid, _start_of(process), _process_table(), uuid.uuid4().hex)
    return json.dumps(asdict(owner)).encode() + b"\n"


def _write_new(path: Path, content: bytes) -> int:
    """Write a file that must not exist yet and return its descriptor."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        if os.write(descriptor, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(descriptor)
    except OSError:
        os.close(descriptor)
        path.unlink()
        raise
    return descriptor


def _acquire(path: Path, stale_after: float) -> int:
    """Make the lock this process's and return its descriptor, or refuse."""
    content = _own_content()
    mine = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    descriptor = _write_new(mine, content)
    try:
        while True:
            if (linked := _link(mine, path, content, descriptor)) is not None:
                return linked
            stale = _stale_owner(path, descriptor, stale_after)
            if stale is None:
                continue  # it was released in this moment
            if owner_of(path) == stale.owner:
                break
        os.replace(mine, path)
        time.sleep(_SETTLE)
        if not RunLock(path, descriptor)._is_mine():
            raise StoreError(f"another job took over the run lock {path} at the same moment; only one may run here")
        return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        mine.unlink(missing_ok=True)


def _link(mine: Path, path: Path, content: bytes, descriptor: int) -> int | None:
    """Put the file in the place of the lock where there is none; return the lock's descriptor, None if there is one."""
    try:
        os.link(mine, path)
        return descriptor
    except FileExistsError:
        return None
    except OSError:  # a disk without hard links
        try:
            made = _write_new(path, content)
        except FileExistsError:
            return None
        os.close(descriptor)
        return made


@dataclass(frozen=True)
class _Stale:
    owner: LockOwner | None


def _stale_owner(path: Path, descriptor: int, stale_after: float) -> _Stale | None:
    """Return whose stale lock this is, None if it has just been released; refuse if it is in use."""
    owner = owner_of(path)
    if owner is None:
        time.sleep(_SETTLE)  # a disk without hard links shows a new file before its content
        owner = owner_of(path)
    age = _age(path, descriptor)
    if age is None:
        return None
    runs = None if owner is None else owner_runs(owner)
    if runs or (runs is None and age < stale_after):
        raise StoreError(_busy(path, owner, age, stale_after, elsewhere=runs is None))
    _log.warning("run lock %s was left by %s, last seen %.0f s ago; taking it over", path, _name(owner), age)
    return _Stale(owner)


def _age(path: Path, descriptor: int) -> float | None:
    """Return the seconds since the lock was touched, both ends by the clock of the disk's machine; None: no lock."""
    os.utime(descriptor)
    try:
        return max(0.0, os.fstat(descriptor).st_mtime - path.stat().st_mtime)
    except FileNotFoundError:
        return None


def _name(owner: LockOwner | None) -> str:
    if owner is None:
        return "a job that cannot be named (the lock file is not readable)"
    return f"process {owner.pid} on {owner.host}"


def _busy(path: Path, owner: LockOwner | None, age: float, stale_after: float, *, elsewhere: bool) -> str:
    advice = "wait for it, stop it, or name another run folder"
    if elsewhere:
        advice += f"; if it is surely gone, delete the lock file or wait until its heartbeat is {stale_after:g} s old"
    return (
        f"the run folder {path.parent} is in use by {_name(owner)}, heartbeat {age:.0f} s ago (lock {path}); {advice}"
    )


def _start_of(process: psutil.Process) -> float:
    """Return when a process began; on Linux in ticks since boot, which no correction of the clock moves."""
    with suppress(OSError):
        return float(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
    return float(process.create_time())


def _process_table() -> str:
    """Return what tells this machine's boot and container from others of the same name; empty where not known."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    return ""
