"""Coexistence: the machinery on small cells, and what becomes of runs that end with one phase."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from validation_potentials import aluminium, crystal

from lammps_dpgen.validation.base import Result
from lammps_dpgen.validation.melting import MeltingProperty, MeltingSettings, elongated_repeat

SHORT = {"atoms": 96, "melt_time": 0.4, "equilibration": 0.4, "production": 1.0, "melt_temperature": 3500.0}


def outcome(kind: str, temperature: float) -> Result:
    value = {
        "outcome": kind,
        "solid": 0.5,
        "temperature": [temperature, 2.0],
        "plane": 10.0,
        "n_atoms": 2000,
        "times": np.linspace(0.0, 50.0, 100).tolist(),
        "temperatures": [temperature] * 100,
        "shares": [0.5] * 100,
    }
    return Result(value)


def moving(temperature: float, rate: float, kind: str = "coexists", drift: float = 0.0) -> Result:
    """A run whose crystal grows by `rate` per ps, and whose temperature rises by `drift` over it."""
    rng = np.random.default_rng(3)
    times = np.linspace(0.0, 20.0, 200)
    value = outcome(kind, temperature).value
    assert value is not None
    shares = 0.5 + rate * times + rng.normal(0.0, 0.01, 200)
    temperatures = np.linspace(temperature - drift / 2.0, temperature + drift / 2.0, 200)
    return Result({**value, "times": times.tolist(), "temperatures": temperatures.tolist(), "shares": shares.tolist()})


def of(results: dict[float, Result]) -> tuple[MeltingProperty, dict[str, Result]]:
    made = MeltingProperty(MeltingSettings(temperatures=tuple(results)), [crystal("Al")])
    return made, {f"Al from {temperature:g} K": result for temperature, result in results.items()}


def test_runs_that_coexist_are_averaged_and_others_bound() -> None:
    made, results = of(
        {800.0: outcome("solid", 870.0), 900.0: outcome("coexists", 890.0), 950.0: outcome("coexists", 906.0)}
    )
    (row,) = made.findings(results).rows
    assert row.value == pytest.approx(898.0)
    assert row.error == pytest.approx(8.0)
    assert "from 800 K: all solid, so that it began below the melting point" in row.note
    assert len(made.findings(results).charts) == 2


def test_without_coexistence_there_is_no_melting_point() -> None:
    made, results = of({500.0: outcome("solid", 600.0), 1500.0: outcome("liquid", 1200.0), 900.0: Result(None, "NaN")})
    (row,) = made.findings(results).rows
    assert row.value is None
    assert "no run ended in coexistence" in row.failure
    assert "from 900 K: NaN" in row.failure


def test_a_crystal_that_vanishes_while_the_cell_warms_has_not_melted() -> None:
    settings = MeltingSettings(temperatures=(900.0,))
    samples = np.column_stack([np.linspace(870.0, 930.0, 500), np.linspace(0.5, 0.03, 500), np.zeros(500)])
    made = MeltingProperty(settings, [crystal("Al")])
    found = made._outcome(samples, 320)
    assert found["outcome"] == "other"
    assert made._outcome(samples * [-1, 1, 1], 320)["outcome"] == "liquid"
    (row,) = made.findings({"Al from 900 K": Result(found)}).rows
    assert "turned into something else" in row.failure


def test_what_still_changes_is_no_coexistence() -> None:
    """Both phases are there at the end of all three runs, but two of them are on their way."""
    made, results = of({880.0: moving(890.0, 0.0), 900.0: moving(950.0, 0.0, drift=90.0), 950.0: moving(950.0, 0.024)})
    (row,) = made.findings(results).rows
    assert row.value == pytest.approx(890.0)
    assert "no equilibrium: in the second half the temperature still changes, by +" in row.note
    assert "no equilibrium: in the second half the share of solid atoms went through" in row.note


def test_the_motion_of_the_front_gives_a_bracket_where_nothing_coexists() -> None:
    made, results = of({800.0: moving(850.0, 0.02, "solid"), 900.0: moving(940.0, -0.02, "liquid")})
    (row,) = made.findings(results).rows
    assert row.value is None
    assert "grows at 850 K and melts at 940 K: T_m lies between" in row.failure
    made, results = of({900.0: moving(940.0, -0.02, "liquid")})
    assert "melts at 940 K already: choose lower temperatures" in made.findings(results).rows[0].failure


def test_the_cell_is_long_along_z() -> None:
    atoms = crystal("Mg").atoms
    repeat = elongated_repeat(atoms, 1000, 3)
    lengths = atoms.cell.lengths() * repeat
    assert np.prod(repeat) * len(atoms) >= 1000
    assert 2.5 < lengths[2] / min(lengths[:2]) < 4.0


def test_half_of_a_small_crystal_melts_and_coexists_for_a_while(tmp_path: Path) -> None:
    settings = MeltingSettings(temperatures=(700.0,), **SHORT)
    (piece,) = MeltingProperty(settings, [crystal("Al")]).pieces()
    found = MeltingProperty(settings, ()).compute(aluminium(tmp_path), piece)
    assert found["n_atoms"] >= 96
    assert 300.0 < found["temperature"][0] < 1100.0
    assert 0.05 < found["shares"][0] < 0.95  # some solid, some liquid
    assert len(found["times"]) == len(found["shares"])


def test_another_starting_temperature_leaves_stored_results_valid() -> None:
    one, more = MeltingSettings(temperatures=(900.0,)), MeltingSettings(temperatures=(880.0, 900.0))
    longer = MeltingSettings(temperatures=(900.0,), production=200.0)
    assert one.hash() == more.hash() != longer.hash()
    assert MeltingProperty(one, [crystal("Al")]).pieces()[0] in MeltingProperty(more, [crystal("Al")]).pieces()
