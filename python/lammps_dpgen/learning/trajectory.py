"""What follows a pause: go on, learn, return to a safe point, or give the trajectory up. Never an endless loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lammps_dpgen.config.learn import SafePoints


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


class Trajectory:
    """Remembers how far a trajectory has come, and how often it failed there.

    Parameters
    ----------
    settings
        Safe points, tries, rollback.
    every
        Interval of the looks that the script asks for, in steps.
    margin
        Steps; failures closer to the farthest one than this are one stretch.
    """

    def __init__(self, settings: SafePoints, every: int, margin: int) -> None:
        self._settings, self._every, self._margin = settings, every, margin
        self._discarded = 0
        self._farthest: int | None = None
        self._tries = 0
        self._replays = 0

    def react(self, now: Situation) -> Reaction:
        """Decide what follows a pause."""
        if now.reason == "candidates":
            self._replays = 0
            return Reaction(learn=True, every=self._every)
        self._note_failure(now.step - self._discarded)
        can_return = self._settings.rollback and bool(now.safe_points) and not now.refusal
        if now.n_candidates:
            return self._learn(now, can_return, use_failed=False)
        if can_return and (now.every > 1 or self._replays) and self._replays < self._settings.keep:
            # An older point each time: the newest may lie beyond the last frame that could have been a candidate.
            oldest_allowed = min(1, len(now.safe_points) - 1)
            rollback = 0 if self._replays == 0 else oldest_allowed
            self._replays += 1
            return Reaction(rollback=rollback, every=1)
        if now.failed_is_sane:
            return self._learn(now, can_return, use_failed=True)
        return Reaction(
            give_up=f"the frame of step {now.step} failed, there was no candidate on the way to it even with a look at "
            f"every step ({self._replays} replays), and it is beyond the sanity limits for a label"
        )

    def returned(self, from_step: int, to_step: int) -> None:
        """Note that the walker went back from one step to the state of another."""
        self._discarded += from_step - to_step

    def _note_failure(self, position: int) -> None:
        if self._farthest is None or position > self._farthest + self._margin:
            self._tries = self._replays = 0
        self._farthest = position if self._farthest is None else max(self._farthest, position)

    def _learn(self, now: Situation, can_return: bool, *, use_failed: bool) -> Reaction:
        self._tries += 1
        self._replays = 0
        if self._tries > self._settings.tries:
            return Reaction(
                give_up=f"the models failed {self._tries} times on the same stretch of the trajectory, last at step "
                f"{now.step}, and learnt from it {self._settings.tries} times (safe_points.tries)"
            )
        return Reaction(learn=True, use_failed=use_failed, rollback=0 if can_return else None, every=self._every)
