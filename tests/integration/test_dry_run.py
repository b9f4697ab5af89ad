"""``lammps-dpgen run --dry-run``: a few steps of each stage in LAMMPS, and nothing is paid."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import Run, start
from lammps_dpgen.cli.init import campaign_text

EAM = {"pair_style": "eam/alloy", "pair_coeff": ["* * Al_zhou.eam.alloy Al"], "elements": ["Al"]}


@pytest.fixture
def dry_run(tmp_path: Path, clean_env: dict[str, str]) -> Any:
    def run(text: str) -> Run:
        (tmp_path / "campaign.yaml").write_text(text)
        words = [sys.executable, "-m", "lammps_dpgen.cli", "run", "campaign.yaml", "--dry-run"]
        return start(words, tmp_path, clean_env, 180.0, check=False)

    return run


def with_models(models: list[Path], **stage: Any) -> str:
    first = {"name": "warm", "trajectories": 2, "temperatures": 300, "time": "1 ps", "timestep": "2 fs"}
    data = {
        "run_folder": "run",
        "type_map": ["Al"],
        "models": len(models),
        "initial_models": [str(model) for model in models],
        "labeler": {"name": "lammps", "settings": EAM},
        "trainer": {"name": "deepmd"},
        "structures": [{"generator": "prototype", "element": "Al", "repeat": [2, 2, 2]}],
        "stages": [first | stage],
    }
    return yaml.safe_dump(data)


def test_the_template_as_it_is_written(dry_run: Any, tmp_path: Path) -> None:
    done = dry_run(campaign_text("quick"))
    assert done.returncode == 0, done.output
    assert "Timed on this machine with an untrained model of the same architecture, 2 times" in " ".join(
        done.output.split()
    )
    assert "One round of each stage: 12 trajectories, 3,000 steps, 9.6e+04 steps x atoms" in done.output
    assert "Labels at most: 3 of generation 0, and 80 in 8 generations" in done.output
    assert "error" not in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["campaign.yaml"]


def test_models_that_are_there_are_used(dry_run: Any, al_models: list[Path]) -> None:
    done = dry_run(with_models(al_models, ensemble="npt", pressures=[1, 1000]))
    assert done.returncode == 0, done.output
    assert "Timed on this machine with the initial models" in done.output
    assert "300 K, 1-1,000 bar" in done.output
    assert "Labels at most: 0 of generation 0" in done.output


def test_lines_that_lammps_refuses(dry_run: Any, al_models: list[Path]) -> None:
    done = dry_run(with_models(al_models, lammps="fix x all no/such/style"))
    assert done.returncode == 2, done.output
    assert "error: stage warm: LAMMPS refuses the first steps" in done.output
    assert "no/such/style" in done.output
    assert "Traceback" not in done.output


TEMPLATE = """\
units metal
atom_modify map yes
boundary p p p
box tilt large
read_data ${dpgen_data}
pair_style deepmd ${dpgen_model}
pair_coeff * * ${dpgen_elements}
velocity all create ${dpgen_temperature} ${dpgen_seed}
fix 1 all nve
fix dpgen all dpgen ${dpgen_fix}
timestep 0.001
variable turn loop 2
label again
run ${dpgen_steps}
next turn
jump SELF again
"""


def test_a_template(dry_run: Any, tmp_path: Path, al_models: list[Path]) -> None:
    (tmp_path / "own.lammps").write_text(TEMPLATE)
    data = yaml.safe_load(with_models(al_models))
    stage = {"name": "own", "sampler": "template", "trajectories": 2, "file": "own.lammps", "steps": 500}
    done = dry_run(yaml.safe_dump(data | {"stages": [stage | {"temperatures": [300, 900]}]}))
    assert done.returncode == 0, done.output
    assert "300-900 K" in done.output
    assert "MD of these rounds" in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["campaign.yaml", "own.lammps"]
