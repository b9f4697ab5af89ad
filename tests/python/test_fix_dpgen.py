"""What fix dpgen gives, stores, says and refuses, in runs of the wheel's ``lmp``.

Most runs use analytic ensembles (text files, no TensorFlow) of models that differ in strength alone, so that the force
of each is a known multiple of the first one's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

Lmp = Callable[..., object]

SIX = ("max_devi_v", "min_devi_v", "avg_devi_v", "max_devi_f", "min_devi_f", "avg_devi_f")

CELL = """
units metal
lattice fcc 4.2
region box prism 0 3 0 3 0 3 0.3 -0.2 0.4
create_box 1 box
create_atoms 1 box
mass 1 26.98
displace_atoms all random 0.15 0.15 0.15 4242 units box
velocity all create 300 9241 loop geom
pair_style lj/cut 5.0
pair_coeff * * 0.05 2.6
fix move all nve
"""
MODELS = "a.model b.model"
FIX = f"fix dp all dpgen 5 {MODELS} types Al"


def model(epsilon: float, extra: str = "", cutoff: float = 4.5, types: str = "Al Mg") -> str:
    return f"dpgen-analytic\ntype_map {types}\ncutoff {cutoff}\nepsilon {epsilon}\n{extra}\n"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Folder with models of strengths 1 and 2 eV: the spread of an atom is half the force of the first."""
    (tmp_path / "a.model").write_text(model(1.0))
    (tmp_path / "b.model").write_text(model(2.0))
    return tmp_path


def columns(folder: Path, name: str = "model_devi.out") -> np.ndarray:
    return np.loadtxt(folder / name, ndmin=2)


def thermo(log: str) -> np.ndarray:
    """Return all rows of numbers that thermo printed."""
    rows = re.findall(r"^ *(\d+(?: +[-+.\deE]+|(?: +nan)| +inf)+) *$", log, re.M)
    width = len(rows[-1].split())
    return np.array([[float(w) for w in row.split()] for row in rows if len(row.split()) == width])


def test_scalar_vector_and_atoms_are_the_columns_of_the_file(lmp_run: Lmp, models: Path) -> None:
    values = " ".join(f"f_dp[{k}]" for k in range(1, 13))
    run = lmp_run(
        f"{CELL}{FIX} trust 0.3 100 stop never atomic yes\nthermo 5\nthermo_style custom step f_dp {values}\n"
        "thermo_modify format float %.12g\ndump d all custom 5 spread.dump id f_dp\n"
        "dump_modify d sort id format float %.12g\nrun 20\n"
    )
    printed, file = thermo(run.log), columns(models)
    assert file[:, 0].tolist() == printed[:, 0].tolist() == [0, 5, 10, 15, 20]
    np.testing.assert_allclose(printed[:, 2:8], file[:, 1:7], rtol=1e-6)
    np.testing.assert_array_equal(printed[:, 1], printed[:, 5])
    n_candidates = np.cumsum((file[:, 4] >= 0.3) & (file[:, 4] < 100))
    np.testing.assert_array_equal(printed[:, 9], n_candidates)
    np.testing.assert_array_equal(printed[:, 8:11].sum(axis=1), [1, 2, 3, 4, 5])
    np.testing.assert_array_equal(printed[:, 12], n_candidates)
    blocks = (models / "spread.dump").read_text().split("ITEM: ATOMS id f_dp\n")[1:]
    spread = np.array([np.array(block.split("ITEM")[0].split(), float).reshape(-1, 2)[:, 1] for block in blocks])
    np.testing.assert_allclose(spread, file[:, 7:], rtol=1e-6)
    np.testing.assert_allclose(spread.max(axis=1), file[:, 4], rtol=1e-6)


