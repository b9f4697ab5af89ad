"""What walkers and controller say to each other; plain, picklable data that never leaves the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lammps_dpgen.frame import Frame
from lammps_dpgen.sampling.base import TrajectoryPlan

#: How a trajectory left its walker. parked: it goes on later, with newer models; stopped: the campaign ends.
Outcome = Literal["done", "parked", "set_aside", "crashed", "stopped"]


@dataclass
class Looks:
    """Counts of the looks at a trajectory, and the largest deviation (eV/Å)."""

    accurate: int = 0
    candidate: int = 0
    failed: int = 0
    max_devi_f: float = float("nan")

    def add(self, frame_class: str, max_devi_f: float) -> None:
        """Count a look."""
        setattr(self, frame_class, getattr(self, frame_class) + 1)
        if not max_devi_f <= self.max_devi_f:
            self.max_devi_f = max_devi_f


@dataclass(frozen=True)
class Models:
    """A generation as walkers load it.

    Attributes
    ----------
    files
        Absolute paths of the model files.
    hashes
        Their SHA-256.
    kernel
        What evaluates them, as the controller has found out: "auto" where the native kernel may, else "deepmd".
    """

    generation: int
    files: tuple[str, ...]
    hashes: tuple[str, ...]
    kernel: str = "deepmd"


# ---- from a walker to the controller ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ready:
    """The walker is free."""

    walker: int


@dataclass(frozen=True)
class Progress:
    """Where a trajectory is."""

    walker: int
    step: int
    last_step: int
    max_devi_f: float


@dataclass(frozen=True)
class Note:
    """Something happened on a walker: an event for the ledger."""

    walker: int
    kind: str
    step: int
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Learn:
    """The walker has paused and cannot go on without new models; it waits for an answer."""

    walker: int
    reason: str
    step: int
    generation: int
    frames: tuple[Frame, ...]
    audits: tuple[Frame, ...]
    resumable: bool


@dataclass(frozen=True)
class Offer:
    """Candidates for which the walker does not wait."""

    walker: int
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class Ended:
    """A trajectory has left its walker.

    Attributes
    ----------
    audits
        Accurate frames drawn at random.
    policy
        Memory of the policy of rollbacks, for the walker that resumes the trajectory.
    seconds
        Wall time by part: md, deviation, start, and pause: decisions, rollbacks and swaps without the wait for models.
    """

    walker: int
    outcome: Outcome
    cause: str
    step: int
    looks: Looks
    generation: int
    audits: tuple[Frame, ...] = ()
    policy: Mapping[str, Any] | None = None
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Interrupted:
    """Somebody wishes that the job ends: a signal has reached this walker's process."""

    walker: int
    cause: str
    goes_on: bool


# ---- from the controller to a walker ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Explore:
    """Carry out a trajectory.

    Attributes
    ----------
    number
        Of the trajectory, in the ledger.
    restart
        LAMMPS restart file to go on from; None: from the start of the plan.
    trust
        Window of max_devi_f (eV/Å).
    keywords
        Further ones of fix dpgen.
    policy
        What an earlier walker remembered, see :class:`Ended`.
    """

    number: int
    stage: str
    structure: str
    sampler: str
    settings: Mapping[str, Any]
    plan: TrajectoryPlan
    restart: str | None
    models: Models
    every: int
    candidates: int
    trust: tuple[float, float]
    keywords: str
    policy: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Swap:
    """New models: the answer to :class:`Learn`, or news for a walker under way.

    Attributes
    ----------
    trust
        Window of max_devi_f for them (eV/Å).
    """

    models: Models
    trust: tuple[float, float]


@dataclass(frozen=True)
class Resume:
    """The answer to :class:`Learn` where nothing was worth a label: go on with the same models."""


@dataclass(frozen=True)
class Park:
    """Write a restart file and end; the trajectory goes on later."""


@dataclass(frozen=True)
class Stop:
    """End the trajectory: `park` it for the next start of the campaign, or give it up with a cause."""

    park: bool
    cause: str


@dataclass(frozen=True)
class Finish:
    """There is nothing more to do."""


ToController = Ready | Progress | Note | Learn | Offer | Ended | Interrupted
ToWalker = Explore | Swap | Resume | Park | Stop | Finish
