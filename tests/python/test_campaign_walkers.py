"""Where the candidates of many walkers wait, and what is known of the walkers themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from lammps_dpgen.campaign.pool import MAX_BATCHES, Pool
from lammps_dpgen.campaign.roster import Roster
from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.learning.selection import Selection
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import TrajectoryRecord

CRYSTAL = Frame.from_ase(bulk("Al", a=4.05, cubic=True))
RECORD = TrajectoryRecord("solid", 1, 0, "fcc", 1000, 7, conditions={"temperature": 300.0, "pressure": 1.0}, number=5)


def frame(trajectory: int, step: int) -> Frame:
    """Return a frame of its own for each place."""
    shift = np.full((4, 3), 0.01 * trajectory + 0.0001 * step) * np.arange(4)[:, None]
    return replace(
        CRYSTAL, positions=CRYSTAL.positions + shift, origin=FrameOrigin("md", trajectory=trajectory, step=step)
    )


def selection(chosen: list[Frame], dropped: list[tuple[Frame, str]]) -> Selection:
    counts = dict.fromkeys(("n_duplicates", "n_too_large", "n_bad_box", "n_too_close"), 0)
    return Selection(chosen, dropped, n_offered=len(chosen) + len(dropped), **counts)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", config_hash="c") as opened:
        yield opened


def test_candidates_come_in_the_order_of_trajectory_and_step_and_outlive_the_process(ledger: Ledger) -> None:
    pool = Pool(ledger, batch=2)
    pool.offer([frame(2, 10), frame(1, 30)])
    pool.offer([frame(1, 20), frame(2, 10)])
    for one in (pool, Pool(ledger, batch=2)):
        assert [(f.origin.trajectory, f.origin.step) for f in one.frames()] == [(1, 20), (1, 30), (2, 10)]


def test_what_was_selected_or_dropped_leaves_the_pool(ledger: Ledger) -> None:
    pool = Pool(ledger, batch=2)
    frames = [frame(1, step) for step in (10, 20, 30)]
    pool.offer(frames)
    ledger.add_frames(frames[:1])  # as the learner does with those that it selects
    pool.settle(frames, selection(frames[:1], [(frames[1], "too close")]), learnt=True)
    assert [f.hash for f in pool.frames()] == [frames[2].hash]
    assert [(s.hash, s.cause) for s in ledger.frames("dropped")] == [(frames[1].hash, "too close")]
    assert [s.hash for s in ledger.frames("offered")] == [frames[2].hash]


def test_nothing_stays_where_nothing_was_worth_a_label(ledger: Ledger) -> None:
    """Otherwise the same frames would be offered for ever."""
    pool = Pool(ledger, batch=2)
    frames = [frame(1, 10), frame(1, 20)]
    pool.offer(frames)
    pool.offer([frame(1, 30)])  # came while the others were looked at
    pool.settle(frames, selection([], []), learnt=False)
    assert [f.origin.step for f in pool.frames()] == [30]
    assert ledger.counts().frames["offered"] == 1


def test_a_full_pool_counts_what_it_leaves(ledger: Ledger) -> None:
    pool = Pool(ledger, batch=1)
    pool.offer([frame(1, step) for step in range(MAX_BATCHES + 3)])
    assert (len(pool), pool.n_left) == (MAX_BATCHES, 3)


def test_audits_are_of_as_many_trajectories_as_there_are(ledger: Ledger) -> None:
    pool = Pool(ledger, batch=2)
    pool.offer_audits([frame(1, 10), frame(1, 20), frame(2, 10), frame(3, 10)])
    assert [f.origin.trajectory for f in pool.audits(3)] == [1, 2, 3]
    assert pool.audits(3) == []


def test_a_walker_is_seen_through_a_trajectory(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("lammps_dpgen.campaign.roster.time.monotonic", lambda: now[0])
    roster = Roster(2)
    assert roster.free() == []
    now[0] = 1.0
    roster.is_free(1)
    assert (roster.free(), roster.busy()) == ([1], [])
    now[0] = 3.0
    roster.takes(1, RECORD, 4, (0.05, 0.15))
    roster.moved(1, 250, 1000, 0.07)
    (_, shown) = roster.progress()
    assert (shown.doing, shown.structure, shown.conditions, shown.share) == ("MD", "fcc", "300 K, 1 bar", 0.25)
    now[0] = 10.0
    roster.waits(1)
    assert (roster.waiting(), roster.in_md()) == ([1], [])
    now[0] = 11.0
    roster.learning(True)
    now[0] = 15.0
    roster.learning(False)
    roster.resumes(1)
    now[0] = 20.0
    assert roster.left(1, {"md": 9.0, "deviation": 1.0, "start": 2.0}) == 5
    roster.is_free(1)
    assert roster.seconds()[1] == {
        "md": 9.0,
        "deviation": 1.0,
        "start": 2.0,
        "pause": 0.0,
        "waiting": 4.0,
        "learning": 4.0,
    }
    assert not roster.all_gone
    for walker in (0, 1):
        roster.gone(walker)
    assert roster.all_gone