@pytest.mark.parametrize("ranks", [1, pytest.param(3, marks=pytest.mark.mpi)])
def test_frames_are_the_atoms_of_the_run(lmp_run: Lmp, models: Path, ranks: int) -> None:
    lmp_run(
        f"{CELL}group gone id 4 17\ndelete_atoms group gone compress no\nvelocity all set 30 0 0 sum yes\n"
        f"{FIX} trust 0.0 1000 vtrust 0 1000\n"
        "dump d all custom 5 positions.dump id xu yu zu\ndump_modify d sort id format float %.17g\nrun 20\n",
        ranks,
    )
    frames, file = read(models / "dpgen_frames.extxyz", ":"), columns(models)
    blocks = (models / "positions.dump").read_text().split("ITEM: ATOMS id xu yu zu\n")[1:]
    assert len(frames) == len(blocks) == len(file) == 5
    for frame, block, row in zip(frames, blocks, file, strict=True):
        table = np.array(block.split("ITEM")[0].split(), float).reshape(-1, 4)
        np.testing.assert_array_equal(frame.arrays["id"], table[:, 0])
        np.testing.assert_array_equal(frame.positions, table[:, 1:])
        assert set(frame.symbols) == {"Al"}
        assert frame.pbc.all()
        np.testing.assert_allclose(frame.cell, [[12.6, 0, 0], [1.26, 12.6, 0], [-0.84, 1.68, 12.6]], rtol=1e-12)
        assert frame.info["step"] == row[0]
        assert frame.info["time"] == pytest.approx(row[0] * 0.001)
        np.testing.assert_allclose([frame.info[name] for name in SIX], row[1:7], rtol=1e-6)
        assert frame.arrays["force_spread"].max() == frame.info["max_devi_f"]
        assert frame.info["fix_id"] == "dp"
        assert frame.info["class"] == "candidate"
        hashes = frame.info["models"].split(",")
        assert len(hashes) == 2
        assert all(re.fullmatch("[0-9a-f]{64}", one) for one in hashes)
    assert frames[-1].positions[:, 0].max() > 12.6, "no atom left the box: nothing is unwrapped"


def test_frames_are_capped_spaced_and_the_dropped_are_counted(lmp_run: Lmp, models: Path) -> None:
    fix = "fix dp all dpgen 1 a.model b.model types Al trust 0 1000 max_frames 4 min_gap 3"
    run = lmp_run(f"{CELL}{fix}\nthermo_style custom step f_dp[11] f_dp[12]\nthermo 100\nrun 20\nrun 2\n")
    steps = [frame.info["step"] for frame in read(models / "dpgen_frames.extxyz", ":")]
    assert steps == [0, 3, 6, 9, 21]  # the cap holds for a run; step 20 was looked at in the first one
    assert thermo(run.log)[-1].tolist() == [22, 5, 18]


def test_stop_at_a_failed_frame_ends_this_run_and_the_later_ones(lmp_run: Lmp, models: Path) -> None:
    lmp_in = f"{CELL}{FIX} trust 0.0 1e-4\nthermo_style custom step f_dp[10]\nrun 10\nrun 10\n"
    run = lmp_run(lmp_in + "timer timeout off\nfix_modify dp stop never\nrun 10\n")
    assert "run stopped at step 0: failed frame" in run.log
    assert run.log.count("Loop time") == 2  # LAMMPS skipped the second
    assert columns(models)[:, 0].tolist() == [0, 5, 10]  # the last run went on, after 'timer timeout off'


def test_stop_after_k_candidates_without_a_file(lmp_run: Lmp, models: Path) -> None:
    run = lmp_run(f"{CELL}{FIX} trust 0 1000 frames none stop candidates 3\nrun 100\n")
    assert "run stopped at step 10: 3 candidates" in run.log
    assert columns(models)[:, 0].tolist() == [0, 5, 10]
    assert not (models / "dpgen_frames.extxyz").exists()


def test_the_same_step_is_looked_at_once_unless_atoms_changed(lmp_run: Lmp, models: Path) -> None:
    run = lmp_run(
        f"{CELL}{FIX} stop never frames none\nrun 0\nvariable first equal f_dp\nprint 'devi ${{first}}'\nrun 0\n"
        "displace_atoms all random 0.1 0.1 0.1 99 units box\nrun 0\n"
        "variable second equal f_dp\nprint 'devi ${second}'\nrun 5\n"
    )
    first, second = (float(word) for word in re.findall(r"^devi (\S+)$", run.log, re.M))
    rows = columns(models)
    assert rows[:, 0].tolist() == [0, 0, 5]
    np.testing.assert_allclose(rows[:2, 4], [first, second], rtol=1e-5)
    assert first != pytest.approx(second, rel=1e-3)


def test_fix_modify(lmp_run: Lmp, models: Path) -> None:
    (models / "c.model").write_text(model(4.0))
    run = lmp_run(
        f"{CELL}{FIX} trust 0 1e-5 stop failed frames none\nfix_modify dp stop never\nfix_modify dp every 2\nrun 4\n"
        "fix_modify dp trust 0 1000\nshell cp c.model b.model\nfix_modify dp reload\n"
        "thermo_style custom step f_dp[7] f_dp[8] f_dp[9]\nrun 0\n"
    )
    rows = columns(models)
    assert rows[:, 0].tolist() == [0, 2, 4, 4]
    assert rows[-1, 4] == pytest.approx(3 * rows[-2, 4], rel=1e-6)  # |4 - 1| / |2 - 1|
    assert thermo(run.log)[-1].tolist() == [4, 0, 1, 3]


