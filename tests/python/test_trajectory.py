"""What follows a pause: worked by hand, and for random sequences that it always ends."""

from __future__ import annotations

import random

import pytest

from lammps_dpgen.config.learning import SafePoints
from lammps_dpgen.learning.trajectory import Reaction, Situation, Trajectory

N = 10
MARGIN = 100


def trajectory(**settings: object) -> Trajectory:
    return Trajectory(SafePoints.model_validate(settings), MARGIN)


def failed(step: int, points: tuple[int, ...] = (), **more: object) -> Situation:
    return Situation(**{"reason": "failed", "step": step, "n_candidates": 0, "safe_points": points, "every": N, **more})  # type: ignore[arg-type]


def candidates(step: int, **more: object) -> Situation:
    return Situation(**{"reason": "candidates", "step": step, "n_candidates": 5, "every": N, **more})  # type: ignore[arg-type]


def test_candidates_are_learnt_from_and_the_walker_goes_on() -> None:
    assert trajectory().react(candidates(50)) == Reaction(learn=True, every=N)


def test_failure_with_candidates_learns_and_returns() -> None:
    reaction = trajectory().react(failed(150, (100, 0), n_candidates=3))
    assert reaction == Reaction(learn=True, rollback=0, every=N)


def test_failure_without_candidates_is_replayed_from_older_and_older_states() -> None:
    """Steps rise while the walker goes back: the state of step 100 is there again at step 150."""
    path = trajectory(keep=3)
    assert path.react(failed(150, (100, 50, 0))) == Reaction(rollback=0, every=1)
    path.returned(150, 100)
    assert path.react(failed(200, (100, 50, 0), every=1)) == Reaction(rollback=1, every=1)
    path.returned(200, 50)
    # On the way from 50 a safe point was taken at position 100 again, at step 250: it is no older than the first one.
    assert path.react(failed(300, (250, 50, 0), every=1)) == Reaction(rollback=2, every=1)
    path.returned(300, 0)
    last = path.react(failed(450, (400, 350, 0), every=1, failed_is_sane=True))
    assert last == Reaction(learn=True, use_failed=True, rollback=0, every=N)


def test_insane_frame_ends_the_trajectory_once_nothing_is_left_to_replay() -> None:
    path = trajectory(keep=1)
    assert path.react(failed(150, (100,))).rollback == 0
    path.returned(150, 100)
    end = path.react(failed(200, (100,), every=1))
    assert "the frame of step 200 failed" in end.give_up
    assert "1 replays" in end.give_up
    assert not end.learn


def test_looking_at_every_step_already_a_replay_shows_nothing_new() -> None:
    path = Trajectory(SafePoints(), MARGIN)
    assert path.react(failed(7, (0,), every=1, failed_is_sane=True)).use_failed
    assert "no older state to replay it from" in path.react(failed(9, (0,), every=1)).give_up


@pytest.mark.parametrize("why", [{"refusal": "atoms were lost"}, {"safe_points": ()}])
def test_no_way_back(why: dict[str, object]) -> None:
    """From a sane frame the walker goes on where it is; otherwise it gives up."""
    path = trajectory()
    now = {"safe_points": (100, 50), **why}
    assert path.react(failed(150, failed_is_sane=True, **now)) == Reaction(learn=True, use_failed=True, every=N)
    assert path.react(failed(150, **now)).give_up


def test_rollback_can_be_switched_off() -> None:
    path = trajectory(rollback=False)
    assert path.react(failed(150, (100,), n_candidates=1)) == Reaction(learn=True, every=N)
    assert path.react(failed(160, (100,), failed_is_sane=True)) == Reaction(learn=True, use_failed=True, every=N)


def test_tries_are_counted_per_stretch() -> None:
    path = trajectory(tries=2)
    for _ in range(2):
        assert path.react(failed(150, (100,), n_candidates=1)).learn
    assert "already learnt 2 times (safe_points.tries)" in path.react(failed(150, (100,), n_candidates=1)).give_up
    path = trajectory(tries=1)
    for step in range(150, 1500, MARGIN + 1):
        assert path.react(failed(step, (100,), n_candidates=1)).learn
    assert path.react(failed(1465, (100,), n_candidates=1)).give_up


def test_candidates_on_known_ground_are_tries_too() -> None:
    """Replay, candidates, failure, replay ...: without a bound the same stretch would be learnt for ever."""
    path = trajectory(tries=2)
    step = 150
    for _ in range(2):
        assert path.react(failed(step, (step - 50,))).rollback == 0
        path.returned(step, step - 50)
        assert path.react(candidates(step + 20, every=1)) == Reaction(learn=True, every=N)
        step += 50
    assert path.react(failed(step, (step - 50,))).give_up


def test_interval_of_looks_follows_the_script() -> None:
    """A second fix dpgen of the script may look more rarely; a replay must not leave its own interval behind."""
    path = trajectory()
    assert path.react(candidates(50)).every == N
    assert path.react(candidates(60, every=25)).every == 25
    assert path.react(failed(500, (400,), every=25)).every == 1
    path.returned(500, 400)
    assert path.react(candidates(550, every=1)).every == 25


@pytest.mark.parametrize("seed", range(20))
def test_a_walker_that_gets_nowhere_is_given_up(seed: int) -> None:
    """Whatever is found between failures that never move on, the pauses are bounded."""
    rng = random.Random(seed)
    tries, keep, position = 3, 3, 1000
    path = trajectory(tries=tries, keep=keep)
    step, shift, every = position, 0, N
    points = [(950, 950), (900, 900), (850, 850)]  # step label, position
    pauses = 0
    while pauses < 1000:
        pauses += 1
        now = {"n_candidates": rng.choice([0, 0, 3]), "failed_is_sane": rng.random() < 0.9, "every": every}
        reaction = path.react(failed(step, tuple(label for label, _ in points), **now))
        if reaction.give_up:
            break
        every = reaction.every
        if reaction.rollback is not None:
            points = points[reaction.rollback :]
            path.returned(step, points[0][0])
            shift = step - points[0][1]
        step = position + shift + (0 if reaction.rollback is not None else 1)
        if rng.random() < 0.3:
            between = points[0][1] + rng.randint(0, 40)
            if path.react(candidates(between + shift, every=every)).learn:
                every = N
            points = [(between + shift, between), *points][:keep]
    assert pauses <= tries * (keep + 1) + 1
