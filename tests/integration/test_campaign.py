"""``lammps-dpgen run`` with real LAMMPS, labels and trainings: walkers, stages, rounds, and what goes wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaigns import CAMPAIGN, NEVER, Campaign, campaign_with_generation_0, stage
from learning_runs import N_STRUCTURES

from lammps_dpgen.monitor.status import read_run_status


@pytest.fixture
def campaign(tmp_path: Path, generation_0: Path, clean_env: dict[str, str]) -> Campaign:
    """A campaign that goes on from a copy of generation 0."""
    return campaign_with_generation_0(generation_0, tmp_path, clean_env)


def test_walkers_explore_and_learn_until_the_stages_are_over(campaign: Campaign) -> None:
    stages = [stage("doubted", max_generations=2), stage("trusted", trust=NEVER, ensemble="npt", pressures=[1])]
    campaign.configure(stages=stages)
    done = campaign.go()
    first, second = campaign.all("stage_end")
    assert (first["stage"], first["converged"], first["generations"]) == ("doubted", False, 2)
    assert (second["stage"], second["converged"], second["accurate_share"]) == ("trusted", True, 1.0)
    assert campaign.last("end")["reason"] == "all stages are over"
    assert [event["kernel"] for event in campaign.all("kernel")] == ["native"]
    records = campaign.trajectories()
    log = campaign.run.trajectory_of(records[0].number) / "log.lammps"
    assert "Fix dpgen dpgen: native kernel" in log.read_text()
    assert {record.state for record in records} == {"done"}
    assert len([record for record in records if record.stage == "trusted"]) == 4
    assert {record.walker for record in records} == {0, 1}
    assert all(record.step == record.n_steps == 60 for record in records)
    assert {tuple(record.conditions.items()) for record in records if record.stage == "doubted"} == {
        (("temperature", 900.0),),
        (("temperature", 1400.0),),
    }
    with campaign.ledger() as ledger:
        labels, counts = ledger.labels(), ledger.counts()
        assert [generation.number for generation in ledger.generations()] == [0, 1, 2]
    assert counts.untrained == counts.frames["selected"] == counts.frames["offered"] == 0
    new = [label for label in labels if label.frame.origin.source != "bootstrap"]
    assert len(labels) == len(new) + N_STRUCTURES
    assert {label.frame.origin.source for label in new} == {"md"}
    assert all(label.force_rmse is not None for label in new)
    assert {label.frame.origin.stage for label in new} == {"doubted"}
    assert {label.frame.origin.trajectory for label in new} <= {record.number for record in records}
    assert campaign.label_log().total() == len(labels)
    for seconds in campaign.all("walker_time"):
        assert seconds["seconds"]["md"] > 0.0
    assert (campaign.run.path / "report.html").is_file()
    assert "2 MD" not in done.output.splitlines()[-1]
    assert not campaign.processes()

    campaign.go(ranks=1)
    assert len(campaign.trajectories()) == len(records)
    assert campaign.label_log().total() == len(labels)


def test_rounds_give_the_same_result_whoever_carries_them_out(
    campaign: Campaign, tmp_path_factory: pytest.TempPathFactory, generation_0: Path
) -> None:
    found = []
    for ranks in (2, 1):
        folder = tmp_path_factory.mktemp(f"ranks-{ranks}")
        one = campaign_with_generation_0(generation_0, folder, campaign.env)
        one.configure(walkers={**CAMPAIGN["walkers"], "overlap": False}, max_generations=2)
        one.go(ranks)
        with one.ledger() as ledger:
            labels = [(label.frame_hash, label.trained_in, label.label.energy) for label in ledger.labels()]
            curves = [[model.curve for model in generation.models] for generation in ledger.generations()]
        walkers = {record.walker for record in one.trajectories()}
        assert walkers == set(range(ranks))
        found.append((sorted(labels), curves))
    assert len(found[0][0]) == N_STRUCTURES + 8
    assert found[0] == found[1]


def test_a_walker_of_two_ranks_and_one_rank_too_many(campaign: Campaign) -> None:
    campaign.configure(walkers={**CAMPAIGN["walkers"], "ranks_per_walker": 2}, stages=[stage("only", trajectories=2)])
    done = campaign.go(ranks=3)
    assert "1 rank of 3 cannot be used" in done.output
    assert {record.state for record in campaign.trajectories()} == {"done"}
    assert [event["generation"] for event in campaign.all("swap")] == [1] * len(campaign.all("swap"))
    with campaign.ledger() as ledger:
        latest = ledger.latest_generation()
    assert latest is not None
    assert latest.number == 1


def test_fewer_ranks_than_a_walker_needs(campaign: Campaign) -> None:
    campaign.configure(walkers={**CAMPAIGN["walkers"], "ranks_per_walker": 3})
    done = campaign.go(ranks=2, check=False)
    assert done.returncode == 2
    assert "ranks_per_walker is 3, but the job has 2 ranks" in done.output
    assert not campaign.trajectories()


def test_crashed_trajectories_are_begun_again_and_set_aside(campaign: Campaign) -> None:
    bad = stage("bad", trajectories=2, lammps="compute too_few all", max_generations=1)
    campaign.configure(stages=[bad, stage("good", trust=NEVER)], walkers={**CAMPAIGN["walkers"], "retries": 1})
    campaign.go()
    records = campaign.trajectories()
    crashed = [record for record in records if record.stage == "bad"]
    assert {record.state for record in crashed} == {"set_aside"}
    assert {record.attempts for record in crashed} == {2}
    assert all("compute" in record.cause for record in crashed)
    bad_end, good_end = campaign.all("stage_end")
    assert not bad_end["converged"]
    assert bad_end["reason"].startswith("all 2 trajectories ended before the first look; most often (2): ERROR")
    assert good_end["converged"]


def test_a_campaign_in_which_no_trajectory_comes_to_a_look_says_so_and_can_be_mended(campaign: Campaign) -> None:
    bad = stage("bad", lammps="include missing.lammps", trust=NEVER)
    campaign.configure(stages=[bad], walkers={"retries": 0})
    failed = campaign.go(check=False)
    assert failed.returncode == 3
    assert "no stage came to a look: all 4 trajectories ended before the first look; most often (4)" in failed.output
    for number in range(5, 9):
        folder = campaign.run.trajectory_of(number)
        folder.mkdir(parents=True)
        (folder / "missing.lammps").write_text("")
    campaign.go()
    assert [end["converged"] for end in campaign.all("stage_end")] == [False, True]


@pytest.mark.parametrize("overlap", [True, False])
def test_failed_frames_lead_back_and_to_new_models(campaign: Campaign, overlap: bool) -> None:
    """The window is so low that the poor models fail at once; nothing may go round in circles."""
    stages = [stage("hard", trust={"lo": 0.02, "hi": 0.2}, max_generations=3)]
    campaign.configure(stages=stages, walkers={**CAMPAIGN["walkers"], "overlap": overlap})
    campaign.go()
    (end,) = campaign.all("stage_end")
    assert end["generations"] >= 1
    pauses = campaign.all("pause")
    assert any(pause["n_failed"] for pause in pauses)
    records = campaign.trajectories()
    assert {record.state for record in records} <= {"done", "set_aside"}
    assert all(record.cause for record in records if record.state == "set_aside")
    with campaign.ledger() as ledger:
        assert ledger.counts().frames["offered"] == 0


def test_a_limit_ends_the_campaign_and_a_higher_one_goes_on(campaign: Campaign) -> None:
    campaign.configure(limits={"labels": N_STRUCTURES + 4}, max_generations=2)
    done = campaign.go(check=False)
    assert done.returncode == 1
    assert f"limit of {N_STRUCTURES + 4} labels reached" in done.output
    assert not campaign.all("stage_end")
    assert {record.state for record in campaign.trajectories()} <= {"waiting", "done"}
    campaign.configure(limits={"labels": N_STRUCTURES + 12}, max_generations=2)
    campaign.go()
    assert len(campaign.all("stage_end")) == 1
    assert {record.state for record in campaign.trajectories()} == {"done"}
    assert campaign.label_log().total() == len(campaign.label_log()) == N_STRUCTURES + 8


def test_status_of_a_campaign_that_is_over(campaign: Campaign) -> None:
    campaign.configure(stages=[stage("trusted", trust=NEVER)])
    campaign.go()
    status = read_run_status(campaign.run.path)
    assert status.state == "finished"


WANDER = '''
"""A sampler of somebody else's: atoms are shaken, without LAMMPS."""

