"""The campaigns that are handed out: templates of ``init``, examples, and what docs/campaign.md shows."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from lammps_dpgen.cli.init import campaign_text
from lammps_dpgen.cli.main import main
from lammps_dpgen.config import CampaignConfig, load_config
from lammps_dpgen.structures.sources import frames_of_sources

ROOT = Path(__file__).parents[2]
PAPER = ROOT / "examples" / "07-al-mg-paper"
PAGE = (ROOT / "docs" / "campaign.md").read_text(encoding="utf-8")
TABLES = {"al": "s1_al", "mg": "s2_mg", "al-mg": "s3_al_mg"}


def rows(name: str) -> list[dict[str, str]]:
    lines = (PAPER / "tables" / f"{TABLES[name]}.csv").read_text().splitlines()
    return list(csv.DictReader(lines[1:]))


@pytest.mark.parametrize("template", ["quick", "lammps", "vasp", "gpaw", "espresso"])
def test_templates_are_valid(tmp_path: Path, template: Any) -> None:
    path = tmp_path / "campaign.yaml"
    assert main(["init", "--template", template, "--output", str(path)]) == 0
    config = load_config(path, CampaignConfig)
    assert [stage.name for stage in config.resolved_stages()] == ["warm", "hot"]
    assert config.labeler.name == ("lammps" if template == "quick" else template)
    assert max(map(len, path.read_text().splitlines())) < 130


def test_init_spares_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text("mine\n")
    assert main(["init", "--output", str(path)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert path.read_text() == "mine\n"
    assert main(["init", "--output", str(tmp_path / "nowhere" / "campaign.yaml")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_commented_lines_of_the_template_are_valid(tmp_path: Path) -> None:
    """What a user turns on by deleting a # works."""
    text = re.sub(
        r"^( *)# (final_training|  settings|limits|audit|- \{name: mine|trust:)",
        r"\1\2",
        campaign_text("vasp"),
        flags=re.M,
    )
    (tmp_path / "campaign.yaml").write_text(text)
    config = load_config(tmp_path / "campaign.yaml", CampaignConfig)
    assert config.final_training is not None
    assert config.limits.labels == 500
    assert config.audit.share == 0.05
    assert config.structures[-1].source_name == "mine"
    assert config.resolved_stages()[1].trust.hi == 0.3


@pytest.mark.parametrize("name", ["06-al-quick", "08-al-mg-small"])
def test_small_examples_are_valid(name: str) -> None:
    config = load_config(ROOT / "examples" / name / "campaign.yaml", CampaignConfig)
    assert config.resolved_stages()


def test_the_paper_is_made_by_its_script(tmp_path: Path) -> None:
    for name in ("make_campaigns.py", "tables"):
        (tmp_path / name).symlink_to(PAPER / name)
    script = tmp_path / "script.py"
    script.write_text((PAPER / "make_campaigns.py").read_text())
    subprocess.run([sys.executable, str(script)], check=True)
    for name in TABLES:
        assert (tmp_path / f"{name}.yaml").read_text() == (PAPER / f"{name}.yaml").read_text(), "run make_campaigns.py"


@pytest.mark.parametrize("name", TABLES)
def test_every_row_of_the_tables_is_a_stage(name: str) -> None:
    config = load_config(PAPER / f"{name}.yaml", CampaignConfig)
    stages, table = config.resolved_stages(), rows(name)
    assert len(stages) == len(table) == {"al": 54, "mg": 54, "al-mg": 60}[name]
    for stage, row in zip(stages, table, strict=True):
        assert stage.name.startswith(f"{int(row['iter']):02d}-")
        assert stage.trajectories == int(row["n_md"])
        assert stage.settings["time"] == pytest.approx(float(row["length_ps"]))
        assert stage.settings["temperatures"] == [float(row["T_K"])]
        assert stage.settings["ensemble"] == row["ensemble"].lower()
        assert stage.settings["pressures"] == ([1.0] if row["ensemble"] == "NPT" else None)
        assert {source.partition("-")[0].partition("(")[0] for source in stage.structures} == crystals(row)
    trainer = config.trainer.settings
    assert (config.models, trainer["rcut"]) == (4, 9.0)
    assert (trainer["neuron"], trainer["fitting_neuron"]) == ([25, 50, 100], [240, 240, 240])
    final = config.final_training
    assert final is not None
    assert final.settings["numb_steps"] == 12_800_000


def crystals(row: Mapping[str, str]) -> set[str]:
    names = row["crystals"].removesuffix("(surf.)").split("+")
    return {{"FCC": "fcc", "HCP": "hcp", "DIA": "diamond", "SC": "sc"}[name] for name in names}


@pytest.mark.parametrize(("name", "atoms"), [("al", 16), ("al-mg", 20)])
def test_trajectories_begin_from_structures_of_their_own(name: str, atoms: int) -> None:
    """The bulk rows have one start per trajectory, and the cells have the atoms of Table S4."""
    config = load_config(PAPER / f"{name}.yaml", CampaignConfig)
    bulk = [source for source in config.structures if source.generator == "prototype"]
    made = frames_of_sources(bulk, config.seed, config.type_map)
    number = {source.source_name: len(frames) for source, frames in zip(bulk, made, strict=True)}
    for stage in config.resolved_stages():
        if "surfaces" not in stage.name:
            assert sum(number[source] for source in stage.structures) == stage.trajectories
    sizes = {s.source_name.partition("-")[0]: frames[0].n_atoms for s, frames in zip(bulk, made, strict=True)}
    assert {key: sizes[key] for key in ("fcc", "hcp", "diamond", "sc")} == {
        "fcc": 32,
        "hcp": 16,
        "diamond": 16,
        "sc": 8,
    }
    few = {"displacements": [0.2], "scale": [1.0], "all_compositions": None}
    element = {} if name == "al" else {"composition": {"Al": 0.5, "Mg": 0.5}}
    cuts = [source for source in config.structures if source.source_name.endswith(")-a")]
    one = [source.model_copy(update={"settings": source.settings | few | element}) for source in cuts]
    found = {s.source_name: frames[0].n_atoms for s, frames in zip(one, frames_of_sources(one, 1), strict=True)}
    expected = {"fcc(100)-a": 12, "fcc(110)-a": atoms, "fcc(111)-a": 12}
    assert found == expected | {"hcp(0001)-a": 12, "hcp(10-10)-a": 12, "hcp(11-20)-a": atoms}


def test_what_the_page_shows_is_valid(tmp_path: Path) -> None:
    first, stages, *others = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    path = tmp_path / "campaign.yaml"
    path.write_text(first)
    assert len(load_config(path, CampaignConfig).structures) == 1
    data = yaml.safe_load(first)
    data["structures"].append({"name": "hcp", "generator": "prototype", "element": "Al", "crystal": "hcp"})
    for block in (stages, *others):
        data |= yaml.safe_load(block)
    path.write_text(yaml.safe_dump(data))
    (melt,) = load_config(path, CampaignConfig).resolved_stages()
    assert (melt.candidates, melt.converging, melt.max_generations, melt.fix) == (10, 12, 5, "vtrust 0.005 0.02")
