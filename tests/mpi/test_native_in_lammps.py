"""The native kernel under LAMMPS says what DeePMD-kit says, on one rank and two, one thread and two."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_cases import CASES

from lammps_dpgen.native.convert import convert_apart

pytestmark = [pytest.mark.mpi, pytest.mark.models]

PROGRAM = Path(__file__).parent / "native_cases.py"
FIGURES = ("pe", "pxx", "pyy", "pzz", "pxy", "pxz", "pyz", "x", "f", "energies", "stresses")
_results: dict[int, tuple[Path, dict[str, Any]]] = {}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, almg_models: list[Path]) -> Path:
    """Converted models, for these tests alone: elsewhere the fix is to find none."""
    folder = tmp_path_factory.mktemp("native")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPGEN_NATIVE_CACHE", str(folder))
        convert_apart(almg_models)
    return folder


@pytest.fixture(params=[1, 2], ids=lambda n: f"{n}_ranks")
def ran(
    request: pytest.FixtureRequest, mpirun: Callable[..., Any], tmp_path: Path, data: Path, cache: Path
) -> tuple[Path, dict[str, Any]]:
    """Folder and results of the program on so many ranks; it runs once for all tests."""
    ranks: int = request.param
    if ranks not in _results:
        env = {"DPGEN_NATIVE_CACHE": str(cache)}
        mpirun(PROGRAM, ranks, str(tmp_path), str(data), env=env, timeout=300)
        _results[ranks] = tmp_path, json.loads((tmp_path / "results.json").read_text())
    return _results[ranks]


def assert_close(ours: Any, theirs: Any, tolerance: float) -> None:
    """Compare to a tolerance relative to the largest of the figures."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize("name", CASES)
def test_pair_style_says_what_deepmd_says(name: str, ran: tuple[Path, dict[str, Any]]) -> None:
    found = ran[1]["pairs"][name]
    for figure in FIGURES:
        assert_close(found["one thread"][figure], found["deepmd"][figure], 5e-6)


@pytest.mark.parametrize("name", CASES)
def test_package_omp_changes_nothing(name: str, ran: tuple[Path, dict[str, Any]]) -> None:
    found = ran[1]["pairs"][name]
    for figure in FIGURES:
        assert_close(found["two threads"][figure], found["one thread"][figure], 1e-11)


def test_the_fix_takes_the_native_kernel_by_itself(ran: tuple[Path, dict[str, Any]]) -> None:
    folder = ran[0]
    columns = {name: np.loadtxt(folder / f"{name}.out", ndmin=2) for name in ("auto", "deepmd", "on_top")}
    log = (folder / "log.lammps").read_text()
    assert log.count("Fix dpgen dp: native kernel (double precision") == 1
    assert log.count("Pair style dpgen: 4 models, model 1 drives the atoms; native kernel") == 1
    assert columns["auto"].shape == (5, 7)
    for name in ("auto", "on_top"):
        np.testing.assert_allclose(columns[name], columns["deepmd"], rtol=5e-5, atol=2e-6)


def test_ranks_agree() -> None:
    if set(_results) != {1, 2}:
        pytest.fail("run the whole file: this test compares what the others have run")
    one, two = (_results[ranks][1]["pairs"] for ranks in (1, 2))
    for name in CASES:
        for figure in FIGURES:
            assert_close(two[name]["one thread"][figure], one[name]["one thread"][figure], 1e-10)
