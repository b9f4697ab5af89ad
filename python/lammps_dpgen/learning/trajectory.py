"""What follows a pause: go on, learn, return to a safe point, or give the trajectory up. Never an endless loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lammps_dpgen.config.learning import SafePoints


@dataclass(frozen=True)
class Situation:
    """A pause as the policy sees it.

    Attributes
    ----------
    reason
        "candidates" or "failed".
    step
        MD step of the pause.
    n_candidates
        Candidates that are held.
    failed_is_sane
        The failed frame is close enough to physics to be worth a label.
    safe_points
        Steps at which safe points were taken, newest first.
    refusal
        Why the newest safe point cannot be restored; empty if it can.
    every
        Interval of the looks before the pause, in steps.
    """

    reason: str
    step: int
    n_candidates: int
    failed_is_sane: bool = False
    safe_points: Sequence[int] = ()
    refusal: str = ""
    every: int = 1


@dataclass(frozen=True)
class Reaction:
    """What is done.

    Attributes
    ----------
    learn
        Label and train before going on.
    use_failed
        The failed frame itself is among the frames offered for a label.
    rollback
        Safe point to return to (0 is the newest); None: go on from the paused frame.
    every
        Interval of the looks from now on, in steps.
    give_up
        Why the trajectory is set aside; empty: it is not.
    """

    learn: bool = False
    use_failed: bool = False
    rollback: int | None = None
    every: int = 1
    give_up: str = ""


#: What :meth:`Trajectory.to_json` keeps.
_MEMORY = ("returns", "farthest", "tries", "replays", "origin", "every")


class Trajectory:
    """Remembers how far a trajectory has come, and how often it failed there.

    Steps only rise, also when the walker returns to a safe point; positions are steps along the trajectory itself, less
    what was discarded. A stretch is bounded: between two of its `tries` there are at most `keep` replays, each from an
    older state than the one before.

    Parameters
    ----------
    settings
        Safe points, tries, rollback.
    margin
        Steps; failures closer to the farthest one than this are one stretch.
    """

    def __init__(self, settings: SafePoints, margin: int) -> None:
        self._settings, self._margin = settings, margin
        self._returns: list[tuple[int, int]] = []  # from which step on how many steps are discarded
        self._farthest: int | None = None
        self._tries = 0
        self._replays = 0
        self._origin: int | None = None  # position from which the replay under way began
        self._every = 1

    def to_json(self) -> dict[str, Any]:
        """Return what it remembers as plain data, for a walker that resumes the trajectory elsewhere."""
        return {name: getattr(self, f"_{name}") for name in _MEMORY}

    def recall(self, memory: Mapping[str, Any]) -> Trajectory:
        """Take over what another one remembered (:meth:`to_json`)."""
        for name in _MEMORY:
            setattr(self, f"_{name}", memory[name])
        self._returns = [(int(since), int(discarded)) for since, discarded in memory["returns"]]
        return self

    def react(self, now: Situation) -> Reaction:
        """Decide what follows a pause."""
        position = self._position(now.step)
        if self._origin is None:
            self._every = now.every
        if now.reason == "candidates":
            # On known ground this is a try as well: what was learnt here before has not been enough.
            self._tries += self._farthest is not None and position <= self._farthest
            return self._learn(None, use_failed=False)
        self._note_failure(position)
        if self._tries >= self._settings.tries:
            return Reaction(
                give_up=f"the models failed once more at step {now.step}, on a stretch of the trajectory from which "
                f"they had already learnt {self._tries} times (safe_points.tries)"
            )
        can_return = self._settings.rollback and bool(now.safe_points) and not now.refusal
        if not now.n_candidates:
            replay = self._replay_from(now) if can_return else None
            if replay is not None:
                self._replays += 1
                self._origin = self._position(now.safe_points[replay])
                return Reaction(rollback=replay, every=1)
            if not now.failed_is_sane:
                return Reaction(give_up=self._hopeless(now))
        self._tries += 1
        return self._learn(0 if can_return else None, use_failed=not now.n_candidates)

    def returned(self, from_step: int, to_step: int) -> None:
        """Note that the walker went back from one step to the state of another."""
        self._returns.append((from_step, from_step - self._position(to_step)))

    def _position(self, step: int) -> int:
        return step - next((discarded for since, discarded in reversed(self._returns) if since <= step), 0)

    def _note_failure(self, position: int) -> None:
        if self._farthest is None or position > self._farthest + self._margin:
            self._tries = self._replays = 0
            self._origin = None
        self._farthest = position if self._farthest is None else max(self._farthest, position)

    def _replay_from(self, now: Situation) -> int | None:
        """Return the newest safe point older than the one where the last replay began; None: nothing new to be seen.

        An older point each time: the newest may lie beyond the last frame that could have been a candidate.
        """
        if self._replays >= self._settings.keep or (self._origin is None and now.every == 1):
            return None
        positions = enumerate(map(self._position, now.safe_points))
        return next((k for k, at in positions if self._origin is None or at < self._origin), None)

    def _learn(self, rollback: int | None, *, use_failed: bool) -> Reaction:
        self._replays = 0
        self._origin = None
        return Reaction(learn=True, use_failed=use_failed, rollback=rollback, every=self._every)

    def _hopeless(self, now: Situation) -> str:
        search = (
            f"even with a look at every step ({self._replays} replays)"
            if self._replays
            else "and no older state to replay it from"
        )
        return (
            f"the frame of step {now.step} failed, there was no candidate on the way to it {search}, and it is beyond "
            "the sanity limits for a label"
        )
