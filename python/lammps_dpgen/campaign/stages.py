"""One stage of a campaign: which trajectories come next, and whether the exploration has converged."""

from __future__ import annotations

import json
import math
from bisect import insort
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np

from lammps_dpgen import registry
from lammps_dpgen.campaign.messages import Ended
from lammps_dpgen.config.stage import Stage
from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.sampling.base import Sampler, TrajectoryPlan
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import TrajectoryChange, TrajectoryRecord, TrajectoryState
from lammps_dpgen.structures.base import family


@dataclass(frozen=True)
class Convergence:
    """What the last trajectories of a stage say.

    Attributes
    ----------
    n_trajectories
        How many have ended and count.
    accurate_share
        Share of accurate looks among all of theirs; NaN without any.
    n_failed
        Failed looks, and trajectories that were set aside.
    reached
        Enough trajectories, accurate enough, none failed.
    """

    n_trajectories: int
    accurate_share: float
    n_failed: int
    reached: bool


class StageRun:
    """The trajectories of a stage; every change is in the ledger at once.

    Those that have ended are kept apart and without their plans: what a question costs depends on those that are open.

    Parameters
    ----------
    starts
        Structures that trajectories start from.
    retries
        How often a crashed trajectory is begun again.

    Attributes
    ----------
    round
        From 1; 0 before the first.
    """

    def __init__(self, stage: Stage, starts: Sequence[Frame], seed: int, ledger: Ledger, retries: int) -> None:
        self.stage, self._starts, self._seed = stage, starts, seed
        self._ledger, self._retries = ledger, retries
        self.sampler: Sampler = registry.make(registry.SAMPLERS, stage.sampler, stage.settings)
        self._records: dict[int, TrajectoryRecord] = {}
        self._open: set[int] = set()
        self._over: list[int] = []
        self.round = 0
        for record in ledger.trajectories(stage.name):
            self._keep(record)
            self.round = max(self.round, record.round)
        self._crashed: set[int] = set()
        self._queue: deque[int] = deque(self._reopened())

    def _reopened(self) -> list[int]:
        """Let trajectories that a killed or stopped campaign was at wait for a walker again."""
        broken = [number for number in self._open if self._records[number].state in ("running", "parked")]
        self._change(*broken, state="waiting", cause="the campaign was ended in between")
        return sorted(self._open)

    def plan_round(self) -> int:
        """Plan the trajectories of the next round, the same ones for the same seed; return how many."""
        self.round += 1
        rng = np.random.default_rng([self._seed, 2, crc32(self.stage.name.encode()), self.round])
        plans = self.sampler.plan(self._starts, self.stage.trajectories, rng)
        records = [self._record(index, plan) for index, plan in enumerate(plans)]
        for number, record in zip(self._ledger.add_trajectories(records), records, strict=True):
            self._keep(replace(record, number=number))
            self._queue.append(number)
        return len(plans)

    def _record(self, index: int, plan: TrajectoryPlan) -> TrajectoryRecord:
        return TrajectoryRecord(
            stage=self.stage.name,
            round=self.round,
            index=index,
            structure=family(plan.start),
            n_steps=plan.n_steps,
            seed=plan.seed,
            sampler=self.stage.sampler,
            conditions=dict(plan.conditions),
            plan={"start": _start_to_json(plan.start), **plan.to_json()},
        )

    # ---- what comes next ---------------------------------------------------------------------------------------------

    @property
    def n_queued(self) -> int:
        """Trajectories that wait for a walker."""
        return len(self._queue)

    def states(self) -> dict[TrajectoryState, int]:
        """Return how many trajectories of this round are in which state."""
        records = map(self._records.__getitem__, [*self._open, *self._over[-self.stage.trajectories :]])
        return dict(Counter(record.state for record in records if record.round == self.round))

    @property
    def is_open(self) -> bool:
        """Whether a trajectory of the stage has not ended yet."""
        return bool(self._open)

    def take(self, walker: int) -> TrajectoryRecord | None:
        """Hand the next trajectory to a walker; None if none waits."""
        if not self._queue:
            return None
        number = self._queue.popleft()
        record = self._records[number]
        begins = record.attempts == 0 or number in self._crashed
        self._crashed.discard(number)
        attempts = record.attempts + begins
        self._change(number, state="running", walker=walker, attempts=attempts)
        return self._records[number]

    def plan_of(self, record: TrajectoryRecord) -> TrajectoryPlan:
        """Return what was planned, start included."""
        data = dict(record.plan)
        return TrajectoryPlan.from_json(data, Frame.from_json(data["start"]))

    def release_parked(self) -> None:
        """Let parked trajectories go on, before those that have not begun: there are new models."""
        parked = [number for number in self._open if self._records[number].state == "parked"]
        self._change(*parked, state="waiting")
        self._queue = deque(sorted({*parked, *self._queue} if parked else self._queue))

    # ---- what has been -----------------------------------------------------------------------------------------------

    def ended(self, number: int, letter: Ended) -> TrajectoryRecord:
        """Note how a trajectory left its walker; one that crashed waits to be begun again, unless it did too often."""
        before = self._records[number]
        looks = letter.looks
        largest = [value for value in (before.max_devi_f, looks.max_devi_f) if value == value]
        changes: dict[str, Any] = {
            "step": letter.step,
            "generation": letter.generation,
            "accurate": before.accurate + looks.accurate,
            "candidate": before.candidate + looks.candidate,
            "failed": before.failed + looks.failed,
            "max_devi_f": max(largest, default=math.nan),
            "seconds": before.seconds + letter.seconds.get("md", 0.0),
            "policy": "" if letter.policy is None else json.dumps(letter.policy),
            "cause": letter.cause,
        }
        state: TrajectoryState
        if letter.outcome == "crashed":
            again = before.attempts <= self._retries
            state = "waiting" if again else "set_aside"
            if again:
                self._crashed.add(number)
                self._queue.append(number)
        else:
            state = "waiting" if letter.outcome == "stopped" else letter.outcome
        self._change(number, state=state, **changes)
        return self._records[number]

    def set_open_aside(self, cause: str) -> None:
        """Give up every trajectory that has not ended."""
        self._change(*self._open, state="set_aside", cause=cause)
        self._queue.clear()

    def convergence(self) -> Convergence:
        """Say what the last trajectories that have ended have shown."""
        last = [self._records[number] for number in self._over[-self.stage.converging :]]
        accurate = sum(record.accurate for record in last)
        looks = accurate + sum(record.candidate + record.failed for record in last)
        share = accurate / looks if looks else math.nan
        n_failed = sum(record.failed + (record.state == "set_aside") for record in last)
        enough = len(last) >= self.stage.converging
        return Convergence(len(last), share, n_failed, enough and n_failed == 0 and share >= self.stage.accurate)

    def why_nothing_was_seen(self) -> str:
        """Say why all trajectories of this round were given up before the first look."""
        last = [self._records[number] for number in self._over if self._records[number].round == self.round]
        causes = Counter(record.cause for record in last if record.cause)
        cause, number = causes.most_common(1)[0] if causes else ("no cause is known", len(last))
        return f"all {len(last)} trajectories ended before the first look; most often ({number}): {cause}"

    @property
    def n_ended(self) -> int:
        """Trajectories that are done or set aside."""
        return len(self._over)

    def _change(self, *numbers: int, **values: Any) -> None:
        change: TrajectoryChange = values  # type: ignore[assignment]
        self._ledger.update_trajectories(dict.fromkeys(numbers, change))
        for number in numbers:
            self._keep(replace(self._records[number], **values))

    def _keep(self, record: TrajectoryRecord) -> None:
        """Remember a trajectory as it is now."""
        number = record.number
        if record.state not in ("done", "set_aside"):
            self._records[number] = record
            self._open.add(number)
            return
        self._records[number] = replace(record, plan={})
        self._open.discard(number)
        insort(self._over, number)


def policy_of(record: TrajectoryRecord) -> Mapping[str, Any] | None:
    """Return what earlier walkers remembered about a trajectory, None if nothing."""
    return json.loads(record.policy) if record.policy else None


def _start_to_json(frame: Frame) -> dict[str, Any]:
    origin = FrameOrigin("structures", structure=frame.origin.structure)
    known = {name: value for name, value in vars(origin).items() if value == value}
    return {**frame.to_json(), "origin": known}
