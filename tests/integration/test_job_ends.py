"""A run ends before its job does, told by the clock of the job or by a signal of its queue: it is to go on later."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from campaigns import NEVER, Campaign, campaign_with_generation_0, stage
from kills import PATIENCE, RANKS, assert_nothing_left, wait_for
from learning_runs import ATOMS, NVT, PAIR, Work, assert_intact, fix

from lammps_dpgen.sampling.restart import PARKED

#: Seconds of a job that has time to begin, on a machine with much else to do.
JOB = 24
SCRIPT = ATOMS + PAIR + fix("trust 8.0 9.0 stop failed") + NVT.format(t=300) + "run 10000000\n"


def launch(work: Work) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        work.command(RANKS), cwd=work.folder, env=work.env, stdout=pipe, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


def assert_ended(work: Work, process: subprocess.Popen[str], cause: str) -> None:
    """Check that all ranks end in time, say that the run goes on later, and tell the launcher so."""
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 75, said
    assert f"ended by {cause}" in said
    assert said.count("run the same command again (exit code 75)") == 1
    end = work.last("end")
    assert end["reason"] == "interrupted"
    assert end["cause"].startswith(cause)
    assert not work.run.lock_file.exists()
    assert_nothing_left(work)


def test_the_clock_of_the_job(work: Work) -> None:
    (work.folder / "in.x").write_text(SCRIPT)
    work.env["SLURM_JOB_END_TIME"] = str(int(time.time()) + JOB)
    with launch(work) as process:
        assert_ended(work, process, "the end of the job at ")
    assert work.last("end")["step"] > 0
    assert assert_intact(work) == 0


@pytest.fixture
def campaign(tmp_path: Path, generation_0: Path, clean_env: dict[str, str]) -> Campaign:
    return campaign_with_generation_0(generation_0, tmp_path, clean_env)


def test_the_signal_of_the_queue(campaign: Campaign) -> None:
    """mpirun hands it to the ranks; their trajectories go on where they are."""
    campaign.configure(stages=[stage("long", trust=NEVER, time="10000 ps")])
    with launch(campaign) as process:
        wait_for(campaign, process, "run", 1.0)  # type: ignore[arg-type]
        process.send_signal(signal.SIGUSR1)
        assert_ended(campaign, process, "SIGUSR1")
    begun = [record for record in campaign.trajectories() if record.attempts]
    assert {record.state for record in begun} == {"waiting"}
    parked = [record for record in begun if (campaign.run.trajectory_of(record.number) / PARKED).exists()]
    assert parked
    assert all(record.step > 0 for record in parked)
