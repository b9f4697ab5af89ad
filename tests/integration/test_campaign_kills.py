"""``kill -9`` of a campaign at random moments: nothing is lost, nothing is paid twice, ``status`` works right after."""

from __future__ import annotations

import os
import random
from pathlib import Path

from campaigns import campaign_with_generation_0, stage
from kills import kill_at
from learning_runs import N_STRUCTURES, assert_intact

from conftest import BIN, start

#: What each kill hits.
TARGETS = ["all", "ranks", "launcher", "ranks", "all"]
#: After which event a kill comes, and at most how many seconds later.
MOMENTS = [("start", 5.0), ("run", 0.4), ("pause", 0.3), ("label", 1.0), ("training", 1.0), ("swap", 0.5)]


def test_killed_anywhere_it_goes_on(tmp_path: Path, generation_0: Path, clean_env: dict[str, str]) -> None:
    campaign = campaign_with_generation_0(generation_0, tmp_path, clean_env)
    campaign.configure(stages=[stage("doubted", time="0.3 ps", max_generations=3)])
    rng = random.Random(7)
    kills = 0
    paid: dict[str, int] = {}
    for target, (kind, latest) in zip(TARGETS, rng.sample(MOMENTS, len(TARGETS)), strict=True):
        kills += kill_at(campaign, kind, rng.uniform(0.0, latest), target)
        said = start([BIN / "lammps-dpgen", "status", "run"], campaign.folder, campaign.env, 60.0, True)
        assert said.output.strip()
        with campaign.ledger() as ledger:
            recorded = {stored.frame_hash for stored in ledger.labels()}
        log = campaign.label_log()
        assert recorded <= set(log)
        for frame, count in paid.items():
            assert log[frame] == count, "a label that was in the ledger was computed again"
        paid = {frame: log[frame] for frame in recorded}
    assert kills >= len(TARGETS) - 1

    campaign.go()
    assert assert_intact(campaign) >= 1
    records = campaign.trajectories()
    assert [record.state for record in records] == ["done"] * 4
    assert len({(record.round, record.index) for record in records}) == 4
    assert campaign.last("end")["reason"] == "all stages are over"
    with campaign.ledger() as ledger:
        counts = ledger.counts()
    assert counts.untrained == counts.frames["selected"] == counts.frames["offered"] == 0
    assert counts.labels > N_STRUCTURES
    log = campaign.label_log()
    assert {frame: log[frame] for frame in paid} == paid
    assert log.total() - len(log) <= kills * len(os.sched_getaffinity(0))
    assert not campaign.processes()
    assert not campaign.run.lock_file.exists()
