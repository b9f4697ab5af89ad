"""Cluster jobs without a cluster: job scripts, machine files, claims, refusals, and the rest of a batch."""

from __future__ import annotations

import inspect
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_learning_steps import ScriptedExecutor, frame, label_of

from lammps_dpgen.config.label import LabelConfig
from lammps_dpgen.config.learn import LearnConfig
from lammps_dpgen.config.load import load_config
from lammps_dpgen.errors import ConfigError, LearningError
from lammps_dpgen.execution.box import Claim, Result, TaskBox
from lammps_dpgen.execution.machine_file import read_machine_file
from lammps_dpgen.execution.run_task import run_ticket
from lammps_dpgen.execution.schedulers import is_refusal
from lammps_dpgen.execution.sites import Site, provider_class
from lammps_dpgen.learning.label_batches import LabelBatches
from lammps_dpgen.learning.labels import LabelResult
from lammps_dpgen.store.ledger import Ledger

SITE = Site(
    provider="slurm", jobs=3, nodes=1, cores=64, tasks=2, walltime=43200.0, task_limit=7200.0, gpus=4, memory=120,
    partition="gpu", account="abc123", worker_init="module load vasp",
)  # fmt: skip
MACHINE: dict[str, Any] = {"batch_type": "Slurm", "context_type": "LocalContext", "local_root": "./"}
RESOURCES: dict[str, Any] = {"cpu_per_node": 8, "group_size": 20}
EMT = {"name": "ase", "settings": {"calculator": "ase.calculators.emt:EMT"}}


@pytest.mark.slurm
class TestScripts:
    """What Parsl's providers write for a site; the program that would submit it keeps it and gives it a number."""

    @pytest.fixture
    def script(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Site], tuple[str, str]]:
        pytest.importorskip("parsl", reason="no parsl; pip install '.[parsl]'")
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        answers = {
            "sbatch": "Submitted batch job 7",
            "qsub": "7.server",
            "bsub": "Job <7> is submitted to queue <gpu>.",
            "sacct": "",
        }
        for name, answer in answers.items():
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\necho '{answer}'\necho \"$0 $@\" >> {tmp_path}/called\n")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

        def render(site: Site) -> tuple[str, str]:
            made, arguments = provider_class(site)
            provider = made(**arguments)
            provider.script_dir = str(tmp_path)
            assert provider.submit("run the pilot", 1, "labels").startswith("7")
            [written] = [path for path in tmp_path.glob("*labels.*") if not path.suffix.startswith(".std")]
            return written.read_text(), (tmp_path / "called").read_text()

        return render

    def test_slurm(self, script: Callable[[Site], tuple[str, str]]) -> None:
        text, _ = script(SITE)
        for line in ("--partition=gpu", "--account=abc123", "--gpus-per-node=4", "--mem=120g", "--cpus-per-task=64",
                     "--nodes=1", "--time=720"):  # fmt: skip
            assert f"#SBATCH {line}" in text
        assert "--exclusive" not in text
        assert text.index("module load vasp") < text.index("run the pilot")

    def test_pbspro(self, script: Callable[[Site], tuple[str, str]]) -> None:
        text, called = script(
            Site(**{**vars(SITE), "provider": "pbspro", "nodes": 2, "options": ("#PBS -l place=excl",)})
        )
        assert "#PBS -l select=2:ncpus=64:ngpus=4:mem=120gb" in text
        assert "#PBS -l walltime=12:00:00" in text
        assert "#PBS -l place=excl" in text
        assert "-q gpu -A abc123" in " ".join(called.split())
        assert "module load vasp" in text

    def test_lsf(self, script: Callable[[Site], tuple[str, str]]) -> None:
        text, _ = script(Site(**{**vars(SITE), "provider": "lsf"}))
        for line in ("-W 720", "-P abc123", "-q gpu", "-n 64", '-R "span[ptile=64]"', '-gpu "num=4"', "-M 120GB"):
            assert f"#BSUB {line}" in text

    def test_kubernetes(self) -> None:
        pytest.importorskip("parsl", reason="no parsl; pip install '.[parsl]'")
        site = Site(
            **{**vars(SITE), "provider": "kubernetes", "image": "site/dpgen:1", "volumes": (("work", "/work"),)}
        )
        made, arguments = provider_class(site)
        bound = inspect.signature(made.__init__).bind(None, **arguments).arguments
        assert (bound["image"], bound["max_cpu"], bound["max_mem"]) == ("site/dpgen:1", 64, "120Gi")
        assert bound["extra_limits"] == {"nvidia.com/gpu": "4"}
        assert bound["persistent_volumes"] == [("work", "/work")]


