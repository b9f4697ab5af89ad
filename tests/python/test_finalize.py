"""What a campaign hands on: one folder, whole or absent, and the test of its models."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import dpdata
import numpy as np
import pytest
import yaml
from ase.io import write

from lammps_dpgen.campaign import finalize as last_act
from lammps_dpgen.campaign.finalize import finalize
from lammps_dpgen.campaign.forecast import forecast
from lammps_dpgen.campaign.references import LABELERS, STRUCTURES, articles, bibliography, citation_page
from lammps_dpgen.config import CampaignConfig, load_config
from lammps_dpgen.config.normal_form import normal_form, without_places
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.errors import ConfigError, StoreError
from lammps_dpgen.execution.environment import HIDDEN
from lammps_dpgen.frame import Frame, FrameOrigin, Label
from lammps_dpgen.labelled_data import labelled_atoms, read_labelled
from lammps_dpgen.learning.models import adopt_models, keep_model
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation, ModelRecord
from lammps_dpgen.store.run_folder import RunFolder

N_LABELS, N_AUDITED, N_TEST = 6, 2, 3
HI = 0.15
CONFIG: dict[str, Any] = {
    "run_folder": "al",
    "type_map": ["Al"],
    "models": 2,
    "labeler": {"name": "ase", "settings": {"calculator": "ase.calculators.emt:EMT"}},
    "trainer": {"name": "deepmd"},
    "structures": [{"name": "bulk", "generator": "prototype", "element": "Al"}],
    "stages": [{"name": "warm", "trajectories": 4, "temperatures": 300, "time": "2 ps"}],
    "finalize": {"held_out": "test.extxyz"},
}


def configure(folder: Path, **change: Any) -> CampaignConfig:
    path = folder / "campaign.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, **change}))
    return load_config(path, CampaignConfig)


def write_run(config: CampaignConfig, data: Path, models: list[Path]) -> RunFolder:
    """Write a campaign that is over: labels of the dataset, models 2 and 3 first and 0 and 1 in the end."""
    run = RunFolder(config.run_folder).create()
    settings = config.labeler.settings_hash
    known = [one.labelled for one in read_labelled(data / "al" / "Al32", ["Al"])][:N_LABELS]
    with Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger:
        ledger.add_event("start", walkers=1)
        adopt_models(ledger, run, models[2:], config.type_map)
        ledger.add_event("stage", stage="warm", number=0, n_trajectories=4, trust=[0.05, HI])
        for number, item in enumerate(known):
            source = "audit" if number < N_AUDITED else "md"
            origin = FrameOrigin(source, stage="warm", structure="bulk", generation=0, max_devi_f=0.1)
            frame = Frame(item.frame.species, item.frame.positions, item.frame.cell, origin=origin)
            (frame_hash,) = ledger.add_frames([frame])
            label = Label(item.label.energy, item.label.forces, item.label.virial, "emt 3", settings, 1.0)
            ledger.record_label(frame_hash, label)
            ledger.record_model_error(
                frame_hash,
                settings,
                generation=0,
                force_rmse=0.1,
                force_error_max=2 * HI if number == 0 else HI / 2,
                energy_error_per_atom=0.01,
            )
        records = tuple(ModelRecord(*keep_model(run, 1, index, model)) for index, model in enumerate(models[:2]))
        ledger.add_generation(Generation(1, records, ("Al",), n_labels=N_LABELS), range(1, N_LABELS + 1))
        ledger.add_event("stage_end", stage="warm", converged=True, reason="converged", accurate_share=1.0, n_failed=0)
        ledger.add_event("end", reason="all stages are over", seconds={"md": 1.0}, cause="")
    return run


def write_test_set(path: Path, data: Path, models: list[Path], settings: str) -> None:
    """Write frames of the held-out set as the first model sees them, so that it has no error."""
    items = [one.labelled for one in read_labelled(data / "al" / "held_out.extxyz", ["Al"])][:N_TEST]
    model, images = Ensemble(models[:1], min_models=1), []
    for item in items:
        said = model.predict(item.frame)
        label = Label(float(said.energies[0]), said.forces[0], said.virials[0], "model", settings, 0.0)
        images.append(labelled_atoms(item.frame.to_ase(), item.frame, label))
    write(path, images, format="extxyz")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, data: Path, al_models: list[Path]) -> CampaignConfig:
    """A campaign that is over and finalized, for tests that only read."""
    folder = tmp_path_factory.mktemp("campaign")
    config = configure(folder)
    write_test_set(folder / "test.extxyz", data, al_models, config.labeler.settings_hash)
    finalize(config, write_run(config, data, al_models))
    return config


@pytest.fixture
def copy(made: CampaignConfig, tmp_path: Path) -> CampaignConfig:
    """The same one, to be changed."""
    shutil.copytree(made.run_folder.parent, tmp_path / "copy", symlinks=True)
    return load_config(tmp_path / "copy" / "campaign.yaml", CampaignConfig)


def folder_of(config: CampaignConfig) -> Path:
    return RunFolder(config.run_folder).final


def errors_of(config: CampaignConfig) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder_of(config) / "errors.json").read_text())
    return found


def relabel(config: CampaignConfig, number: int) -> None:
    """Add a label to the run."""
    with Ledger.open(config.run_folder / "ledger.db", config_hash=config.config_hash()) as ledger:
        stored = ledger.labels()[0]
        frame = Frame(stored.frame.species, stored.frame.positions + 0.01 * number, stored.frame.cell + 0.01)
        (frame_hash,) = ledger.add_frames([frame])
        ledger.record_label(frame_hash, stored.label)


def test_everything_is_there(made: CampaignConfig) -> None:
    final = folder_of(made)
    names = {"models", "data", "README.md", "CITATION.md", "references.bib", "report.html", "summary.json"}
    assert {path.name for path in final.iterdir()} == names | {"settings.json", "errors.json", "campaign.json"}
    for line in (final / "models" / "SHA256SUMS").read_text().splitlines():
        sha, name = line.split()
        assert hashlib.sha256((final / "models" / name).read_bytes()).hexdigest() == sha
    system = dpdata.LabeledSystem(str(final / "data" / "train" / "Al32"), fmt="deepmd/npy")
    assert len(system) == N_LABELS
    for name in ("report.html", "summary.json"):
        assert (final / name).read_bytes() == (made.run_folder / name).read_bytes()
    assert f"{N_TEST} held-out frames" in (final / "report.html").read_text()
    assert not list(made.run_folder.glob(".final*"))


def test_settings(made: CampaignConfig) -> None:
    settings = json.loads((folder_of(made) / "settings.json").read_text())
    assert settings["labeler"] == {
        "name": "ase",
        "settings_hash": made.labeler.settings_hash,
        "codes": {"emt 3": N_LABELS},
    }
    assert settings["trainer"]["settings_hash_of_these_models"] == made.trainer.settings_hash
    assert settings["config_hash"] == made.config_hash()
    assert (settings["models"]["generation"], settings["models"]["compressed"]) == (1, False)
    assert all(settings["versions"].values())
    assert load_config(folder_of(made) / "campaign.json", CampaignConfig).resolved_stages() == made.resolved_stages()


def test_nothing_of_this_machine(made: CampaignConfig) -> None:
    for path in folder_of(made).rglob("*"):
        if path.suffix in (".md", ".json", ".bib", ".raw"):
            assert str(made.run_folder.parent) not in path.read_text()


def test_errors_are_those_of_the_models(made: CampaignConfig, al_models: list[Path]) -> None:
    """Model 0 labelled the test set, up to the digits of extended XYZ; the other one is compared by hand."""
    found = errors_of(made)["held_out"]
    assert (found["frames"], found["atoms"], found["left_out"]) == (N_TEST, 32 * N_TEST, 0)
    assert found["settings"] == "those of the labeler"
    own, other = found["models"]
    assert max(own.values()) < 1e-7
    items = [one.labelled for one in read_labelled(made.run_folder.parent / "test.extxyz", ["Al"])]
    said = [Ensemble(al_models[1:2], min_models=1).predict(item.frame) for item in items]
    both = list(zip(said, items, strict=True))
    expected = {
        "force_rmse": [p.forces[0] - item.label.forces for p, item in both],
        "energy_rmse_per_atom": [(p.energies[0] - item.label.energy) / 32 for p, item in both],
        "virial_rmse_per_atom": [(p.virials[0] - item.label.virial) / 32 for p, item in both],
    }
    for key, differences in expected.items():
        assert other[key] == pytest.approx(float(np.sqrt(np.mean(np.square(differences)))), rel=1e-6)
        assert found["ensemble"][key] == pytest.approx(other[key] / np.sqrt(2), rel=1e-6)
    halves = [np.linalg.norm(p.forces[0] - item.label.forces, axis=1).max() / 2 for p, item in both]
    assert found["max_devi_f"]["highest"] == pytest.approx(max(halves), rel=1e-5)
    assert found["generation_0"]["force_rmse"] > 1e-3


def test_errors_before_training_and_audit(made: CampaignConfig) -> None:
    found = errors_of(made)
    assert [stage["name"] for stage in found["before_training"]["stages"]] == ["warm"]
    audit = found["audit"]["all"]
    assert (audit["audited"], audit["misses"]) == (N_AUDITED, 1)
    # Clopper-Pearson of 1 in 2: the bounds solve 1 - (1-p)^2 = 0.025 and p^2 = 1 - 0.025.
    assert audit["low"] == pytest.approx(1 - np.sqrt(0.975), rel=1e-6)
    assert audit["high"] == pytest.approx(np.sqrt(0.975), rel=1e-6)


def test_readme(made: CampaignConfig) -> None:
    text = (folder_of(made) / "README.md").read_text()
    assert "pair_style      deepmd models/model_0.pb\npair_coeff      * * Al\n" in text
    assert "dpgen 100 models/model_0.pb models/model_1.pb types Al trust 0.05 0.15 " in text
    assert f"on {N_TEST} held-out frames of test.extxyz" in text
    assert "a miss rate of 50.0 %" in text
    assert "not compressed" in text


def test_lines_of_the_readme_run_in_lammps(copy: CampaignConfig, lmp_in: Any) -> None:
    final = folder_of(copy)
    models, fix = re.findall(r"```\n(.*?)```", (final / "README.md").read_text(), re.DOTALL)
    units, style, *pair = models.splitlines()
    crystal = ["lattice fcc 4.05", "region box block 0 2 0 2 0 2", "create_box 1 box", "create_atoms 1 box"]
    md = ["mass 1 26.98", "velocity all create 300 1", "fix nve all nve", "run 100"]
    lmp_in(final, "\n".join([units, style, *crystal, *pair, fix, *md]) + "\n")
    assert np.loadtxt(final / "model_devi.out")[:, 0].tolist() == [0, 100]


def test_made_once(copy: CampaignConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second start of a campaign that is over brings the report up to date, and nothing else."""
    run, final = RunFolder(copy.run_folder), folder_of(copy)
    before = {path: path.stat().st_ino for path in final.rglob("*") if path.is_file()}
    with Ledger.open(run.ledger, config_hash=copy.config_hash()) as ledger:
        ledger.add_event("start", walkers=1)
        ledger.add_event("end", reason="all stages are over", seconds={"md": 7.0}, cause="")
    monkeypatch.setattr(last_act, "_make", None)
    finalize(copy, run)
    changed = {path.name for path, inode in before.items() if path.stat().st_ino != inode}
    assert changed == {"report.html", "summary.json"}
    assert json.loads((final / "summary.json").read_text())["sessions"] == 2


