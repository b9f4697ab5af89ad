"""campaign.yaml: what is read, and what a wrong file is told."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from lammps_dpgen.config import CampaignConfig, LearnConfig, load_config
from lammps_dpgen.errors import ConfigError

MINIMAL: dict[str, Any] = {
    "run_folder": "run",
    "type_map": ["Al"],
    "labeler": {
        "name": "lammps",
        "settings": {"pair_style": "eam/alloy", "pair_coeff": ["* * Al_zhou.eam.alloy Al"], "elements": ["Al"]},
    },
    "trainer": {"name": "deepmd"},
    "structures": [
        {"name": "bulk", "generator": "prototype", "element": "Al"},
        {"name": "gap", "generator": "halves", "element": "Al", "miller": [1, 1, 1]},
    ],
    "stages": [{"name": "warm", "trajectories": 4, "temperatures": 300, "time": "2 ps"}],
}


def write(folder: Path, data: Any) -> Path:
    path = folder / "campaign.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def changed(*changes: tuple[Any, ...]) -> dict[str, Any]:
    """Return the minimal campaign with values set at paths: (key, key, ..., value)."""
    data = copy.deepcopy(MINIMAL)
    for *path, last, value in changes:
        target: Any = data
        for key in path:
            target = target[key]
        target[last] = value
    return data


def campaign(folder: Path, *changes: tuple[Any, ...]) -> CampaignConfig:
    return load_config(write(folder, changed(*changes)), CampaignConfig)


def test_stages_take_what_they_lack_from_the_campaign(tmp_path: Path) -> None:
    own = {"trust": {"lo": 0.1, "hi": 0.2}, "every": 5, "candidates": 2, "max_generations": 0, "fix": "min_gap 20"}
    second = {"name": "hot", "structures": ["gap"], "trajectories": 8, "temperatures": [600, 900], "time": 1, **own}
    second["converged"] = {"accurate": 0.9, "trajectories": 3}
    config = campaign(tmp_path, ("stages", [MINIMAL["stages"][0], second]), ("trust", {"hi": 0.3}))
    warm, hot = config.resolved_stages()
    assert (warm.number, warm.structures, warm.sampler) == (0, ("bulk", "gap"), "md")
    assert (warm.trust.lo, warm.trust.hi, warm.every, warm.candidates) == (0.05, 0.3, 10, 5)
    assert (warm.accurate, warm.converging, warm.max_generations, warm.fix) == (0.99, 4, 10, "")
    assert (hot.number, hot.structures, hot.trust.lo, hot.trust.hi) == (1, ("gap",), 0.1, 0.2)
    assert (hot.every, hot.candidates, hot.max_generations, hot.fix) == (5, 2, 0, "min_gap 20")
    assert (hot.accurate, hot.converging) == (0.9, 3)
    assert hot.settings["temperatures"] == [600.0, 900.0]


def test_generation_0_is_made_of_the_chosen_sources(tmp_path: Path) -> None:
    boot = campaign(tmp_path, ("initial_structures", ["gap"])).bootstrap()
    assert boot is not None
    assert [boot.is_initial(source) for source in boot.structures] == [False, True]
    boot = campaign(tmp_path).bootstrap()
    assert boot is not None
    assert all(map(boot.is_initial, boot.structures))
    models = [f"{number}.pb" for number in range(4)]
    assert campaign(tmp_path, ("initial_models", models)).bootstrap() is None


def test_labels_and_models_decide_to_which_folder_it_belongs(tmp_path: Path) -> None:
    before = campaign(tmp_path).config_hash()
    for change in (
        ("stages", 0, "name", "other"),
        ("trust", {"lo": 0.01}),
        ("walkers", {"overlap": False}),
        ("structures", 0, "scale", [0.9]),
        ("max_generations", 2),
    ):
        assert campaign(tmp_path, change).config_hash() == before
    assert campaign(tmp_path, ("seed", 2)).config_hash() != before
    learn = {key: value for key, value in MINIMAL.items() if key != "stages"} | {"fix": "dp"}
    assert load_config(write(tmp_path, learn), LearnConfig).config_hash() == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("stages", 0, "structures", []), "stages[0].structures: got []; the stage selects no structure"),
        (("stages", 0, "structures", ["bulc"]), "stage 'warm' selects, is named 'bulc'; did you mean 'bulk'?"),
        (("initial_structures", ["gab"]), "is named 'gab'; did you mean 'gap'? (there are: bulk, gap)"),
        (("stages", 0, "ensemble", "nvp"), "should be 'nvt', 'npt', 'npt-aniso', 'npt-tri' or 'nve'"),
        (("stages", 0, "ensembl", "nvt"), "unknown key; did you mean 'ensemble'?"),
        (("stages", 0, "sampler", "mdd"), "no sampler has the name 'mdd'; did you mean 'md'?"),
        (("stages", 0, "trajectories", 0), "stages[0].trajectories: got 0"),
        (("stages", 0, "fix", "vtrustt 0.1 0.2"), "did you mean 'vtrust'?"),
        (("stages", 0, "fix", "stop never"), "stop of fix dpgen is set by candidates"),
        (("stages", 0, "trust", {"lo": 0.2}), "lo (0.2 eV/Å) must be below hi (0.15 eV/Å)"),
        (("trust", {"auto": {}}), "trust.auto.target: missing; required: Largest force error"),
        (("stages", 1, "x"), "stages[1]"),
        (("stages", []), "stages: got []"),
        (("structures", 1, "name", "bulk"), "more than one of the structures is named 'bulk'"),
        (("walkers", {"rank_per_walker": 2}), "unknown key; did you mean 'ranks_per_walker'?"),
    ],
)
def test_bad_input(tmp_path: Path, change: tuple[Any, ...], expected: str) -> None:
    data = copy.deepcopy(MINIMAL)
    if change[:2] == ("stages", 1):
        data["stages"].append(change[2])
    else:
        data = changed(change)
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, data), CampaignConfig)
    assert expected in str(caught.value)


def test_two_stages_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="more than one of the stages is named 'warm'"):
        campaign(tmp_path, ("stages", MINIMAL["stages"] * 2))


def test_wrong_stages_are_told_once(tmp_path: Path) -> None:
    """Problems of a stage and of its sampler come together, and nothing is said about a list that is too short."""
    data = changed(("stages", [{"name": "warm", "trajectorys": 3, "time": -1}]))
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, data), CampaignConfig)
    text = str(caught.value)
    for key in ("trajectorys: unknown", "trajectories: missing", "temperatures: missing", "time: got -1"):
        assert f"stages[0].{key}" in text
    assert "at least 1 item" not in text


def test_sources_without_names_must_differ(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="named 'prototype'; give each a 'name' of its own"):
        campaign(tmp_path, ("structures", [{"generator": "prototype", "element": "Al"}] * 2))
