"""One line of the doctor's report, and how the doctor asks programs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lammps_dpgen.execution.environment import clean_environment

Verdict = Literal["ok", "warning", "problem"]

#: Seconds for one start of a program; TensorFlow may take a while on a cold disk.
PATIENCE = 120.0


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report.

    Attributes
    ----------
    part
        What was looked at.
    found
        What is there.
    verdict
        ok; warning: something will not work; problem: lammps-dpgen cannot work.
    advice
        What to do about it.
    """

    part: str
    found: str
    verdict: Verdict = "ok"
    advice: str = ""


def run_clean(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program that is no rank of the job around the doctor."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE,
        env=clean_environment(1),
        stdin=subprocess.DEVNULL,
        check=False,
    )


def last_line(text: str) -> str:
    """Return the last line of a text that is not empty."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
