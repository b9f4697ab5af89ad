"""Runs VASP in a folder, and finds the words in which it says what went wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lammps_dpgen.errors import LabelError, MissingPartError
from lammps_dpgen.execution.environment import clean_environment

#: What VASP, its libraries and its launcher print on their standard streams.
OUTPUT = "vasp.out"

_GUARD = Path(__file__).with_name("vasp_guard.py")

#: Lines that say why VASP stopped, the most telling ones first.
_COMPLAINTS = (
    r"VERY BAD NEWS",
    r"internal error",
    r"No space left on device|Disk quota exceeded",
    r"ZBRENT: fatal|LAPACK: Routine|ZHEGV|EDDDAV: Call|BRMIX: very serious|Sub-Space-Matrix is not hermitian|POSMAP",
    r"ERROR:|Error:|error:|forrtl:|SIGSEGV|Segmentation fault|[Oo]ut of memory|oom-kill|slurmstepd",
    r"I REFUSE TO CONTINUE|\bERROR\b",
)  # fmt: skip
#: The frame that VASP 6 draws around its messages.
_FRAME = re.compile(r"[|\s]+|-{3,}")
_LONGEST = 300


def find_program(command: Sequence[str]) -> str:
    """Return the path of the program that a command starts.

    Raises
    ------
    MissingPartError
        It is not there.
    """
    path = shutil.which(command[0])
    if path is None:
        raise MissingPartError(
            f"labeler vasp: the program {command[0]!r} of 'command' is not found in PATH; load its module or source "
            "its environment before lammps-dpgen starts, or give its full path. No shell is involved: put shell syntax "
            "into a script, and name the script"
        )
    return path


def run_vasp(command: Sequence[str], folder: Path, threads: int) -> None:
    """Run VASP to its end in `folder`, with what it prints in ``folder/vasp.out``.

    The program and all it starts have a process group of their own, which is ended when this process is, for instance
    at the time limit of the label.

    Parameters
    ----------
    threads
        OpenMP threads of each rank.

    Raises
    ------
    LabelError
        It could not be started, or its exit code is not 0: with its own words, and where they stand.
    """
    output = folder / OUTPUT
    request = {"command": list(command), "folder": str(folder), "output": str(output)}
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(_GUARD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environment(threads),
        start_new_session=True,
    ) as guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        guard.stdin.write(json.dumps(request).encode() + b"\n")
        guard.stdin.flush()
        answer = guard.stdout.read()
    if not answer:
        raise LabelError(f"the process that guards VASP was killed from outside; see {output}")
    ended = json.loads(answer)
    if "error" in ended:
        raise LabelError(f"VASP's command {command[0]!r} could not be started: {ended['error']}")
    if ended["code"] != 0:
        how = f"exit code {ended['code']}" if ended["code"] > 0 else f"killed by signal {-ended['code']}"
        raise LabelError(f"VASP ended with {how}: {complaint(folder)}; see {output}")


def complaint(folder: Path) -> str:
    """Return VASP's own words about what went wrong, in one line; its last words where none of them complains."""
    lines = [line for name in (OUTPUT, "OUTCAR") for line in _lines(folder / name)]
    for pattern in _COMPLAINTS:
        for number, line in enumerate(lines):
            if re.search(pattern, line):
                # VASP refuses after it has told why, all else is explained below its first line.
                first = max(0, number - 3) if "REFUSE" in line else number
                return _plain(lines[first : first + 4])
    last = _lines(folder / OUTPUT) or lines
    return f"its last words are '{_plain(last[-1:])}'" if last else "it wrote nothing"


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return []
    plain = (_FRAME.sub(" ", line).strip() for line in text.splitlines())
    return [line for line in plain if line]


def _plain(lines: Sequence[str]) -> str:
    text = " ".join(lines)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
