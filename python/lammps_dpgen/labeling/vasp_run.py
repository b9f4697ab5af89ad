"""Runs VASP in a folder, and finds the words in which it says what went wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lammps_dpgen.labeling.program import one_line, plain_lines, run_program

#: What VASP, its libraries and its launcher print on their standard streams.
OUTPUT = "vasp.out"

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
    run_program("VASP", command, folder, folder / OUTPUT, threads=threads, complaint=lambda: complaint(folder))


def complaint(folder: Path) -> str:
    """Return VASP's own words about what went wrong, in one line; its last words where none of them complains."""
    lines = [line for name in (OUTPUT, "OUTCAR") for line in plain_lines(folder / name, _FRAME)]
    for pattern in _COMPLAINTS:
        for number, line in enumerate(lines):
            if re.search(pattern, line):
                # VASP refuses after it has told why, all else is explained below its first line.
                first = max(0, number - 3) if "REFUSE" in line else number
                return one_line(lines[first : first + 4])
    last = plain_lines(folder / OUTPUT, _FRAME) or lines
    return f"its last words are '{one_line(last[-1:])}'" if last else "it wrote nothing"
