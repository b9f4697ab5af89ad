"""What the terminal shows, as plain numbers, and an honest estimate of the time that is left."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lammps_dpgen.monitor.campaign_state import CampaignProgress, StageProgress, WalkerProgress

#: Monotonic clock in seconds; tests pass their own.
Clock = Callable[[], float]

#: Looks that the sparkline remembers.
N_LOOKS = 60
#: Messages that stay visible.
N_MESSAGES = 3


@dataclass
class ModelProgress:
    """Training of one model: steps done, steps planned, force RMSE of the training batch in eV/Å (NaN: none yet)."""

    step: int = 0
    steps: int = 0
    force_rmse: float = math.nan


@dataclass(frozen=True)
class LabelProgress:
    """Labels of one pause: in the store, given up, and all that were asked for."""

    done: int = 0
    total: int = 0
    failed: int = 0


@dataclass(frozen=True)
class Totals:
    """The counts of a whole run, and its limits where it has some.

    Attributes
    ----------
    generation
        Number of the current generation, from 0; -1 before there is one.
    wall_limit
        Wall time of the run in s.
    """

    generation: int = -1
    n_labels: int = 0
    pauses: int = 0
    rollbacks: int = 0
    max_labels: int | None = None
    max_generations: int | None = None
    wall_limit: float | None = None


@dataclass
class Progress:
    """Everything that a view knows about the run.

    Attributes
    ----------
    looks
        The last deviations in eV/Å, oldest first.
    window
        Trust window of max_devi_f in eV/Å.
    md_seconds
        Wall time spent in the phase MD since the view was opened.
    campaign
        Stage and walkers; None for a learning run.
    """

    clock: Clock = time.monotonic
    started: float = 0.0
    phase: str = "starting"
    detail: str = ""
    phase_started: float = 0.0
    step: int = 0
    last_step: int = 0
    first_step: int = -1
    temperature: float = math.nan
    deviation: float = math.nan
    window: tuple[float, float] = (math.nan, math.nan)
    looks: deque[float] = field(default_factory=lambda: deque(maxlen=N_LOOKS))
    labels: LabelProgress = LabelProgress()
    training_generation: int = -1
    models: dict[int, ModelProgress] = field(default_factory=dict)
    totals: Totals = Totals()
    messages: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=N_MESSAGES))
    md_seconds: float = 0.0
    run_started: float = 0.0
    run_md_started: float = 0.0
    campaign: CampaignProgress | None = None

    def __post_init__(self) -> None:
        self.started = self.phase_started = self.run_started = self.clock()

    @property
    def elapsed(self) -> float:
        """Seconds since the view was opened."""
        return self.clock() - self.started

    @property
    def in_phase(self) -> float:
        """Seconds since the phase began."""
        return self.clock() - self.phase_started

    @property
    def md_elapsed(self) -> float:
        """Seconds in MD so far, the current phase included."""
        return self.md_seconds + (self.in_phase if self.phase == "MD" else 0.0)

    def enter(self, phase: str, detail: str) -> bool:
        """Note a change of phase; False when nothing changed."""
        if (phase, detail) == (self.phase, self.detail):
            return False
        if phase != self.phase:
            if self.phase == "MD":
                self.md_seconds += self.in_phase
            self.phase_started = self.clock()
        if phase == "labels":
            self.labels = LabelProgress()
        self.phase, self.detail = phase, detail
        return True

    def look(
        self, step: int, last_step: int, temperature: float, deviation: float, window: tuple[float, float]
    ) -> None:
        """Note one look at the deviation."""
        if self.first_step < 0 or last_step != self.last_step or step < self.step:
            self.first_step, self.run_started, self.run_md_started = step, self.clock(), self.md_elapsed
        self.step, self.last_step, self.temperature = step, last_step, temperature
        self.deviation, self.window = deviation, window
        self.looks.append(deviation)

    def label(self, done: int, total: int, failed: int) -> bool:
        """Note how far labelling is; False when nothing changed."""
        before, self.labels = self.labels, LabelProgress(done, total, failed)
        return self.labels != before

    def train(self, generation: int, model: int, step: int, steps: int, force_rmse: float) -> bool:
        """Note how far the training of one model is; False when it has not moved."""
        if generation != self.training_generation:
            self.training_generation, self.models = generation, {}
        moved = model not in self.models or step != self.models[model].step
        self.models[model] = ModelProgress(step, steps, force_rmse)
        return moved

    def stage(self, stage: StageProgress) -> None:
        """Note how far the stage of a campaign is."""
        self._campaign().enter(stage)

    def walkers(self, walkers: Sequence[WalkerProgress]) -> None:
        """Note what the walkers of a campaign do."""
        self._campaign().walkers = walkers

    def advance(self) -> None:
        """Let the clock of a campaign's walkers move."""
        if self.campaign is not None:
            self.campaign.advance()

    def _campaign(self) -> CampaignProgress:
        if self.campaign is None:
            self.campaign = CampaignProgress(self.clock)
        return self.campaign

    def count(self, totals: Totals) -> bool:
        """Note the counts of the run; True when a new generation is there."""
        before, self.totals = self.totals, totals
        return totals.generation != before.generation

    def say(self, text: str) -> None:
        """Keep a message with the time of day."""
        self.messages.append((datetime.now().strftime("%H:%M:%S"), text))

    def time_left(self) -> tuple[float, float] | None:
        """Return seconds that the current ``run`` command still needs, as (least, most); None while nobody can know.

        Of a campaign: what its round still needs, see `CampaignProgress.time_left`.

        The least takes the rest as MD without another pause; the most takes pauses, labels and trainings to go on as
        often as so far. Learning gets rarer, so the truth lies between them.
        """
        if self.campaign is not None:
            return self.campaign.time_left()
        done = self.step - self.first_step
        if self.first_step < 0 or done <= 0 or self.step > self.last_step:
            return None
        rest = (self.last_step - self.step) / done
        return (self.md_elapsed - self.run_md_started) * rest, (self.clock() - self.run_started) * rest


def duration(seconds: float) -> str:
    """Return seconds as ``m:ss`` or ``h:mm:ss``."""
    total = max(0, round(seconds))
    hours, rest = divmod(total, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def counted(number: int, word: str) -> str:
    """Return ``1 pause``, ``2 pauses``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def grouped(number: int, blank: str = " ") -> str:
    """Return a count in groups of three digits: ``12 000``."""
    return f"{number:,}".replace(",", blank)


def deviation_class(deviation: float, window: tuple[float, float]) -> str:
    """Return "accurate", "candidate" or "failed", as the fix does: not finite, or at or above `hi`, is failed."""
    lo, hi = window
    if not math.isfinite(deviation) or deviation >= hi:
        return "failed"
    return "candidate" if deviation >= lo else "accurate"
