"""Stands between a worker and the program of a DFT code, which is ended with all its processes when the worker is.

Run as a script, without this package, so that it is there in milliseconds. The program gets a session, and with it a
process group, of its own; the executor's kill does not reach it there. This process sees its standard input end when
the worker is gone, for whatever reason, and then first asks the group to stop, because ``srun`` and ``mpirun`` end
their ranks on other machines when asked but not when killed, and kills what is left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext, suppress
from typing import Any, NoReturn

#: Seconds between asking and killing.
GRACE = 3.0


def main() -> NoReturn:
    """Read one request from standard input, run the program, and answer on standard output how it ended."""
    request = json.loads(_line())
    try:
        with open(request["output"], "wb") as output, _errors(request) as errors:
            program = subprocess.Popen(
                request["command"],
                cwd=request["folder"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors or subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        _answer({"error": f"{error.strerror or error}"})
    threading.Thread(target=_end_with_the_worker, args=(program.pid,), daemon=True).start()
    # Not reaped yet, so that the number of its group is still its own when what it left behind is killed.
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    _signal(program.pid, signal.SIGKILL)
    _answer({"code": program.wait()})


def _errors(request: dict[str, Any]) -> Any:
    """Open the file for the standard error stream; nothing where it goes with the output."""
    return open(request["errors"], "wb") if request.get("errors") else nullcontext()


def _line() -> bytes:
    """Read up to the first newline and no byte further: the rest is the thread's."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            os._exit(1)
        line += byte
    return line


def _end_with_the_worker(group: int) -> NoReturn:
    while os.read(0, 1):
        pass
    _signal(group, signal.SIGTERM)
    time.sleep(GRACE)
    _signal(group, signal.SIGKILL)
    os._exit(1)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _answer(answer: dict[str, Any]) -> NoReturn:
    with suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(answer))
        sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
