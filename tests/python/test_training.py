"""The DeePMD-kit trainer: its contract, its inputs, and one process for many trainings."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from lammps_dpgen import registry
from lammps_dpgen.errors import ConfigError, TrainingError
from lammps_dpgen.native.cache import converted_file
from lammps_dpgen.noise import quiet_loading
from lammps_dpgen.training import deepmd
from lammps_dpgen.training.base import TrainingJob
from lammps_dpgen.training.contract import TrainerContract, contract_data
from lammps_dpgen.training.data import write_systems
from lammps_dpgen.training.deepmd import DeepmdTrainer
from lammps_dpgen.training.deepmd_input import old_ratio, training_input, users_input
from lammps_dpgen.training.deepmd_settings import DeepmdSettings, ReuseSettings
from lammps_dpgen.training.learning_curve import read_learning_curve
from lammps_dpgen.training.service import TrainService

# TensorFlow hands out the operators of a library once per process, to the first who loads it. For trainings that has
# to be DeePMD-kit's Python side; other tests of the same process load the library through the C API. Trainings of a
# run have worker processes of their own.
with quiet_loading():
    importlib.import_module("deepmd.tf.env")

TINY: dict[str, Any] = {
    "rcut": 4.5,
    "rcut_smth": 2.0,
    "neuron": [4, 8],
    "axis_neuron": 2,
    "fitting_neuron": [12, 12],
    "numb_steps": 120,
    "start_lr": 0.02,
    "batch_size": 6,
    "disp_freq": 30,
    "warm_start": {"training_reuse_numb_steps": 20},
}
USERS = {
    "model": {
        "descriptor": {"type": "se_e2_r", "rcut": 4.5, "rcut_smth": 2.0, "sel": [60], "neuron": [4, 8]},
        "fitting_net": {"neuron": [8, 8]},
    },
    "learning_rate": {"type": "exp", "start_lr": 0.01, "stop_lr": 1e-4},
    "loss": {"start_pref_e": 1, "limit_pref_e": 1, "start_pref_f": 100, "limit_pref_f": 1},
    "training": {"training_data": {"systems": ["/elsewhere"], "batch_size": 2}, "numb_steps": 50},
}


@pytest.mark.models
class TestDeepmdTrainer(TrainerContract):
    @pytest.fixture(scope="class")
    @classmethod
    def trainer(cls) -> DeepmdTrainer:
        return DeepmdTrainer(DeepmdSettings(**TINY))


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, ...]]:
    folder = tmp_path_factory.mktemp("systems")
    sizes = {"old": 6, "new": 2}
    return {
        name: tuple(str(p) for p in write_systems(contract_data("Al", n, 0.1, seed=n), folder / name, ["Al"]))
        for name, n in sizes.items()
    }


def job(systems: dict[str, tuple[str, ...]], generation: int = 0, **changes: Any) -> TrainingJob:
    old = systems["old"] if generation else ()
    new = systems["new"] if generation else systems["old"]
    return TrainingJob(generation, 0, 5, ("Al",), old, new, **changes)


def checkpoint(folder: Path, **content: Any) -> str:
    """Lay the files that mark a finished training; only their names count here."""
    folder.mkdir()
    (folder / "model.ckpt-100.index").touch()
    (folder / "input.json").write_text(json.dumps(content))
    return str(folder / "model.ckpt-100")


def test_the_default_input_is_complete(systems: dict[str, tuple[str, ...]]) -> None:
    settings = DeepmdSettings(numb_steps=1000, disp_freq=300, sel=(40,), start_lr=0.004)
    content = training_input(settings, job(systems))
    assert content["model"]["descriptor"]["sel"] == [40]
    assert content["learning_rate"] == {"type": "exp", "start_lr": 0.004, "stop_lr": 1e-4, "decay_steps": 10}
    assert content["training"]["training_data"]["systems"] == list(systems["old"])
    assert "auto_prob" not in content["training"]["training_data"]
    assert content["training"]["disp_freq"] == 250  # the curve ends with the last step
    seeds = [content["model"]["descriptor"]["seed"], content["model"]["fitting_net"]["seed"]]
    assert len({*seeds, content["training"]["seed"]}) == 3
    deepmd.check_input(content)


def test_sel_is_counted_with_a_margin_and_then_kept(systems: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    settings = DeepmdSettings(sel_margin=1.5)
    counted = training_input(settings, job(systems))["model"]["descriptor"]["sel"]
    assert 60 < counted[0] < 130  # fcc at a = 4.1: 54 within 6 Å when unperturbed
    kept = checkpoint(tmp_path / "last", model={"descriptor": {"sel": [200]}})
    assert training_input(settings, job(systems, 1, warm_start=kept))["model"]["descriptor"]["sel"] == [200]
    outgrown = checkpoint(tmp_path / "small", model={"descriptor": {"sel": [20]}})
    with pytest.raises(TrainingError, match="trained from scratch"):
        training_input(settings, job(systems, 1, warm_start=outgrown))


def test_reuse_settings_act_as_in_dpgen(systems: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    reuse = {
        "training_reuse_iter": 2,
        "training_reuse_old_ratio": 0.9,
        "training_reuse_numb_steps": 400,
        "training_reuse_start_lr": 1e-4,
        "training_reuse_start_pref_e": 0.2,
        "training_reuse_start_pref_f": 70,
    }
    settings = DeepmdSettings(sel=(80,), numb_steps=900, warm_start=reuse)
    last = checkpoint(tmp_path / "last")
    early = training_input(settings, job(systems, 1, warm_start=last))
    assert early["training"]["numb_steps"] == 900
    content = training_input(settings, job(systems, 2, warm_start=last))
    assert content["training"]["training_data"]["auto_prob"] == "prob_sys_size; 0:1:0.900000; 1:2:0.100000"
    assert content["training"]["training_data"]["systems"] == [*systems["old"], *systems["new"]]
    assert content["training"]["numb_steps"] == 400
    assert content["learning_rate"]["start_lr"] == 1e-4
    assert content["learning_rate"]["decay_steps"] == 4
    assert (content["loss"]["start_pref_e"], content["loss"]["start_pref_f"]) == (0.2, 70)


def test_old_ratio_by_numbers_of_frames() -> None:
    assert old_ratio(ReuseSettings(), 100, 10) == pytest.approx(100 / 200)
    assert old_ratio(ReuseSettings(training_reuse_old_ratio="auto:2"), 60, 20) == pytest.approx(60 / 100)
    assert old_ratio(ReuseSettings(training_reuse_old_ratio=0.7), 1, 1) == 0.7
    for wrong in (1.2, "auto:", "half"):
        with pytest.raises(ValidationError, match="training_reuse_old_ratio"):
            ReuseSettings(training_reuse_old_ratio=wrong)


def test_users_input_keeps_all_but_data_and_seeds(tmp_path: Path, systems: dict[str, tuple[str, ...]]) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(USERS))
    settings = DeepmdSettings.model_validate({"input": "mine.json"}, context={"folder": tmp_path})
    DeepmdTrainer(settings).check(["Al"])
    content = training_input(settings, job(systems))
    assert content["model"]["type_map"] == ["Al"]
    assert content["model"]["descriptor"]["type"] == "se_e2_r"
    assert content["training"]["training_data"]["systems"] == list(systems["old"])
    assert content["training"]["training_data"]["batch_size"] == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": {"descriptor": {}, "type_map": ["Mg", "Al"]}}, "has type_map Mg Al, the run has Al"),
        ({"loss": None}, "lacks loss"),
        ({"model": {}}, "lacks model.descriptor"),
    ],
)
def test_users_input_that_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        users_input({**USERS, **change}, ["Al"])


def test_users_input_is_checked_by_deepmd_kit() -> None:
    wrong = {**USERS, "learning_rate": {**USERS["learning_rate"], "start_learning_rate": 1}}
    with pytest.raises(ConfigError, match="start_learning_rate"):
        DeepmdTrainer(DeepmdSettings(input=wrong)).check(["Al"])


def test_users_input_is_read_with_the_settings(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"'/nowhere/mine\.json' cannot be read"):
        DeepmdSettings.model_validate({"input": "/nowhere/mine.json"})
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ValidationError, match=r"list\.yaml' holds no mapping"):
        DeepmdSettings.model_validate({"input": "list.yaml"}, context={"folder": tmp_path})


def test_hash_of_the_settings_is_that_of_the_inputs_content(tmp_path: Path) -> None:
    def hash_in(folder: str, content: dict[str, Any]) -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "mine.json").write_text(json.dumps(content, indent=len(folder)))
        return DeepmdSettings.model_validate({"input": "mine.json"}, context={"folder": tmp_path / folder}).hash()

    assert hash_in("here", USERS) == hash_in("elsewhere", USERS) == DeepmdSettings(input=USERS).hash()
    assert hash_in("here", USERS) != hash_in("here", {**USERS, "loss": {"start_pref_e": 3.0}})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"input": USERS, "rcut": 5.0}, "rcut cannot be given beside 'input'"),
        ({"rcut": 4.0, "rcut_smth": 4.0}, "rcut_smth must be smaller"),
        ({"batch_size": "auto:0"}, "batch_size"),
        ({"neurons": [1]}, "neurons"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        DeepmdSettings.model_validate(settings)


def test_settings_survive_being_written_out() -> None:
    for settings in (DeepmdSettings(), DeepmdSettings(input=USERS), DeepmdSettings(sel=(10, 20))):
        assert DeepmdSettings.model_validate(settings.model_dump(mode="json")) == settings


def test_check_asks_for_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(deepmd.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ConfigError, match="PyTorch is not installed"):
            DeepmdTrainer(DeepmdSettings(backend="pytorch")).check(["Al"])
    with pytest.raises(ConfigError, match=r"sel has 1 numbers, the type map has 2 elements \(Al Mg\)"):
        DeepmdTrainer(DeepmdSettings(sel=(40,))).check(["Al", "Mg"])


def test_learning_curve_is_read_by_its_header(tmp_path: Path) -> None:
    file = tmp_path / "lcurve.out"
    file.write_text("#  step  rmse_val  rmse_trn  rmse_f_val  rmse_f_trn  rmse_e_val  rmse_e_trn  lr\n# note\n"
                    "0 1 2 3 4 5 6 1e-3\n 20 1 2 3 nan 5 0.6 1.0e-04\n")  # fmt: skip
    rows = read_learning_curve(file)
    assert rows[0] == (0, 4.0, 6.0, 1e-3)
    assert rows[1][0] == 20
    assert np.isnan(rows[1][1])
    file.write_text("# step rmse_trn lr\n0 1 1\n")
    with pytest.raises(TrainingError, match="rmse_f_trn"):
        read_learning_curve(file)


def test_trainers_are_found_by_name() -> None:
    assert isinstance(registry.make(registry.TRAINERS, "deepmd", TINY), DeepmdTrainer)
    with pytest.raises(ConfigError, match="did you mean 'deepmd'"):
        registry.make(registry.TRAINERS, "deepmdd", {})
    with pytest.raises(ConfigError, match="settings of the trainer 'deepmd'"):
        registry.make(registry.TRAINERS, "deepmd", {"numb_steps": 0})


@pytest.mark.models
def test_a_later_training_equals_one_in_a_fresh_process(systems: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    """Nothing of earlier trainings is left in the process: weights agree bit for bit, compressed or not."""
    service = {"name": "deepmd", "settings": {**TINY, "numb_steps": 20, "disp_freq": 5, "compress": True}}
    other = TrainingJob(0, 1, 99, ("Al",), (), systems["new"])
    here = TrainService(**service)
    here.train(other.to_json(), tmp_path / "other")
    result = here.train(job(systems).to_json(), tmp_path / "here")
    code = (
        "import json, sys; from lammps_dpgen.training.service import TrainService;"
        "a = json.load(sys.stdin); TrainService(**a[0]).train(a[1], a[2])"
    )
    argument = json.dumps([service, job(systems).to_json(), str(tmp_path / "fresh")])
    subprocess.run(
        [sys.executable, "-c", code], input=argument, text=True, check=True, env=dict(os.environ), timeout=300
    )
    for name in ("lcurve.out", "model.ckpt-20.data-00000-of-00001"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()
    assert set(result["seconds"]) == {"import", "start", "loop", "freeze", "convert", "compress"}
    assert result["seconds"]["compress"] > 0.0
    for where in ("here", "fresh"):
        assert converted_file(tmp_path / where / "model.pb") is not None, "the weights lie beside the compressed model"


@pytest.mark.models
def test_a_users_input_is_trained(systems: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    prime = {**USERS, "training": {**USERS["training"], "numb_steps": 31}}  # no divisor but 1 for the curve
    result = DeepmdTrainer(DeepmdSettings(input=prime, disp_freq=10)).train(job(systems), tmp_path / "training")
    assert result.steps == 31
    assert [row[0] for row in result.curve] == [0, 10, 20, 30]
    assert result.warm_start == str(tmp_path / "training" / "model.ckpt-31")
    assert Path(result.model).is_file()


@pytest.mark.models
def test_deepmd_kits_own_message_is_told(systems: dict[str, tuple[str, ...]], tmp_path: Path) -> None:
    broken = {**USERS, "model": {**USERS["model"], "descriptor": {"type": "se_e2_z", "sel": [10]}}}
    with pytest.raises(TrainingError, match=r"DeePMD-kit failed: .*se_e2_z.*train\.log"):
        DeepmdTrainer(DeepmdSettings(input=broken)).train(job(systems), tmp_path / "training")