def test_a_site_travels_as_plain_data() -> None:
    site = Site(**{**vars(SITE), "options": ("#SBATCH --x",), "volumes": (("a", "/b"),)})
    assert Site.from_json(json.loads(json.dumps(site.to_json()))) == site


def test_no_task_begins_where_it_cannot_end() -> None:
    assert SITE.drain == 43200 - 7200 - 60
    assert Site(**{**vars(SITE), "task_limit": 40000.0}).drain is None  # a short walltime is better used than spared


@pytest.mark.parametrize(
    ("answer", "final"),
    [
        ("sbatch: error: invalid partition specified: nosuch", True),
        (
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified",
            True,
        ),
        ("qsub: Unknown queue", True),
        ("sbatch: error: Unable to contact slurm controller (connect failure)", False),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", False),
    ],
)
def test_a_scheduler_that_refuses_is_told_from_one_that_is_down(answer: str, final: bool) -> None:
    assert is_refusal(answer) is final


class TestBox:
    @pytest.fixture
    def box(self, tmp_path: Path) -> TaskBox:
        return TaskBox(tmp_path).create()

    def test_one_claim_at_a_time(self, box: TaskBox) -> None:
        first = Claim.take(box, "a", 1)
        assert first is not None
        assert Claim.take(box, "a", 1) is None
        first.beat()
        seen = box.claim("a")
        assert seen is not None
        assert (seen["beats"], seen["pid"]) == (1, os.getpid())
        box.reset("a")
        assert not first.is_held()
        second = Claim.take(box, "a", 2)
        assert second is not None
        first.release()  # must not touch that of another
        assert second.is_held()

    def test_a_result_nobody_waits_for_is_not_written(self, box: TaskBox) -> None:
        box.write_request("a", {"attempt": 1})
        box.write_result("a", Result(1, {"x": 1}, None, 2.0))
        assert box.result("a") == Result(1, {"x": 1}, None, 2.0)
        assert box.keys_of_results() == {"a"}
        box.remove("a")
        box.write_result("a", Result(1, {"x": 1}, None, 2.0))
        assert box.result("a") is None

    def test_a_task_that_is_done_is_not_run_again(self, box: TaskBox) -> None:
        box.write_request("a", {"attempt": 1})  # says nothing of what to do: running it would fail
        box.write_result("a", Result(1, {"x": 1}, None, 2.0))
        run_ticket(str(box.folder), "a")
        run_ticket(str(box.folder), "withdrawn")


