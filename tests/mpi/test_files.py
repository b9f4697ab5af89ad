"""Rank 0 of a job reads files of others by itself: ASE by its own rules would have all ranks read together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import sys
from pathlib import Path
from mpi4py import MPI
from lammps_dpgen.labelled_data import read_labelled
from lammps_dpgen.mpi import on_root
from lammps_dpgen.structures.file import read_images

world, path = MPI.COMM_WORLD, Path(sys.argv[1])
labels = on_root(world, lambda: len(list(read_labelled(path, ["Al"]))))
structures = on_root(world, lambda: len(read_images(path, ":", None)))
Path(f"rank-{world.rank}").write_text(f"{labels} labels, {structures} structures")
"""


@pytest.mark.mpi
def test_rank_0_alone(mpirun: Any, tmp_path: Path, data: Path) -> None:
    program = tmp_path / "read.py"
    program.write_text(PROGRAM)
    mpirun(program, 2, str(data / "al" / "held_out.extxyz"), timeout=60)
    for rank in range(2):
        assert (tmp_path / f"rank-{rank}").read_text() == "6 labels, 6 structures"