from dataclasses import replace

import numpy as np

from lammps_dpgen.sampling.base import SamplerSettings, TrajectoryPlan


class Wander:
    name = "wander"

    class Settings(SamplerSettings):
        steps: int = 8

    def __init__(self, settings):
        self._settings, self.resumable = settings, False

    def plan(self, starts, number, rng):
        seeds = rng.integers(1, 1000, number)
        return [
            TrajectoryPlan(starts[i % len(starts)], {"amplitude": 0.1}, self._settings.steps, int(seed))
            for i, seed in enumerate(seeds)
        ]

    def explore(self, plan, walker):
        rng = np.random.default_rng(plan.seed)
        frame = plan.start
        for step in range(plan.n_steps):
            frame = replace(frame, positions=frame.positions + rng.normal(scale=0.05, size=frame.positions.shape))
            assert walker.look(frame, step).spread.shape == (frame.n_atoms,)
            assert np.isfinite(walker.predict(frame).energies).all()

    def check(self, starts, type_map):
        pass
'''


def test_a_sampler_of_a_third_party_that_does_not_use_lammps(campaign: Campaign) -> None:
    package = campaign.folder / "package"
    (package / "wander-1.0.dist-info").mkdir(parents=True)
    (package / "wander.py").write_text(WANDER)
    (package / "wander-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: wander\nVersion: 1.0\n")
    (package / "wander-1.0.dist-info" / "entry_points.txt").write_text(
        "[lammps_dpgen.samplers]\nwander = wander:Wander\n"
    )
    campaign.env["PYTHONPATH"] = str(package)
    campaign.configure(stages=[{"name": "search", "sampler": "wander", "trajectories": 3}])
    campaign.go()
    records = campaign.trajectories()
    assert [(record.state, record.sampler, record.step) for record in records] == [("done", "wander", 7)] * 3
    assert sum(record.candidate for record in records) >= 3
    with campaign.ledger() as ledger:
        new = [label.frame.origin for label in ledger.labels() if label.frame.origin.source == "search"]
        assert ledger.counts().frames["offered"] == 0
    assert {origin.stage for origin in new} == {"search"}
    assert {origin.trajectory for origin in new} <= {record.number for record in records}