class TestMachineFile:
    def write(self, path: Path, data: Any) -> Path:
        path.write_text(json.dumps(data))
        return path

    def test_sections(self, tmp_path: Path) -> None:
        section = {"command": "vasp_std", "machine": MACHINE, "resources": RESOURCES}
        path = self.write(tmp_path / "machine.json", {"api_version": "1.0", "fp": [section]})
        found = read_machine_file(path, "fp")
        assert found is not None
        assert (found.machine, found.resources, found.cores) == (MACHINE, RESOURCES, 8)
        assert read_machine_file(path, "train") is None

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ([], "expected an object with the sections train and fp, got a list"),
            ({"fp": [{"command": "vasp_std"}]}, "section fp needs the objects 'machine' and 'resources'"),
            (
                {"fp": {"machine": {**MACHINE, "context_type": "SSHContext"}, "resources": RESOURCES}},
                "context_type of fp.machine is 'SSHContext'; allowed: LocalContext and LazyLocalContext",
            ),
        ],
    )
    def test_bad_files(self, tmp_path: Path, data: Any, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            read_machine_file(self.write(tmp_path / "machine.json", data), "fp")


class TestConfiguration:
    def load(self, folder: Path, **execution: Any) -> LabelConfig:
        (folder / "x.yaml").write_text(yaml.safe_dump({"labeler": {**EMT, "threads": 8}, "execution": execution}))
        return load_config(folder / "x.yaml", LabelConfig)

    def test_a_pool(self, tmp_path: Path) -> None:
        pool = {"provider": "slurm", "cores": 64, "walltime": "12h", "worker_init": "module load a\nmodule load b\n"}
        config = self.load(tmp_path, engine="parsl", labels=pool)
        assert config.execution.labels is not None
        site, threads = config.execution.labels.site(threads=8, limit=3600.0)
        assert (site.tasks, threads, site.walltime) == (8, 8, 43200.0)
        assert site.worker_init == "module load a\nmodule load b"

    def test_trainings_share_the_cores_of_a_node_by_its_gpus(self, tmp_path: Path) -> None:
        pool = {"provider": "slurm", "cores": 16, "gpus": 4}
        config = self.load(tmp_path, engine="parsl", training=pool)
        assert config.execution.training is not None
        site, threads = config.execution.training.site(threads=None, limit=14400.0)
        assert (site.tasks, threads, site.walltime) == (4, 4, 21600.0)

    @pytest.mark.parametrize(
        ("execution", "message"),
        [
            ({"engine": "parsl"}, "needs a pool"),
            ({"engine": "dpdispatcher"}, "needs it"),
            ({"labels": {"provider": "slurm"}}, "only with engine parsl, here it is local"),
            ({"engine": "parsl", "labels": {"provider": "slrm"}}, "'slurm', 'local', 'pbspro'"),
            ({"engine": "parsl", "labels": {"provider": "lsf", "qos": "x"}}, "qos: only with provider slurm"),
            (
                {"engine": "parsl", "labels": {"provider": "slurm", "options": ["--x"]}},
                "lines that begin with '#SBATCH '",
            ),
            ({"engine": "parsl", "labels": {"provider": "slurm", "walltime": "5min"}}, "one task may take 3600 s"),
            (
                {"engine": "parsl", "labels": {"provider": "slurm", "cores": 2, "tasks": 3}},
                "more than the 2 GPUs or cores",
            ),
            ({"engine": "parsl", "labels": {"provider": "kubernetes"}}, "needs an image"),
        ],
    )
    def test_mistakes(self, tmp_path: Path, execution: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            self.load(tmp_path, **execution)


class TestBatches:
    """Which share of a batch is waited for, what becomes of the rest, and how many may fail."""

    def config(self, folder: Path, **more: Any) -> LearnConfig:
        data = {
            "run_folder": "run", "type_map": ["Al"], "models": 2, "fix": "dp", "labeler": EMT,
            "trainer": {"name": "deepmd"}, "structures": [{"generator": "prototype", "element": "Al"}],
        }  # fmt: skip
        return LearnConfig.model_validate({**data, **more}, context={"folder": folder})

    def batches(
        self, config: LearnConfig, ledger: Ledger, executor: ScriptedExecutor, told: list[tuple[LabelResult, bool]]
    ) -> LabelBatches:
        return LabelBatches(
            executor, ledger, config, Path(config.run_folder), lambda result, mine: told.append((result, mine))
        )

    @pytest.mark.parametrize(("n", "waited"), [(1, 1), (19, 19), (20, 19), (40, 38), (41, 39)])
    def test_the_rest_joins_later(self, tmp_path: Path, n: int, waited: int) -> None:
        config = self.config(tmp_path, label_batches={"complete": 0.95})
        told: list[tuple[LabelResult, bool]] = []
        with Ledger.open(tmp_path / "ledger.db", config_hash="x") as ledger:
            batches = self.batches(config, ledger, ScriptedExecutor(label_of(config)), told)
            frames = [frame(number) for number in range(n)]
            ledger.add_frames(frames)
            assert len(batches.label(frames, lambda: None)) == waited
            assert len(batches.pending) == n - waited
            assert ledger.counts().labels == waited
            later = [frame(1000)]
            ledger.add_frames(later)
            assert [result.frame.hash for result in batches.label(later, lambda: None)] == [later[0].hash]
            batches.label_rest(lambda: None)
            assert not batches.pending
            assert ledger.counts().labels == n + 1
        assert len(told) == n + 1
        assert sum(not mine for _, mine in told) == n - waited

    def test_the_share_by_default(self, tmp_path: Path) -> None:
        pool = {"engine": "parsl", "labels": {"provider": "slurm"}}
        assert self.config(tmp_path).complete_share == 1.0
        assert self.config(tmp_path, execution=pool).complete_share == 0.95

    @pytest.mark.parametrize(("failing", "stops"), [(8, False), (10, True)])
    def test_failures_up_to_a_rate(self, tmp_path: Path, failing: int, stops: bool) -> None:
        config = self.config(tmp_path, label_batches={"max_failed": 0.3})
        frames = [frame(number) for number in range(30)]
        bad, good = {one.hash for one in frames[-failing:]}, label_of(config)
        executor = ScriptedExecutor(lambda task: "no convergence" if task.id in bad else good(task))
        with Ledger.open(tmp_path / "ledger.db", config_hash="x") as ledger:
            batches = self.batches(config, ledger, executor, [])
            ledger.add_frames(frames)
            if not stops:
                assert len(batches.label(frames, lambda: None)) == 30
                return
            with pytest.raises(LearningError, match=r"9 of the last 29 labels failed, .* = 0.3 .*: no convergence"):
                batches.label(frames, lambda: None)
            assert ledger.counts().labels == 20
