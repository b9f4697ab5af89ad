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
import sys
from typing import Any

from mpi4py import MPI
from turns import Instance, number_of_turns, scratch_folder, turns

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
        options = "types Al trust 100 200 stop never out_file dpgen.out frames none kernel deepmd"
        fix = f"fix dp all dpgen {every} {' '.join(models)} {options}"
    elif style == "pair":
        pair = f"{' '.join(models)} out_freq {every} out_file pair.out"
    nx, ny, nz = CELLS[atoms]
    return SCRIPT.format(nx=nx, ny=ny, nz=nz, pair=pair, fix=fix)


def measure(atoms: int, every: int, task: dict[str, Any], comm: MPI.Comm) -> None:
    """Time one case."""
    commands = {style: input_of(style, atoms, every, task["models"]) for style in STYLES}
    instances = {style: Instance(f"{style}-{atoms}-{every}", commands[style], comm) for style in STYLES}
    try:
        # TensorFlow optimizes its graphs in the first evaluations.
        for _ in range(1 if every > 10 else 2):
            warm = {style: instance.run(max(every, 2))[0] for style, instance in instances.items()}
        # As long for all, so that they follow the same trajectory; a multiple of N, so that all have the same looks.
        steps = every * max(1, round(task["seconds"] / warm["dpgen"] / every))
        number = number_of_turns(task, steps * sum(warm.values()))
        for wall, cpu in turns(instances, dict.fromkeys(STYLES, steps), number):
            if comm.rank == 0:
                row = {"ranks": comm.size, "atoms": atoms, "every": every, "steps": steps}
                print(json.dumps(row | {"wall": wall, "cpu": cpu}), flush=True)
    finally:
        for instance in instances.values():
            instance.close()


def main() -> None:
    """Measure what the JSON argument asks for, in a folder that goes away."""
    task = json.loads(sys.argv[1])
    comm = MPI.COMM_WORLD
    with scratch_folder(comm):
        for atoms in task["atoms"]:
            for every in task["every"]:
                measure(atoms, every, task, comm)


if __name__ == "__main__":
    main()
