"""What the terminal shows of a campaign: the stage, its trajectories and the walkers that make them."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

#: What a walker does: its LAMMPS runs, it waits for new models, or it has no trajectory.
Doing = Literal["MD", "waiting", "idle"]
#: States in which a trajectory needs no more work.
ENDED = ("done", "set_aside")
#: Walkers are looked at for the clock no more often than this, in seconds: there may be thousands.
SAMPLING = 0.5


@dataclass(frozen=True)
class StageProgress:
    """How far a stage of a campaign is.

    Attributes
    ----------
    name, number, n_stages
        Name of the stage, its place from 1, and how many stages the campaign has.
    round
        Round of the stage, from 1.
    generations, max_generations
        Generations that were trained in this stage, and after how many it ends in any case.
    trajectories
        Numbers of the trajectories of this round by state: waiting, running, parked, done, set_aside.
    pool
        Candidates that wait for selection.
    accurate_share, wanted_share
        Share (0 to 1) of accurate looks in the trajectories that convergence is judged by (NaN: none yet), and the
        share from which on the stage has converged.
    """

    name: str
    number: int
    n_stages: int
    round: int
    generations: int
    max_generations: int
    trajectories: Mapping[str, int]
    pool: int = 0
    accurate_share: float = math.nan
    wanted_share: float = math.nan

    @property
    def n_trajectories(self) -> int:
        """Trajectories of this round."""
        return sum(self.trajectories.values())

    @property
    def ended(self) -> int:
        """Trajectories of this round that need no more work."""
        return sum(self.trajectories.get(state, 0) for state in ENDED)


@dataclass(frozen=True)
class WalkerProgress:
    """What one walker does.

    Attributes
    ----------
    trajectory
        Number of its trajectory in the ledger; -1: none.
    structure, conditions
        What it simulates, in words: "Al-fcc", "600 K, 1 bar".
    step, last_step
        MD step that it has reached, and the last one of the trajectory.
    max_devi_f
        Deviation at its newest look (eV/Å); NaN: none yet.
    window
        Trust window of that deviation (eV/Å); NaN: not known.
    """

    walker: int
    doing: Doing = "idle"
    trajectory: int = -1
    structure: str = ""
    conditions: str = ""
    step: int = 0
    last_step: int = 0
    max_devi_f: float = math.nan
    window: tuple[float, float] = (math.nan, math.nan)

    @property
    def share(self) -> float:
        """Share of the trajectory that is done, 0 to 1."""
        return min(1.0, max(0.0, self.step / self.last_step)) if self.last_step > 0 else 0.0


@dataclass
class CampaignProgress:
    """Everything that a view knows about a campaign beyond what it knows about a learning run.

    The walkers are kept as they were given and only read when something is drawn or the clock is advanced, so that
    noting them costs nothing however many there are.
    """

    clock: Callable[[], float] = time.monotonic
    stage: StageProgress | None = None
    walkers: Sequence[WalkerProgress] = ()
    _round: tuple[int, int] = (-1, -1)
    _began: float = math.nan  # when this round was looked at first
    _done_then: float = 0.0  # trajectories that were done at that time
    _sampled: float = math.nan
    _shares: Mapping[int, float] = field(default_factory=dict)  # by trajectory, at that time
    _made: float = 0.0  # trajectories, as the walkers have moved since the round began
    _md_seconds: float = 0.0  # of all walkers together

    def enter(self, stage: StageProgress) -> None:
        """Note how far the stage is."""
        self.stage = stage
        if (stage.number, stage.round) != self._round:
            self._round = (stage.number, stage.round)
            self._began, self._made, self._md_seconds = math.nan, 0.0, 0.0

    def doing(self) -> dict[str, int]:
        """Return how many walkers do what."""
        counts = Counter(walker.doing for walker in self.walkers)
        return {name: counts[name] for name in get_args(Doing)}

    def advance(self) -> None:
        """Add what has been done since the last call to the MD time and to the way that the walkers have made."""
        now = self.clock()
        if self.stage is None or not self.walkers or now - self._sampled < SAMPLING:
            return
        shares = self._under_way()
        if math.isfinite(self._began):
            self._md_seconds += (now - self._sampled) * self.doing()["MD"]
            known = self._shares
            self._made += sum(max(0.0, share - known[number]) for number, share in shares.items() if number in known)
        else:
            self._began, self._done_then = now, self.stage.ended + sum(shares.values())
        self._sampled, self._shares = now, shares

    def time_left(self) -> tuple[float, float] | None:
        """Return seconds that this round of the stage still needs, as (least, most); None while nobody can know.

        The least takes all walkers to be in MD until the end, and parked trajectories to be all but done; the most
        takes waiting, labels and trainings to go on as often as so far. Whether another round follows is decided by the
        models and known by nobody.
        """
        stage = self.stage
        if stage is None or not self.walkers or not math.isfinite(self._began):
            return None
        shares = self._under_way()
        reached = stage.ended + sum(shares.values())
        made = max(self._made, reached - self._done_then)  # the first sees what is parked, the second short ones
        if made <= 0:
            return None
        rest, parked = max(0.0, stage.n_trajectories - reached), stage.trajectories.get("parked", 0)
        each = self._md_seconds / made  # s of MD for one trajectory
        longest = 1.0 if stage.trajectories.get("waiting", 0) else 1.0 - min(shares.values(), default=1.0)
        least = each * max(0.0, (rest - parked) / len(self.walkers), min(rest, longest))
        return least, max(least, (self.clock() - self._began) * rest / made)

    def _under_way(self) -> dict[int, float]:
        """Return how far each trajectory is that a walker has, by number."""
        return {walker.trajectory: walker.share for walker in self.walkers if walker.trajectory >= 0}
