"""The ends of long text files, read without the rest of them."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Bytes that are read at most.
SIZE = 1 << 16


@dataclass(frozen=True)
class LastLook:
    """The newest row of ``deviation.csv``: MD step, K, eV/Å, class, and the generation that judged."""

    step: int
    temperature: float
    max_devi_f: float
    frame_class: str
    generation: int


def last_lines(path: Path, size: int = SIZE) -> list[str]:
    """Return the whole lines within the last `size` bytes, oldest first; a missing file has none."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            begin = max(0, end - size)
            file.seek(begin)
            pieces = file.read().decode(errors="replace").split("\n")
    except OSError:
        return []
    return pieces[1 if begin > 0 else 0 : -1]  # the last line may be half written


def last_look(path: Path) -> LastLook | None:
    """Return the newest row of ``deviation.csv`` that can be read, or None."""
    try:
        with path.open(encoding="utf-8") as file:
            columns = file.readline().strip().split(",")
    except (OSError, UnicodeDecodeError):
        return None
    for line in reversed(last_lines(path)):
        row = next(csv.reader([line]), [])
        if len(row) != len(columns) or row == columns:
            continue
        try:
            named = dict(zip(columns, row, strict=True))
            figures = float(named["temperature"]), float(named["max_devi_f"])
            return LastLook(int(named["step"]), *figures, named["class"], int(named["generation"]))
        except (KeyError, ValueError):
            continue
    return None


def last_events(path: Path, number: int) -> list[dict[str, Any]]:
    """Return the newest events of a journal, oldest first; lines that a kill has torn are skipped."""
    events = []
    for line in last_lines(path):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and "kind" in event:
            events.append(event)
    return events[-number:]


def finite(value: Any) -> float | None:
    """Return a number as it is, None for what is none or not finite."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
