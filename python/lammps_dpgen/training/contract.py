"""The contract of a trainer, as tests that every trainer must pass; third parties run it on theirs.

Write a class that inherits from `TrainerContract`, override the fixture ``trainer``, and let pytest collect it::

    class TestMyTrainer(TrainerContract):
        @pytest.fixture(scope="class")
        @classmethod
        def trainer(cls):
            return MyTrainer(MySettings(...))

Give it settings of a small model and few steps, so that from scratch it takes seconds and yet learns something. The
data are frames of a pair potential that is worked out here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list

from lammps_dpgen.errors import ConfigError, TrainingError
from lammps_dpgen.frame import FloatArray, Frame, Label, LabelledFrame
from lammps_dpgen.training.base import Trainer, TrainingJob, TrainingResult
from lammps_dpgen.training.data import write_systems

#: Morse potential that is truncated smoothly: depth (eV), width (1/Å), distance (Å), cut-off (Å).
DEPTH, WIDTH, DISTANCE, CUTOFF = 0.3, 1.3, 3.0, 5.0


def morse_label(frame: Frame) -> Label:
    """Return energy, forces and virial of a smoothly truncated Morse potential."""
    first, _, distance, vector = neighbor_list("ijdD", frame.to_ase(), CUTOFF)
    bond = np.exp(-WIDTH * (distance - DISTANCE))
    well, slope = DEPTH * (bond**2 - 2.0 * bond), 2.0 * DEPTH * WIDTH * (bond - bond**2)
    window, window_slope = (1.0 - (distance / CUTOFF) ** 2) ** 2, -4.0 * distance / CUTOFF**2
    window_slope = window_slope * (1.0 - (distance / CUTOFF) ** 2)
    energy = 0.5 * float(np.sum(well * window))
    pull = (slope * window + well * window_slope) / distance
    forces = np.zeros_like(frame.positions)
    np.add.at(forces, first, pull[:, None] * vector)
    virial = -0.5 * np.einsum("p,pa,pb->ab", pull, vector, vector)
    return Label(energy, forces, virial, code="morse", settings_hash="contract", seconds=0.0)


def contract_data(element: str, number: int, displacement: float, seed: int) -> list[LabelledFrame]:
    """Return labelled frames of a perturbed 8-atom fcc cell.

    Parameters
    ----------
    displacement
        Standard deviation of the displacements in Å.
    """
    rng = np.random.default_rng(seed)
    labelled = []
    for _ in range(number):
        atoms = bulk(element, "fcc", a=4.1) * (2, 2, 2)
        atoms.set_cell(atoms.cell.array * (1.0 + rng.uniform(-0.03, 0.03)), scale_atoms=True)
        atoms.positions += rng.normal(scale=displacement, size=atoms.positions.shape)
        frame = Frame.from_ase(atoms)
        labelled.append(LabelledFrame(frame, morse_label(frame)))
    return labelled


class TrainerContract:
    """What the learning run relies on; see the module for how to use it.

    Attributes
    ----------
    element
        Element of the frames.
    learned
        From scratch, the last force error of the learning curve is below this share of the first.
    """

    element: str = "Al"
    learned: float = 0.7

    @pytest.fixture(scope="class")
    @classmethod
    def trainer(cls) -> Trainer:
        """Override: the trainer under test, with settings that take seconds."""
        raise NotImplementedError("override the fixture 'trainer'")

    @pytest.fixture(scope="class")
    @classmethod
    def data(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Folder with two data sets of one kind, ``old`` and ``new``, so that their force errors can be compared."""
        folder = tmp_path_factory.mktemp("data")
        write_systems(contract_data(cls.element, 6, 0.10, seed=1), folder / "old", [cls.element])
        write_systems(contract_data(cls.element, 6, 0.10, seed=2), folder / "new", [cls.element])
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def first_job(cls, data: Path) -> TrainingJob:
        """From scratch, on the old data."""
        return TrainingJob(0, 0, 11, (cls.element,), old_systems=(), new_systems=_systems(data / "old"))

    @pytest.fixture(scope="class")
    @classmethod
    def first(
        cls, trainer: Trainer, first_job: TrainingJob, tmp_path_factory: pytest.TempPathFactory
    ) -> TrainingResult:
        """Train the first job."""
        return trainer.train(first_job, tmp_path_factory.mktemp("first"))

    def test_check_accepts_its_elements(self, trainer: Trainer) -> None:
        """`check` passes for what `train` can train."""
        trainer.check([self.element])

    def test_result_is_complete(self, first: TrainingResult) -> None:
        """The result survives the way between processes and holds a rising curve of finite numbers."""
        assert TrainingResult.from_json(json.loads(json.dumps(first.to_json()))) == first
        steps = [row[0] for row in first.curve]
        assert steps == sorted(set(steps))
        assert np.isfinite([row[1:] for row in first.curve]).all()
        assert first.steps >= steps[-1] > 0
        assert all(value >= 0.0 for value in first.seconds.values())

    def test_it_learns(self, first: TrainingResult) -> None:
        """The force error falls."""
        assert first.curve[-1][1] < self.learned * first.curve[0][1]

    def test_model_predicts(self, first: TrainingResult, data: Path) -> None:
        """The model loads in DeePMD-kit; its forces are finite, sum to zero, and follow the reference."""
        frame = contract_data(self.element, 1, 0.10, seed=3)[0]
        energy, forces = _predict(first.model, frame.frame)
        assert np.isfinite(energy)
        assert np.isfinite(forces).all()
        assert np.abs(forces.sum(axis=0)).max() < 1e-4
        assert np.corrcoef(forces.ravel(), frame.label.forces.ravel())[0, 1] > 0.5

    def test_seed_repeats(
        self, trainer: Trainer, first_job: TrainingJob, first: TrainingResult, tmp_path: Path
    ) -> None:
        """The same job gives the same curve and the same forces, also as a later training of the process."""
        again = trainer.train(first_job, tmp_path / "again")
        frame = contract_data(self.element, 1, 0.10, seed=3)[0].frame
        assert again.curve == first.curve
        assert np.array_equal(_predict(again.model, frame)[1], _predict(first.model, frame)[1])

    def test_another_seed_gives_another_model(
        self, trainer: Trainer, first_job: TrainingJob, first: TrainingResult, tmp_path: Path
    ) -> None:
        """An ensemble of equal models would agree about everything."""
        other = trainer.train(replace(first_job, index=1, seed=12), tmp_path / "other")
        frame = contract_data(self.element, 1, 0.10, seed=3)[0].frame
        difference = _predict(other.model, frame)[1] - _predict(first.model, frame)[1]
        assert np.abs(difference).max() > 1e-6

    def test_warm_start_continues(self, trainer: Trainer, first: TrainingResult, data: Path, tmp_path: Path) -> None:
        """A continued training begins where the last one ended, not from scratch, and writes in its folder only."""
        if first.warm_start is None:
            pytest.skip("the trainer says that it cannot continue a training")
        old, new = _systems(data / "old"), _systems(data / "new")
        before = _contents(tmp_path, data, Path(first.model).parent)
        job = TrainingJob(1, 0, 21, (self.element,), old_systems=old, new_systems=new, warm_start=first.warm_start)
        folder = tmp_path / "continued"
        result = trainer.train(job, folder)
        assert result.curve[0][1] < 0.5 * (first.curve[0][1] + first.curve[-1][1])
        assert Path(result.model).is_relative_to(folder)
        after = _contents(tmp_path, data, Path(first.model).parent)
        assert {path for path in after if folder not in path.parents and path != folder} == before

    def test_lost_warm_start_is_an_error(self, trainer: Trainer, data: Path, tmp_path: Path) -> None:
        """Continuing from a model that is gone is no silent training from scratch."""
        old, new = _systems(data / "old"), _systems(data / "new")
        job = TrainingJob(1, 0, 21, (self.element,), old, new, warm_start=str(tmp_path / "gone"))
        with pytest.raises(TrainingError, match="gone"):
            trainer.train(job, tmp_path / "continued")

    def test_broken_labels_are_an_error(self, trainer: Trainer, first_job: TrainingJob, tmp_path: Path) -> None:
        """Numbers that are not finite in the data never become a model."""
        systems = write_systems(contract_data(self.element, 3, 0.10, seed=4), tmp_path / "broken", [self.element])
        for file in systems[0].glob("set.*/force.npy"):
            np.save(file, np.full_like(np.load(file), np.nan))
        job = replace(first_job, new_systems=tuple(str(path) for path in systems))
        with pytest.raises(TrainingError) as caught:
            trainer.train(job, tmp_path / "training")
        assert "\n" not in str(caught.value)

    def test_missing_data_are_an_error(self, trainer: Trainer, first_job: TrainingJob, tmp_path: Path) -> None:
        """A data folder that is not there is named."""
        job = replace(first_job, new_systems=(str(tmp_path / "nowhere"),))
        with pytest.raises((TrainingError, ConfigError), match="nowhere"):
            trainer.train(job, tmp_path / "training")


def _systems(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(str(path.parent) for path in folder.rglob("type.raw")))


def _contents(*folders: Path) -> set[Path]:
    found: Iterable[Path] = (path for folder in folders for path in folder.rglob("*"))
    return set(found)


def _predict(model: str, frame: Frame) -> tuple[float, FloatArray]:
    """Return energy (eV) and forces (eV/Å) of a frozen model."""
    from deepmd.infer import DeepPot

    potential = DeepPot(model)
    types = [potential.get_type_map().index(symbol) for symbol in frame.species]
    energy, forces, _ = potential.eval(frame.positions.reshape(1, -1), frame.cell.reshape(1, -1), types)
    return float(np.ravel(energy)[0]), np.asarray(forces, dtype=np.float64).reshape(-1, 3)
