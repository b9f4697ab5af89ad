"""To which configuration a run folder belongs: what its files say counts, where they lie does not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from ase.build import bulk
from ase.io import write

from lammps_dpgen.config import LearnConfig, load_config
from lammps_dpgen.labeling.files import find_file
from lammps_dpgen.labeling.lammps_library import potential_folders

CONFIG = {
    "run_folder": "run",
    "fix": "dp",
    "type_map": ["Al"],
    "labeler": {
        "name": "lammps",
        "settings": {"pair_style": "eam/alloy", "pair_coeff": ["* * own.eam.alloy Al"], "elements": ["Al"]},
        "log_file": "labels.log",
    },
    "trainer": {"name": "deepmd", "settings": {"input": "train.json"}},
    "structures": [{"generator": "file", "files": "melt.extxyz"}],
}
TRAIN = {
    "model": {"descriptor": {"type": "se_e2_r", "sel": [60], "rcut": 4.0}, "fitting_net": {}},
    "learning_rate": {"type": "exp"},
    "loss": {"type": "ener"},
    "training": {"numb_steps": 30},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a configuration and all files that it names."""
    here = tmp_path / "here"
    here.mkdir()
    potential = find_file("Al_zhou.eam.alloy", potential_folders())
    assert potential is not None
    shutil.copy(potential, here / "own.eam.alloy")
    (here / "train.json").write_text(json.dumps(TRAIN))
    write(here / "melt.extxyz", bulk("Al", cubic=True))
    (here / "learn.yaml").write_text(yaml.safe_dump(CONFIG))
    return here


def hash_in(folder: Path) -> str:
    return load_config(folder / "learn.yaml", LearnConfig).config_hash()


def test_a_run_can_move_with_its_configuration(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = hash_in(folder)
    moved = folder.rename(folder.with_name("there"))
    monkeypatch.chdir(moved)
    assert hash_in(moved) == before
    assert hash_in(Path()) == before


def test_the_run_folder_is_no_part_of_it(folder: Path) -> None:
    before = hash_in(folder)
    (folder / "learn.yaml").write_text(yaml.safe_dump({**CONFIG, "run_folder": "other"}))
    assert hash_in(folder) == before


def test_the_content_of_the_potential_counts(folder: Path) -> None:
    before = hash_in(folder)
    with (folder / "own.eam.alloy").open("a") as potential:
        potential.write("# changed\n")
    assert hash_in(folder) != before


def test_the_content_of_the_trainers_input_counts_but_not_its_form(folder: Path) -> None:
    before = hash_in(folder)
    (folder / "train.json").write_text(json.dumps(TRAIN, indent=1, sort_keys=True))
    assert hash_in(folder) == before
    (folder / "train.json").write_text(json.dumps({**TRAIN, "training": {"numb_steps": 31}}))
    assert hash_in(folder) != before


def test_structures_are_in_the_ledger_once_they_are_used(folder: Path) -> None:
    """A run that has models goes on whatever became of the structures that it began with."""
    before = hash_in(folder)
    write(folder / "melt.extxyz", bulk("Al", a=4.2, cubic=True))
    assert hash_in(folder) == before