def test_new_labels_replace_it(copy: CampaignConfig) -> None:
    relabel(copy, 1)
    finalize(copy, RunFolder(copy.run_folder))
    assert json.loads((folder_of(copy) / "data" / "README.json").read_text())["sets"]["train"]["frames"] == 7
    assert not list(copy.run_folder.glob(".final*"))


@pytest.mark.parametrize("place", ["_write_json", "_put"])
def test_broken_off(copy: CampaignConfig, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """A full disk leaves the old folder whole; a kill between the renames leaves none, and both are mended."""
    run, final = RunFolder(copy.run_folder), folder_of(copy)
    old = (final / "settings.json").read_text()
    relabel(copy, 1)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(last_act, place, fail)
        with pytest.raises(StoreError, match="No space left"):
            finalize(copy, run)
    assert (final / "settings.json").read_text() == old
    assert not list(run.path.glob(".final*"))
    os.rename(final, run.path / ".final.killed.old")
    finalize(copy, run)
    assert (final / "settings.json").read_text() != old
    assert not list(run.path.glob(".final*"))


def test_without_held_out(copy: CampaignConfig) -> None:
    config = configure(copy.run_folder.parent, finalize={})
    finalize(config, RunFolder(config.run_folder))
    assert errors_of(config)["held_out"] is None
    assert "There was no held-out set" in (folder_of(config) / "README.md").read_text()


def test_frames_that_were_trained_on_are_no_test(copy: CampaignConfig, data: Path) -> None:
    mixed = copy.run_folder.parent / "mixed"
    shutil.copytree(data / "al" / "Al32", mixed / "Al32")
    config = configure(copy.run_folder.parent, finalize={"held_out": "mixed"})
    finalize(config, RunFolder(config.run_folder))
    found = errors_of(config)["held_out"]
    assert found["left_out"] == N_LABELS
    assert found["settings"] == "not said by the file for all frames"
    shutil.rmtree(mixed)
    shutil.copytree(folder_of(config) / "data", mixed)
    with pytest.raises(ConfigError, match="the run has labels of all frames of mixed"):
        finalize(config, RunFolder(config.run_folder))


def test_dry_run_tells_what_is_wrong_with_it(tmp_path: Path) -> None:
    findings = forecast(configure(tmp_path, finalize={"held_out": "nowhere.extxyz"})).findings
    assert [finding.text for finding in findings if finding.is_error and "nowhere.extxyz: no such" in finding.text]


def test_bad_input(copy: CampaignConfig, data: Path) -> None:
    folder, run = copy.run_folder.parent, RunFolder(copy.run_folder)
    cases = (
        ({"finalize": {"held_out": "nowhere.extxyz"}}, r"finalize.held_out: .*nowhere.extxyz: no such file"),
        ({"finalize": {"held_out": str(data / "almg")}}, "has Mg, which type_map lacks"),
        ({"labeler": {"name": "ase", "settings": {"calculator": "ase.calculators.lj:LennardJones"}}}, "other settings"),
    )
    for change, text in cases:
        with pytest.raises(ConfigError, match=text):
            finalize(configure(folder, **change), run)
    relabel(copy, 1)
    (run.path / "models" / "g001" / "model_1.pb").write_bytes(b"changed")
    with pytest.raises(StoreError, match="the file was changed"):
        finalize(configure(folder, finalize={}), run)


def test_normal_form_is_a_configuration(tmp_path: Path) -> None:
    """It can be read again and means the same, a null that is no default included."""
    trainer = {"name": "deepmd", "settings": {"warm_start": {"training_reuse_iter": None}}}
    sources = [
        {"name": "a", "generator": "prototype", "element": "Al"},
        {"generator": "halves", "element": "Al", "miller": [1, 1, 1]},
    ]
    config = configure(tmp_path, trainer=trainer, structures=sources, trust={"auto": {"target": 0.2}})
    (tmp_path / "again.json").write_text(json.dumps(normal_form(config)))
    again = load_config(tmp_path / "again.json", CampaignConfig)
    assert again == config
    assert again.config_hash() == config.config_hash()


def test_normal_form_tells_no_secrets(tmp_path: Path) -> None:
    settings = {
        "calculator": "my.place:Oracle",
        "arguments": {"api_key": "hunter2", "credentials": {"user": "hunter3"}, "url": "https://me:pw@host/x"},
    }
    text = json.dumps(normal_form(configure(tmp_path, labeler={"name": "ase", "settings": settings})))
    assert HIDDEN in text
    assert not any(word in text for word in ("hunter2", "hunter3", "me:pw", str(tmp_path)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * /home/me/pots/Al.eam.alloy Al", "* * Al.eam.alloy Al"),
        ("/opt/vasp/bin/vasp_std", "vasp_std"),
        ("srun -n 4 /opt/vasp/bin/vasp_std > out", "srun -n 4 vasp_std > out"),
        ("eam/alloy", "eam/alloy"),
        ("variable a equal lx / 2 / 3", "variable a equal lx / 2 / 3"),
        ("${folder}/a/b.lmp ../c/d.lmp", "${folder}/a/b.lmp ../c/d.lmp"),
        ("https://example.org/a/b", "https://example.org/a/b"),
    ],
)
def test_places(text: str, expected: str) -> None:
    assert without_places(text) == expected


def test_references() -> None:
    every = [*LABELERS["vasp"], *LABELERS["gpaw"], *LABELERS["ase"], *STRUCTURES["slab"]]
    found = articles("vasp", ["slab"], compressed=True)
    keys = [article.key for article in found]
    assert len(set(keys)) == len(keys)
    assert {"Zhang2019DPGEN", "Thompson2022LAMMPS", "Kresse1996a", "Ong2013pymatgen", "Lu2022Compress"} <= set(keys)
    for article in every:
        assert article.bibtex().count("{") == article.bibtex().count("}")
        assert article.doi in citation_page([article], "vasp", ["vasp 6"])
    text = bibliography(found)
    assert text.count("@article{") == len(found)
    assert "the potential" not in citation_page(found, "mine", [])
    assert "the labeler mine" in citation_page(found, "mine", [])
