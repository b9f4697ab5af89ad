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
