"""``lammps-dpgen export``: what dpdata and ASE read is what the ledger holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ase.io
import dpdata
import numpy as np
import pytest
from ledger_records import make_frame, make_generation, make_label

from lammps_dpgen.cli.main import main
from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.learning.data_folder import split
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import StoredLabel
from lammps_dpgen.store.run_folder import RunFolder

TYPE_MAP = ["Al", "Mg"]
N_SMALL, N_LARGE = 12, 8


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Labels of two compositions; generation 0 has seen the small ones."""
    run = RunFolder(tmp_path / "run").create()
    frames = [make_frame(seed, origin=FrameOrigin("bootstrap")) for seed in range(N_SMALL)]
    frames += [make_frame(100 + seed, n_atoms=6, origin=FrameOrigin("md")) for seed in range(N_LARGE)]
    with Ledger.open(run.ledger, config_hash="0" * 64) as ledger:
        for seed, (frame_hash, frame) in enumerate(zip(ledger.add_frames(frames), frames, strict=True)):
            ledger.record_label(frame_hash, make_label(frame, seed))
        ledger.add_generation(make_generation(0), range(1, N_SMALL + 1))
    return run


def stored(run: RunFolder) -> list[StoredLabel]:
    with Ledger.open(run.ledger, config_hash=None) as ledger:
        return ledger.labels()


def by_energy(labels: list[StoredLabel]) -> dict[float, StoredLabel]:
    return {one.label.energy: one for one in labels}


def export(run: RunFolder, *options: str) -> Path:
    output = run.path.parent / "data"
    assert main(["export", str(run.path), "-o", str(output), *options]) == 0
    return output


def check(data: dict[str, Any], names: list[str], types: Any, expected: dict[float, StoredLabel]) -> int:
    """Compare the frames of a dpdata system with the ledger, bit by bit; return how many there are."""
    for number, energy in enumerate(data["energies"]):
        one = expected.pop(float(energy))
        assert one.label.virial is not None
        order = np.argsort([TYPE_MAP.index(element) for element in one.frame.species], kind="stable")
        assert [names[kind] for kind in types] == [one.frame.species[i] for i in order]
        np.testing.assert_array_equal(data["coords"][number], one.frame.positions[order])
        np.testing.assert_array_equal(data["cells"][number], one.frame.cell)
        np.testing.assert_array_equal(data["forces"][number], one.label.forces[order])
        np.testing.assert_array_equal(data["virials"][number], one.label.virial)
    return len(data["energies"])


def test_npy_is_exact(run: RunFolder) -> None:
    output = export(run)
    expected = by_energy(stored(run))
    assert sorted(path.name for path in (output / "train").iterdir()) == ["Al2Mg2", "Al3Mg3"]
    for folder in (output / "train").iterdir():
        system = dpdata.LabeledSystem(str(folder), fmt="deepmd/npy")
        check(system.data, system["atom_names"], system["atom_types"], expected)
    assert not expected
    assert not (output / "test").exists()


def test_mixed_is_exact(run: RunFolder) -> None:
    output = export(run, "--format", "deepmd/npy/mixed", "--test-share", "0.25")
    expected = by_energy(stored(run))
    numbers = {}
    for name in ("train", "test"):
        systems = dpdata.MultiSystems(type_map=TYPE_MAP)
        systems.load_systems_from_file(str(output / name), fmt="deepmd/npy/mixed")
        numbers[name] = sum(check(s.data, s["atom_names"], s["atom_types"], expected) for s in systems)
    assert not expected
    assert numbers == {"train": 15, "test": 5}


def test_extxyz(run: RunFolder) -> None:
    """ASE writes eight decimals per atom, and energies and stresses in full."""
    images = ase.io.read(export(run, "--format", "extxyz") / "train.extxyz", ":")
    assert isinstance(images, list)
    for atoms, one in zip(images, stored(run), strict=True):
        assert tuple(atoms.get_chemical_symbols()) == one.frame.species
        assert one.label.virial is not None
        assert atoms.get_potential_energy() == one.label.energy
        np.testing.assert_allclose(atoms.positions, one.frame.positions, rtol=0, atol=6e-9)
        np.testing.assert_allclose(atoms.get_forces(), one.label.forces, rtol=0, atol=6e-9)
        np.testing.assert_allclose(atoms.cell.array, one.frame.cell, rtol=0, atol=1e-12)
        symmetric = (one.label.virial + one.label.virial.T) / 2
        stress = atoms.get_stress(voigt=False)
        np.testing.assert_allclose(-stress * atoms.get_volume(), symmetric, rtol=0, atol=1e-6)
        assert atoms.info["source"] == one.frame.origin.source


