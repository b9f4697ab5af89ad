"""Labels and trainings as jobs of a real Slurm, through Parsl and dpdispatcher, and all that can happen to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from ase.build import bulk
from ase.io import read, write
from learning_runs import (
    ATOMS,
    BASE,
    LABELER,
    N_STRUCTURES,
    NVT,
    PAIR,
    Work,
    ase_labeler,
    assert_intact,
    fix,
    work_with_generation_0,
)
from slurm_cluster import SlurmCluster, environment, until

from conftest import BIN, start
from lammps_dpgen.cli.findings_pools import examine_pools
from lammps_dpgen.errors import ExecutionError
from lammps_dpgen.execution.base import Outcome, Task
from lammps_dpgen.execution.cluster import ClusterExecutor
from lammps_dpgen.execution.sites import Site
from lammps_dpgen.store.ledger import Ledger

# Optional: a machine may be unable to run the daemons of Slurm, such as a container without rights. Missing programs
# are a failure in CI all the same.
pytestmark = [pytest.mark.slurm, pytest.mark.optional]
#: A pool of this cluster; what makes a test wait is short.
POOL: dict[str, Any] = {
    "provider": "slurm",
    "jobs": 2,
    "cores": 1,
    "partition": "main",
    "walltime": "10min",
    "idle": 60,
}
QUICK: dict[str, Any] = {"heartbeat": 1, "poll": 2, "address": "127.0.0.1"}
TIMES: dict[str, Any] = {"timeout": "5min"}


@pytest.fixture
def work(tmp_path: Path, cluster: SlurmCluster, clean_env: dict[str, str]) -> Work:
    return Work(tmp_path, environment(cluster, clean_env))


class Pool:
    """An executor, and tasks for it."""

    def __init__(self, executor: ClusterExecutor, folder: Path) -> None:
        self.executor, self.folder = executor, folder
        self.outcomes: dict[str, Outcome] = {}

    def submit(self, name: str, call: str = "Arithmetic.add", **more: Any) -> Path:
        """Submit a task; return its folder."""
        service, method = call.split(".")
        payload = more.pop("payload", {"a": 1.0})
        folder = self.folder / "scratch" / name
        task = Task(name, f"worker_services:{service}", more.pop("settings", {}), method, payload, folder, **more)
        self.executor.submit(task)
        return folder

    def look(self) -> None:
        for outcome in self.executor.poll():
            assert outcome.task.id not in self.outcomes, "a task ended twice"
            self.outcomes[outcome.task.id] = outcome

    def wait(self, *names: str) -> list[Outcome]:
        def ended() -> bool:
            self.look()
            return set(names) <= set(self.outcomes)

        until(ended, f"the end of {', '.join(names)}")
        return [self.outcomes[name] for name in names]

    def wait_for_file(self, path: Path) -> None:
        def there() -> bool:
            self.look()
            return path.exists()

        until(there, str(path))


@pytest.fixture(autouse=True)
def services(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks find the services of the unit tests, on whatever node they run."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "python"))


def parsl_engine(**change: Any) -> dict[str, Any]:
    values = {"jobs": 2, "nodes": 1, "cores": 1, "tasks": 1, "walltime": 600.0, "task_limit": 120.0, "idle": 60.0}
    site = Site(**{"provider": "slurm", "partition": "main", **values, **change})
    return {"engine": "parsl", "site": site.to_json(), "threads": 1, "poll": 1.0, "address": "127.0.0.1"}


def dpdispatcher_engine(batch_type: str) -> dict[str, Any]:
    machine = {"batch_type": batch_type, "context_type": "LocalContext", "local_root": "./", "remote_root": "/nowhere"}
    resources = {"number_node": 1, "cpu_per_node": 1, "gpu_per_node": 0, "queue_name": "main", "group_size": 5}
    return {"engine": "dpdispatcher", "machine": machine, "resources": resources, "jobs": 4, "poll": 1.0}


def pids_in(path: Path) -> list[int]:
    return [int(word) for word in path.read_text().split()]


def works(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def job_of(path: Path) -> str:
    """Return the job in which the task runs that wrote its process number into a file."""
    return psutil.Process(pids_in(path)[0]).environ()["SLURM_JOB_ID"]


class TestParsl:
    def test_jobs_that_are_lost(self, cluster: SlurmCluster, tmp_path: Path) -> None:
        """scancel, the end of the walltime and a dead node cost an attempt; a label that hangs is ended in time."""
        marks = {name: tmp_path / f"{name}.pids" for name in ("walltime", "cancelled", "node")}
        engine = parsl_engine(cores=2)  # a pilot has a node of its own
        with ClusterExecutor(engine, tmp_path / "x", name="labels", heartbeat=1.0) as executor:
            pool = Pool(executor, tmp_path)
            for name in ("walltime", "cancelled"):
                pool.submit(name, "Trouble.hang_or_answer", payload={"pids": str(marks[name])}, retries=0)
            pool.wait_for_file(marks["walltime"])
            pool.wait_for_file(marks["cancelled"])
            cluster.ask("scontrol", "update", f"JobId={job_of(marks['walltime'])}", "EndTime=now")
            cluster.ask("scancel", job_of(marks["cancelled"]))
            hang = {"pids": str(tmp_path / "hang.pids")}
            pool.submit("hangs", "Trouble.hang", payload=hang, timeout=1.0, retries=1, growth=1.5)
            folder = pool.submit("fails", "Trouble.fail", retries=1)
            hangs, fails, cancelled = pool.wait("hangs", "fails", "cancelled")
            assert (cancelled.error, cancelled.attempts) == (None, 2)
            assert hangs.error == "it ran longer than its time limit of 1.5 s and was killed"
            assert (hangs.attempts, hangs.value) == (2, None)
            assert hangs.seconds > 2.5
            assert not any(works(pid) for pid in pids_in(tmp_path / "hang.pids"))
            assert (fails.error, fails.attempts) == ("the reference did not converge in 100 iterations", 2)
            assert "words for the log" in (folder / "task.log").read_text()

            pool.submit("node", "Trouble.hang_or_answer", payload={"pids": str(marks["node"])}, retries=0)
            pool.wait_for_file(marks["node"])
            dead = cluster.node_of(job_of(marks["node"]))
            cluster.kill(dead)
            for outcome in pool.wait("walltime", "node"):
                assert (outcome.error, outcome.attempts) == (None, 2)
        cluster.revive(dead)
        until(lambda: not cluster.jobs(), "an empty queue", 20.0)
        assert "TIMEOUT" in cluster.states()
        assert not list((tmp_path / "x" / "sessions").iterdir())
        assert sorted(path.name for path in (tmp_path / "scratch").iterdir()) == ["fails", "hangs"]

    def test_refusal(self, cluster: SlurmCluster, tmp_path: Path) -> None:
        """A scheduler that refuses is told at once, in its own words."""
        engine = parsl_engine(partition="nosuch")
        with ClusterExecutor(engine, tmp_path / "x", name="labels", heartbeat=1.0) as executor:
            pool = Pool(executor, tmp_path)
            pool.submit("one")
            with pytest.raises(ExecutionError, match=r"labels: the scheduler refuses .* invalid partition"):
                pool.wait("one")

    def test_a_script_learns(self, cluster: SlurmCluster, generation_0: Path, work: Work) -> None:
        """Rank 0 of two beside LAMMPS: labels in one pool, trainings in another; no job and no process is left."""
        made = work_with_generation_0(generation_0, work.folder, work.env)
        pools = {"labels": POOL, "training": {**POOL, "jobs": 1, "cores": 2, "tasks": 2}}
        made.configure(
            labeler={**LABELER, **TIMES},
            trainer={**BASE["trainer"], **TIMES},
            execution={"engine": "parsl", **pools, **QUICK},
            label_batches={"complete": 0.5},  # training begins while labels are still on their way
        )
        before = len(cluster.states())
        made.md(ATOMS + PAIR + fix("trust 0.05 5.0 stop candidates 3") + NVT.format(t=900) + "run 15\n", ranks=2)
        assert assert_intact(made) >= 1
        with made.ledger() as ledger:
            labels = ledger.labels()
            assert ledger.counts().frames["selected"] == 0
        assert {stored.frame_hash for stored in labels} == set(made.label_log())
        assert len(labels) == N_STRUCTURES + sum(e["n_selected"] for e in made.journal() if e["kind"] == "selection")
        assert set(made.label_log().values()) == {1}
        until(lambda: not cluster.jobs(), "an empty queue", 20.0)
        until(lambda: len(cluster.states()) - before >= 2, "the account of Slurm", 20.0)
        assert not list(made.run.labels.glob("*"))
        until(lambda: not made.processes(), "the end of all processes", 20.0)

    def test_kill_and_start_again(self, cluster: SlurmCluster, work: Work) -> None:
        """``kill -9`` of the controller and all that it started here: running labels are found again, none twice."""
        labeler = ase_labeler(work, "time.sleep(2.0)", log_file="labels.log", **TIMES)
        images = [bulk("Al", cubic=True) for _ in range(6)]
        for index, atoms in enumerate(images):
            atoms.rattle(0.05, seed=index)
        write(work.folder / "frames.extxyz", images, format="extxyz")
        execution = {"engine": "parsl", "labels": POOL, **QUICK}
        (work.folder / "x.yaml").write_text(yaml.safe_dump({"labeler": labeler, "execution": execution}))
        words = [str(BIN / "lammps-dpgen"), "label", "frames.extxyz", "--config", "x.yaml", "--run-folder", "run"]
        nowhere = subprocess.DEVNULL
        process = subprocess.Popen(words, cwd=work.folder, env=work.env, stdout=nowhere, stderr=nowhere)
        until(work.label_log, "the first label")
        running = cluster.jobs()
        assert running
        broker = [one for one in psutil.Process(process.pid).children() if "broker" in " ".join(one.cmdline())]
        for one in [psutil.Process(process.pid), *broker]:
            one.kill()
        process.wait()
        run = start(words, work.folder, work.env, 300, True)
        assert "6 of 6 frames labelled" in run.output
        assert len(read(work.folder / "frames-labelled.extxyz", index=":")) == 6
        assert len(work.label_log()) == 6
        assert set(work.label_log().values()) == {1}, "a label was paid twice"
        with Ledger.open(work.run.ledger, config_hash=None) as ledger:
            assert ledger.counts().labels == 6
        until(lambda: not cluster.jobs(), "an empty queue", 20.0)
        until(lambda: not work.processes(), "the end of all processes", 20.0)


class TestSchedulers:
    """What both engines do when the scheduler refuses, or is down."""

    def test_dpdispatcher_is_refused(self, cluster: SlurmCluster, tmp_path: Path) -> None:
        engine = dpdispatcher_engine("Slurm")
        engine["resources"]["queue_name"] = "nosuch"
        with ClusterExecutor(engine, tmp_path / "x", name="labels", heartbeat=1.0) as executor:
            pool = Pool(executor, tmp_path)
            pool.submit("one")
            with pytest.raises(ExecutionError, match=r"labels: the scheduler refuses .* invalid partition"):
                pool.wait("one")

    def test_the_doctor_tries_a_pool(self, cluster: SlurmCluster, tmp_path: Path) -> None:
        """With the lines of an example: a real job, and what is said where the partition does not exist."""
        text = (Path(__file__).parents[2] / "examples" / "10-slurm-labels" / "label.yaml").read_text()
        (tmp_path / "label.yaml").write_text(text)
        (finding,) = examine_pools(tmp_path / "label.yaml")
        assert (finding.part, finding.verdict) == ("label by lammps, pool labels (slurm, main)", "ok")
        assert finding.found.startswith("Al: -3.577")
        (tmp_path / "label.yaml").write_text(text.replace("partition: main", "partition: nosuch"))
        (finding,) = examine_pools(tmp_path / "label.yaml")
        assert (finding.part, finding.verdict) == ("execution", "problem")
        assert "invalid partition" in finding.found
        assert Path(finding.advice.rpartition(" is in ")[2]).is_dir()
        until(lambda: not cluster.jobs(), "an empty queue", 20.0)

    def test_down_for_a_while(self, cluster: SlurmCluster, tmp_path: Path) -> None:
        """Tasks wait, and nothing is set aside for it. (dpdispatcher waits a minute before it asks again.)"""
        with ClusterExecutor(parsl_engine(), tmp_path / "x", name="labels", heartbeat=1.0) as executor:
            pool, log = Pool(executor, tmp_path), tmp_path / "x" / "parsl.log"
            with cluster.down():
                pool.submit("one")

                def failed() -> bool:
                    pool.look()
                    return log.exists() and "could not be submitted" in log.read_text()

                until(failed, "an attempt to submit")
            [outcome] = pool.wait("one")
        assert (outcome.error, outcome.attempts) == (None, 1)
        until(lambda: not cluster.jobs(), "an empty queue", 20.0)


class TestLeaving:
    """A run that ends to go on later (GoOnLater) leaves its labels in the queue, where they are computed without it."""

    def submit_and_leave(self, engine: dict[str, Any], folder: Path, names: str) -> list[str]:
        """Leave while the tasks are open; return the jobs that stay in the queue."""
        with ClusterExecutor(engine, folder / "x", name="labels", heartbeat=1.0, stays=True) as executor:
            pool = Pool(executor, folder)
            for name in names:
                pool.submit(name, payload={"a": float(ord(name))})
            executor.leave()
        return (folder / "x" / "queued").read_text().split(":")

    @pytest.mark.parametrize("name", ["parsl", "dpdispatcher"])
    def test_results_are_there_without_a_controller(self, cluster: SlurmCluster, tmp_path: Path, name: str) -> None:
        """All nodes are taken when the controller leaves; its jobs run afterwards, and no other job is needed."""
        blocker = cluster.ask("sbatch", "--parsable", "-N2", "--exclusive", "--wrap", "sleep 600").strip()
        until(lambda: cluster.jobs().get(blocker) == "RUNNING", "a full cluster")
        engine = parsl_engine(tasks=1) if name == "parsl" else dpdispatcher_engine("Slurm")
        left = self.submit_and_leave(engine, tmp_path, "abcd")
        assert set(left) <= cluster.jobs().keys() - {blocker}
        assert 1 <= len(left) <= (2 if name == "parsl" else 4)
        assert "PENDING" in cluster.jobs().values()
        cluster.ask("scancel", blocker)
        until(lambda: not cluster.jobs(), "the end of the jobs that were left")
        submitted = len(cluster.states())
        with ClusterExecutor(engine, tmp_path / "x", name="labels", heartbeat=1.0, stays=True) as executor:
            pool = Pool(executor, tmp_path)
            for letter in "abcd":
                pool.submit(letter, payload={"a": float(ord(letter))})
            values = [outcome.value for outcome in pool.wait(*"abcd")]
        assert [value and value["sum"] for value in values] == [97.0, 98.0, 99.0, 100.0]
        assert len(cluster.states()) == submitted
        assert not list((tmp_path / "x" / "tasks").glob("*/*"))

    def test_the_next_controller_comes_before_they_are_done(self, cluster: SlurmCluster, tmp_path: Path) -> None:
        """Pilots of the first controller serve the second; no label is paid twice."""
        log = tmp_path / "log"
        engine = parsl_engine(cores=2, jobs=2)
        payload = {"log": str(log), "seconds": 3.0}
        with ClusterExecutor(engine, tmp_path / "x", name="labels", heartbeat=1.0, stays=True) as executor:
            pool = Pool(executor, tmp_path)
            for name in "abcd":
                pool.submit(name, "Trouble.slow", payload={**payload, "name": name})
            pool.wait_for_file(log)
            executor.leave()
        with ClusterExecutor(engine, tmp_path / "x", name="labels", heartbeat=1.0, stays=True) as executor:
            pool = Pool(executor, tmp_path)
            for name in "abcd":
                pool.submit(name, "Trouble.slow", payload={**payload, "name": name})
            outcomes = pool.wait(*"abcd")
        assert [outcome.error for outcome in outcomes] == [None] * 4
        assert sorted(log.read_text().split()) == ["a", "b", "c", "d"]
        until(lambda: not cluster.jobs(), "an empty queue", 20.0)


class TestDpdispatcher:
    @pytest.mark.parametrize("batch_type", ["Slurm", "Shell"])
    def test_jobs(self, cluster: SlurmCluster, tmp_path: Path, batch_type: str) -> None:
        """A good task, one that fails, and one whose job is killed once: one scheduler job each."""
        mark = tmp_path / "pids"
        engine = dpdispatcher_engine(batch_type)
        with ClusterExecutor(engine, tmp_path / "x", name="labels", heartbeat=1.0) as executor:
            pool = Pool(executor, tmp_path)
            pool.submit("good", payload={"a": 2.0})
            pool.submit("fails", "Trouble.fail", retries=1)
            good, fails = pool.wait("good", "fails")
            assert good.value is not None
            assert good.value["sum"] == 2.0
            assert (fails.error, fails.attempts) == ("the reference did not converge in 100 iterations", 2)
            if batch_type == "Slurm":
                pool.submit("cancelled", "Trouble.hang_or_answer", payload={"pids": str(mark)})
                pool.wait_for_file(mark)
                cluster.ask("scancel", job_of(mark))
                [cancelled] = pool.wait("cancelled")
                assert (cancelled.error, cancelled.attempts) == (None, 2)
        until(lambda: not cluster.jobs(), "an empty queue", 20.0)
        assert not (Path.cwd() / "dpdispatcher.log").exists()

    def test_controller_dies(self, cluster: SlurmCluster, tmp_path: Path) -> None:
        """Jobs that an earlier controller submitted are found queued, in work or done; none is submitted twice."""
        program = tmp_path / "controller.py"
        engine, box = dpdispatcher_engine("Slurm"), tmp_path / "x"
        program.write_text(
            "import json, sys, time\n"
            "from pathlib import Path\n"
            f"sys.path[:] = {[str(tmp_path), *sys.path]!r}\n"
            "from lammps_dpgen.execution.base import Task\n"
            "from lammps_dpgen.execution.cluster import ClusterExecutor\n"
            f"executor = ClusterExecutor({engine!r}, Path({str(box)!r}), name='labels', heartbeat=1.0)\n"
            "for i in range(6):\n"
            f"    folder = Path({str(tmp_path)!r}) / 'scratch' / str(i)\n"
            "    service = 'lammps_dpgen.labeling.service:LabelService'\n"
            f"    payload = json.loads(Path({str(tmp_path / 'payload')!r}).read_text())[i]\n"
            f"    settings = json.loads(Path({str(tmp_path / 'settings')!r}).read_text())\n"
            "    executor.submit(Task(str(i), service, settings, 'label', payload, folder))\n"
            "done = 0\n"
            "while executor.open_tasks:\n"
            "    done += sum(outcome.error is None for outcome in executor.poll())\n"
            "    time.sleep(0.05)\n"
            "done += sum(outcome.error is None for outcome in executor.poll())\n"
            "executor.close()\n"
            "print(done, 'done')\n"
        )
        self._prepare(tmp_path)
        env = {**os.environ}
        before = len(cluster.states())
        process = subprocess.Popen([sys.executable, program], env=env, cwd=tmp_path)
        log = tmp_path / "labels.log"
        until(log.exists, "the first label")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        run = start([sys.executable, program], tmp_path, env, 120, True)
        assert "6 done" in run.output
        lines = [line.split()[0] for line in log.read_text().splitlines()]
        assert len(lines) == len(set(lines)) == 6
        assert len(cluster.states()) == before + 6, "a job was submitted twice"
        until(lambda: not cluster.jobs(), "an empty queue", 20.0)

    @staticmethod
    def _prepare(folder: Path) -> None:
        """Write six frames to label, and the settings of a labeler that takes a second for each."""
        from lammps_dpgen.frame import Frame

        (folder / "slow_emt.py").write_text(
            "import time\nfrom ase.calculators.emt import EMT\n\nclass Slow(EMT):\n"
            "    def calculate(self, *args, **kw):\n        time.sleep(1.0)\n        super().calculate(*args, **kw)\n"
        )
        payloads = []
        for index in range(6):
            atoms = bulk("Al", cubic=True)
            atoms.rattle(0.05, seed=index)
            payloads.append({"frame": Frame.from_ase(atoms).to_json()})
        (folder / "payload").write_text(json.dumps(payloads))
        settings = {
            "name": "ase",
            "settings": {"calculator": "slow_emt:Slow", "trial": False},
            "log_file": "labels.log",
        }
        settings["log_file"] = str(folder / "labels.log")
        (folder / "settings").write_text(json.dumps(settings))
