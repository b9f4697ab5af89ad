"""lammps-dpgen structures: table, picture, file, and what it says about wrong input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from matplotlib.image import imread

from lammps_dpgen.cli.main import main
from lammps_dpgen.config import BootstrapConfig, load_config
from lammps_dpgen.frame import Frame
from lammps_dpgen.geometry import shortest_distance
from lammps_dpgen.learning.bootstrap import initial_frames

CONFIG = """\
structures:
  - {generator: prototype, element: Al, scale: [0.98, 1.02]}
  - {generator: prototype, element: Al, crystal: bcc, repeat: [2, 2, 2], composition: {Al: 0.75, Mg: 0.25}}
  - {generator: halves, element: Mg, miller: [0, 0, 0, 1], displacements: [1, 5]}
"""

REST = """\
run_folder: run
type_map: [Al, Mg]
labeler: {name: lammps, settings: {pair_style: meam, pair_coeff: ["* *"], elements: [Al, Mg]}}
trainer: {name: deepmd}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "campaign.yaml"
    path.write_text(CONFIG)
    return path


def test_table(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["structures", str(config)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["prototype", "fcc-Al4", "2", "4", "Al4", "15.63", "-", "17.62", "2.81", "-", "2.92"]
    assert lines[2][:5] == ["prototype", "bcc-by-volume-Al12Mg4", "1", "16", "Al12Mg4"]
    assert lines[3][:5] == ["halves", "hcp(0001)-Mg4", "2", "4", "Mg4"]
    assert " ".join(lines[4]) == "5 frames of 3 structures, at most 16 atoms"
    assert sorted(path.name for path in config.parent.iterdir()) == ["campaign.yaml"]


def test_the_frames_are_those_of_the_run(config: Path) -> None:
    """What the preview shows is what the bootstrap labels, bit for bit."""
    config.write_text(REST + CONFIG)
    assert main(["structures", str(config), "-o", "all.extxyz"]) == 0
    shown = [Frame.from_ase(atoms) for atoms in ase.io.read("all.extxyz", ":")]
    used = initial_frames(load_config(config, BootstrapConfig))
    assert [f.formula for f in shown] == [f.formula for f in used]
    for one, other in zip(shown, used, strict=True):
        assert one.species == other.species
        np.testing.assert_allclose(one.positions, other.positions, atol=1e-7)
        np.testing.assert_allclose(one.cell, other.cell, atol=1e-7)


def test_picture(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["structures", str(config), "--preview"]) == 0
    assert "picture: structures.png (3 of 3 structures)" in capsys.readouterr().out
    image = imread("structures.png")
    assert image.shape[1] > image.shape[0] > 200  # three panels side by side
    for share in range(3):  # none of them is empty: the atoms of Al are greyish, those of Mg green
        panel = image[:, image.shape[1] * share // 3 : image.shape[1] * (share + 1) // 3, :3]
        assert (panel.std(axis=2) > 0.02).mean() > 0.01


def test_picture_of_many_structures(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not all are drawn; which, is spread evenly over the list."""
    monkeypatch.setattr("lammps_dpgen.structures.picture.MOST_PANELS", 4)
    config.write_text(
        "structures: [{generator: prototype, element: Al, all_compositions: {elements: [Al, Mg, Si, Cu]}}]\n"
    )
    assert main(["structures", str(config), "--preview", "--picture", "many.png"]) == 0
    assert "picture: many.png (4 of 35 structures)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("structures: []\n", [], "at least 1 item"),
        ("seed: 1\n", [], "structures: missing"),
        ("structures: [{generator: prototyp, element: Al}]\n", [], "did you mean 'prototype'"),
        ("structures: [{generator: prototype, element: Al, repaet: [1, 1, 1]}]\n", [], "did you mean 'repeat'"),
        (
            "structures: [{generator: prototype, element: Al, scale: [0.3]}]\n",
            [],
            "structures[0] (prototype): structure",
        ),
        ("structures: [{generator: slab, element: Al, miller: [1, 1]}]\n", [], "(1 1) has 2 indices"),
        ("structures: [{generator: prototype, element: Al}]\ntype_map: [Mg]\n", [], "which type_map lacks"),
        (CONFIG, ["--preview", "--picture", "a.jpg"], "the picture is a PNG"),
        (CONFIG, ["-o", "no/such/a.extxyz"], "cannot be written"),
    ],
)
def test_wrong_input(
    config: Path, text: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(text)
    assert main(["structures", str(config), *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_neither_pymatgen_nor_requests_is_loaded_without_need() -> None:
    """Reading a configuration with all generators' settings stays fast."""
    program = (
        "import sys; from lammps_dpgen import registry\n"
        "for name in registry.registered(registry.STRUCTURES): registry.load(registry.STRUCTURES, name)\n"
        "print('HEAVY', sorted({'pymatgen', 'requests', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "HEAVY []" in result.stdout


def test_shortest_distance() -> None:
    pair = Frame(("Al", "Al"), np.array([[0.0, 0, 0], [0, 0, 40.0]]), 100 * np.eye(3))
    assert shortest_distance(pair) == pytest.approx(40.0)
    assert shortest_distance(Frame(("Al",), np.zeros((1, 3)), np.diag([30.0, 20.0, 25.0]))) == pytest.approx(20.0)
    alone = Frame(("Al",), np.zeros((1, 3)), np.zeros((3, 3)), pbc=(False, False, False))
    assert shortest_distance(alone) == float("inf")
