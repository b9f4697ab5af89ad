"""Which terminal, if any, a person is looking at."""

from __future__ import annotations

import os
import stat
import sys
from typing import TextIO

import psutil

#: Programs between a rank and the shell; each passes the ranks' output through a pipe.
LAUNCHERS = frozenset(
    {"hydra_pmi_proxy", "mpirun", "mpiexec", "mpiexec.hydra", "orterun", "orted", "prterun", "prted", "time", "timeout"}
)


def find_terminal() -> TextIO | None:
    """Return a stream to the terminal that the output of this process ends in, or None.

    Under ``mpirun`` the standard output of a rank is a pipe even when ``mpirun`` itself writes to a terminal. Then the
    terminal of the launcher is opened (Linux, launcher on the same host); where the launcher's output goes to a file,
    there is none. ``TERM=dumb`` means that no cursor can be moved: none either.
    """
    if os.environ.get("TERM", "dumb") == "dumb":
        return None
    if sys.stdout.isatty():
        return sys.stdout
    path = _launcher_output()
    if path is None:
        return None
    try:
        return open(path, "w", encoding="utf-8", errors="replace")
    except OSError:
        return None


def _launcher_output() -> str | None:
    """Return the terminal device that the nearest launcher above this process writes to."""
    try:
        for parent in psutil.Process().parents():
            if parent.name() not in LAUNCHERS:
                return None
            path = os.readlink(f"/proc/{parent.pid}/fd/1")
            if path.startswith("/dev/") and stat.S_ISCHR(os.stat(path).st_mode) and path != os.devnull:
                return path
    except (psutil.Error, OSError):
        return None
    return None
