"""What is said about a campaign before anything is paid; nothing is run here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.io import write

from lammps_dpgen.campaign.dry_run import dry_run, duration
from lammps_dpgen.campaign.forecast import Forecast, forecast
from lammps_dpgen.campaign.timing import Speed, kind_of
from lammps_dpgen.config import CampaignConfig, load_config
from lammps_dpgen.errors import ConfigError

EAM = {"pair_style": "eam/alloy", "pair_coeff": ["* * Al_zhou.eam.alloy Al"], "elements": ["Al"]}
FCC = {"name": "fcc", "generator": "prototype", "element": "Al", "repeat": [2, 2, 2]}
STAGE = {"name": "warm", "trajectories": 4, "temperatures": [300, 600], "time": "2 ps", "timestep": "2 fs"}


def config_of(folder: Path, **changes: Any) -> CampaignConfig:
    data = {
        "run_folder": "run",
        "type_map": ["Al"],
        "labeler": {"name": "lammps", "settings": EAM},
        "trainer": {"name": "deepmd"},
        "structures": [FCC],
        "stages": [STAGE],
    }
    path = folder / "campaign.yaml"
    path.write_text(yaml.safe_dump(data | changes))
    return load_config(path, CampaignConfig)


def errors_of(found: Forecast) -> str:
    return "\n".join(f"{finding.where}: {finding.text}" for finding in found.findings if finding.is_error)


def test_steps_and_atoms(tmp_path: Path) -> None:
    surface = {"name": "gap", "generator": "halves", "element": "Al", "miller": [1, 0, 0], "displacements": [1, 2]}
    small = {**STAGE, "name": "surface", "structures": ["gap"], "ensemble": "nve", "time": 1}
    config = config_of(tmp_path, structures=[FCC, surface], stages=[{**STAGE, "structures": ["fcc"]}, small])
    found = forecast(config)
    assert errors_of(found) == ""
    warm, gap = found.stages
    assert (len(warm.plans), warm.steps, warm.atom_steps, warm.n_used) == (4, 4000, 4000 * 32, 1)
    assert (len(gap.starts), gap.steps, gap.atom_steps) == (2, 2000, 2000 * 12)
    assert [frame.n_atoms for frame in found.initial] == [32, 12, 12]
    assert kind_of(warm.stage) != kind_of(gap.stage)


def test_a_structure_file_without_cell(tmp_path: Path) -> None:
    write(tmp_path / "bare.xyz", Atoms("Al2", [[0, 0, 0], [0, 0, 2.8]]), format="xyz")
    found = forecast(config_of(tmp_path, structures=[{"name": "mine", "generator": "file", "files": "bare.xyz"}]))
    assert "structures[0] (mine): structure bare.xyz: the file gives no cell" in errors_of(found)


def test_an_element_outside_the_type_map(tmp_path: Path) -> None:
    found = forecast(config_of(tmp_path, structures=[{**FCC, "element": "Mg"}]))
    assert "structures[0] (fcc) has Mg, which type_map lacks (it has Al)" in errors_of(found)


def test_overlapping_atoms(tmp_path: Path) -> None:
    crystal = bulk("Al", cubic=True)
    crystal.positions[1] = crystal.positions[0] + [0.3, 0, 0]
    write(tmp_path / "close.vasp", crystal)
    found = forecast(config_of(tmp_path, structures=[{"name": "mine", "generator": "file", "files": "close.vasp"}]))
    assert "atoms Al 1 and Al 2 are 0.300 Å apart" in errors_of(found)
    found = forecast(config_of(tmp_path, selection={"min_distance": 2.9}))
    assert "never labelled (selection.min_distance): atoms" in errors_of(found)


def test_frames_that_are_never_labelled(tmp_path: Path) -> None:
    found = forecast(config_of(tmp_path, selection={"max_atoms": 31, "box": {"max_aspect": 1.01, "min_angle": 60}}))
    assert "never labelled (selection.max_atoms): 32 atoms, 31 are allowed" in errors_of(found)
    thin = {"name": "thin", "generator": "prototype", "element": "Al", "repeat": [1, 1, 6]}
    found = forecast(config_of(tmp_path, structures=[thin]))
    assert "(selection.box): aspect ratio 6.00" in errors_of(found)


def test_a_sampler_that_refuses_its_starts(tmp_path: Path) -> None:
    one = {"name": "one", "generator": "prototype", "element": "Al", "crystal": "sc"}
    found = forecast(config_of(tmp_path, structures=[one]))
    assert "stage warm: start" in errors_of(found)
    assert "single atom" in errors_of(found)


def test_what_is_not_on_this_machine_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMG_VASP_PSP_DIR", "")
    monkeypatch.setenv("VASP_PP_PATH", "")
    vasp = {"name": "vasp", "settings": {"command": "no-such-vasp", "potcars": ["Al"]}}
    found = forecast(config_of(tmp_path, labeler=vasp))
    assert errors_of(found) == ""
    (warning,) = found.findings
    assert warning.where == "labeler vasp"
    assert "POTCAR" in warning.text


def test_a_labeler_that_lacks_an_element_is_an_error(tmp_path: Path) -> None:
    found = forecast(config_of(tmp_path, type_map=["Al", "Mg"]))
    assert "labeler lammps: no LAMMPS type for Mg" in errors_of(found)


def test_initial_models_that_are_not_there(tmp_path: Path) -> None:
    found = forecast(config_of(tmp_path, initial_models=["a.pb", "b.pb"], models=2))
    assert f"initial_models: no such file: {tmp_path / 'a.pb'}, {tmp_path / 'b.pb'}" in errors_of(found)
    assert found.initial == ()


def test_starts_that_a_round_leaves_out(tmp_path: Path) -> None:
    many = {**FCC, "scale": [0.98, 1.0, 1.02], "perturb": {"displacement": 0.1}, "number": 2}
    found = forecast(config_of(tmp_path, structures=[many]))
    (warning,) = found.findings
    assert "a round of 4 trajectories begins from 4 of 6 structures" in warning.text


def test_wrong_campaigns_end_with_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="cannot work: 1 problem, see above"):
        dry_run(config_of(tmp_path, structures=[{**FCC, "element": "Mg"}], type_map=["Al"]))
    assert "error: structures: structures[0] (fcc) has Mg" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_speed_between_the_measured_sizes() -> None:
    speed = Speed({10: 0.1, 30: 0.2})
    assert speed.seconds(20) == pytest.approx(0.15)
    assert speed.seconds(5) == pytest.approx(0.05)
    assert speed.seconds(60) == pytest.approx(0.4)
    assert np.isclose(Speed({8: 0.04}).seconds(16), 0.08)


def test_durations() -> None:
    texts = [duration(seconds) for seconds in (0.5, 42, 90, 1200, 5400, 36000, 200000)]
    assert texts == ["0.5 s", "42 s", "1.5 min", "20 min", "1.5 h", "10 h", "2.3 d"]
