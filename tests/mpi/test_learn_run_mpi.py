"""Safe points and rollbacks: the repeated trajectory is the one that was rolled back, on 1, 2 and 4 ranks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learn_rollback import REFUSED, REPEATED

PROGRAM = Path(__file__).parent / "learn_rollback.py"
#: Summation order differs after the atoms have moved to other ranks; the trajectories are hot and short.
TOLERANCE = 1e-10
VELOCITY_TOLERANCE = 1e-9  # Å/ps, of velocities up to 60
_results: dict[int, dict[str, Any]] = {}


@pytest.fixture(params=[1, 2, 4], ids=lambda n: f"{n}_ranks")
def results(request: pytest.FixtureRequest, mpirun: Callable[..., Any], tmp_path: Path) -> dict[str, Any]:
    """What the program found on so many ranks; it runs once for all tests."""
    ranks: int = request.param
    if ranks not in _results:
        mpirun(PROGRAM, ranks, str(tmp_path), timeout=400)
        _results[ranks] = json.loads((tmp_path / "results.json").read_text())
    return _results[ranks]


@pytest.mark.parametrize("name", REPEATED)
def test_rollback_repeats_the_trajectory(name: str, results: dict[str, Any]) -> None:
    found = results["repeat"][name]
    first, second = found["first"], found["second"]
    assert found["points"] == [200, 100, 0]
    assert found["kept"] == [100, 0]
    assert (first["step"], second["step"]) == (200, 300)
    assert np.allclose(second["x"], first["x"], rtol=0, atol=TOLERANCE)
    assert np.allclose(second["v"], first["v"], rtol=0, atol=VELOCITY_TOLERANCE)
    assert np.allclose(second["cell"], first["cell"], rtol=0, atol=TOLERANCE)
    assert second["energy"] == pytest.approx(first["energy"], rel=TOLERANCE)
    assert not np.allclose(found["middle"]["x"], first["x"], atol=0.1)


def test_atoms_changed_ranks(results: dict[str, Any]) -> None:
    """Without migration the tests above would show little."""
    n_ranks, moved = results["migrated"]["ranks"], results["migrated"]["atoms"]
    assert moved > 0 or n_ranks == 1


@pytest.mark.parametrize("name", REFUSED)
def test_rollback_is_refused_with_the_reason(name: str, results: dict[str, Any]) -> None:
    found = results["refuse"][name]
    assert REFUSED[name][1] in found["error"]
    assert found["points"] == [40, 20, 0]


def test_rollback_in_a_pause_leads_to_the_same_failure(results: dict[str, Any]) -> None:
    first, second = results["pause"]["pauses"]
    back = first["step"] - first["points"][0]
    assert second["step"] == first["step"] + back
    assert np.allclose(second["x"], first["x"], rtol=0, atol=TOLERANCE)
    assert results["pause"]["after"] == second["step"] < 2000


def test_safe_points_end_where_the_script_changes_the_atoms(results: dict[str, Any]) -> None:
    assert results["touched"]["untouched"] == [60, 40, 20, 0]
    assert min(results["touched"]["touched"]) > 60
    assert results["touched"]["replicated"] == 512


def test_pause_that_is_asked_for_takes_the_candidates_with_it(results: dict[str, Any]) -> None:
    """Also with ``stop never``; the trajectory does not notice. What no pause has taken is drained at the end."""
    learn, plain = results["requests"]["learn"], results["requests"]["plain"]
    assert learn["pauses"] == [
        [20, "requested", [0, 5, 10, 15, 20]],
        [40, "requested", [25, 30, 35, 40]],
        [60, "end", [45, 50, 55, 60]],
        [60, "end", []],
    ]
    assert learn["answers"] == [True, True]
    assert all("when the script is over, not in a run" in refusal for refusal in learn["refusals"])
    assert plain["pauses"] == []
    assert learn["step"] == plain["step"] == 60
    assert np.allclose(learn["x"], plain["x"], rtol=0, atol=TOLERANCE)
    assert np.allclose(learn["v"], plain["v"], rtol=0, atol=VELOCITY_TOLERANCE)


def test_own_reason_of_the_fix_comes_before_a_request(results: dict[str, Any]) -> None:
    """The minimization has a look at step 10 too: it goes on, and its request is answered with no."""
    found = results["own_reason"]
    assert found["pauses"] == [[10, "candidates", [0, 5, 10]]]
    assert found["answers"] == [True, False]
    assert found["step"] > 10


def test_lent_models_are_not_loaded_again(results: dict[str, Any]) -> None:
    """One is the owner, one the learning run, one the learning fix; nobody holds on to them longer than needed."""
    assert results["lent_models"]["holders"] == {
        "at first": 1,
        "lent": 2,
        "fix": 3,
        "second fix": 3,
        "unfix": 2,
        "fix again": 3,
        "reload": 3,
        "clear": 2,
        "run after clear": 3,
        "others lent": 1,
        "lent again": 3,
        "detached and closed": 1,
    }
    assert results["lent_models"]["others"] == 1
