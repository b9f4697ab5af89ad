"""The job scripts of examples/12-slurm-whole-job, submitted as they are: controller and walkers in one job of Slurm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from campaigns import Campaign
from slurm_cluster import SlurmCluster, environment, until

from conftest import BIN

pytestmark = [pytest.mark.slurm, pytest.mark.optional]
EXAMPLE = Path(__file__).parents[2] / "examples" / "12-slurm-whole-job"
#: Seconds for a campaign of the example, on a machine with much else to do.
PATIENCE = 280.0


@pytest.fixture
def example(tmp_path: Path, cluster: SlurmCluster, clean_env: dict[str, str]) -> Campaign:
    """The folder of the example; all that differs is in the environment."""
    folder = tmp_path / EXAMPLE.name
    shutil.copytree(EXAMPLE, folder)
    path = clean_env["PATH"].replace(f"{BIN}:", "")
    return Campaign(folder, {**environment(cluster, clean_env), "DPGEN_ENV": str(BIN.parent), "PATH": path})


def submit(example: Campaign, *words: str, **more: str) -> str:
    """Submit a script of the example; return the number of the job."""
    command = ["sbatch", "--parsable", *words]
    env = {**example.env, **more}
    said = subprocess.run(command, cwd=example.folder, env=env, capture_output=True, text=True, check=True, timeout=60)
    return said.stdout.strip()


def output(example: Campaign) -> str:
    return "\n".join(path.read_text() for path in sorted(example.folder.glob("dpgen-*.out")))


def exit_code(cluster: SlurmCluster, number: str) -> str:
    """Return exit code and signal of a job as Slurm writes them; empty while it has not ended."""
    words = cluster.ask("scontrol", "show", "job", number).split()
    said = dict(word.split("=", 1) for word in words if "=" in word)
    return said["ExitCode"] if said.get("JobState") in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT") else ""


def assert_carried_out(example: Campaign) -> None:
    """Check that both nodes had a walker, and that the campaign is whole."""
    said = output(example)
    (start, *_), end = example.all("start"), example.last("end")
    assert (start["walkers"], start["ranks"]) == (2, 2), said
    assert end["reason"] == "all stages are over", said
    assert {record.walker for record in example.trajectories()} == {0, 1}
    assert {record.state for record in example.trajectories()} == {"done"}
    with example.ledger() as ledger:
        assert len(ledger.generations()) == 2
        counts = ledger.counts()
    assert counts.frames["selected"] == counts.untrained == 0
    assert counts.labels == sum(event["error"] is None for event in example.all("label"))
    assert (example.run.path / "report.html").is_file()


def test_srun(cluster: SlurmCluster, example: Campaign) -> None:
    number = submit(example, "job-srun.sh")
    assert until(lambda: exit_code(cluster, number), "the end of the job", PATIENCE) == "0:0", output(example)
    assert_carried_out(example)


def test_srun_without_a_pmi(cluster: SlurmCluster, example: Campaign) -> None:
    """Two programs that are each alone refuse to begin, and say what to do."""
    lines = (example.folder / "job-srun.sh").read_text().replace("--mpi=pmi2", "--mpi=none")
    (example.folder / "wrong.sh").write_text(lines)
    number = submit(example, "wrong.sh")
    code, said = until(lambda: exit_code(cluster, number), "the end of the job", PATIENCE), output(example)
    assert code == "2:0", said
    assert said.count("the launcher started 2 processes (SLURM_STEP_NUM_TASKS), but each is alone") == 2
    assert "'srun --mpi=pmi2 lammps-dpgen ...'" in said
    assert not example.run.path.exists()


def test_mpirun_with_labels_in_the_queue(cluster: SlurmCluster, example: Campaign) -> None:
    """The job has both nodes for itself: labels get them when it ends (75), and the next job when they are done."""
    example = QueueCampaign(example.folder, example.env)
    before = len(cluster.states())
    first = submit(example, "job-mpirun.sh", "labels-in-queue.yaml", SBATCH_EXCLUSIVE="exclusive")
    assert until(lambda: exit_code(cluster, first), "the first end", PATIENCE) == "75:0", output(example)
    until(
        lambda: (example.run.path / "report.html").is_file() and example.last("end")["reason"] != "interrupted",
        "the last end",
        PATIENCE,
    )
    until(lambda: not cluster.jobs(), "an empty queue", PATIENCE)
    assert_carried_out(example)
    ends = example.all("end")
    assert len(ends) > 1, output(example)
    assert all("for labels left in the queue" in end["cause"] for end in ends[:-1]), output(example)
    assert "run the same command again (exit code 75)" in output(example)
    runs = len(list(example.folder.glob("dpgen-*.out")))
    assert runs == len(ends)
    assert len(cluster.states()) - before > runs


class QueueCampaign(Campaign):
    """The campaign of labels-in-queue.yaml, which has a run folder of its own."""

    @property
    def run(self) -> Any:
        return type(super().run)(self.folder / "run-queue")
