"""What the ledger hands out: plain, immutable records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, NamedTuple

from lammps_dpgen.frame import Frame, Label

#: selected: waits for its label; labelled: has one; set_aside: its label failed; dropped: chosen once, then not wanted.
FrameState = Literal["selected", "labelled", "set_aside", "dropped"]


@dataclass(frozen=True)
class StoredFrame:
    """A frame of the ledger.

    Attributes
    ----------
    number
        Order of insertion, from 1.
    cause
        Why it was set aside or dropped; empty otherwise.
    """

    number: int
    hash: str
    frame: Frame
    state: FrameState
    cause: str


@dataclass(frozen=True)
class StoredLabel:
    """A label of the ledger with its frame.

    Attributes
    ----------
    number
        Order of recording, from 1.
    trained_in
        Generation that saw the label first in its training, or None.
    generation_judged
        Generation whose models were compared with the label before any training on it, or None.
    force_rmse, force_error_max
        Error of these models on the frame in eV/Å: root mean square over components, and the largest force vector
        error of an atom; None where it was not judged.
    energy_error_per_atom
        Their energy error in eV per atom, or None.
    """

    number: int
    frame: Frame
    frame_hash: str
    label: Label
    trained_in: int | None
    generation_judged: int | None
    force_rmse: float | None
    force_error_max: float | None
    energy_error_per_atom: float | None


class LabelFigures(NamedTuple):
    """The figures of a label without its arrays, for statistics over very many; fields as in `StoredLabel`.

    Attributes
    ----------
    max_devi_f
        Deviation (eV/Å) at which the frame was taken, or None.
    source
        What gave the frame: "md", "bootstrap", "audit" ...
    code
        Program that computed the label.
    """

    max_devi_f: float | None
    source: str
    trained_in: int | None
    generation_judged: int | None
    force_error_max: float | None
    code: str


@dataclass(frozen=True)
class StoredFailure:
    """A label that could not be computed: the cause, the attempts made and the seconds that they cost together."""

    number: int
    frame_hash: str
    settings_hash: str
    cause: str
    attempts: int
    seconds: float


@dataclass(frozen=True)
class ModelRecord:
    """One model of a generation.

    Attributes
    ----------
    path
        Frozen model, relative to the run folder.
    sha256
        Of that file.
    warm_start
        File or prefix from which the next training of this model can start, or None.
    curve
        Learning curve; rows of step, force RMSE (eV/Å), energy RMSE per atom (eV), learning rate.
    seconds
        Wall time of its training by part.
    steps
        Training steps made.
    """

    path: str
    sha256: str
    warm_start: str | None = None
    curve: list[tuple[int, float, float, float]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    steps: int = 0


@dataclass(frozen=True)
class Generation:
    """Models trained together.

    Attributes
    ----------
    number
        From 0.
    force_rmse_before, force_rmse_after
        Force RMSE (eV/Å) on the labels that were new in this generation, of the models before and after the training;
        None where there is no such figure.
    n_labels
        Labels that the models have seen, old and new together.
    reason
        Why it was trained, such as "bootstrap", "candidates", "failed".
    """

    number: int
    models: tuple[ModelRecord, ...]
    type_map: tuple[str, ...]
    force_rmse_before: float | None = None
    force_rmse_after: float | None = None
    n_labels: int = 0
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    reason: str = ""


@dataclass(frozen=True)
class Event:
    """Something that happened: `time` in UTC, `step` of the MD (-1: none), and `data` of the kind's own."""

    number: int
    time: datetime
    kind: str
    step: int
    data: dict[str, Any]


@dataclass(frozen=True)
class Counts:
    """How much the ledger holds; `frames` by state, with every state present."""

    frames: Mapping[FrameState, int]
    labels: int
    untrained: int
    failures: int
    generations: int
