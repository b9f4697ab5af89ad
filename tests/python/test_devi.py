"""``lammps-dpgen devi`` against ``dp model-devi``, and against deviations worked by hand."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import write

from lammps_dpgen.cli.devi import classify, read_frames
from lammps_dpgen.cli.main import main
from lammps_dpgen.ensemble import Ensemble, EnsemblePrediction, ModelDeviation, deviation
from lammps_dpgen.errors import ConfigError, ModelError, StructureError
from lammps_dpgen.frame import Frame

BIN = Path(sys.executable).parent


def table(path: Path) -> tuple[list[str], np.ndarray]:
    """Return comment lines and numbers of a table."""
    lines = path.read_text().splitlines()
    comments = [line for line in lines if line.startswith("#")]
    return comments, np.array([[float(word) for word in line.split()] for line in lines if not line.startswith("#")])


def first_frames(system: Path, target: Path, number: int = 3) -> Path:
    """Copy the first frames of a deepmd/npy system."""
    shutil.copytree(system, target)
    for array in target.glob("set.*/*.npy"):
        np.save(array, np.load(array)[:number])
    return target


def figures(max_f: float, max_v: float = 0.0) -> ModelDeviation:
    return ModelDeviation(max_v, 0.0, 0.0, max_f, 0.0, 0.0, spread=np.array([max_f]))


def test_deviation_by_hand() -> None:
    # Two models, two atoms: forces +-a along x on atom 0, +-b along y on atom 1; virial xx 0 and 2c.
    a, b, c = 0.3, 0.1, 4.0
    forces = np.zeros((2, 2, 3))
    forces[:, 0, 0] = (a, -a)
    forces[:, 1, 1] = (1.0 + b, 1.0 - b)
    virials = np.zeros((2, 3, 3))
    virials[1, 0, 0] = 2 * c
    prediction = EnsemblePrediction(np.array([1.0, 2.0]), forces, virials)
    found = deviation(prediction)
    np.testing.assert_allclose(found.spread, [a, b], rtol=1e-14)
    assert (found.max_f, found.min_f, found.avg_f) == pytest.approx((a, b, (a + b) / 2), rel=1e-14)
    assert (found.max_v, found.min_v, found.avg_v) == pytest.approx((c / 2, 0.0, c / 2 / 3), rel=1e-14)
    assert prediction.energy_deviation == pytest.approx(0.5 / 2)
    relative = deviation(prediction, relative=0.5, relative_v=1.0)
    np.testing.assert_allclose(relative.spread, [a / 0.5, b / 1.5], rtol=1e-14)
    assert relative.max_v == pytest.approx((c / 2) / (c / 2 + 1.0), rel=1e-14)


def test_what_is_not_finite_is_failed() -> None:
    forces = np.zeros((2, 1, 3))
    forces[1, 0, 0] = np.nan
    found = deviation(EnsemblePrediction(np.zeros(2), forces, np.zeros((2, 3, 3))))
    assert math.isnan(found.max_f)
    assert classify(found, (0.1, 0.2), None, "worst") == "failed"


@pytest.mark.parametrize(
    ("max_f", "max_v", "worst", "dpgen"),
    [
        (0.05, 0.0, "accurate", "accurate"),
        (0.1, 0.0, "candidate", "candidate"),
        (0.2, 0.0, "failed", "failed"),
        (0.15, 0.5, "failed", "candidate"),
        (0.05, 0.5, "failed", "failed"),
        (0.05, 0.03, "candidate", "candidate"),
    ],
)
def test_rules_join_force_and_virial(max_f: float, max_v: float, worst: str, dpgen: str) -> None:
    found = figures(max_f, max_v)
    assert classify(found, (0.1, 0.2), (0.02, 0.4), "worst") == worst
    assert classify(found, (0.1, 0.2), (0.02, 0.4), "dpgen") == dpgen


@pytest.mark.models
@pytest.mark.parametrize("options", [["--atomic"], ["--relative", "0.8"]], ids=["absolute", "relative"])
def test_equals_dp_model_devi(
    options: list[str], almg_models: list[Path], data: Path, tmp_path: Path, clean_env: dict[str, str]
) -> None:
    system = first_frames(data / "almg" / "Al24Mg8", tmp_path / "system")
    models = [str(model) for model in almg_models]
    command = [
        str(BIN / "dp"),
        "model-devi",
        "-m",
        *models,
        "-s",
        str(system),
        "-o",
        str(tmp_path / "dp.out"),
        *options,
    ]
    subprocess.run(command, check=True, capture_output=True, env=clean_env)
    assert main(["devi", "-m", *models, "-i", str(system), "-o", str(tmp_path / "ours.out"), *options]) == 0
    expected_header, expected = table(tmp_path / "dp.out")
    header, found = table(tmp_path / "ours.out")
    assert header == expected_header
    assert len((tmp_path / "ours.out").read_text()) == len((tmp_path / "dp.out").read_text())
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-12)
    assert found.shape == (3, 8 + 32 * ("--atomic" in options))
    assert found[:, 4].min() > 1e-4


@pytest.mark.models
def test_trajectory_file_gives_the_same_as_its_system(
    al_models: list[Path], data: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    system = first_frames(data / "al" / "Al32", tmp_path / "system")
    frames = list(read_frames(system))
    write(tmp_path / "t.extxyz", [frame.to_ase() for frame in frames])
    common = ["devi", "-m", *map(str, al_models), "--trust", "0.03", "0.1", "--rule", "dpgen"]
    assert main([*common, "-i", str(tmp_path / "t.extxyz"), "-o", str(tmp_path / "a.out")]) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    counts = {word: int(number) for number, word in (part.split() for part in captured.out.split(";")[0].split(", "))}
    assert counts["frames"] == len(frames) == counts["accurate"] + counts["candidate"] + counts["failed"]
    assert main([*common, "-i", str(system), "-o", str(tmp_path / "b.out")]) == 0
    np.testing.assert_allclose(table(tmp_path / "a.out")[1], table(tmp_path / "b.out")[1], rtol=2e-6)


@pytest.mark.models
def test_ensemble_says_what_it_is_and_refuses_what_it_cannot(al_models: list[Path]) -> None:
    ensemble = Ensemble(al_models)
    assert (ensemble.n_models, ensemble.type_map, ensemble.cutoff) == (4, ("Al",), 6.0)
    assert len(set(ensemble.hashes)) == 4
    cell = 4.05 * np.eye(3)
    with pytest.raises(ModelError, match=r"do not know Cu .* they know Al"):
        ensemble.predict(Frame(("Cu",), np.zeros((1, 3)), cell))
    with pytest.raises(StructureError, match="periodic along 2 of its 3"):
        ensemble.predict(Frame(("Al",), np.zeros((1, 3)), cell, pbc=(True, True, False)))
    dimer = Atoms("Al2", [[0, 0, 0], [0, 0, 2.7]])
    prediction = ensemble.predict(Frame.from_ase(dimer))
    np.testing.assert_allclose(prediction.forces.sum(axis=1), 0.0, atol=1e-10)


@pytest.mark.models
@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["model_0.pb"], "2"),
        (["model_0.pb", "none.pb"], "none.pb"),
        (["model_0.pb", "torn.pb"], "torn.pb"),
        (["model_0.pb", "text.pb"], "text.pb"),
    ],
)
def test_wrong_models(
    names: list[str], expected: str, al_models: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model_0.pb").symlink_to(al_models[0])
    (tmp_path / "torn.pb").write_bytes(al_models[1].read_bytes()[:5000])
    (tmp_path / "text.pb").write_text("not a model\n")
    write(tmp_path / "t.extxyz", Atoms("Al", cell=[4, 4, 4], pbc=True))
    models = [str(tmp_path / name) for name in names]
    code = main(["devi", "-m", *models, "-i", str(tmp_path / "t.extxyz"), "-o", str(tmp_path / "devi.out")])
    told = capfd.readouterr().err
    assert code == 2
    assert told.startswith("lammps-dpgen: ")
    assert expected in told
    assert "Traceback" not in told


def test_wrong_input(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file or folder"):
        read_frames(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"holds no deepmd/npy system"):
        list(read_frames(tmp_path))
    (tmp_path / "x.nonsense").write_text("hello\n")
    with pytest.raises(ConfigError, match=r"x\.nonsense"):
        list(read_frames(tmp_path / "x.nonsense"))
    (tmp_path / "torn.extxyz").write_text('2\nLattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3\nAl 0 0 0\n')
    with pytest.raises(ConfigError, match="cannot be read"):
        list(read_frames(tmp_path / "torn.extxyz"))
