"""Program behind ``run.py``: seconds of MD loops, interleaved in one process, on any number of ranks.

    mpirun -n 2 python md_cost.py '{"atoms": [32], "every": [1, 10], "seconds": 0.5, "budget": 30, "turns": [5, 25],
                                    "models": [...]}'

``seconds`` is the least length of a turn (at least N steps), ``budget`` the time for a case, with so many ``turns``.

For each number of atoms and each N there are three LAMMPS instances with the same atoms, neighbour lists, thermo output
and models, so that start-up does not count and all see the same machine:

- ``dpgen``: pair_style deepmd with model 1, and fix dpgen N with all models;
- ``pair``: pair_style deepmd with all models and out_freq N, DeePMD-kit's own model deviation;
- ``plain``: pair_style deepmd with model 1 alone.

They take turns, in an order that is reversed each time. One JSON line per case and turn goes to standard output.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from mpi4py import MPI

#: FCC cells (conventional, 4 atoms) along x, y, z.
CELLS = {32: (2, 2, 2), 256: (4, 4, 4), 2048: (8, 8, 8)}

SCRIPT = """
units metal
atom_style atomic
boundary p p p
lattice fcc 4.05
region box block 0 {nx} 0 {ny} 0 {nz}
create_box 1 box
create_atoms 1 box
mass 1 26.9815
pair_style deepmd {pair}
pair_coeff * * Al
velocity all create 600 4711
timestep 0.002
fix nve all nve
{fix}
thermo 100
"""

STYLES = ("dpgen", "pair", "plain")


def input_of(style: str, atoms: int, every: int, models: list[str]) -> str:
    """Return the LAMMPS commands of an instance."""
    pair, fix = models[0], ""
    if style == "dpgen":
        # A window that no frame reaches: storing frames is not what is compared, DeePMD-kit does not do it.
        options = "types Al trust 100 200 stop never out_file dpgen.out frames none"
        fix = f"fix dp all dpgen {every} {' '.join(models)} {options}"
    elif style == "pair":
        pair = f"{' '.join(models)} out_freq {every} out_file pair.out"
    nx, ny, nz = CELLS[atoms]
    return SCRIPT.format(nx=nx, ny=ny, nz=nz, pair=pair, fix=fix)


class Instance:
    """A LAMMPS instance whose loops are timed by LAMMPS itself."""

    def __init__(self, style: str, atoms: int, every: int, models: list[str], comm: MPI.Comm) -> None:
        import lammps

        self._log = Path(f"{style}-{atoms}-{every}.log")
        self._comm = comm
        self.lmp: Any = lammps.lammps(cmdargs=["-log", str(self._log), "-screen", "none", "-nocite"], comm=comm)
        self.lmp.commands_string(input_of(style, atoms, every, models))

    def run(self, steps: int) -> tuple[float, float]:
        """Run; return LAMMPS' own figures on all ranks: wall and CPU time of the loop per step, in seconds."""
        self._comm.Barrier()
        self.lmp.command(f"run {steps}")
        figures = (0.0, 0.0)
        if self._comm.rank == 0:
            log = self._log.read_text()
            wall = float(re.findall(r"^Loop time of (\S+) on", log, re.M)[-1])
            share = float(re.findall(r"^(\S+)% CPU use with", log, re.M)[-1])
            figures = (wall / steps, wall / steps * share / 100.0)
        return self._comm.bcast(figures)

    def close(self) -> None:
        self.lmp.close()


def measure(atoms: int, every: int, task: dict[str, Any], comm: MPI.Comm) -> None:
    """Time one case."""
    instances = {style: Instance(style, atoms, every, task["models"], comm) for style in STYLES}
    try:
        # TensorFlow optimizes its graphs in the first evaluations.
        for _ in range(1 if every > 10 else 2):
            warm = {style: instance.run(max(every, 2))[0] for style, instance in instances.items()}
        # As long for all, so that they follow the same trajectory; a multiple of N, so that all have the same looks.
        steps = every * max(1, round(task["seconds"] / warm["dpgen"] / every))
        low, high = task["turns"]
        n_turns = min(high, max(low, round(task["budget"] / (steps * sum(warm.values())))))
        for turn in range(n_turns):
            order = STYLES if turn % 2 == 0 else STYLES[::-1]
            figures = {style: instances[style].run(steps) for style in order}
            if comm.rank == 0:
                row = {"ranks": comm.size, "atoms": atoms, "every": every, "steps": steps}
                row |= {name: {style: figures[style][k] for style in STYLES} for k, name in enumerate(("wall", "cpu"))}
                print(json.dumps(row), flush=True)
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
        for every in task["every"]:
            measure(atoms, every, task, comm)
    comm.Barrier()
    if comm.rank == 0:
        for file in Path(folder).iterdir():
            file.unlink()
        Path(folder).rmdir()


if __name__ == "__main__":
    main()
