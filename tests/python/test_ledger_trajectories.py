"""Trajectories of a campaign in the ledger: planned once, changed only as they can change, and summed up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger_records import KINDS, SETTINGS, make_frame, make_label, new_location

from lammps_dpgen.errors import StoreError
from lammps_dpgen.frame import FrameOrigin
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import TrajectoryRecord


@pytest.fixture(params=KINDS)
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    return new_location(request.param, tmp_path / "ledger.db")


@pytest.fixture
def ledger(location: Path | str) -> Iterator[Ledger]:
    with Ledger.open(location, config_hash="c" * 64) as opened:
        yield opened


def planned(index: int, stage: str = "solid", **more: Any) -> TrajectoryRecord:
    conditions = {"temperature": 300.0, "pressure": 1.0}
    plan = {"source": "al-fcc", "start": 3}
    values = {"conditions": conditions, "plan": plan, "structure": "fcc", "n_steps": 1000, "seed": 7} | more
    return TrajectoryRecord(stage=stage, round=0, index=index, **values)


def test_a_trajectory_comes_back_exactly(ledger: Ledger, location: Path | str) -> None:
    record = planned(0, conditions={"temperature": np.float64(300.0), "bias": 1 / 3}, policy='{"tries": 1}')
    (number,) = ledger.add_trajectories([record])
    with Ledger.open(location, config_hash=None) as reader:
        (stored,) = reader.trajectories()
    assert number == stored.number == 1
    assert repr({**vars(stored), "number": -1}) == repr(
        {**vars(record), "conditions": {"bias": 1 / 3, "temperature": 300.0}}
    )
    assert (stored.state, stored.attempts, stored.walker, stored.ended) == ("waiting", 0, -1, None)


def test_a_round_that_is_planned_again_stays_as_it_is(ledger: Ledger) -> None:
    first = ledger.add_trajectories([planned(0), planned(1)])
    ledger.update_trajectory(first[1], state="running", walker=3)
    again = ledger.add_trajectories([planned(0, seed=8), planned(1), planned(2), planned(0, stage="liquid")])
    assert again[:2] == first
    assert [(one.index, one.seed, one.state) for one in ledger.trajectories("solid")] == [
        (0, 7, "waiting"),
        (1, 7, "running"),
        (2, 7, "waiting"),
    ]
    assert [one.number for one in ledger.trajectories("liquid")] == again[3:]
    assert ledger.add_trajectories([]) == []


def test_the_life_of_a_trajectory(ledger: Ledger) -> None:
    (number,) = ledger.add_trajectories([planned(0)])
    ledger.update_trajectory(number, state="running", walker=2, generation=0, attempts=1)
    ledger.update_trajectory(
        number, step=500, accurate=40, candidate=9, failed=1, max_devi_f=np.float64(0.2), seconds=3.5
    )
    ledger.update_trajectory(number, state="parked", cause="candidates", policy='{"tries": 1}')
    ledger.update_trajectory(number, state="running", walker=0, generation=1, max_devi_f=float("nan"))
    ledger.update_trajectory(number, state="done", step=1000, cause="")
    (stored,) = ledger.trajectories(states=["done"])
    assert (stored.walker, stored.generation, stored.attempts, stored.step) == (0, 1, 1, 1000)
    assert (stored.accurate, stored.candidate, stored.failed, stored.seconds) == (40, 9, 1, 3.5)
    assert stored.policy == '{"tries": 1}'
    assert stored.max_devi_f != stored.max_devi_f
    assert stored.ended is not None
    assert stored.ended >= stored.created


def test_what_a_killed_campaign_was_at_is_found(ledger: Ledger, location: Path | str) -> None:
    numbers = ledger.add_trajectories(planned(index) for index in range(5))
    for number in numbers[:3]:
        ledger.update_trajectory(number, state="running")
    ledger.update_trajectory(numbers[0], state="done")
    ledger.close()
    with Ledger.open(location, config_hash="c" * 64) as later:
        assert [one.number for one in later.trajectories(states=("running",))] == numbers[1:3]
        later.update_trajectory(numbers[1], state="waiting", cause="the campaign was killed")
        assert [one.number for one in later.trajectories(states=("waiting", "parked"))] == [numbers[1], *numbers[3:]]


@pytest.mark.parametrize("ended", ["done", "set_aside"])
def test_what_has_ended_does_not_change(ledger: Ledger, ended: Any) -> None:
    (number,) = ledger.add_trajectories([planned(0)])
    ledger.update_trajectory(number, state="running")
    ledger.update_trajectory(number, state=ended, cause="three crashes")
    for change in ({"state": "running"}, {"step": 5}):
        with pytest.raises(StoreError, match=f"is {ended} and cannot become .* it has ended"):
            ledger.update_trajectory(number, **change)  # type: ignore[arg-type]
    assert ledger.trajectories()[0].cause == "three crashes"


def test_refused_changes_leave_no_trace(ledger: Ledger) -> None:
    first, second = ledger.add_trajectories([planned(0), planned(1)])
    with pytest.raises(StoreError, match="trajectory 2 is waiting and cannot become done; allowed is waiting, running"):
        ledger.update_trajectories({first: {"state": "running"}, second: {"state": "done"}})
    with pytest.raises(StoreError, match="trajectory 99 is not in the ledger"):
        ledger.update_trajectories({first: {"step": 5}, 99: {"step": 5}})
    assert [(one.state, one.step) for one in ledger.trajectories()] == [("waiting", 0)] * 2
    ledger.update_trajectories({})


def test_figures_by_stage_structure_and_temperature(ledger: Ledger) -> None:
    hot = {"temperature": 900.0, "pressure": 1.0}
    other_pressure = {"temperature": 300.0, "pressure": 10.0}
    numbers = ledger.add_trajectories(
        [planned(0), planned(1, conditions=hot), planned(2, conditions=other_pressure), planned(3, conditions={})]
    )
    for number in numbers[:3]:
        ledger.update_trajectory(number, state="running", accurate=10 * number, candidate=1, failed=number, seconds=0.5)
    ledger.update_trajectory(numbers[0], max_devi_f=0.1)
    ledger.update_trajectory(numbers[2], state="done", max_devi_f=0.3)
    frames = [make_frame(seed, origin=FrameOrigin("md", trajectory=seed // 2 + 1)) for seed in range(4)]
    frames.append(make_frame(9))  # of no trajectory
    for frame in frames:
        ledger.add_frames([frame])
        ledger.record_label(frame.hash, make_label(frame))
    for frame, rmse in zip(frames[:3], (0.3, 0.4, 0.6), strict=True):
        ledger.record_model_error(
            frame.hash, SETTINGS, generation=0, force_rmse=rmse, force_error_max=1.0, energy_error_per_atom=0.0
        )
    cool, warm, bare = ledger.trajectory_figures()
    assert (cool.stage, cool.structure, cool.temperature) == ("solid", "fcc", 300.0)
    assert cool.trajectories == {"waiting": 0, "running": 1, "parked": 0, "done": 1, "set_aside": 0}
    assert (cool.accurate, cool.candidate, cool.failed, cool.max_devi_f, cool.seconds) == (40, 2, 4, 0.3, 1.0)
    assert (cool.labels, cool.judged, cool.force_rmse) == (2, 2, pytest.approx(np.sqrt((0.09 + 0.16) / 2)))
    assert (warm.temperature, warm.labels, warm.judged, warm.force_rmse) == (900.0, 2, 1, pytest.approx(0.6))
    assert (bare.temperature, bare.labels, bare.force_rmse, bare.max_devi_f) == (None, 0, None, None)
    assert bare.trajectories["waiting"] == 1


def test_frames_know_their_trajectory(ledger: Ledger) -> None:
    ledger.add_frames([make_frame(1, origin=FrameOrigin("md", trajectory=7)), make_frame(2)], "offered")
    assert [stored.frame.origin.trajectory for stored in ledger.frames("offered")] == [7, -1]


def test_states_are_asked_by_index(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path, config_hash="c") as ledger:
        ledger.add_trajectories(planned(index) for index in range(10))
    with sqlite3.connect(path) as database:
        plan = "EXPLAIN QUERY PLAN SELECT * FROM trajectories WHERE state IN ('running')"
        assert "USING INDEX" in database.execute(plan).fetchone()[-1]
