"""Program behind ``run.py --only kernel``: MD that knows its deviation at every step, against plain MD, interleaved.

    mpirun -n 1 python pair_cost.py '{"atoms": [32], "elements": ["Al"], "models": [...], "compressed": [...],
                                        "styles": ["double", "plain"], "seconds": 0.5, "budget": 30, "turns": [5, 25]}'

``compressed`` are the compressed forms of ``models``, for DeePMD-kit's pair style. For each number of atoms there are
LAMMPS instances with the same atoms, velocities and thermo output:

- ``double``, ``single``: pair_style dpgen with all models in that precision, and fix dpgen 1;
- ``alone``: pair_style dpgen with model 1 alone;
- ``on_top``: pair_style deepmd with model 1, and fix dpgen 1 with all models;
- ``plain``: pair_style deepmd with model 1 alone;
- ``pair``: pair_style deepmd with all models and out_freq 1.

4,000 atoms of two elements are a user's input, ``in.almg``; others are crystals in NVE. The instances take turns.
One JSON line per case and turn goes to standard output; it also holds what LAMMPS' log says about the kernel, since a
fallback to DeePMD-kit is no measurement of the native one.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from mpi4py import MPI
from turns import Instance, number_of_turns, scratch_folder, turns

#: FCC cells (conventional, 4 atoms) along x, y, z.
CELLS = {32: (2, 2, 2), 256: (4, 4, 4), 4000: (10, 10, 10)}
USERS_INPUT = Path(__file__).resolve().parent / "in.almg"

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
pair_style {pair}
pair_coeff * * {elements}
velocity all create 600 4711
timestep 0.002
fix nve all nve
{fix}
thermo 100
"""

NATIVE = ("double", "single", "alone")
SAID = r"^(?:Pair style dpgen: .* drives the atoms|Fix dpgen \w+: )(?:; )?(.*)$"


def input_of(style: str, atoms: int, task: dict[str, Any]) -> str:
    """Return the LAMMPS commands of an instance."""
    models, packed, elements = task["models"], task["compressed"], " ".join(task["elements"])
    precision = "single" if style == "single" else "double"
    pair = {
        "alone": f"dpgen {models[0]} kernel native",
        "on_top": f"deepmd {packed[0]}",
        "plain": f"deepmd {packed[0]}",
        "pair": f"deepmd {' '.join(packed)} out_freq 1 out_file pair.out",
    }.get(style, f"dpgen {' '.join(models)} kernel native precision {precision}")
    fix = ""
    if style in ("double", "single", "on_top"):
        # A window that no frame reaches: storing frames is not what is compared, DeePMD-kit does not do it.
        options = f"types {elements} trust 100 200 stop never out_file {style}.out frames none"
        fix = f"fix dp all dpgen 1 {' '.join(models)} {options}"
    if atoms == 4000 and len(task["elements"]) == 2:
        return USERS_INPUT.read_text().format(pair=pair, fix=fix)
    nx, ny, nz = CELLS[atoms]
    n_types = len(task["elements"])
    second = "set group all type/fraction 2 0.3 4711" if n_types > 1 else ""
    return SCRIPT.format(nx=nx, ny=ny, nz=nz, n_types=n_types, second=second, pair=pair, elements=elements, fix=fix)


def measure(atoms: int, task: dict[str, Any], comm: MPI.Comm) -> None:
    """Time one case."""
    styles = task["styles"]
    instances = {style: Instance(f"{style}-{atoms}", input_of(style, atoms, task), comm) for style in styles}
    try:
        # TensorFlow optimizes its graphs in the first evaluations.
        for _ in range(2):
            warm = {style: instance.run(1 if atoms > 256 else 3)[0] for style, instance in instances.items()}
        # Each for about as long, so that a turn of the fastest is not lost in the resolution of the clock.
        steps = {style: max(1, round(task["seconds"] / seconds)) for style, seconds in warm.items()}
        number = number_of_turns(task, sum(steps[style] * warm[style] for style in styles))
        said = {style: instances[style].said(SAID) if comm.rank == 0 else "" for style in styles}
        for wall, cpu in turns(instances, steps, number):
            if comm.rank == 0:
                row = {"ranks": comm.size, "threads": int(os.environ["OMP_NUM_THREADS"]), "atoms": atoms}
                print(json.dumps(row | {"steps": steps, "wall": wall, "cpu": cpu, "kernels": said}), flush=True)
    finally:
        for instance in instances.values():
            instance.close()


def main() -> None:
    """Measure what the JSON argument asks for, in a folder that goes away."""
    task = json.loads(sys.argv[1])
    with scratch_folder(MPI.COMM_WORLD):
        for atoms in task["atoms"]:
            measure(atoms, task, MPI.COMM_WORLD)


if __name__ == "__main__":
    main()
