"""What each walker of a campaign does, and where its time goes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lammps_dpgen.monitor.campaign_state import WalkerProgress
from lammps_dpgen.store.records import TrajectoryRecord

#: starting: not heard of yet; free: has no trajectory; md: under way; waiting: for new models; gone: told to finish.
Doing = Literal["starting", "free", "md", "waiting", "gone"]

#: Parts of a walker's time, in seconds.
PARTS = ("md", "deviation", "start", "pause", "waiting", "learning")


@dataclass
class _Walker:
    """One walker.

    Attributes
    ----------
    generation
        Newest models that it is known to have.
    told_to_end
        It was told to end its trajectory, and will not wait for anything any more.
    seconds
        Where its time went; waiting while labels and trainings ran is "learning".
    """

    doing: Doing = "starting"
    trajectory: int = -1
    generation: int = -1
    told_to_end: bool = False
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    since: tuple[float, float] = (0.0, 0.0)


class Roster:
    """The walkers by number."""

    def __init__(self, n_walkers: int) -> None:
        self._walkers = [_Walker() for _ in range(n_walkers)]
        self._progress = [WalkerProgress(number) for number in range(n_walkers)]
        self._by_doing: dict[Doing, set[int]] = {"starting": set(range(n_walkers))}
        self._learning_since: float | None = None
        self._learning_seconds = 0.0
        for walker in self._walkers:
            walker.since = self._clocks()

    def __getitem__(self, walker: int) -> _Walker:
        return self._walkers[walker]

    def free(self) -> list[int]:
        """Return the walkers without a trajectory."""
        return sorted(self._by_doing.get("free", ()))

    def waiting(self) -> list[int]:
        """Return the walkers that wait for new models in the middle of a trajectory."""
        return sorted(self._by_doing.get("waiting", ()))

    def in_md(self) -> list[int]:
        """Return the walkers under way."""
        return sorted(self._by_doing.get("md", ()))

    def busy(self) -> list[int]:
        """Return the walkers that have a trajectory."""
        return sorted((*self._by_doing.get("md", ()), *self._by_doing.get("waiting", ())))

    @property
    def all_gone(self) -> bool:
        """Whether all walkers have been told to finish."""
        return len(self._by_doing.get("gone", ())) == len(self._walkers)

    def is_free(self, walker: int) -> None:
        """Note that a walker has no trajectory."""
        self._now(walker, "free")
        self._progress[walker] = WalkerProgress(walker)

    def takes(self, walker: int, record: TrajectoryRecord, generation: int, window: tuple[float, float]) -> None:
        """Note that a walker was given a trajectory."""
        self._walkers[walker].generation = generation
        self._walkers[walker].trajectory = record.number
        self._now(walker, "md")
        conditions = _in_words(record.conditions)
        self._progress[walker] = WalkerProgress(
            walker, "MD", record.number, record.structure, conditions, record.step, record.n_steps, window=window
        )

    def moved(self, walker: int, step: int, last_step: int, max_devi_f: float) -> None:
        """Note where a walker is."""
        before = self._progress[walker]
        self._progress[walker] = WalkerProgress(
            walker,
            before.doing,
            before.trajectory,
            before.structure,
            before.conditions,
            step,
            last_step,
            max_devi_f,
            before.window,
        )

    def waits(self, walker: int) -> None:
        """Note that a walker waits for an answer."""
        self._now(walker, "waiting")

    def resumes(self, walker: int) -> None:
        """Note that a walker that waited goes on."""
        self._now(walker, "md")

    def swapped(self, walker: int, generation: int) -> None:
        """Note that a walker has loaded new models."""
        self._walkers[walker].generation = generation

    def left(self, walker: int, seconds: Mapping[str, float]) -> int:
        """Note that a walker's trajectory has ended, after these seconds by part; return its number."""
        mine = self._walkers[walker]
        for part, value in seconds.items():
            mine.seconds[part] += value
        number, mine.trajectory, mine.told_to_end = mine.trajectory, -1, False
        self._now(walker, "starting")
        return number

    def gone(self, walker: int) -> None:
        """Note that a walker was told to finish."""
        self._now(walker, "gone")

    def learning(self, begins: bool) -> None:
        """Note that labels and trainings begin or end: who waits meanwhile waits for them."""
        now = time.monotonic()
        if self._learning_since is not None:
            self._learning_seconds += now - self._learning_since
        self._learning_since = now if begins else None

    def progress(self) -> list[WalkerProgress]:
        """Return what to show of each walker."""
        return self._progress

    def seconds(self) -> list[dict[str, float]]:
        """Return where the time of each walker went."""
        for number, walker in enumerate(self._walkers):
            self._now(number, walker.doing)
        return [walker.seconds for walker in self._walkers]

    def _now(self, walker: int, doing: Doing) -> None:
        mine = self._walkers[walker]
        clock, learning = self._clocks()
        if mine.doing in ("waiting", "free", "starting"):
            spent, learnt = clock - mine.since[0], learning - mine.since[1]
            mine.seconds["learning"] += learnt
            mine.seconds["waiting"] += spent - learnt
        mine.since = clock, learning
        self._by_doing.setdefault(mine.doing, set()).discard(walker)
        self._by_doing.setdefault(doing, set()).add(walker)
        mine.doing = doing
        shown = {"md": "MD", "waiting": "waiting"}.get(doing, "idle")
        before = self._progress[walker]
        if before.doing != shown:
            self._progress[walker] = WalkerProgress(**{**vars(before), "doing": shown})

    def _clocks(self) -> tuple[float, float]:
        """Return the time, and how much of it was labels and trainings so far."""
        now = time.monotonic()
        running = 0.0 if self._learning_since is None else now - self._learning_since
        return now, self._learning_seconds + running


def _in_words(conditions: Mapping[str, float]) -> str:
    units = {"temperature": "K", "pressure": "bar"}
    known = [f"{value:g} {units[name]}" for name, value in conditions.items() if name in units]
    return ", ".join([*known, *(f"{name} {value:g}" for name, value in conditions.items() if name not in units)])
