"""Workers started by a rank of an MPI job are no ranks of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import time
from pathlib import Path
from mpi4py import MPI
from lammps_dpgen.execution.base import Task
from lammps_dpgen.execution.local import LocalExecutor

if MPI.COMM_WORLD.rank == 0:
    with LocalExecutor(width=2) as executor:
        for number in range(4):
            executor.submit(Task(str(number), "rank_service:Rank", {}, "size", {}, Path(f"task-{number}")))
        outcomes = []
        while executor.open_tasks:
            outcomes += executor.poll()
            time.sleep(0.01)
        print("errors", [outcome.error for outcome in outcomes])
        print("sizes", [outcome.value["size"] for outcome in outcomes])
MPI.COMM_WORLD.Barrier()
print("size of the job", MPI.COMM_WORLD.size)
"""

SERVICE = """
class Rank:
    def size(self, payload, folder):
        from mpi4py import MPI
        return {"size": MPI.COMM_WORLD.size}
"""


@pytest.mark.mpi
def test_a_worker_initialises_mpi_for_itself(mpirun: Any, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "rank_service.py").write_text(SERVICE)
    run = mpirun(tmp_path / "program.py", 2)
    assert "errors [None, None, None, None]" in run.output
    assert "sizes [1, 1, 1, 1]" in run.output
    assert run.output.count("size of the job 2") == 2
