"""Generation 0 from the command line: real labels, real trainings, kills, and wrong configurations."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from learning_runs import LABELER

from conftest import start
from lammps_dpgen.config import BootstrapConfig, load_config
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder, sha256

N_FRAMES = 4
COMMAND = [sys.executable, "-m", "lammps_dpgen.cli", "bootstrap", "boot.yaml"]

CONFIG: dict[str, Any] = {
    "run_folder": "run",
    "type_map": ["Al"],
    "models": 2,
    "structures": [
        {
            "generator": "prototype",
            "element": "Al",
            "repeat": [2, 1, 1],
            "perturb": {"displacement": 0.1, "cell": 2.0},
            "number": N_FRAMES,
        }
    ],
    "labeler": LABELER,
    "trainer": {
        "name": "deepmd",
        "settings": {"rcut": 4.0, "neuron": [4, 8], "fitting_neuron": [10, 10], "numb_steps": 60, "disp_freq": 20},
    },
}


def write(folder: Path, **change: Any) -> Path:
    path = folder / "boot.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **change}))
    return path


def run_folder(folder: Path) -> RunFolder:
    return RunFolder(folder / "run")


def label_log(folder: Path) -> Counter[str]:
    """Return how often the workers say that they labelled each frame."""
    path = folder / "labels.log"
    return Counter(line.split()[0] for line in path.read_text().splitlines()) if path.exists() else Counter()


def assert_complete(folder: Path) -> list[str]:
    """Check that generation 0 is there, whole and usable; return the hashes of its models."""
    run = run_folder(folder)
    with Ledger.open(run.ledger, config_hash=None) as ledger:
        (generation,) = ledger.generations()
        counts = ledger.counts()
        labels = ledger.labels()
    assert counts.labels == counts.frames["labelled"] == N_FRAMES
    assert counts.untrained == 0
    assert {stored.trained_in for stored in labels} == {0}
    assert (generation.number, generation.n_labels, len(generation.models)) == (0, N_FRAMES, 2)
    for index, model in enumerate(generation.models):
        assert run.model_link(index).resolve() == (run.path / model.path).resolve()
        assert sha256(run.model_link(index)) == model.sha256
        assert model.curve[-1][0] == 60
    ensemble = Ensemble([run.model_link(index) for index in range(2)])
    assert ensemble.type_map == ("Al",)
    assert (run.data_of(0) / labels[0].frame.formula / "type.raw").is_file()
    return [model.sha256 for model in generation.models]


def test_generation_0_and_again(tmp_path: Path, clean_env: dict[str, str]) -> None:
    write(tmp_path)
    first = start(COMMAND, tmp_path, clean_env, 300, True)
    assert "generation 0: 2 models of 4 labels" in first.output
    assert "libcudart" not in first.output
    hashes = assert_complete(tmp_path)
    assert len(set(hashes)) == 2
    assert label_log(tmp_path) == Counter(label_log(tmp_path).keys())
    run_folder(tmp_path).model_link(1).unlink()
    start(COMMAND, tmp_path, clean_env, 300, True)
    assert assert_complete(tmp_path) == hashes
    assert sum(label_log(tmp_path).values()) == N_FRAMES

    write(tmp_path, seed=7)
    other = start(COMMAND, tmp_path, clean_env, 300, False)
    assert other.returncode == 2
    assert "belongs to another configuration" in other.output
    assert "Traceback" not in other.output


@pytest.mark.slow
def test_killed_anywhere_it_goes_on(tmp_path: Path, clean_env: dict[str, str]) -> None:
    """A completed label is in the log of the labeler once; one that was running may be there twice."""
    write(tmp_path)
    random_times = random.Random(5)
    width = len(os.sched_getaffinity(0))
    kills = 0
    for _ in range(5):
        with subprocess.Popen(COMMAND, cwd=tmp_path, env=clean_env, stdout=subprocess.DEVNULL) as process:
            try:
                process.wait(random_times.uniform(1.0, 6.0))  # a quiet machine needs less than ten seconds for all
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
        time.sleep(0.5)  # the guards of the workers see the end of their executor
    start(COMMAND, tmp_path, clean_env, 300, True)
    assert_complete(tmp_path)
    log = label_log(tmp_path)
    assert len(log) == N_FRAMES
    assert sum(log.values()) <= N_FRAMES + kills * width
    assert kills > 0


def test_every_label_fails(tmp_path: Path, clean_env: dict[str, str]) -> None:
    calculator = {"calculator": "lj_that_fails:Failing", "trial": False}
    (tmp_path / "lj_that_fails.py").write_text(
        "from ase.calculators.lj import LennardJones\n"
        "class Failing(LennardJones):\n"
        "    def calculate(self, *arguments, **keywords):\n"
        "        raise RuntimeError('SCF did not converge')\n"
    )
    write(tmp_path, labeler={"name": "ase", "settings": calculator, "retries": 0})
    run = start(COMMAND, tmp_path, {**clean_env, "PYTHONPATH": str(tmp_path)}, 300, False)
    assert run.returncode == 3
    assert "none of the 4 initial frames could be labelled" in run.output
    assert "SCF did not converge (4 frames)" in run.output
    assert "Traceback" not in run.output
    with Ledger.open(run_folder(tmp_path).ledger, config_hash=None) as ledger:
        assert ledger.counts().frames["set_aside"] == N_FRAMES
        assert ledger.latest_generation() is None


def test_labeler_that_cannot_work_is_refused_before_any_label(tmp_path: Path, clean_env: dict[str, str]) -> None:
    settings = {**CONFIG["labeler"]["settings"], "pair_coeff": ["* * Al_zhu.eam.alloy Al"]}
    write(tmp_path, labeler={"name": "lammps", "settings": settings})
    run = start(COMMAND, tmp_path, clean_env, 300, False)
    assert run.returncode == 2
    assert "Al_zhu.eam.alloy" in run.output
    assert not label_log(tmp_path)


def test_trainer_that_cannot_work_is_refused_before_any_label(tmp_path: Path, clean_env: dict[str, str]) -> None:
    write(tmp_path, trainer={"name": "deepmd", "settings": {"sel": [20, 30]}})
    run = start(COMMAND, tmp_path, clean_env, 300, False)
    assert run.returncode == 2
    assert "trainer: sel has 2 numbers, the type map has 1 elements" in run.output
    assert not label_log(tmp_path)


def test_structures_with_an_element_that_the_type_map_lacks(tmp_path: Path, clean_env: dict[str, str]) -> None:
    write(tmp_path, structures=[{"generator": "prototype", "element": "Cu"}])
    run = start(COMMAND, tmp_path, clean_env, 300, False)
    assert run.returncode == 2
    assert "structures[0] (prototype) has Cu, which type_map lacks (it has Al)" in run.output


def test_two_jobs_in_one_folder(tmp_path: Path, clean_env: dict[str, str]) -> None:
    config = load_config(write(tmp_path), BootstrapConfig)
    with RunFolder(config.run_folder).create().lock():
        run = start(COMMAND, tmp_path, clean_env, 300, False)
    assert run.returncode == 2
    assert "is in use by process" in run.output
