"""Phonons: Lennard-Jones fcc against its dynamical matrix in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.data import atomic_masses, atomic_numbers
from ase.neighborlist import neighbor_list
from ase.units import _amu, _e
from validation_potentials import LJ_CUTOFF, LJ_EPSILON, LJ_SIGMA, crystal, findings, lennard_jones, meam, value

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.validation.phonons import PhononsProperty, band_path, force_constants

REPEAT = (3, 3, 3)  # 15.7 Å: more than twice the cut-off


def closed_form(a: float, wave_vector: FloatArray) -> FloatArray:
    """Frequencies in THz of the fcc crystal at `wave_vector` (1/Å, without 2 pi).

    D(q) = 1/m sum over R of (1 - cos 2 pi q R) [V'' R R / R^2 + V'/R (1 - R R / R^2)].
    """
    _, vectors = neighbor_list("iD", bulk("Ar", "fcc", a=a), LJ_CUTOFF)
    r = np.linalg.norm(vectors, axis=1)
    s6 = (LJ_SIGMA / r) ** 6
    first = 4 * LJ_EPSILON * (-12 * s6**2 + 6 * s6) / r
    second = 4 * LJ_EPSILON * (156 * s6**2 - 42 * s6) / r**2
    along = vectors[:, :, None] * vectors[:, None, :] / r[:, None, None] ** 2
    matrices = second[:, None, None] * along + (first / r)[:, None, None] * (np.eye(3) - along)
    weights = 1.0 - np.cos(2 * np.pi * vectors @ wave_vector)
    mass = atomic_masses[atomic_numbers["Ar"]]
    eigenvalues = np.linalg.eigvalsh((weights[:, None, None] * matrices).sum(axis=0) / mass)
    return np.sqrt(eigenvalues * _e / _amu * 1e20) / (2 * np.pi) * 1e-12


def test_lennard_jones_phonons_are_those_of_the_closed_form(tmp_path: Path) -> None:
    potential = lennard_jones(tmp_path)
    relaxed = potential.crystal(crystal("Ar", relax="iso"))
    a = float(relaxed.atoms.cell.lengths()[0])
    phonon = force_constants(potential, relaxed.atoms, REPEAT, displacement=0.001)
    paths, labels = band_path(phonon.primitive, 11)
    assert ("Γ", "X") in labels
    bands = phonon.run_band_structure(paths) or phonon.band_structure
    reciprocal = np.linalg.inv(phonon.primitive.cell).T
    for path, frequencies in zip(paths, bands.frequencies, strict=True):
        for place, found in zip(path, frequencies, strict=True):
            expected = closed_form(a, place @ reciprocal)
            assert np.allclose(np.sort(found)[expected > 0.1], expected[expected > 0.1], rtol=1e-4)


def test_the_standard_displacement_is_small_enough(tmp_path: Path) -> None:
    found = findings(PhononsProperty, lennard_jones(tmp_path), [crystal("Ar", relax="iso")], repeat=REPEAT, mesh=9)
    a = 5.26
    assert value(found, "Ar", "nu(X)_3") == pytest.approx(closed_form(a, np.array([1 / a, 0, 0]))[2], rel=0.05)
    assert value(found, "Ar", "nu(L)_1") == pytest.approx(value(found, "Ar", "nu(L)_2"), rel=1e-6)  # two transverse
    assert abs(value(found, "Ar", "nu_min")) < 1e-3
    assert all(row.note == "" for row in found.rows if row.quantity == "nu_min")


def test_the_density_of_states_counts_all_modes_and_the_chart_has_the_special_points(tmp_path: Path) -> None:
    found = findings(PhononsProperty, lennard_jones(tmp_path), [crystal("Ar", relax="iso")], repeat=REPEAT, mesh=9)
    dispersion, density = found.charts
    (dos,) = density.series
    y = np.array(dos.y, dtype=np.float64)
    assert np.trapezoid(y, np.array(dos.x, dtype=np.float64)) == pytest.approx(3.0, rel=0.02)
    assert [label for _, label in dispersion.ticks] == ["Γ", "X", "U|K", "Γ", "L", "W", "X"]
    assert len(dispersion.series) == 3


def test_imaginary_modes_are_flagged(tmp_path: Path) -> None:
    unstable = crystal("Al", crystal="sc", name="sc Al", relax="iso")
    found = findings(PhononsProperty, meam(tmp_path), [unstable], repeat=(4, 4, 4), mesh=5, points=11)
    (row,) = [row for row in found.rows if row.quantity == "nu_min"]
    assert row.value is not None
    assert row.value < -0.5
    assert "imaginary modes: the crystal is unstable" in row.note
