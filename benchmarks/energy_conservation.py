"""Energy conservation: NVE of ``pair_style dpgen`` beside ``pair_style deepmd``: ``python energy_conservation.py``.

32 atoms of aluminium, 50 ps with a time step of 1 fs, from the same positions and velocities, one after another. What
is printed is the drift of the total energy (slope of a straight line through it) and how far it moves around that line.
Some minutes, most of them for DeePMD-kit.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
EVERY = 10  # steps between two energies

SCRIPT = """
units metal
lattice fcc 4.05
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 26.9815
pair_style {pair}
pair_coeff * * Al
neigh_modify every 1 delay 0 check yes
velocity all create {temperature} 4711 mom yes
timestep 0.001
fix nve all nve
thermo_modify norm no
variable total equal etotal
fix energies all print {every} "$(v_total:%.12f)" file energies.txt screen no title "#"
run {steps}
"""


def energies(pair: str, temperature: float, steps: int) -> np.ndarray:
    """Return the total energy per atom (eV) every so many steps."""
    import lammps

    lmp: Any = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    # Half of the kinetic energy of a crystal at rest becomes potential energy.
    lmp.commands_string(SCRIPT.format(pair=pair, temperature=2 * temperature, every=EVERY, steps=steps))
    atoms = lmp.get_natoms()
    lmp.close()
    return np.loadtxt("energies.txt") / atoms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=sorted((DATA / "al").glob("model_*.pb")))
    parser.add_argument("--picoseconds", type=float, default=50.0)
    parser.add_argument("--temperature", type=float, nargs="*", default=[300.0, 900.0], help="K")
    arguments = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "DP_INTRA_OP_PARALLELISM_THREADS", "DP_INTER_OP_PARALLELISM_THREADS"):
        os.environ[name] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from lammps_dpgen.native.convert import convert_apart

    models = [path.resolve() for path in arguments.models]
    convert_apart(models)
    files = " ".join(map(str, models))
    pairs = {
        "pair_style deepmd, 1 model": f"deepmd {models[0]}",
        f"pair_style dpgen, {len(models)} models, double": f"dpgen {files} kernel native",
        f"pair_style dpgen, {len(models)} models, mean": f"dpgen {files} mean kernel native",
        f"pair_style dpgen, {len(models)} models, single": f"dpgen {files} kernel native precision single",
    }
    steps = round(arguments.picoseconds * 1000)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        print(
            "| temperature, K | pair style | drift, meV/atom per ns | around it (rms), meV/atom |\n|---:|---|---:|---:|"
        )
        for temperature in arguments.temperature:
            for name, pair in pairs.items():
                values = energies(pair, temperature, steps)
                time = np.arange(len(values)) * EVERY * 1e-6  # ns
                slope, start = np.polyfit(time, values, 1)
                rms = np.sqrt(np.mean((values - start - slope * time) ** 2))
                print(f"| {temperature:g} | {name} | {1e3 * slope:+.4f} | {1e3 * rms:.5f} |", flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main()
