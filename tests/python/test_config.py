"""Configuration files: what is read, and what a wrong file is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from lammps_dpgen import registry
from lammps_dpgen.config import BootstrapConfig, LearnConfig, load_config
from lammps_dpgen.config.base import parse_duration
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.labeling.base import LabelerSettings
from lammps_dpgen.labeling.files import config_folder
from lammps_dpgen.training.base import TrainerSettings
from lammps_dpgen.training.deepmd_settings import DeepmdSettings

MINIMAL: dict[str, Any] = {
    "run_folder": "run",
    "fix": "dp",
    "type_map": ["Al"],
    "labeler": {"name": "springs", "settings": {"stiffness": 2.0}},
    "trainer": {"name": "fitter"},
}


class SpringSettings(LabelerSettings):
    stiffness: float = Field(gt=0.0)
    cut_off: float = 5.0
    table: str = ""

    @field_validator("table")
    @classmethod
    def _absolute(cls, table: str, info: ValidationInfo) -> str:
        return str(config_folder(info) / table) if table else table


class FitterSettings(TrainerSettings):
    class Net(BaseModel):
        model_config = ConfigDict(extra="forbid")
        neurons: list[int] = Field(default_factory=lambda: [10])

    steps: int = 100
    net: Net = Net()


class CrystalSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    element: str
    count: int = 3


class Springs:
    Settings: ClassVar = SpringSettings


class Fitter:
    Settings: ClassVar = FitterSettings


class Crystal:
    Settings: ClassVar = CrystalSettings


@pytest.fixture(autouse=True)
def _parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the parts above as another package would."""

    class Point:
        def __init__(self, value: type) -> None:
            self.value = value.__name__
            self.load = lambda: value

    points = {
        registry.LABELERS: {"springs": Point(Springs)},
        registry.TRAINERS: {"fitter": Point(Fitter)},
        registry.STRUCTURES: {"crystal": Point(Crystal)},
    }
    monkeypatch.setattr(registry, "registered", lambda group: points[group])


def write(folder: Path, data: Any) -> Path:
    path = folder / "learn.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False))
    return path


def refusal(folder: Path, data: Any, model: type[Any] = LearnConfig) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, data), model)
    return str(caught.value)


def test_defaults_are_written_out(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, MINIMAL), LearnConfig)
    assert config.models == 4
    assert config.run_folder == tmp_path / "run"
    assert config.labeler.settings == {"stiffness": 2.0, "cut_off": 5.0, "table": ""}
    assert config.trainer.settings == {"steps": 100, "net": {"neurons": [10]}}
    assert config.selection.batch == 20
    assert config.bootstrap() is None


def test_paths_start_at_the_folder_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    data = {**MINIMAL, "labeler": {"name": "springs", "settings": {"stiffness": 1, "table": "t.dat"}}}
    write(tmp_path, data)
    config = load_config("../learn.yaml", LearnConfig)
    assert config.run_folder.resolve() == (tmp_path / "run").resolve()
    assert Path(config.labeler.settings["table"]).resolve() == (tmp_path / "t.dat").resolve()


def test_all_problems_come_at_once_with_line_and_nearest_key(tmp_path: Path) -> None:
    text = """\
run_folder: run
type_map: [Al, Qq]
models: 1
labeler:
  name: springs
  setings: {}
  settings: {stifness: 2.0}
trainer: {name: fiter}
limits:
  wall_time: 2 hours
  lables: 5
selection: {box: {min_angel: 2}}
execution: {width: 0}
"""
    message = refusal(tmp_path, text)
    for expected in (
        "11 problems",
        "line 2, type_map: got ['Al', 'Qq']; no chemical element: Qq",
        "line 3, models: got 1; Input should be greater than or equal to 2",
        "line 6, labeler.setings: unknown key; did you mean 'settings'?",
        "line 7, labeler.settings.stifness: unknown key; did you mean 'stiffness'? (known here: stiffness, cut_off",
        "labeler.settings.stiffness: missing",
        "line 8, trainer.name: got 'fiter'; no trainer has the name 'fiter'; did you mean 'fitter'?",
        "line 10, limits.wall_time: got '2 hours'; a duration is",
        "line 11, limits.lables: unknown key; did you mean 'labels'?",
        "line 12, selection.box.min_angel: unknown key; did you mean 'min_angle'?",
        "line 13, execution.width: got 0; allowed: auto, or a number of cores of at least 1",
        "fix: missing; required: ID of the 'fix dpgen' in the LAMMPS script",
    ):
        assert expected in message


def test_keys_of_a_part_are_explained_at_any_depth(tmp_path: Path) -> None:
    data = {**MINIMAL, "trainer": {"name": "fitter", "settings": {"net": {"neuron": [1]}}}}
    message = refusal(tmp_path, data)
    assert "trainer.settings.net.neuron: unknown key; did you mean 'neurons'? (known here: neurons)" in message