def test_split_is_reproducible_and_even(run: RunFolder) -> None:
    labels = stored(run)
    first, again = split(labels, 0.25, 7), split(labels[::-1], 0.25, 7)
    assert {one.frame_hash for one in first["test"]} == {one.frame_hash for one in again["test"]}
    assert {one.frame_hash for one in first["test"]} != {one.frame_hash for one in split(labels, 0.25, 8)["test"]}
    assert sorted(one.frame.n_atoms for one in first["test"]) == [4, 4, 4, 6, 6]
    assert len(first["train"]) + len(first["test"]) == len(labels)
    assert split(labels, 0.0, 7)["test"] == []


def test_readme_and_generation(run: RunFolder) -> None:
    output = export(run, "--generation", "0", "--test-share", "0.5", "--seed", "3")
    about = json.loads((output / "README.json").read_text())
    assert about["settings_hash"] == "5" * 64
    assert about["type_map"] == TYPE_MAP
    assert (about["generation"], about["seed"], about["test_share"]) == (0, 3, 0.5)
    for name in ("train", "test"):
        assert about["sets"][name]["frames"] == N_SMALL // 2
        assert about["sets"][name]["sources"] == {"bootstrap": N_SMALL // 2}
        assert about["sets"][name]["codes"] == {"analytic 1": N_SMALL // 2}


def test_frames_without_virial_or_cell(run: RunFolder) -> None:
    molecule = Frame(("Al", "Mg"), np.array([[0.0, 0.0, 0.0], [2.5, 0.0, 0.0]]), np.zeros((3, 3)), (False,) * 3)
    with Ledger.open(run.ledger, config_hash="0" * 64) as ledger:
        for frame in (make_frame(500), molecule):
            (frame_hash,) = ledger.add_frames([frame])
            ledger.record_label(frame_hash, make_label(frame, 500, virial=False))
    for form in ("deepmd/npy", "deepmd/npy/mixed", "extxyz"):
        output = run.path.parent / form.replace("/", "_")
        assert main(["export", str(run.path), "-o", str(output), "--format", form]) == 0
        if form == "deepmd/npy":
            crystal = dpdata.LabeledSystem(str(output / "train" / "without_virial" / "Al2Mg2"), fmt=form)
            assert "virials" not in crystal.data
            assert len(dpdata.LabeledSystem(str(output / "train" / "Al2Mg2"), fmt=form)) == N_SMALL
            assert dpdata.LabeledSystem(str(output / "train/without_virial/Al1Mg1_nopbc"), fmt=form).nopbc
        elif form == "extxyz":
            images = ase.io.read(output / "train.extxyz", ":")
            assert not images[-1].pbc.any()


@pytest.mark.parametrize(
    ("options", "expected"),
    [(["--generation", "4"], "has no generation 4; it has 0 to 0"), (["--format", "cif"], "cif")],
)
def test_refused(run: RunFolder, capsys: pytest.CaptureFixture[str], options: list[str], expected: str) -> None:
    assert main(["export", str(run.path), "-o", str(run.path.parent / "data"), *options]) == 2
    assert expected in capsys.readouterr().err
    assert not (run.path.parent / "data").exists()


def test_nothing_is_overwritten(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(run.path), "-o", str(tmp_path)]) == 2
    assert "is not overwritten" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "-o", str(tmp_path / "new")]) == 2
    assert "it has no ledger.db" in capsys.readouterr().err


class TestSettingsThatDiffer:
    """One frame of stage hot was labelled with other settings than the rest."""

    @pytest.fixture
    def mixed(self, run: RunFolder) -> RunFolder:
        frame = make_frame(999, origin=FrameOrigin("md", stage="hot"))
        with Ledger.open(run.ledger, config_hash="0" * 64) as ledger:
            (frame_hash,) = ledger.add_frames([frame])
            ledger.record_label(frame_hash, make_label(frame, 999, settings_hash="6" * 64))
        return run

    def test_are_refused(self, mixed: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["export", str(mixed.path), "-o", str(mixed.path.parent / "data")]) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert "20 of 555555555555 (analytic 1; no stage); 1 of 666666666666 (analytic 1; stage hot)" in said
        assert "--mixed-labels" in said
        assert not (mixed.path.parent / "data").exists()

    @pytest.mark.parametrize("name", ["hot", "666666", "5" * 64])
    def test_unless_they_are_named(self, mixed: RunFolder, name: str) -> None:
        """By stage or by settings; what is not named is the one that the others stand beside."""
        about = json.loads((export(mixed, "--mixed-labels", name) / "README.json").read_text())
        assert about["sets"]["train"]["frames"] == N_SMALL + N_LARGE + 1
        assert about["settings_hash"] == f"{'5' * 64}, {'6' * 64}"

    @pytest.mark.parametrize("name", ["cold", "6666", "777777"])
    def test_names_of_nothing(self, mixed: RunFolder, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["export", str(mixed.path), "-o", "data", "--mixed-labels", name]) == 2
        assert f"has no labels of {name}; it has 20 of 5555" in " ".join(capsys.readouterr().err.split())
