"""The contract of a labeler, as tests that every labeler must pass; third parties run it on theirs.

Write a class that inherits from `LabelerContract`, override the fixtures, and let pytest collect it::

    class TestMyLabeler(LabelerContract):
        @pytest.fixture
        def labeler(self):
            return MyLabeler(MySettings())

        @pytest.fixture
        def plain_settings(self):
            return {"element": "Al"}

        @pytest.fixture
        def frame(self):
            return contract_frame("Al", ["Al", "Mg"])

What is asked: units and signs of forces and virial, the energy whose gradient the forces are (the free energy of a
smeared method), the order of the atoms, the orientation of the cell and its description, species, one failure that
costs one frame, what has not converged is no label, and a kill that leaves nothing half-done.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from ase.build import bulk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from lammps_dpgen.errors import ConfigError, LabelError
from lammps_dpgen.execution.base import Outcome, Task
from lammps_dpgen.execution.local import LocalExecutor
from lammps_dpgen.frame import FloatArray, Frame, FrameOrigin, Label
from lammps_dpgen.labeling.base import Labeler
from lammps_dpgen.labeling.service import SERVICE

#: Elements that a labeler of the contract tests is unlikely to know, tried in turn.
FOREIGN = ("Og", "Ts", "Lv")


def contract_frame(prototype: str, species: Sequence[str], repeat: tuple[int, int, int] = (2, 2, 2)) -> Frame:
    """Return a triclinic, strained and perturbed frame without any symmetry, its atoms cycling through `species`.

    Parameters
    ----------
    prototype
        Element whose ground state structure (ASE) is repeated.
    """
    rng = np.random.default_rng(7)
    atoms = bulk(prototype) * repeat
    strain = np.eye(3) + 0.03 * rng.uniform(-1.0, 1.0, (3, 3))
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    atoms.positions += rng.uniform(-0.15, 0.15, atoms.positions.shape)
    atoms.symbols = [species[i % len(species)] for i in range(len(atoms))]
    return Frame.from_ase(atoms, FrameOrigin("contract"))


class LabelerContract:
    """What the learning run relies on; see the module for how to use it.

    Attributes
    ----------
    energy_step
        Displacement in Å and strain (no unit) of the finite differences.
    force_tolerance, virial_tolerance, energy_tolerance
        Largest deviation allowed: eV/Å, eV, and eV per atom. Wider for methods that converge to a threshold.
    """

    energy_step: float = 1e-4
    force_tolerance: float = 1e-4
    virial_tolerance: float = 1e-3
    energy_tolerance: float = 1e-8

    @pytest.fixture
    def labeler(self) -> Labeler:
        """Override: the labeler under test."""
        raise NotImplementedError("override the fixture 'labeler'")

    @pytest.fixture
    def frame(self) -> Frame:
        """Override if the labeler does not know aluminium."""
        return contract_frame("Al", ["Al"])

    @pytest.fixture
    def plain_settings(self) -> dict[str, Any] | None:
        """Override: settings of the labeler as they stand in a file, for the registered labeler in a worker process.

        None: nothing is killed.
        """
        return None

    @pytest.fixture
    def unconverged(self) -> Labeler | None:
        """Override for methods that iterate: the labeler with settings with which `frame` cannot converge."""
        return None

    def test_check_accepts_its_species(self, labeler: Labeler, frame: Frame) -> None:
        """`check` passes for what `label` can label."""
        labeler.check(sorted(set(frame.species)))

    def test_settings_are_plain_data(self, labeler: Labeler) -> None:
        """Settings have a hash that does not depend on the instance, and refuse unknown keys."""
        assert labeler.name
        with pytest.raises(ValueError, match="no_such_setting"):
            labeler.Settings.model_validate({"no_such_setting": 1})

    def test_label_is_complete(self, labeler: Labeler, frame: Frame, tmp_path: Path) -> None:
        """Shapes, finite numbers, program, settings hash and cost; survives the way to the store."""
        label = labeler.label(frame, _fresh(tmp_path))
        assert label.forces.shape == (frame.n_atoms, 3)
        assert np.isfinite(label.energy)
        assert np.isfinite(label.forces).all()
        assert label.virial is None or (label.virial.shape == (3, 3) and np.isfinite(label.virial).all())
        assert label.code.strip()
        assert len(label.settings_hash) == 64
        assert label.seconds > 0.0
        copy = Label.from_json(json.loads(json.dumps(label.to_json())))
        np.testing.assert_array_equal(copy.forces, label.forces)
        assert copy.energy == label.energy

    def test_the_frame_is_not_changed(self, labeler: Labeler, frame: Frame, tmp_path: Path) -> None:
        """Positions, cell and species stay as they were, and so does the hash."""
        before = Frame.from_json(frame.to_json())
        labeler.label(frame, _fresh(tmp_path))
        np.testing.assert_array_equal(frame.positions, before.positions)
        np.testing.assert_array_equal(frame.cell, before.cell)
        assert frame.species == before.species
        assert frame.hash == before.hash

    def test_forces_are_minus_the_gradient(self, labeler: Labeler, frame: Frame, tmp_path: Path) -> None:
        """Central differences of the energy, for three atoms along all axes: units and sign of the forces."""
        forces = labeler.label(frame, _fresh(tmp_path)).forces
        for atom in {0, frame.n_atoms // 2, frame.n_atoms - 1}:
            for axis in range(3):
                shift = np.zeros((frame.n_atoms, 3))
                shift[atom, axis] = self.energy_step
                up = _energy(labeler, replace(frame, positions=frame.positions + shift), tmp_path)
                down = _energy(labeler, replace(frame, positions=frame.positions - shift), tmp_path)
                expected = -(up - down) / (2.0 * self.energy_step)
                assert forces[atom, axis] == pytest.approx(expected, abs=self.force_tolerance)

    def test_virial_is_minus_the_strain_derivative(self, labeler: Labeler, frame: Frame, tmp_path: Path) -> None:
        """The virial is -dE/d(strain), eV: tension gives a negative one, all nine elements in the frame's axes."""
        virial = labeler.label(frame, _fresh(tmp_path)).virial
        if virial is None:
            pytest.skip("the labeler gives no virial")
        np.testing.assert_allclose(virial, virial.T, atol=self.virial_tolerance)
        for i in range(3):
            for j in range(i, 3):
                strain = np.zeros((3, 3))
                strain[i, j] += 0.5 * self.energy_step
                strain[j, i] += 0.5 * self.energy_step
                up = _energy(labeler, _deformed(frame, np.eye(3) + strain), tmp_path)
                down = _energy(labeler, _deformed(frame, np.eye(3) - strain), tmp_path)
                expected = -(up - down) / (2.0 * self.energy_step)
                assert virial[i, j] == pytest.approx(expected, abs=self.virial_tolerance)

    def test_atom_order_is_kept(self, labeler: Labeler, frame: Frame, tmp_path: Path) -> None:
        """Atoms in another order get the same forces in that order."""
        order = np.random.default_rng(3).permutation(frame.n_atoms)
        other = replace(frame, species=tuple(frame.species[i] for i in order), positions=frame.positions[order])
        self._assert_same(labeler, frame, other, tmp_path, order=order)

    def test_rotation(self, labeler: Labeler, frame: Frame, tmp_path: Path) -> None:
        """A rotated crystal has the same energy and rotated forces and virial."""
        rotation = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
        self._assert_same(labeler, frame, _deformed(frame, rotation), tmp_path, rotation=rotation)

    def test_unwrapped_positions(self, labeler: Labeler, frame: Frame, tmp_path: Path) -> None:
        """Atoms that have left the cell by whole cell vectors are the same atoms."""
        shift = np.random.default_rng(5).integers(-2, 3, (frame.n_atoms, 3))
        self._assert_same(labeler, frame, replace(frame, positions=frame.positions + shift @ frame.cell), tmp_path)

    def test_another_cell_of_the_same_crystal(self, labeler: Labeler, frame: Frame, tmp_path: Path) -> None:
        """A highly tilted or left-handed cell of the same lattice gives the same label."""
        tilted = np.array([[1.0, 0.0, 0.0], [2.0, 1.0, 0.0], [-1.0, 3.0, 1.0]]) @ frame.cell
        self._assert_same(labeler, frame, replace(frame, cell=tilted), tmp_path)
        self._assert_same(labeler, frame, replace(frame, cell=frame.cell[[1, 0, 2]]), tmp_path)

    def test_foreign_element_is_refused(self, labeler: Labeler, frame: Frame, tmp_path: Path) -> None:
        """`check` says so before any label is paid, and a frame with it is no label."""
        foreign = next(e for e in FOREIGN if e not in frame.species)
        with pytest.raises(ConfigError, match=foreign):
            labeler.check([foreign])
        with pytest.raises(LabelError):
            labeler.label(replace(frame, species=(foreign, *frame.species[1:])), _fresh(tmp_path))

    def test_a_failure_costs_one_frame(self, labeler: Labeler, frame: Frame, tmp_path: Path) -> None:
        """Two atoms in one place raise LabelError with a cause of one line; the next frame is as right as before."""
        before = labeler.label(frame, _fresh(tmp_path))
        positions = frame.positions.copy()
        positions[1] = positions[0]
        with pytest.raises(LabelError) as caught:
            labeler.label(replace(frame, positions=positions), _fresh(tmp_path))
        assert str(caught.value).strip()
        assert "\n" not in str(caught.value)
        after = labeler.label(frame, _fresh(tmp_path))
        assert after.energy == pytest.approx(before.energy, abs=self.energy_tolerance * frame.n_atoms)
        np.testing.assert_allclose(after.forces, before.forces, atol=self.force_tolerance)

    def test_nothing_is_left_outside_the_folder(
        self, labeler: Labeler, frame: Frame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The labeler writes into its scratch folder and nowhere else."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        labeler.label(frame, _fresh(tmp_path))
        assert list(elsewhere.iterdir()) == []

    def test_what_has_not_converged_is_no_label(
        self, unconverged: Labeler | None, frame: Frame, tmp_path: Path
    ) -> None:
        """It is refused, and the cause says so, whatever numbers there are."""
        if unconverged is None:
            return
        with pytest.raises(LabelError, match=r"converge"):
            unconverged.label(frame, _fresh(tmp_path))

    def test_a_kill_leaves_nothing_half_done(
        self, labeler: Labeler, plain_settings: dict[str, Any] | None, frame: Frame, tmp_path: Path
    ) -> None:
        """A worker that is killed in the middle leaves no process behind, and the next one labels as if nothing was."""
        if plain_settings is None:
            return
        expected = labeler.label(frame, _fresh(tmp_path))
        folder = tmp_path / "killed"
        task = Task(
            id="first",
            service=SERVICE,
            service_settings={"name": labeler.name, "settings": plain_settings},
            method="label",
            payload={"frame": frame.to_json()},
            folder=folder,
            retries=0,
        )
        with LocalExecutor(1, name="contract") as executor:
            executor.submit(task)
            # Until the labeler is at work; one that writes nothing may be done by then.
            _wait(lambda: bool(executor.poll()) or (folder.is_dir() and any(folder.iterdir())))
            executor.cancel("killed by the contract")
            _wait(lambda: not _at_work_in(folder))
            executor.submit(replace(task, id="second"))
            outcomes: list[Outcome] = []

            def ended() -> bool:
                outcomes.extend(executor.poll())
                return bool(outcomes)

            _wait(ended)
        assert outcomes[0].error is None
        assert outcomes[0].value is not None
        label = Label.from_json(outcomes[0].value)
        assert label.energy == pytest.approx(expected.energy, abs=self.energy_tolerance * frame.n_atoms)
        assert label.settings_hash == expected.settings_hash
        np.testing.assert_allclose(label.forces, expected.forces, atol=self.force_tolerance)

    def _assert_same(
        self,
        labeler: Labeler,
        frame: Frame,
        other: Frame,
        folder: Path,
        *,
        order: NDArray[np.int_] | None = None,
        rotation: FloatArray | None = None,
    ) -> None:
        """Compare the labels of two descriptions of one crystal."""
        turn = np.eye(3) if rotation is None else rotation
        index = np.arange(frame.n_atoms) if order is None else order
        expected, got = labeler.label(frame, _fresh(folder)), labeler.label(other, _fresh(folder))
        assert got.energy == pytest.approx(expected.energy, abs=self.energy_tolerance * frame.n_atoms)
        np.testing.assert_allclose(got.forces, expected.forces[index] @ turn.T, atol=self.force_tolerance)
        assert (got.virial is None) == (expected.virial is None)
        if got.virial is not None and expected.virial is not None:
            np.testing.assert_allclose(got.virial, turn @ expected.virial @ turn.T, atol=self.virial_tolerance)


def _fresh(folder: Path) -> Path:
    """Return a new empty folder in `folder`, as the executor gives one to each label."""
    path = folder / f"label-{len(list(folder.iterdir()))}"
    path.mkdir()
    return path


def _wait(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until something is the case; fail where it does not become so."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"nothing happened in {seconds:g} s")
        time.sleep(0.02)


def _at_work_in(folder: Path) -> bool:
    """Tell whether a process has the folder as its working folder."""
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()).is_relative_to(folder):
                return True
        except (psutil.Error, OSError):
            continue  # gone by now, or somebody else's
    return False


def _energy(labeler: Labeler, frame: Frame, folder: Path) -> float:
    return labeler.label(frame, _fresh(folder)).energy


def _deformed(frame: Frame, matrix: FloatArray) -> Frame:
    """Return `frame` with every vector v of it turned into matrix @ v."""
    return replace(frame, positions=frame.positions @ matrix.T, cell=frame.cell @ matrix.T)
