"""Liquids: transport from trajectories whose answers are known, and short runs of the whole machinery."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.units import kB
from validation_potentials import aluminium, crystal, findings, lennard_jones, value

from lammps_dpgen.validation.dynamics import block_average, compact_repeat, joined
from lammps_dpgen.validation.failures import CollapsedError, UnstableError
from lammps_dpgen.validation.fusion import FusionProperty
from lammps_dpgen.validation.liquid import LiquidProperty
from lammps_dpgen.validation.transport import (
    CUBIC,
    Measured,
    autocorrelation,
    diffusion,
    mean_square_displacement,
    size_correction,
    viscosity,
)

SHORT = {"atoms": 108, "melt_time": 1.0, "equilibration": 1.0, "production": 2.0, "melt_temperature": 3500.0}


def test_a_random_walk_diffuses_as_it_was_made() -> None:
    rng = np.random.default_rng(3)
    steps = rng.normal(0.0, np.sqrt(2 * 0.5 * 0.1), (1000, 500, 3))  # 2 D dt
    measured = diffusion(np.cumsum(steps, axis=0), 0.1, 5)
    assert measured.value == pytest.approx(0.5, abs=4 * measured.error + 1e-3)
    assert 0.0 < measured.error < 0.03


def test_atoms_that_fly_straight_have_a_parabola() -> None:
    times = np.arange(20)[:, None, None]
    positions = times * np.array([[[0.3, 0.0, 0.4]]])
    assert np.allclose(mean_square_displacement(positions, 6), 0.25 * np.arange(6) ** 2)


def test_a_drift_of_all_atoms_is_no_diffusion() -> None:
    positions = np.ones((200, 4, 3)) * np.arange(200)[:, None, None]
    assert diffusion(positions, 0.1, 4).value == pytest.approx(0.0, abs=1e-12)


def test_autocorrelation_is_that_of_the_definition() -> None:
    series = np.random.default_rng(1).normal(size=(2, 40))
    expected = [np.mean([np.mean(row[: 40 - lag] * row[lag:]) for row in series]) for lag in range(5)]
    assert np.allclose(autocorrelation(series, 5), expected)


def test_viscosity_of_an_exponential_correlation() -> None:
    """An Ornstein-Uhlenbeck stress of variance s^2 and time tau: eta = V s^2 tau / kT."""
    rng, dt, tau, sigma = np.random.default_rng(5), 0.02, 0.4, 0.01
    decay = np.exp(-dt / tau)
    noise = rng.normal(0.0, sigma * np.sqrt(1 - decay**2), (60000, 6))
    stress = np.zeros_like(noise)
    for number in range(1, len(noise)):
        stress[number] = decay * stress[number - 1] + noise[number]
    stress[:, :3] *= np.sqrt(2.0)  # so that (xx - yy)/2 has the variance of xy
    measured = viscosity(stress, dt, 1000.0, 300.0, 4.0, 6)
    expected = 1000.0 * sigma**2 * tau / (kB * 300.0)
    assert measured.value == pytest.approx(expected, rel=0.1)
    assert measured.value == pytest.approx(expected, abs=4 * measured.error)


def test_the_correction_for_size_is_that_of_yeh_and_hummer() -> None:
    eta = Measured(0.01, 0.001)
    correction = size_correction(300.0, 1000.0, eta)
    assert correction.value == pytest.approx(CUBIC * kB * 300.0 / (6 * np.pi * 0.01 * 10.0))
    assert correction.error == pytest.approx(0.1 * correction.value)


def test_a_drift_is_a_trend_and_no_noise() -> None:
    assert Measured(1.8, 0.1, (2.2, 2.0, 1.8, 1.6, 1.4)).drift == pytest.approx(-0.8 / 1.8)
    assert Measured(1.8, 0.1, (1.9, 1.7, 1.8, 1.7, 1.9)).drift == 0.0
    assert Measured(1.8, 0.1).drift == 0.0


def test_errors_of_blocks_and_of_runs() -> None:
    samples = np.random.default_rng(2).normal(3.0, 1.0, 10000)
    mean, error = block_average(samples)
    assert mean == pytest.approx(3.0, abs=0.05)
    assert error == pytest.approx(0.01, abs=0.01)
    assert joined([1.0, 3.0], [0.1, 0.1]) == pytest.approx((2.0, 1.0))
    assert joined([2.0], [0.3]) == pytest.approx((2.0, 0.3))


def test_the_cell_has_the_atoms_asked_for_and_is_compact() -> None:
    assert compact_repeat(crystal("Al").atoms, 108) == (3, 3, 3)
    repeat = compact_repeat(crystal("Mg").atoms, 200)
    assert np.prod(repeat) * len(crystal("Mg").atoms) >= 200
    assert repeat[0] > repeat[2]


def test_liquid_aluminium(tmp_path: Path) -> None:
    more = {**SHORT, "viscosity": 1.2}
    found = findings(LiquidProperty, aluminium(tmp_path), [crystal("Al")], temperatures=[1200.0], **more)
    subject = "Al 1200 K"
    assert value(found, subject, "D") > value(found, subject, "D_cell") > 0.5
    assert 2.6 < value(found, subject, "r_1") < 3.0
    assert 2.0 < value(found, subject, "density") < 2.7
    (chart,) = found.charts
    g = np.array(chart.series[0].y, dtype=np.float64)
    assert g[0] == 0.0
    assert g[-20:].mean() == pytest.approx(1.0, abs=0.15)


def test_enthalpy_of_fusion_of_aluminium(tmp_path: Path) -> None:
    found = findings(FusionProperty, aluminium(tmp_path), [crystal("Al")], temperature=600.0, **SHORT)
    assert 4.0 < value(found, "Al", "Delta_H_f") < 16.0
    assert value(found, "Al", "V_liquid") > value(found, "Al", "V_solid")


def test_a_crystal_that_does_not_melt_is_said(tmp_path: Path) -> None:
    cold = {**SHORT, "melt_temperature": 600.0, "melt_time": 0.5}
    with pytest.raises(UnstableError, match=r"did not melt within 0\.5 ps at 600 K"):
        findings(LiquidProperty, aluminium(tmp_path), [crystal("Al")], temperatures=[500.0], **cold)


def test_a_melt_that_evaporates_is_said(tmp_path: Path) -> None:
    hot = {**SHORT, "melt_temperature": 400.0, "melt_time": 10.0, "timestep": 0.005}
    argon = crystal("Ar", relax="iso")
    with pytest.raises(CollapsedError, match="evaporates at 400 K"):
        findings(LiquidProperty, lennard_jones(tmp_path), [argon], temperatures=[90.0], **hot)


def test_a_solid_that_melts_has_no_enthalpy_of_fusion(tmp_path: Path) -> None:
    with pytest.raises(UnstableError, match="the solid did not stay solid at 2500 K"):
        findings(FusionProperty, aluminium(tmp_path), [crystal("Al")], temperature=2500.0, **SHORT)
