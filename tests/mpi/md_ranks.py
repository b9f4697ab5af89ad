"""Trajectories of the sampler md on the ranks of this job; rank 0 writes where they end.

Arguments: folder, result file, models.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from ase.build import bulk
from mpi4py import MPI

from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.sampling.md import MdSampler, MdSettings
from lammps_dpgen.sampling.recording import RecordingWalker
from lammps_dpgen.sampling.restart import newest_restart, restart_step

#: Start and ensemble: cells smaller than the cut-off, a tilted one, and a cluster, whose box leaves ranks empty.
CASES = {
    "two atoms": (bulk("Al", "hcp", a=2.86, c=4.7), "npt-tri"),
    "primitive": (bulk("Al") * (3, 3, 3), "nvt"),
    "cluster": (bulk("Al", cubic=True) * (2, 2, 1), "nve"),
}


def main() -> None:
    comm = MPI.COMM_WORLD
    folder, result, *models = (Path(word) for word in sys.argv[1:])
    ends = {}
    for name, (atoms, ensemble) in CASES.items():
        if name == "cluster":
            atoms.pbc, atoms.cell = False, None
        sampler = MdSampler(MdSettings(ensemble=ensemble, temperatures=(600.0,), time=0.025))
        plan = sampler.plan([Frame.from_ase(atoms, FrameOrigin("test"))], 1, np.random.default_rng(1))[0]
        here = folder / f"{comm.size} {name}".replace(" ", "-")
        if comm.rank == 0:
            here.mkdir()
        comm.Barrier()
        walker = RecordingWalker(here, models, ("Al",), ranks=comm)
        sampler.explore(plan, walker)
        newest = newest_restart(here)
        run = walker.runs[0]
        ends[name] = {
            "steps": run.steps,
            "deviation": run.max_devi_f,
            "positions": run.positions.tolist(),
            "cell": run.cell.tolist(),
            "restart": newest and restart_step(newest),
        }
    if comm.rank == 0:
        result.write_text(json.dumps(ends))


main()
