"""Model swaps with real models: the pair style that runs at the moment gets them, with its own coefficients."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from swap_cases import SCRIPTS

pytestmark = [pytest.mark.mpi, pytest.mark.models]

PROGRAM = Path(__file__).parent / "swap_cases.py"
_results: dict[int, dict[str, Any]] = {}


@pytest.fixture(params=[1, 2], ids=lambda n: f"{n}_ranks")
def results(
    request: pytest.FixtureRequest, mpirun: Callable[..., Any], tmp_path: Path, al_models: list[Path]
) -> dict[str, Any]:
    """What the program found on so many ranks; it runs once for all tests."""
    ranks: int = request.param
    if ranks not in _results:
        mpirun(PROGRAM, ranks, str(tmp_path), str(al_models[0].parent), timeout=400)
        _results[ranks] = json.loads((tmp_path / "results.json").read_text())
    return _results[ranks]


@pytest.mark.parametrize("name", SCRIPTS)
def test_present_pair_style_runs_the_new_models(name: str, results: dict[str, Any]) -> None:
    found = results["swapped"][name]
    assert len(found["pauses"]) >= 2
    assert found["energy"] == pytest.approx(found["fresh"], rel=1e-10)


def test_commands_of_hybrid_styles_are_known(results: dict[str, Any]) -> None:
    """Those of the present style alone, with variables filled in; the last word on a pair comes last."""
    commands = {name: found["commands"] for name, found in results["swapped"].items()}
    assert commands["clear"] == [
        "pair_coeff * * deepmd Al Al",
        "pair_coeff 1 1 lj/cut 0.01 2.5",
        "pair_coeff 1*2 2 lj/cut 0.02 2.4",
    ]
    assert commands["between_runs"][1:] == ["pair_coeff * * lj/cut 0.01 2.5", "pair_coeff 1 2 lj/cut 0.05 2.6"]
    assert commands["loop"][1:] == ["pair_coeff * * lj/cut 0.03 2.5", "pair_modify pair lj/cut shift yes"]
    assert commands["respa"] == []


def test_respa_with_a_deep_potential_goes_on_as_if_there_were_no_swap(results: dict[str, Any]) -> None:
    plain, learn = results["unchanged"]["respa"]["plain"], results["unchanged"]["respa"]["learn"]
    assert plain["pauses"] == []
    assert len(learn["pauses"]) >= 2
    np.testing.assert_allclose(learn["x"], plain["x"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(learn["v"], plain["v"], rtol=0, atol=1e-9)


def test_respa_driver_is_compared_with_model_1(results: dict[str, Any]) -> None:
    """Its forces are summed over the levels; without that a swap that failed would not be noticed."""
    assert results["swapped"]["respa"]["difference"] < 1e-6
    assert results["swapped"]["clear"]["difference"] > 1e-3  # something is added to model 1 there


@pytest.mark.parametrize("name", ["dpgen", "dpgen_overlay"])
def test_pair_style_dpgen_is_swapped_in_place(name: str, results: dict[str, Any]) -> None:
    """The pair style stays, with its commands; the fix takes over what it computes."""
    found = results["swapped"][name]
    assert len(found["commands"]) == (0 if name == "dpgen" else 2)
    assert (found["difference"] < 1e-6) == (name == "dpgen")


def test_waiting_ranks_have_the_new_models_at_hand(results: dict[str, Any]) -> None:
    """The fix shares them (as owner, lender, fix); where one could not be loaded, the swap loads them all."""
    found = results["preloaded"]
    root, *waiting = found["holders"]
    assert root == [0, 0, 0]
    assert all(holders == [3, 0, 3] for holders in waiting)
    assert all(errors == ["the training failed"] * 3 for errors in found["errors"])
    assert found["energy"] == pytest.approx(found["fresh"], rel=1e-10)
