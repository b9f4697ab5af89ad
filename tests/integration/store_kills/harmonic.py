"""A labeler that costs nothing, and keeps a log of its own of every label that it has computed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from lammps_dpgen.errors import LabelError
from lammps_dpgen.frame import Frame, Label

SETTINGS_HASH = "harmonic"
SPRING = 1.5  # eV/Å2


def make_frame(seed: int, number: int) -> Frame:
    """Return frame `number` of a run; every tenth is one that no attempt can label."""
    rng = np.random.default_rng([seed, number])
    positions = 5.0 * rng.random((4, 3))
    if number % 10 == 3:
        positions[0] = 100.0
    return Frame(("Al",) * 4, positions, np.zeros((3, 3)), (False, False, False))


def is_wanted(number: int) -> bool:
    """Tell whether a selection takes frame `number`."""
    return number % 10 != 7


def can_be_labelled(frame: Frame) -> bool:
    """Tell whether the labeler does not fail for this frame."""
    return bool(frame.positions.max() < 50.0)


def label_of(frame: Frame) -> Label:
    """Return the exact label: every atom on a spring to the origin."""
    energy = 0.5 * SPRING * float(np.sum(frame.positions**2))
    return Label(energy, -SPRING * frame.positions, None, "harmonic 1", SETTINGS_HASH, 0.0)


class HarmonicService:
    """Labels frames in a worker process; the log is appended to before the answer leaves."""

    def __init__(self, log: str) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def label(self, payload: dict[str, Any], folder: Path) -> dict[str, Any]:
        frame = Frame.from_json(payload["frame"])
        time.sleep(payload["seconds"])
        if not can_be_labelled(frame):
            raise LabelError("an atom has left the spring")
        label = label_of(frame)
        (folder / "output").write_text(repr(label.energy))
        os.write(self._log, f"{payload['life']} {frame.hash} {label.energy!r}\n".encode())
        return label.to_json()
