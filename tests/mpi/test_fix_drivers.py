"""fix dpgen under commands other than run: analytic ensembles, on one rank and on two."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

pytestmark = pytest.mark.mpi

Lmp = Callable[..., object]

ATOMS = """
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
"""
FIX = "fix dp all dpgen {every} a.model b.model types Al"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Folder with two models, the second of twice the strength, and a third of four times."""
    for name, epsilon in (("a", 1.0), ("b", 2.0), ("c", 4.0)):
        text = f"dpgen-analytic\ntype_map Al\ncutoff 4.5\nepsilon {epsilon}\n"
        (tmp_path / f"{name}.model").write_text(text)
    return tmp_path


def columns(folder: Path, name: str = "model_devi.out") -> np.ndarray:
    return np.loadtxt(folder / name, ndmin=2)


def steps(folder: Path, name: str = "dpgen_frames.extxyz") -> list[int]:
    """Return the steps of stored frames."""
    path = folder / name
    return [frame.info["step"] for frame in read(path, ":")] if path.stat().st_size else []


@pytest.mark.parametrize("ranks", [1, 2])
class TestRerun:
    """The frames of a dump are looked at like those of a run; nothing is ever stopped."""

    def trajectory(self, lmp_run: Lmp, ranks: int) -> None:
        dump = "dump d all custom 10 traj.dump id type x y z ix iy iz\ndump_modify d format float %.17g\n"
        lmp_run(f"{ATOMS}{FIX.format(every=10)} stop never frames none out_file run.out\n{dump}run 60\n", ranks)

    def test_figures_are_those_of_the_run(self, lmp_run: Lmp, models: Path, ranks: int) -> None:
        self.trajectory(lmp_run, ranks)
        rerun = "rerun traj.dump dump x y z ix iy iz box yes\n"
        lmp_run(f"{ATOMS}{FIX.format(every=20)} trust 0 1000 max_frames 3 out_file again.out\n{rerun}", ranks)
        first, again = columns(models, "run.out"), columns(models, "again.out")
        assert again[:, 0].tolist() == [0, 20, 40, 60]
        np.testing.assert_allclose(again, first[::2], rtol=1e-5)
        assert steps(models) == [0, 20, 40]  # the cap holds for the whole rerun

    def test_failed_frames_neither_end_it_nor_skip_later_runs(self, lmp_run: Lmp, models: Path, ranks: int) -> None:
        self.trajectory(lmp_run, ranks)
        rerun = "rerun traj.dump dump x y z ix iy iz box yes\nfix_modify dp stop never\nrun 20\n"
        run = lmp_run(f"{ATOMS}{FIX.format(every=10)} trust 0 1e-5 frames none\n{rerun}", ranks)
        assert "run stopped" not in run.log
        assert columns(models)[:, 0].tolist() == [0, 10, 20, 30, 40, 50, 60, 70, 80]


TEMPER = """
variable t world 300 360
variable p world 0 1
{atoms}
{fix} stop {stop} out_file devi.$p frames none
unfix move
fix bath all nvt temp $t $t 0.1
temper 40 20 $t bath 3847 58382
"""


def test_replicas_are_watched_if_none_of_them_may_stop(lmp_run: Lmp, models: Path) -> None:
    script = TEMPER.format(atoms=ATOMS, fix=FIX.format(every=10), stop="never")
    lmp_run(script, 2, args=["-partition", "2x1"])
    first, second = (columns(models, f"devi.{p}") for p in range(2))
    assert first[:, 0].tolist() == second[:, 0].tolist() == [0, 10, 20, 30, 40]
    assert not np.allclose(first[-1], second[-1])


def test_a_replica_that_would_stop_alone_is_refused(lmp_run: Lmp, models: Path) -> None:
    """It would leave the others waiting for ever."""
    script = TEMPER.format(atoms=ATOMS, fix=FIX.format(every=10), stop="failed")
    run = lmp_run(script, 2, args=["-partition", "2x1"], check=False)
    assert run.returncode != 0
    logs = "".join(path.read_text() for path in models.glob("log.lammps*"))
    assert "command temper cannot end cleanly when one replica does; use 'stop never'" in run.output + logs