def test_counters_and_files_go_on_after_a_restart(lmp_run: Lmp, models: Path) -> None:
    fix = f"{FIX} trust 0 1000"
    style = "thermo_style custom step f_dp[8] f_dp[11]\n"
    lmp_run(f"{CELL}{fix}\n{style}run 20\n", folder=models)
    whole = columns(models)
    lmp_run(f"{CELL}{fix}\nrun 10\nwrite_restart half.restart\n", folder=models)
    run = lmp_run(f"read_restart half.restart\nfix move all nve\n{fix}\n{style}run 10\n", folder=models)
    np.testing.assert_allclose(columns(models), whole, rtol=1e-5)
    assert [frame.info["step"] for frame in read(models / "dpgen_frames.extxyz", ":")] == [0, 5, 10, 15, 20]
    assert thermo(run.log)[-1].tolist() == [20, 5, 5]


def test_a_minimization_is_looked_at_once_an_iteration(lmp_run: Lmp, models: Path) -> None:
    run = lmp_run(f"{CELL}unfix move\nfix dp all dpgen 1 {MODELS} types Al stop never\nminimize 0 0 7 100\nrun 0\n")
    steps = columns(models)[:, 0]
    assert steps.tolist() == list(range(len(steps)))
    assert len(steps) > 3
    assert "Minimization stats" in run.log


def test_atoms_that_the_models_do_not_see(lmp_run: Lmp, models: Path) -> None:
    keep = "stop never trust 0 1000"
    two = CELL.replace("create_box 1", "create_box 2").replace("mass 1", "mass 2 40\nmass 1")
    two += "set group all type/fraction 2 0.25 7\n"
    lmp_run(
        f"{two}fix dp all dpgen 1 {MODELS} types Al NULL {keep} frames null.extxyz out_file null.out\n"
        "group some id 1:20\n"
        f"fix dq some dpgen 1 {MODELS} types Al Mg {keep} frames some.extxyz out_file some.out\nrun 0\n"
    )
    frame = read(models / "null.extxyz")
    unseen = np.array(frame.get_chemical_symbols()) == "X"
    assert 0 < unseen.sum() < len(frame)
    assert (frame.arrays["force_spread"][unseen] == 0).all()
    assert columns(models, "null.out")[0, 6] == pytest.approx(frame.arrays["force_spread"][~unseen].mean(), rel=1e-6)
    some = read(models / "some.extxyz")
    assert (some.arrays["force_spread"][20:] == 0).all()
    assert columns(models, "some.out")[0, 6] == pytest.approx(some.arrays["force_spread"][:20].mean(), rel=1e-6)


def test_nan_in_one_model_is_a_failed_frame_and_is_said(lmp_run: Lmp, models: Path) -> None:
    (models / "b.model").write_text(model(2.0, "nan_below 3.0"))
    run = lmp_run(f"{CELL}{FIX}\nthermo_style custom step f_dp[9] f_dp[10]\nrun 10\n")
    assert "model 2 (b.model) gives NaN or Inf at step 0; the frame counts as failed" in run.log
    assert "run stopped at step 0: failed frame, max_devi_f nan" in run.log
    assert np.isnan(columns(models)[0, 1:]).all()


@pytest.mark.mpi
def test_a_model_that_throws_on_one_rank_ends_all(lmp_run: Lmp, models: Path) -> None:
    (models / "b.model").write_text(model(2.0, "throw_below 1.0"))
    crystal = "processors 2 1 1\n" + CELL.replace("displace_atoms all", "# displace_atoms all")
    run = lmp_run(f"{crystal}create_atoms 1 single 0.1 0.1 0\n{FIX}\nrun 10\n", 2, check=False, timeout=60)
    assert "Fix dpgen dp at step 0: model 'b.model': a pair at" in run.output
    assert "closer than throw_below" in run.output


@pytest.mark.models
def test_overlapping_atoms_never_pass_as_accurate(lmp_run: Lmp, al_models: list[Path], tmp_path: Path) -> None:
    files = " ".join(map(str, al_models))
    run = lmp_run(
        f"{CELL}comm_modify cutoff 10.5\ncreate_atoms 1 single 0.001 0 0\nfix dp all dpgen 1 {files} types Al\nrun 5\n",
        check=False,
    )
    assert "failed frame" in run.log
