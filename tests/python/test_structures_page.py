"""What docs/structures.md shows and says is so."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from lammps_dpgen import registry
from lammps_dpgen.config import load_config
from lammps_dpgen.config.structures import StructuresConfig
from lammps_dpgen.structures.sources import frames_of_sources

PAGE = (Path(__file__).parents[2] / "docs" / "structures.md").read_text(encoding="utf-8")

#: Scales of the inputs that DP-GEN publishes.
SIX = [0.96, 0.98, 1.0, 1.02, 1.04, 1.06]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def number_of_frames(name: str, **settings: object) -> int:
    return len(registry.make(registry.STRUCTURES, name, settings).generate(np.random.default_rng(1)))


def test_the_example_works(tmp_path: Path) -> None:
    (tmp_path / "structures.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    config = load_config(tmp_path / "structures.yaml", StructuresConfig)
    made = frames_of_sources(config.structures, config.seed, config.type_map)
    assert [len(frames) for frames in made] == [10, 5, 1, 1, 150, 9, 1]


def test_every_other_snippet_is_valid() -> None:
    lines = yaml.safe_load(blocks("yaml")[2])
    for settings in lines:
        kind = registry.load(registry.STRUCTURES, settings.pop("generator"))
        kind.Settings.model_validate(settings)
    for line in blocks("yaml")[1].splitlines():
        registry.make(registry.STRUCTURES, "prototype", {"crystal": "fcc"} | yaml.safe_load(line))


def test_the_schedule_of_the_paper() -> None:
    """240, 408, 276 and 792 trajectories follow from the settings; see the table on the page."""
    copies = {"scale": SIX, "perturb": {"displacement": 0.01, "cell": 3.0}, "number": 10}
    cells = {"fcc": [2, 2, 2], "hcp": [2, 2, 2], "diamond": [2, 1, 1], "sc": [2, 2, 2]}
    pure = {c: number_of_frames("prototype", element="Al", crystal=c, repeat=r, **copies) for c, r in cells.items()}
    assert sum(pure.values()) == 240
    alloys = {"all_compositions": {"elements": ["Al", "Mg"], "mixed_only": True}, "scale": SIX}
    mixed = {c: number_of_frames("prototype", crystal=c, repeat=r, **alloys) for c, r in cells.items()}
    assert sum(mixed.values()) == 408
    assert mixed["fcc"] + mixed["hcp"] == 276
    planes = {"miller": [[1, 0, 0], [1, 1, 0], [1, 1, 1]], "scale": SIX}
    displacements = {"start": 0.2, "stop": 8.8, "step": 0.2}
    assert number_of_frames("halves", element="Al", displacements=displacements, **planes) == 792


def test_a_generator_of_your_own_works(tmp_path: Path) -> None:
    """The files of the page, installed as a package, are found by name and pass the contract."""
    module, tests = blocks("python")
    registration = re.search(r'entry-points."(.*?)"\]\n(\w+) = "(.*?)"', PAGE)
    assert registration is not None
    group, name, value = registration.groups()
    (tmp_path / "vacancies.py").write_text(module, encoding="utf-8")
    (tmp_path / "test_vacancies.py").write_text(tests, encoding="utf-8")
    metadata = tmp_path / "vacancies-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: vacancies\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")
    (tmp_path / "boot.yaml").write_text(f"structures: [{{generator: {name}, element: Al, repeat: [2, 2, 2]}}]\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    for command, expected in (
        (["pytest", "-q", "-p", "no:cacheprovider", "test_vacancies.py"], "12 passed"),
        (["lammps_dpgen.cli", "structures", "boot.yaml"], "fcc-Al32-v1"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert expected in done.stdout


@pytest.mark.parametrize("generator", ["prototype", "file", "halves", "slab", "materials_project"])
def test_every_generator_is_explained(generator: str) -> None:
    assert f"`{generator}`" in PAGE
