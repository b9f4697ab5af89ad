"""A script run as a learning run does what it does alone: same trajectory, same output, whatever the pauses.

The scripts are in ``learn_scripts.py``; one process (``learn_cases.py``) runs them all, plain and with a pause after
every third look.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from learn_scripts import SCRIPTS

HERE = Path(__file__).parent
#: A script without a pause would prove nothing.
MIN_PAUSES = 2
POSITION_TOLERANCE = 1e-10  # Å
VELOCITY_TOLERANCE = 1e-9  # Å/ps
THERMO_TOLERANCE = 1e-10  # relative


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clean_env: dict[str, str]) -> Path:
    """Folder in which all scripts were run, both ways."""
    where = tmp_path_factory.mktemp("learn")
    program = [sys.executable, HERE / "learn_cases.py", where]
    done = subprocess.run(program, env=clean_env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return where


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Any]:
    """What the runs left behind."""
    text = (folder / "results.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def mismatch(row: list[float], others: list[list[float]]) -> float:
    """Return the largest relative difference of a row to the one that is nearest to it."""
    values = np.array(row)
    return min(float(np.max(np.abs(values - other) / (np.abs(other) + 1e-3))) for other in map(np.array, others))


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_not_changed_by_pauses(name: str, results: dict[str, Any]) -> None:
    plain, learn = results["scripts"][name]["plain"], results["scripts"][name]["learn"]
    assert plain["error"] == learn["error"] == ""
    assert len(learn["pauses"]) >= MIN_PAUSES
    assert learn["final"]["step"] == plain["final"]["step"]
    assert np.allclose(learn["final"]["x"], plain["final"]["x"], rtol=0, atol=POSITION_TOLERANCE)
    assert np.allclose(learn["final"]["v"], plain["final"]["v"], rtol=0, atol=VELOCITY_TOLERANCE)
    assert np.allclose(learn["final"]["cell"], plain["final"]["cell"], rtol=0, atol=POSITION_TOLERANCE)

    rows: dict[float, list[list[float]]] = {}
    for row in plain["thermo"]:
        rows.setdefault(row[0], []).append(row)
    assert rows.keys() <= {row[0] for row in learn["thermo"]}
    assert max(mismatch(row, rows[row[0]]) for row in learn["thermo"] if row[0] in rows) < THERMO_TOLERANCE
    extra = {row[0] for row in learn["thermo"]} - rows.keys()
    assert extra <= set(learn["pauses"])


@pytest.mark.parametrize(
    ("name", "file"),
    [("every", "every.txt"), ("halt_in_every", "every.txt"), ("output", "dump.txt"), ("output", "average.txt")],
)
def test_files_are_the_same(name: str, file: str, folder: Path) -> None:
    plain, learn = ((folder / f"{name}-{how}" / file).read_text().splitlines() for how in ("plain", "learn"))
    assert len(plain) == len(learn) >= 3
    for a, b in zip(plain, learn, strict=True):
        numbers = [text.split() for text in (a, b)]
        try:
            assert np.allclose(*[[float(word) for word in words] for words in numbers], rtol=1e-7, atol=2e-8)
        except ValueError:
            assert a == b


def test_halt_at_the_step_of_a_pause_wins(results: dict[str, Any]) -> None:
    learn = results["scripts"]["halt_with_pause"]["learn"]
    assert learn["final"]["step"] == 40
    assert learn["pauses"] == [10, 25]


def test_minimization_is_heard_but_never_paused(results: dict[str, Any]) -> None:
    learn = results["scripts"]["minimize"]["learn"]
    assert learn["looks"] > 3 * len(learn["pauses"]) - 3
    assert all(pause % 15 == 10 for pause in learn["pauses"])


def test_hook_decides_what_becomes_of_the_run(results: dict[str, Any]) -> None:
    found = results["outcomes"]
    assert found["go_on"] == {"steps": [60, 80], "pauses": [10, 25, 40, 55, 70], "error": ""}
    assert found["end_run"] == {"steps": [10, 25], "pauses": [10, 25], "error": ""}
    assert found["end_all"] == {"steps": [10, 10], "pauses": [10], "error": ""}
    assert "see the message of the controller" in found["error"]["error"]
    assert found["error"]["pauses"] == [10]
    assert found["bad_number"]["error"] == found["error"]["error"]


def test_commands_in_a_pause_leave_the_run_as_it_was(results: dict[str, Any]) -> None:
    """The hook runs 0 steps, makes the pair style anew and lets the fix look less often."""
    found = results["commands_in_pause"]
    assert found["pauses"] == [10, 30, 50, 70]
    assert found["final"]["step"] == 80
    assert np.allclose(found["final"]["x"], found["plain"]["x"], rtol=0, atol=POSITION_TOLERANCE)


@pytest.mark.parametrize("driver", ["temper", "temper/npt", "temper/grem", "neb", "neb/spin", "prd", "tad", "hyper"])
def test_other_drivers_are_refused_by_name(driver: str, results: dict[str, Any]) -> None:
    message = results["refused"][driver]
    assert f"Command {driver} is not driven by run" in message
    assert "unfix" in message


def test_time_limit_that_passes_in_a_pause_ends_the_run(results: dict[str, Any]) -> None:
    found = results["time_runs_out_in_a_pause"]
    assert found["pauses"][:2] == [10, 25]
    assert found["steps"] == [25, 25, 25, 37]


def test_rerun_is_heard_but_never_paused(results: dict[str, Any]) -> None:
    """Five frames are looked at; the candidates among them wait for the next run."""
    learn = results["scripts"]["rerun"]["learn"]
    assert learn["pauses"] == [10, 25, 40, 55, 55, 70]
    assert learn["looks"] == 13 + 5 + 4


def test_pair_style_line_is_known(results: dict[str, Any]) -> None:
    found = results["pair_style"]
    assert found["hybrid"] == "hybrid/overlay lj/cut 5.5 zero 5.0"
    assert found["after_clear"] == "hybrid lj/cut 4.5"
    assert "lj/cut" in found["other"]
    assert "not known" in found["other"]
    assert found["none"] == "no pair style is defined"


def test_runs_without_the_fix_are_counted_and_left_alone(results: dict[str, Any]) -> None:
    found = results["without_fix"]
    assert found == {"counted": 2, "pauses": [], "step": 30}


def test_bad_calls_say_why(results: dict[str, Any]) -> None:
    found = results["bad_calls"]
    assert "call dpgen_attach first" in found["not_attached"]
    assert "no fix dpgen with the id 'nobody'" in found["no_fix"]
    assert "N >= 1; got 0" in found["every_zero"]
    assert "both must be 0 (none) or more" in found["negative_keep"]
    assert "no safe point has been taken" in found["no_points"]
    assert found["bad_run"]["learn"] == found["bad_run"]["plain"] != ""


def test_detach_gives_lammps_its_commands_back(results: dict[str, Any]) -> None:
    assert results["detached"] == {"step": 40, "pauses": [10]}
