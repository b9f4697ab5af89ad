"""Parsl's interchange, which passes tasks to pilots, tied to the broker: it ends with it, also after ``kill -9``.

By itself it would stay for ever, and every pilot with it. Its arguments come on standard input, as Parsl gives them.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere it has to be ended by hand after a kill."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    runpy.run_module("parsl.executors.high_throughput.interchange", run_name="__main__")
