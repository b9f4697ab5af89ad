"""Stacking faults: the stackings by hand, and the energies of the paper's MEAM column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.neighborlist import neighbor_list
from validation_potentials import crystal, findings, lennard_jones, meam, value

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.validation.base import Findings
from lammps_dpgen.validation.faults import FaultsProperty, FaultsSettings
from lammps_dpgen.validation.stacking import (
    Steps,
    extra_plane,
    extrinsic,
    growth,
    intrinsic,
    perfect,
    planes,
    slip_lines,
    twin_boundaries,
)


def letters(steps: Steps) -> str:
    return "".join("ABC"[sum(steps[:number]) % 3] for number in range(len(steps)))


def n_hcp_like(steps: Steps) -> int:
    """Planes whose neighbours lie over each other."""
    return sum(one != other for one, other in zip(steps, steps[1:] + steps[:1], strict=True))


@pytest.mark.parametrize(
    ("steps", "stacking"),
    [
        (perfect("fcc", 6), "ABCABC"),
        (perfect("hcp", 6), "ABABAB"),
        (intrinsic("fcc", 12), "ABCABCACABCA"),
        (extrinsic("fcc", 12), "ABCABCACBCAB"),
        (intrinsic("hcp", 12), "ABABABCACACA"),
        (extrinsic("hcp", 12), "ABABABCBABAB"),
        (extra_plane(12), "ABCABABABABAB"),
    ],
)
def test_stackings_are_those_of_the_textbook(steps: Steps, stacking: str) -> None:
    assert letters(steps) == stacking


@pytest.mark.parametrize(
    ("steps", "number"),
    [(intrinsic("fcc", 12), 2), (extrinsic("fcc", 12), 2), (twin_boundaries(12), 2)],
)
def test_faults_of_fcc_have_as_many_hcp_planes_as_they_should(steps: Steps, number: int) -> None:
    assert n_hcp_like(steps) == number


@pytest.mark.parametrize(("steps", "number"), [(growth(12), 1), (intrinsic("hcp", 12), 2), (extra_plane(12), 3)])
def test_faults_of_hcp_have_as_many_fcc_planes_as_they_should(steps: Steps, number: int) -> None:
    assert len(steps) - n_hcp_like(steps) == number


@pytest.mark.parametrize(("prototype", "a"), [("fcc", 4.05), ("hcp", 3.2)])
def test_perfect_planes_are_the_crystal(prototype: str, a: float) -> None:
    if prototype == "fcc":
        atoms = planes("Al", a / np.sqrt(2), a / np.sqrt(3), perfect("fcc", 6))
        expected = bulk("Al", "fcc", a=a)
    else:
        atoms = planes("Mg", a, 0.8 * a, perfect("hcp", 6))
        expected = bulk("Mg", "hcp", a=a, c=1.6 * a)
    distances = np.sort(neighbor_list("d", atoms, 9.0))
    by_hand = np.sort(np.tile(neighbor_list("d", expected, 9.0), len(atoms) // len(expected)))
    assert np.allclose(distances, by_hand, atol=1e-9)


@pytest.mark.parametrize("prototype", ["fcc", "hcp"])
def test_the_gamma_line_ends_at_the_faults(prototype: str) -> None:
    steps = perfect(prototype, 12)
    line = dict(slip_lines(prototype, steps, 3))
    assert list(line) == [0.0, 0.5, 1.0, 1.5, 2.0]
    for slip, fault in ((1.0, intrinsic(prototype, 12)), (2.0, extrinsic(prototype, 12))):
        slipped, made = planes("Al", 2.86, 2.34, steps, line[slip]), planes("Al", 2.86, 2.34, fault)
        assert np.allclose(np.sort(neighbor_list("d", slipped, 8.0)), np.sort(neighbor_list("d", made, 8.0)), atol=1e-9)


@pytest.fixture(scope="module")
def of_meam(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    potential = meam(tmp_path_factory.mktemp("meam"))
    return findings(FaultsProperty, potential, [crystal("Al"), crystal("Mg")], line_points=5)


@pytest.mark.parametrize(
    ("subject", "quantity", "paper"),
    [
        ("Al", "gamma_sf", 0.143),
        ("Al", "gamma_tsf", 0.144),
        ("Mg", "gamma_sf", 0.0218),
        ("Mg", "gamma_tsf", 0.0219),
    ],
)
def test_fault_energies_are_those_of_tables_1_and_s8(
    of_meam: Findings, subject: str, quantity: str, paper: float
) -> None:
    assert value(of_meam, subject, quantity) == pytest.approx(paper, rel=0.03)


def test_faults_of_meam_are_as_independent_as_recomputed(of_meam: Findings) -> None:
    assert 2.0 * value(of_meam, "Al", "gamma_tb") == pytest.approx(value(of_meam, "Al", "gamma_tsf"), rel=0.01)
    assert value(of_meam, "Mg", "gamma_I1") == pytest.approx(0.0112, abs=2e-4)
    assert value(of_meam, "Mg", "gamma_E") == pytest.approx(0.0335, abs=4e-4)


def test_the_gamma_line_starts_at_zero_and_has_its_barrier(of_meam: Findings) -> None:
    chart = next(chart for chart in of_meam.charts if chart.id == "gamma-line-Al")
    (series,) = chart.series
    assert series.y[0] == pytest.approx(0.0, abs=1e-5)
    assert value(of_meam, "Al", "gamma_usf") > value(of_meam, "Al", "gamma_sf")


def test_faults_of_a_nearest_neighbour_potential_cost_nothing(tmp_path: Path) -> None:
    """Fcc and hcp planes have the same first neighbours, and those at sqrt(2)."""
    potential, argon = lennard_jones(tmp_path), crystal("Ar", relax="iso", a=5.26)
    found = findings(FaultsProperty, potential, [argon], line_points=0, n_planes=12)
    assert abs(value(found, "Ar", "gamma_sf")) < 2e-3


def test_a_crystal_without_close_packed_planes_is_refused() -> None:
    with pytest.raises(ConfigError, match="Fe is bcc"):
        FaultsProperty(FaultsSettings(), [crystal("Fe")]).pieces()
