"""``pair_style dpgen`` does what ``pair_style deepmd`` does, and ``fix dpgen`` on top of it says the same as alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pair_cases import SAME_AS_DEEPMD

pytestmark = [pytest.mark.mpi, pytest.mark.models]

PROGRAM = Path(__file__).parent / "pair_cases.py"
FIGURES = ("pe", "pxx", "pyy", "pzz", "pxy", "pxz", "pyz", "x", "f", "energies", "stresses")
_results: dict[int, tuple[Path, dict[str, Any]]] = {}


@pytest.fixture(params=[1, 2], ids=lambda n: f"{n}_ranks")
def ran(
    request: pytest.FixtureRequest, mpirun: Callable[..., Any], tmp_path: Path, data: Path, almg_models: list[Path]
) -> tuple[Path, dict[str, Any]]:
    """Folder and results of the program on so many ranks; it runs once for all tests."""
    ranks: int = request.param
    if ranks not in _results:
        mpirun(PROGRAM, ranks, str(tmp_path), str(data), timeout=300)
        _results[ranks] = tmp_path, json.loads((tmp_path / "results.json").read_text())
    return _results[ranks]


def assert_close(ours: Any, theirs: Any, tolerance: float = 1e-10) -> None:
    """Compare to a tolerance relative to the largest of the figures."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def columns(folder: Path, name: str) -> np.ndarray:
    return np.loadtxt(folder / name, ndmin=2)


@pytest.mark.parametrize("name", SAME_AS_DEEPMD)
def test_figures_are_those_of_pair_style_deepmd(name: str, ran: tuple[Path, dict[str, Any]]) -> None:
    found = ran[1]["same"][name]
    for figure in FIGURES:
        assert_close(found["dpgen"][figure], found["deepmd"][figure])
    assert np.abs(found["dpgen"]["f"]).max() > 0.1


def test_atoms_of_a_null_type_are_not_there(ran: tuple[Path, dict[str, Any]]) -> None:
    found = ran[1]["unseen"]
    for name in ("hybrid", "overlay", "alone"):
        assert_close(found[name], found["deleted"])


def test_any_model_or_the_mean_can_lead(ran: tuple[Path, dict[str, Any]]) -> None:
    found = ran[1]["leaders"]
    for figure in FIGURES:
        assert_close(found["third"][figure], found["single"][2][figure])
        # Pressures have a kinetic part, which is the same for all.
        assert_close(found["mean"][figure], np.mean([single[figure] for single in found["single"]], axis=0))
    assert abs(found["third"]["pe"] - found["mean"]["pe"]) > 1e-4


@pytest.mark.parametrize("name", ["change", "swap"])
def test_fix_on_top_says_what_it_says_alone(name: str, ran: tuple[Path, dict[str, Any]]) -> None:
    """With atoms that move between two looks, with trial moves that evaluate the pair style, and another interval."""
    folder = ran[0]
    ours, theirs = columns(folder, f"o_on_top.{name}"), columns(folder, f"o_alone.{name}")
    assert ours[:, 0].tolist() == theirs[:, 0].tolist()
    assert ours[:, 0].tolist() == ([0, 3, 6, 8, 10] if name == "change" else list(range(8)))
    np.testing.assert_allclose(ours, theirs, rtol=1.1e-6)


@pytest.mark.parametrize("name", ["o_{}.two", "p_{}.two", "o_{}.partly"])
def test_two_fixes_share_and_a_partial_style_is_not_shared(name: str, ran: tuple[Path, dict[str, Any]]) -> None:
    ours, theirs = (columns(ran[0], name.format(who)) for who in ("on_top", "alone"))
    np.testing.assert_allclose(ours, theirs, rtol=1.1e-6)


def test_fix_on_top_asks_for_no_neighbor_list(ran: tuple[Path, dict[str, Any]]) -> None:
    log = (ran[0] / "log.lammps").read_text()
    builds = [text.split("Per MPI rank")[0] for text in log.split("Neighbor list info")[1:]]
    shared = [text for text in builds if "pair dpgen" in text and "hybrid" not in text]
    assert shared
    assert not any("fix dpgen" in text for text in shared if "lj/cut" not in text)


def test_restart_file_brings_the_models_back(ran: tuple[Path, dict[str, Any]]) -> None:
    found = ran[1]["restarted"]
    assert found["after"] == pytest.approx(found["before"], rel=1e-12)
    assert "'link_1.pb' cannot be read" in found["missing"]
    assert found["named again"] == pytest.approx(found["before"], rel=1e-12)


def test_models_are_swapped_in_place(ran: tuple[Path, dict[str, Any]]) -> None:
    found = ran[1]["reloaded"]
    assert found["reloaded"] == pytest.approx(found["fresh"], rel=1e-12)
    assert found["figures"] == pytest.approx(found["fresh figures"], rel=1e-9)
    assert found["same style again"] == pytest.approx(found["first"], rel=1e-12)
    assert abs(found["fresh"] - found["first"]) > 1e-4


#: case of pair_cases.py: words that the message must contain
SAYS = {
    "no model": ("at least one model",),
    "only a keyword": ("at least one model",),
    "missing file": ("'nowhere.pb' cannot be read",),
    "no model in the file": ("'text.pb'", "cannot be loaded"),
    "type maps": ("'b.model'", "another type map"),
    "lead": ("'3'", "1 to 2"),
    "lead no number": ("'first'",),
    "lead and mean": ("one of 'lead K' and 'mean'",),
    "kernel": ("'fast'", "auto, deepmd, deepmd-kit, native"),
    "precision": ("'half'", "double, single"),
    "precision of deepmd": ("precision single", "kernel deepmd"),
    "keyword without value": ("kernel needs a value",),
    "unknown keyword": ("'out_freq'", "lead, mean, precision, kernel"),
    "element": ("'Xx'", "type 2", "Al Mg"),
    "too few elements": ("* * Al", "2 here"),
    "single pair": ("* *", "dpgen"),
    "no pair_coeff": ("pair",),
    "newton": ("newton on",),
    "units": ("units lj", "metal or real"),
}


def test_every_refusal_names_its_cause_on_every_rank(ran: tuple[Path, dict[str, Any]]) -> None:
    found = ran[1]["refusals"]
    assert sorted(found) == sorted(SAYS)
    for name, words in SAYS.items():
        assert "differs" not in found[name], found[name]
        assert all(word in found[name] for word in words), (name, found[name])