def test_structures_carry_their_generators_settings(tmp_path: Path) -> None:
    data = {**MINIMAL, "structures": [{"generator": "crystal", "element": "Al"}]}
    config = load_config(write(tmp_path, data), LearnConfig)
    assert config.structures[0].settings == {"element": "Al", "count": 3}
    boot = config.bootstrap()
    assert boot is not None
    assert boot.config_hash() == config.config_hash()
    message = refusal(tmp_path, {**MINIMAL, "structures": [{"generator": "crystal", "elment": "Al"}]})
    assert "line 13, structures[0].elment: unknown key; did you mean 'element'?" in message
    assert "line 12, structures[0].element: missing" in message
    assert "no structure generator has the name 'cristal'; did you mean 'crystal'?" in refusal(
        tmp_path, {**MINIMAL, "structures": [{"generator": "cristal"}]}
    )


def test_repeated_key_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, yaml.safe_dump(MINIMAL, sort_keys=False) + "limits: {labels: 5}\nlimits: {labels: 6}\n")
    assert "limits: stands twice, first in line 11; keep one" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2\n", "learn.yaml:2:1: not valid YAML"),
        ("- 1\n- 2\n", "expected keys and values, got list"),
        ("", "expected keys and values, got NoneType"),
        ("a: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
    ],
)
def test_not_a_configuration(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in refusal(tmp_path, text)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "none.yaml", LearnConfig)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path, LearnConfig)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "binary.yaml", LearnConfig)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"type_map": [False]}, "write 'No' in quotes"),
        ({"type_map": ["Al", "Al"]}, "an element stands twice"),
        ({"type_map": "Al"}, "expected a list of elements"),
        ({"run_folder": 3}, "a path is a text"),
        ({"structures": [{"generator": "crystal", "element": "Al"}], "initial_models": ["a.pb"]}, "exclude each other"),
        ({"initial_models": ["a.pb"]}, "names 1 files for an ensemble of 4"),
        ({"initial_models": ["a.pb", "b.pth"], "models": 2}, "trainer fitter makes .pb models"),
        ({"audit": {"share": 1.5}}, "less than or equal to 1"),
        ({"selection": {"method": "best"}}, "'farthest_point' or 'random'"),
        ({"safe_points": {"sanity": {"max_force": ".nan"}}}, "max_force"),
    ],
)
def test_bad_values(tmp_path: Path, change: dict[str, Any], expected: str) -> None:
    assert expected in refusal(tmp_path, {**MINIMAL, **change})


def test_initial_models_of_the_trainers_own_kind(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, {**MINIMAL, "models": 2, "initial_models": ["a.pb", "b.pb"]}), LearnConfig)
    assert [model.name for model in config.initial_models] == ["a.pb", "b.pb"]
    assert config.trainer.model_suffix == ".pb"


@pytest.mark.parametrize(("backend", "suffix"), [("tensorflow", ".pb"), ("pytorch", ".pth")])
def test_models_have_the_suffix_of_the_backend(backend: Literal["tensorflow", "pytorch"], suffix: str) -> None:
    assert DeepmdSettings(backend=backend).model_suffix == suffix


def test_bootstrap_needs_structures(tmp_path: Path) -> None:
    data = {key: value for key, value in MINIMAL.items() if key != "fix"}
    assert "structures: missing; required: Initial structures" in refusal(tmp_path, data, BootstrapConfig)
    assert "fix: unknown key" in refusal(tmp_path, {**MINIMAL, "structures": []}, BootstrapConfig)


@pytest.mark.parametrize(
    ("value", "seconds"), [(90, 90.0), ("90min", 5400.0), ("1h 30min", 5400.0), ("1.5h", 5400.0), ("2d", 172800.0)]
)
def test_durations(value: Any, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize("value", ["", "2 hours", "h", "-2h", 0, -1, True, None, "1h x"])
def test_wrong_durations(value: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(value)


def test_config_hash_holds_what_decides_results_and_nothing_else(tmp_path: Path) -> None:
    def hash_of(**change: Any) -> str:
        return load_config(write(tmp_path, {**MINIMAL, **change}), LearnConfig).config_hash()

    plain = hash_of()
    assert plain == hash_of(limits={"labels": 3}, execution={"width": 2}, selection={"batch": 3}, fix="other")
    assert plain == hash_of(labeler={**MINIMAL["labeler"], "timeout": 5, "threads": 2})
    others = [
        hash_of(seed=2),
        hash_of(models=3),
        hash_of(type_map=["Al", "Mg"]),
        hash_of(labeler={"name": "springs", "settings": {"stiffness": 3.0}}),
        hash_of(trainer={"name": "fitter", "settings": {"steps": 5}}),
    ]
    assert len({plain, *others}) == 6
