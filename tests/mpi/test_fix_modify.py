"""Each keyword of fix_modify changes what the next run does, and that alone; on one rank and on two."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from ase.io import read

pytestmark = pytest.mark.mpi

CASE = """
clear
print "case {name}"
units metal
lattice fcc 4.2
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
mass 1 26.98
displace_atoms all random 0.15 0.15 0.15 4242 units box
velocity all create 900 9241 loop geom
pair_style lj/cut 5.0
pair_coeff * * 0.05 2.6
fix move all nve
fix dp all dpgen 5 a.model b.model types Al {options} out_file {name}.out frames {name}.extxyz
run 20
{modify}
run {then}
timer timeout off
"""


class Case(NamedTuple):
    """Options of the fix, what is modified after 20 steps, and how many steps follow."""

    options: str
    modify: str
    then: int = 20


CASES = {
    "trust": Case("trust 500 1000", "fix_modify dp trust 0 1000"),
    "vtrust": Case("trust 500 1000", "fix_modify dp vtrust 1e-9 1000"),
    "vtrust_fails": Case("trust 500 1000", "fix_modify dp vtrust 1e-10 1e-9"),
    "stop": Case("trust 0 1000 stop never", "fix_modify dp stop candidates 3", 100),
    "stop_never": Case("trust 500 1000", "fix_modify dp trust 0 1e-9\nfix_modify dp stop never"),
    "max_frames": Case("trust 0 1000", "fix_modify dp max_frames 2"),
    "min_gap": Case("trust 0 1000", "fix_modify dp min_gap 10"),
    "every": Case("stop never", "fix_modify dp every 3"),
    "several": Case("trust 500 1000", "fix_modify dp every 10 trust 0 1000 min_gap 20"),
    "reload": Case("stop never", "shell cp c.model b.model\nfix_modify dp reload", 0),  # the last: b is another one now
}


class Results(NamedTuple):
    """What the run of all cases left."""

    folder: Path
    log: str

    def steps(self, name: str) -> list[int]:
        """Return the steps of stored frames."""
        path = self.folder / f"{name}.extxyz"
        return [frame.info["step"] for frame in read(path, ":")] if path.stat().st_size else []

    def rows(self, name: str) -> np.ndarray:
        return np.loadtxt(self.folder / f"{name}.out", ndmin=2)

    def said(self, name: str) -> str:
        """Return the part of the log that belongs to a case."""
        return re.split(r"^case ", self.log, flags=re.MULTILINE)[1 + list(CASES).index(name)]


@pytest.fixture(scope="module", params=[1, 2], ids=lambda n: f"{n}_ranks")
def results(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lmp_in: Callable[..., object]
) -> Results:
    """All cases, one after the other in one LAMMPS."""
    folder = tmp_path_factory.mktemp("fix_modify")
    for name, epsilon in (("a", 1.0), ("b", 2.0), ("c", 4.0)):
        (folder / f"{name}.model").write_text(f"dpgen-analytic\ntype_map Al\ncutoff 4.5\nepsilon {epsilon}\n")
    script = "".join(CASE.format(name=name, **case._asdict()) for name, case in CASES.items())
    return Results(folder, lmp_in(folder, script, request.param).log)


def test_trust(results: Results) -> None:
    assert results.steps("trust") == [25, 30, 35, 40]  # 20 was looked at before


def test_vtrust(results: Results) -> None:
    assert results.steps("vtrust") == [25, 30, 35, 40]


def test_vtrust_can_fail_a_frame(results: Results) -> None:
    assert "run stopped at step 25: failed frame" in results.said("vtrust_fails")
    assert results.steps("vtrust_fails") == []


def test_stop(results: Results) -> None:
    assert "run stopped at step 35: 3 candidates" in results.said("stop")
    assert results.rows("stop")[-1, 0] == 35
    assert "run stopped" not in results.said("stop_never")
    assert results.rows("stop_never")[-1, 0] == 40


def test_max_frames(results: Results) -> None:
    assert results.steps("max_frames") == [0, 5, 10, 15, 20, 25, 30]


def test_min_gap(results: Results) -> None:
    assert results.steps("min_gap") == [0, 5, 10, 15, 20, 30, 40]


def test_every(results: Results) -> None:
    assert results.rows("every")[:, 0].tolist() == [0, 5, 10, 15, 20, 21, 24, 27, 30, 33, 36, 39]


def test_several_at_once(results: Results) -> None:
    assert results.steps("several") == [30]


def test_reload(results: Results) -> None:
    """The same step is looked at again, with other models: abs(4 - 1) is three times abs(2 - 1)."""
    rows = results.rows("reload")
    assert rows[-2:, 0].tolist() == [20, 20]
    assert rows[-1, 4] == pytest.approx(3 * rows[-2, 4], rel=1e-6)
