"""``lammps-dpgen import``: labels of other programs become the start of a run, exactly, once, and never mixed."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import yaml
from ledger_records import make_frame, make_label

from lammps_dpgen.cli.main import main
from lammps_dpgen.config import CampaignConfig, LearnConfig, load_config
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import StoredLabel
from lammps_dpgen.store.run_folder import RunFolder

DATA = Path(__file__).parents[1] / "data"
N_FRAMES = 6


def configure(folder: Path, **change: object) -> Path:
    path = folder / "learn.yaml"
    content = {
        "run_folder": "run",
        "type_map": ["Al", "Mg"],
        "models": 2,
        "fix": "dp",
        "labeler": {"name": "ase", "settings": {"calculator": "ase.calculators.emt:EMT"}},
        "trainer": {"name": "deepmd"},
    }
    path.write_text(yaml.safe_dump({**content, **change}))
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return configure(tmp_path)


@pytest.fixture
def source(tmp_path: Path, config: Path) -> RunFolder:
    """Labels with the settings of the configuration in another run."""
    settings = load_config(config, LearnConfig).labeler.settings_hash
    run = RunFolder(tmp_path / "source").create()
    frames = [make_frame(seed, n_atoms=4 if seed % 2 else 6) for seed in range(N_FRAMES)]
    with Ledger.open(run.ledger, config_hash="0" * 64) as ledger:
        for seed, (frame_hash, frame) in enumerate(zip(ledger.add_frames(frames), frames, strict=True)):
            label = make_label(frame, seed, settings_hash=settings)
            assert label.virial is not None
            label.virial[:] = (label.virial + label.virial.T) / 2
            ledger.record_label(frame_hash, label)
    return run


def labels(run: Path) -> dict[float, StoredLabel]:
    with Ledger.open(RunFolder(run).ledger, config_hash=None) as ledger:
        return {one.label.energy: one for one in ledger.labels()}


def run_import(config: Path, *words: str | Path) -> int:
    return main(["import", str(config.parent / "run"), "-c", str(config), *map(str, words)])


def test_into_a_campaign(source: RunFolder, config: Path, tmp_path: Path) -> None:
    """Labels are the start of a campaign as of a learning run; its file is told by its stages."""
    content = yaml.safe_load(config.read_text())
    del content["fix"]
    content["structures"] = [{"name": "fcc", "generator": "prototype", "element": "Al"}]
    content["initial_structures"] = []
    content["stages"] = [{"name": "warm", "trajectories": 1, "temperatures": 300, "time": 1}]
    campaign = tmp_path / "campaign.yaml"
    campaign.write_text(yaml.safe_dump(content))
    data = tmp_path / "data"
    assert main(["export", str(source.path), "-o", str(data)]) == 0
    assert run_import(campaign, data, "--same-settings") == 0
    assert labels(tmp_path / "run").keys() == labels(source.path).keys()
    with Ledger.open(
        RunFolder(tmp_path / "run").ledger, config_hash=load_config(campaign, CampaignConfig).config_hash()
    ):
        pass


@pytest.mark.parametrize("form", ["deepmd/npy", "deepmd/npy/mixed", "extxyz"])
def test_exported_data_come_back(
    source: RunFolder, config: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = config.parent / "data"
    assert main(["export", str(source.path), "-o", str(data), "--format", form]) == 0
    given = data / "train.extxyz" if form == "extxyz" else data
    flags = [] if form == "extxyz" else ["--same-settings"]
    assert run_import(config, given, *flags) == 0
    expected, found = labels(source.path), labels(config.parent / "run")
    assert expected.keys() == found.keys()
    tolerance = 1e-6 if form == "extxyz" else 0.0
    for energy, one in expected.items():
        other = found[energy]
        order = range(one.frame.n_atoms) if form == "extxyz" else np.argsort(one.frame.species, kind="stable")
        assert other.frame.species == tuple(one.frame.species[i] for i in order)
        assert other.frame.origin.source == "import"
        assert one.label.virial is not None
        assert other.label.virial is not None
        for here, there in (
            (one.frame.positions[list(order)], other.frame.positions),
            (one.frame.cell, other.frame.cell),
            (one.label.forces[list(order)], other.label.forces),
            (one.label.virial, other.label.virial),
        ):
            np.testing.assert_allclose(there, here, rtol=0, atol=tolerance)
    capsys.readouterr()
    assert run_import(config, given, *flags) == 0
    assert f"0 labelled frames imported into {config.parent / 'run'}, {N_FRAMES} were known" in capsys.readouterr().out
    assert len(labels(config.parent / "run")) == N_FRAMES


def test_outcar(config: Path) -> None:
    """A real one, with dispersion; the virial is its line "Total" of "FORCE on cell =-STRESS", in eV."""
    outcar = config.parent / "OUTCAR"
    outcar.write_bytes(gzip.decompress((DATA / "vasp" / "Ge8" / "OUTCAR.gz").read_bytes()))
    configure(config.parent, type_map=["Ge"])
    assert run_import(config, outcar, "--same-settings") == 0
    (one,) = labels(config.parent / "run").values()
    assert one.frame.species == ("Ge",) * 8
    assert one.label.energy == -33.36815582
    np.testing.assert_allclose(one.label.forces[0], [-0.056448, 0.108946, 0.296892], atol=1e-6)
    xx, yy, zz, xy, yz, zx = 1.33798, -0.20684, 0.29258, 0.48006, 1.38738, -0.02079
    assert one.label.virial is not None
    np.testing.assert_allclose(one.label.virial, [[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]], atol=1e-4)


def test_settings_have_to_be_known(source: RunFolder, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = config.parent / "data"
    assert main(["export", str(source.path), "-o", str(data)]) == 0
    assert run_import(config, data) == 2
    assert "say so with --same-settings" in capsys.readouterr().err
    assert not (config.parent / "run").exists()


def test_other_settings_are_refused_in_any_case(
    source: RunFolder, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = config.parent / "data"
    assert main(["export", str(source.path), "-o", str(data), "--format", "extxyz"]) == 0
    other = {"name": "ase", "settings": {"calculator": "ase.calculators.lj:LennardJones"}}
    configure(config.parent, labeler=other)
    assert run_import(config, data / "train.extxyz", "--same-settings") == 2
    assert "was labelled with other settings" in capsys.readouterr().err


def test_bad_input(source: RunFolder, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = config.parent / "data"
    assert main(["export", str(source.path), "-o", str(data)]) == 0
    (config.parent / "bare.xyz").write_text("1\n\nAl 0 0 0\n")
    (config.parent / "junk.xyz").write_text("what\n")
    (config.parent / "empty").mkdir()
    for name, expected in (
        ("bare.xyz", "has no energy or no forces"),
        ("junk.xyz", "cannot be read"),
        ("empty", "holds no deepmd/npy system"),
        ("missing", "no such file"),
    ):
        assert run_import(config, config.parent / name, "--same-settings") == 2
        assert expected in capsys.readouterr().err
    configure(config.parent, type_map=["Al"])
    assert run_import(config, data, "--same-settings") == 2
    assert "has Mg, which type_map lacks (it has Al)" in capsys.readouterr().err
    assert main(["import", str(config.parent / "another"), "-c", str(config), str(data)]) == 2
    assert "is the configuration of" in capsys.readouterr().err


def test_generation_0_needs_no_structures(config: Path) -> None:
    settings = load_config(config, LearnConfig)
    assert settings.bootstrap() is None
    boot = settings.bootstrap(has_labels=True)
    assert boot is not None
    assert boot.structures == ()
    assert boot.config_hash() == settings.config_hash()
