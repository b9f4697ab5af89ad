"""The labeler ``replay``: the same crystal is found however it is written, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from conftest import DATA
from lammps_dpgen.errors import ConfigError, LabelError
from lammps_dpgen.frame import Frame, Label, LabelledFrame
from lammps_dpgen.labeling.ase import AseLabeler, AseSettings
from lammps_dpgen.labeling.contract import LabelerContract, contract_frame
from lammps_dpgen.labeling.replay import ReplayLabeler, ReplaySettings
from lammps_dpgen.training.data import write_systems

FRAME = contract_frame("Al", ["Cu", "Al", "Al"], (2, 2, 2))
TURN = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()


def emt(frame: Frame, folder: Path) -> Label:
    return AseLabeler(AseSettings(calculator="ase.calculators.emt:EMT")).label(frame, folder)


def others(number: int = 30) -> list[Frame]:
    """Frames of the same composition and cell, as MD at constant volume makes them."""
    rng = np.random.default_rng(3)
    return [replace(FRAME, positions=FRAME.positions + rng.normal(0, 0.1, (8, 3))) for _ in range(number)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replay") / "dataset.extxyz"
    frames = (*others(), FRAME, contract_frame("Al", ["Al"], (1, 1, 2)))
    write(path, [labelled(frame) for frame in frames], format="extxyz")
    return path


def replay(dataset: Path, **settings: Any) -> ReplayLabeler:
    return ReplayLabeler(ReplaySettings.model_validate({"datasets": str(dataset)} | settings))


def turned(frame: Frame, matrix: np.ndarray) -> Frame:
    return replace(frame, positions=frame.positions @ matrix.T, cell=frame.cell @ matrix.T)


WAYS = {
    "as it is": FRAME,
    "atoms in another order": replace(
        FRAME, species=tuple(reversed(FRAME.species)), positions=FRAME.positions[::-1].copy()
    ),
    "rotated": turned(FRAME, TURN),
    "unwrapped": replace(
        FRAME, positions=FRAME.positions + np.random.default_rng(5).integers(-2, 3, (8, 3)) @ FRAME.cell
    ),
    "a little off": replace(FRAME, positions=FRAME.positions + 4e-4 * np.array([1.0, 0.0, 0.0])),
}


class TestContract(LabelerContract):
    """What every labeler has to do, with a dataset of the frames that it is asked about.

    It has each crystal in one orientation, order of atoms and choice of images; another choice of cell vectors is
    another frame for this labeler, so those of the contract are in the dataset too.
    """

    energy_step = 1e-3
    energy_tolerance = 1e-7

    @pytest.fixture(scope="class")
    @classmethod
    def plain_settings(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
        path = tmp_path_factory.mktemp("contract") / "dataset.extxyz"
        write(path, [labelled(frame) for frame in asked(FRAME, cls.energy_step)], format="extxyz")
        return {"datasets": [str(path)], "tolerance": 1e-5}

    @pytest.fixture
    def labeler(self, plain_settings: dict[str, Any]) -> ReplayLabeler:
        return ReplayLabeler(ReplaySettings.model_validate(plain_settings))

    @pytest.fixture
    def frame(self) -> Frame:
        return FRAME


def asked(frame: Frame, step: float) -> list[Frame]:
    """Return a frame, its finite differences by atoms and by strains, and two other cells of the same crystal."""
    frames = [frame]
    for sign in (step, -step):
        for atom in {0, frame.n_atoms // 2, frame.n_atoms - 1}:
            for axis in range(3):
                shift = np.zeros((frame.n_atoms, 3))
                shift[atom, axis] = sign
                frames.append(replace(frame, positions=frame.positions + shift))
        for i in range(3):
            for j in range(i, 3):
                strain = np.zeros((3, 3))
                strain[i, j] += 0.5 * sign
                strain[j, i] += 0.5 * sign
                frames.append(turned(frame, np.eye(3) + strain))
    tilt = np.array([[1.0, 0.0, 0.0], [2.0, 1.0, 0.0], [-1.0, 3.0, 1.0]])
    return [*frames, replace(frame, cell=tilt @ frame.cell), replace(frame, cell=frame.cell[[1, 0, 2]])]


def labelled(frame: Frame) -> Atoms:
    atoms = frame.to_ase()
    atoms.info.clear()
    atoms.calc = EMT()
    results = {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(), "stress": atoms.get_stress()}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


class TestFound:
    @pytest.mark.parametrize("way", WAYS)
    def test_same_crystal(self, dataset: Path, tmp_path: Path, way: str) -> None:
        """Energy, forces and virial are those that the method would give for the frame as it is written."""
        frame = WAYS[way]
        label, expected = replay(dataset).label(frame, tmp_path), emt(frame, tmp_path)
        assert label.energy == pytest.approx(expected.energy, abs=1e-6)
        np.testing.assert_allclose(label.forces, expected.forces, atol=1e-4)
        np.testing.assert_allclose(label.virial, expected.virial, atol=1e-3)

    def test_every_frame_finds_itself(self, dataset: Path, tmp_path: Path) -> None:
        labeler = replay(dataset)
        for frame in others():
            assert labeler.label(frame, tmp_path).energy == pytest.approx(emt(frame, tmp_path).energy, abs=1e-6)

    def test_deepmd_systems(self, tmp_path: Path) -> None:
        """What a run keeps under data/, whose atoms are sorted by type."""
        frames = [FRAME, *others(3)]
        labelled = [LabelledFrame(frame, emt(frame, tmp_path)) for frame in frames]
        write_systems(labelled, tmp_path / "data", ["Cu", "Al"])
        labeler = replay(tmp_path / "data")
        for one in labelled:
            found = labeler.label(one.frame, tmp_path)
            assert found.energy == pytest.approx(one.label.energy, abs=1e-9)
            np.testing.assert_allclose(found.forces, one.label.forces, atol=1e-9)
            np.testing.assert_allclose(found.virial, one.label.virial, atol=1e-9)

    def test_data_of_the_tests(self, tmp_path: Path) -> None:
        """A folder with several systems."""
        replay(DATA / "almg", tolerance=1e-3).check(["Al", "Mg"])

    def test_molecule(self, tmp_path: Path) -> None:
        atoms = molecule("H2O")
        frame = Frame.from_ase(atoms)
        forces = np.arange(9.0).reshape(3, 3)
        atoms.calc = SinglePointCalculator(atoms, energy=-1.5, forces=forces)
        write(tmp_path / "water.extxyz", atoms)
        label = replay(tmp_path / "water.extxyz").label(frame, tmp_path)
        assert label.energy == -1.5
        assert label.virial is None
        np.testing.assert_allclose(label.forces, forces)

    def test_free_energy_comes_first(self, tmp_path: Path) -> None:
        atoms = FRAME.to_ase()
        atoms.info.clear()
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, free_energy=-1.25, forces=np.zeros((8, 3)))
        write(tmp_path / "one.extxyz", atoms)
        assert replay(tmp_path / "one.extxyz").label(FRAME, tmp_path).energy == -1.25


class TestRefused:
    def test_not_there(self, dataset: Path, tmp_path: Path) -> None:
        moved = FRAME.positions.copy()
        moved[2, 1] += 0.05
        with pytest.raises(
            LabelError, match=r"none of the 31 frames of .* within 0\.001 Å: nearest is .*frame 31, .* 0\.05 Å"
        ):
            replay(dataset).label(replace(FRAME, positions=moved), tmp_path)

    def test_another_cell(self, dataset: Path, tmp_path: Path) -> None:
        with pytest.raises(LabelError, match="none has its cell; nearest in cell is"):
            replay(dataset).label(turned(FRAME, 1.02 * np.eye(3)), tmp_path)

    def test_another_composition(self, dataset: Path, tmp_path: Path) -> None:
        with pytest.raises(LabelError, match="dataset of 32 frames has none of Al7Cu with the same periodicity"):
            replay(dataset).label(replace(FRAME, species=("Cu", *["Al"] * 7)), tmp_path)

    def test_swapped_elements(self, dataset: Path, tmp_path: Path) -> None:
        """The places of two unlike atoms exchanged: the same places, another crystal."""
        i, j = FRAME.species.index("Al"), FRAME.species.index("Cu")
        species = list(FRAME.species)
        species[i], species[j] = species[j], species[i]
        with pytest.raises(LabelError, match="nearest is"):
            replay(dataset).label(replace(FRAME, species=tuple(species)), tmp_path)

    def test_foreign_element(self, dataset: Path) -> None:
        with pytest.raises(ConfigError, match=r"no frame of the dataset has Mg \(it has Al, Cu\)"):
            replay(dataset).check(["Al", "Mg"])

    def test_frames_without_labels(self, tmp_path: Path) -> None:
        write(tmp_path / "bare.extxyz", Atoms("Al"))
        with pytest.raises(ConfigError, match="frame 1 has no energy or no forces"):
            replay(tmp_path / "bare.extxyz").check(["Al"])

    def test_no_frames(self, tmp_path: Path) -> None:
        (tmp_path / "text.extxyz").write_text("no frames\n")
        with pytest.raises(ConfigError, match="cannot be read"):
            replay(tmp_path / "text.extxyz").check(["Al"])

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(ValidationError, match="no such file or folder"):
            replay(tmp_path / "nowhere.extxyz")

    def test_empty_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="no deepmd/npy system"):
            replay(tmp_path).check(["Al"])


def test_settings_know_the_content(dataset: Path, tmp_path: Path) -> None:
    """Relative to the configuration; the hash depends on content and tolerance."""
    copy = tmp_path / dataset.name
    copy.write_bytes(dataset.read_bytes())
    settings = ReplaySettings.model_validate({"datasets": dataset.name}, context={"folder": tmp_path})
    assert settings.datasets == (str(copy),)
    assert settings.hash() == ReplaySettings.model_validate({"datasets": [str(dataset)]}).hash()
    assert settings.hash() != ReplaySettings.model_validate({"datasets": str(dataset), "tolerance": 0.01}).hash()
    copy.write_bytes(dataset.read_bytes() * 2)
    assert settings.hash() != ReplaySettings.model_validate({"datasets": str(dataset)}).hash()
