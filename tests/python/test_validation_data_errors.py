"""Errors on labelled data: by hand where the labels are made up, and with the trained ensemble."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress
from validation_potentials import aluminium, crystal, findings, value

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.validation.data_errors import DataErrorsProperty, DataErrorsSettings, content_hash
from lammps_dpgen.validation.error_statistics import FrameError, groups, missed, shifted_rmse, summary
from lammps_dpgen.validation.failures import UnsuitableError
from lammps_dpgen.validation.potential import Potential
from lammps_dpgen.validation.potentials import make_potential

DATA = Path(__file__).parents[1] / "data"


def error(**changed: object) -> FrameError:
    plain = {
        "place": "file, frame 1",
        "system": "Al2",
        "counts": {"Al": 2},
        "temperature": None,
        "energy": 0.0,
        "force_square": 0.0,
        "force_absolute": 0.0,
        "force_max": 0.0,
        "virial_square": None,
        "deviation": None,
    }
    return FrameError(**{**plain, **changed})  # type: ignore[arg-type]


def labelled(potential: Potential, path: Path, shift: float, push: float, press: float) -> Path:
    """Frames whose labels are the potential's own, but for known amounts."""
    frames = []
    for seed, temperature in ((1, 300.0), (2, 900.0)):
        atoms = crystal("Al").atoms * (2, 2, 2)
        atoms.positions += np.random.default_rng(seed).normal(0.0, 0.05, atoms.positions.shape)
        own = potential.static(atoms)
        stress = own.stress + press * len(atoms) / atoms.get_volume() * np.eye(3)
        atoms.calc = SinglePointCalculator(
            atoms,
            energy=own.energy - shift * len(atoms),
            forces=own.forces + np.array([push, 0.0, 0.0]),
            stress=full_3x3_to_voigt_6_stress(stress),
        )
        atoms.info["temperature"] = temperature
        frames.append(atoms)
    ase.io.write(path, frames)
    return path


def test_errors_are_what_was_put_into_the_labels(tmp_path: Path) -> None:
    potential = aluminium(tmp_path)
    file = labelled(potential, tmp_path / "made.extxyz", shift=0.012, push=0.3, press=0.004)
    found = findings(DataErrorsProperty, potential, [], files=[str(file)])
    name = "made.extxyz"
    assert value(found, name, "energy RMSE") == pytest.approx(12.0, rel=1e-4)
    assert value(found, name, "energy RMSE, shifted") == pytest.approx(0.0, abs=1e-3)
    assert value(found, name, "force RMSE") == pytest.approx(0.3 / np.sqrt(3.0), rel=1e-4)
    assert value(found, name, "force MAE") == pytest.approx(0.1, rel=1e-4)
    assert value(found, name, "force error, largest") == pytest.approx(0.3, rel=1e-4)
    assert value(found, name, "virial RMSE") == pytest.approx(4.0 / np.sqrt(3.0), rel=1e-3)
    assert value(found, f"{name} 900 K", "force MAE") == pytest.approx(0.1, rel=1e-4)
    assert {chart.kind for chart in found.charts} == {"parity"}
    assert len(found.charts) == 3


@pytest.mark.models
def test_the_ensemble_is_judged_on_frames_that_it_has_not_seen(tmp_path: Path) -> None:
    models = [str(DATA / "al" / f"model_{number}.pb") for number in range(4)]
    potential = make_potential("DP", {"models": models}, folder=tmp_path)
    found = findings(DataErrorsProperty, potential, [], files=[str(DATA / "al" / "held_out.extxyz")])
    name = "held_out.extxyz"
    assert 0.005 < value(found, name, "force RMSE") < 2.0
    assert value(found, name, "deviation-error correlation") > 0.5  # cold frames are right, hot ones wrong, both ways
    assert 0.0 <= value(found, name, "missed errors") <= 100.0
    assert any(chart.id == f"data-deviation-{name}" for chart in found.charts)


def test_a_missed_error_has_a_small_deviation_and_a_large_error() -> None:
    frames = [
        error(place="right", deviation=0.01, force_max=0.05),
        error(place="seen", deviation=0.40, force_max=0.90),
        error(place="missed", deviation=0.02, force_max=0.50),
        error(place="worst", deviation=0.04, force_max=0.80),
    ]
    assert [frame.place for frame in missed(frames, 0.05, 0.15)] == ["worst", "missed"]


def test_groups_by_system_and_temperature() -> None:
    frames = [error(system="Al2", temperature=300.0), error(system="Mg2", temperature=301.0)]
    assert list(groups(frames, 200.0)) == ["Al2", "Mg2", "300 K", "301 K"]
    many = [error(temperature=10.0 * number) for number in range(60)]
    assert list(groups(many, 200.0)) == ["0-200 K", "200-400 K", "400-600 K"]
    assert groups([error()], 200.0) == {}


def test_forces_weigh_by_atoms_and_energies_by_frames() -> None:
    small = error(energy=0.01, force_square=1.0)
    large = error(energy=0.03, counts={"Al": 6}, force_square=0.0)
    figures = summary([small, large])
    assert figures["force RMSE"] == pytest.approx(0.5)
    assert figures["energy RMSE"] == pytest.approx(np.sqrt((0.01**2 + 0.03**2) / 2))
    assert figures["virial RMSE"] is None


def test_shifts_of_the_elements_take_the_zeros_of_energy_out() -> None:
    rng = np.random.default_rng(1)
    frames = []
    for n_al in range(1, 9):
        n_mg = 9 - n_al
        frames.append(
            error(counts={"Al": n_al, "Mg": n_mg}, energy=(1.5 * n_al - 0.7 * n_mg) / 9 + rng.normal(0, 1e-4))
        )
    assert shifted_rmse(frames) == pytest.approx(1e-4, rel=1.0)
    assert shifted_rmse(frames[:2]) is None


def test_the_content_of_a_file_and_not_its_place_decides(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in ("a", "b"):
        (tmp_path / folder / "x.npy").write_bytes(b"1")
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b")
    (tmp_path / "b" / "x.npy").write_bytes(b"2")
    assert content_hash(tmp_path / "a") != content_hash(tmp_path / "b")


def test_data_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.extxyz does not exist"):
        DataErrorsProperty(DataErrorsSettings(files=(str(tmp_path / "none.extxyz"),)), []).pieces()
    bare = tmp_path / "bare.extxyz"
    ase.io.write(bare, Atoms("Al", cell=[4, 4, 4], pbc=True))
    with pytest.raises(UnsuitableError, match="no energy or no forces"):
        findings(DataErrorsProperty, aluminium(tmp_path), [], files=[str(bare)])
    foreign = tmp_path / "foreign.extxyz"
    atoms = Atoms("Cu", cell=[4, 4, 4], pbc=True)
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((1, 3)))
    ase.io.write(foreign, atoms)
    with pytest.raises(UnsuitableError, match="has Cu"):
        findings(DataErrorsProperty, aluminium(tmp_path), [], files=[str(foreign)])
