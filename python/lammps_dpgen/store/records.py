"""What the ledger hands out: plain, immutable records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal, NamedTuple

from typing_extensions import TypedDict

from lammps_dpgen.frame import Frame, Label

#: offered: waits for a selection; selected: waits for its label; labelled: has one; set_aside: its label
#: failed; dropped: offered or chosen once, then not wanted.
FrameState = Literal["offered", "selected", "labelled", "set_aside", "dropped"]
#: waiting: not begun, or to be begun again; running: a walker has it; parked: left at a safe point, to go on with newer
#: models; done: ran to its end; set_aside: given up, for a cause.
TrajectoryState = Literal["waiting", "running", "parked", "done", "set_aside"]


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
    max_devi_f, generation
        Deviation (eV/Å) at which the frame was taken, or None, and the generation of the models that it is of.
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
    generation: int

    @property
    def is_judged(self) -> bool:
        """Whether there are a deviation and an error, and of the same models."""
        known = None not in (self.max_devi_f, self.force_error_max, self.generation_judged)
        return known and self.generation in (-1, self.generation_judged)


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
class TrajectoryRecord:
    """A trajectory of a campaign: what was planned, and how far it has come.

    Attributes
    ----------
    stage, round, index
        Its place: name of the stage, round in it, number in the round; no two trajectories share one.
    structure
        Name of the start structure.
    conditions
        Of the exploration by name, such as "temperature" (K) and "pressure" (bar).
    n_steps, seed
        Planned length, and what its random numbers come from.
    sampler
        Name of the sampler that carries it out.
    plan
        Plain data that, with the start frame, gives the sampler's plan again.
    state, cause
        See `TrajectoryState`; why it was set aside, parked or begun again.
    attempts
        How often it was begun.
    walker, generation
        Who had it last, and the models that drove it then; -1: nobody yet.
    step
        The last one that is known.
    accurate, candidate, failed
        Looks by class.
    max_devi_f
        Largest deviation of all looks in eV/Å; NaN before the first.
    seconds
        Wall time of its MD.
    policy
        JSON text of the walker's own about rollbacks and tries.
    created, ended
        When it was planned; when it was done or set aside.
    number
        Of the ledger, from 1; -1 before it is there.
    """

    stage: str
    round: int
    index: int
    structure: str
    n_steps: int
    seed: int
    sampler: str = "md"
    conditions: Mapping[str, float] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    state: TrajectoryState = "waiting"
    attempts: int = 0
    cause: str = ""
    walker: int = -1
    generation: int = -1
    step: int = 0
    accurate: int = 0
    candidate: int = 0
    failed: int = 0
    max_devi_f: float = float("nan")
    seconds: float = 0.0
    policy: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    ended: datetime | None = None
    number: int = -1


class TrajectoryChange(TypedDict, total=False):
    """What of a trajectory changes while it is carried out; fields as in `TrajectoryRecord`."""

    state: TrajectoryState
    attempts: int
    cause: str
    walker: int
    generation: int
    step: int
    accurate: int
    candidate: int
    failed: int
    max_devi_f: float
    seconds: float
    policy: str


class TrajectoryFigures(NamedTuple):
    """What the trajectories of one stage, structure and temperature have shown.

    Attributes
    ----------
    temperature
        K, or None where the conditions name none.
    trajectories
        How many there are by state, every state present.
    accurate, candidate, failed
        Looks by class.
    max_devi_f
        Largest deviation of all looks in eV/Å, or None.
    seconds
        Wall time of their MD.
    labels, judged
        Labels of their frames, and how many of these were compared with models before any training on them.
    force_rmse
        Error of these models in eV/Å, root mean square over the judged labels; None without any.
    """

    stage: str
    structure: str
    temperature: float | None
    trajectories: Mapping[TrajectoryState, int]
    accurate: int
    candidate: int
    failed: int
    max_devi_f: float | None
    seconds: float
    labels: int
    judged: int
    force_rmse: float | None


class RoundFigures(NamedTuple):
    """What the trajectories of one round of a stage have shown; fields as in `TrajectoryFigures`."""

    stage: str
    round: int
    trajectories: Mapping[TrajectoryState, int]
    accurate: int
    candidate: int
    failed: int


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
