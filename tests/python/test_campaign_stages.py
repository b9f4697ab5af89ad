"""The trajectories of a stage: handed out in order, found again after a kill, counted for convergence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk

from lammps_dpgen.campaign.messages import Ended, Looks, Outcome
from lammps_dpgen.campaign.stages import StageRun
from lammps_dpgen.config.stage import Stage, Trust
from lammps_dpgen.frame import Frame
from lammps_dpgen.store.ledger import Ledger

START = Frame.from_ase(bulk("Al", a=4.05, cubic=True))


def stage_of(**more: Any) -> Stage:
    settings = {"ensemble": "nvt", "temperatures": [300.0, 600.0], "time": "1 ps"}
    values = {"trajectories": 4, "every": 10, "candidates": 5, "accurate": 0.9, "converging": 4, "max_generations": 3}
    return Stage(
        number=0, name="solid", structures=("fcc",), sampler="md", settings=settings, trust=Trust(), fix="",
        **(values | more),  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", config_hash="c") as opened:
        yield opened


def begin(ledger: Ledger, **more: Any) -> StageRun:
    return StageRun(stage_of(**more), [START], 1, ledger, retries=1)


def ending(outcome: Outcome, accurate: int = 10, failed: int = 0) -> Ended:
    looks = Looks(accurate, 0, failed, 0.04)
    return Ended(0, outcome, "a cause" if outcome != "done" else "", 100, looks, 0, policy={"tries": 1})


def test_a_round_is_handed_out_and_converges(ledger: Ledger) -> None:
    run = begin(ledger)
    assert (run.round, run.is_open, run.states()) == (0, False, {})
    assert run.plan_round() == 4
    taken = [run.take(walker) for walker in range(5)]
    assert [record and record.number for record in taken] == [1, 2, 3, 4, None]
    assert run.states() == {"running": 4}
    for number in (3, 1, 4):
        assert run.ended(number, ending("done")).state == "done"
    assert not run.convergence().reached
    assert run.is_open
    run.ended(2, ending("done", accurate=8))
    assert not run.is_open
    assert run.n_ended == 4
    assert run.states() == {"done": 4}
    found = run.convergence()
    assert (found.n_trajectories, found.accurate_share, found.n_failed, found.reached) == (4, 1.0, 0, True)
    assert [record.state for record in ledger.trajectories("solid")] == ["done"] * 4


def test_only_the_last_trajectories_count(ledger: Ledger) -> None:
    run = begin(ledger, converging=2)
    for failed in (1, 0):
        run.plan_round()
        while (record := run.take(0)) is not None:
            run.ended(record.number, ending("done", failed=failed))
        assert run.convergence().reached is (failed == 0)
    assert run.states() == {"done": 4}  # of the second round
    assert run.n_ended == 8


def test_parked_trajectories_go_on_before_new_ones(ledger: Ledger) -> None:
    run = begin(ledger)
    run.plan_round()
    for _ in range(2):
        run.take(0)
    run.ended(2, ending("parked"))
    run.ended(1, ending("parked"))
    run.release_parked()
    resumed = run.take(0)
    assert resumed is not None
    assert (resumed.number, resumed.attempts, resumed.policy) == (1, 1, '{"tries": 1}')
    np.testing.assert_array_equal(run.plan_of(resumed).start.positions, START.positions)


def test_a_crash_is_retried_and_then_set_aside(ledger: Ledger) -> None:
    run = begin(ledger, trajectories=1)
    run.plan_round()
    for state in ("waiting", "set_aside"):
        record = run.take(0)
        assert record is not None
        assert run.ended(record.number, ending("crashed")).state == state
    assert run.take(0) is None
    assert run.convergence().n_failed == 1


def test_a_killed_campaign_finds_its_trajectories(ledger: Ledger) -> None:
    run = begin(ledger)
    run.plan_round()
    for _ in range(3):
        run.take(0)
    run.ended(1, ending("done"))
    run.ended(2, ending("parked"))
    again = begin(ledger)
    assert again.round == 1
    assert again.states() == {"waiting": 3, "done": 1}
    numbers = [record.number for _ in range(3) if (record := again.take(0)) is not None]
    assert numbers == [2, 3, 4]
    assert [record.attempts for record in ledger.trajectories("solid")] == [1, 1, 1, 1]
    again.set_open_aside("the stage is over")
    assert not again.is_open
    assert again.take(0) is None
    assert [record.cause for record in ledger.trajectories("solid")][1:] == ["the stage is over"] * 3
