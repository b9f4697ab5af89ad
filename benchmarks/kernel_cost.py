"""The native kernel beside DeePMD-kit's C library, without LAMMPS: ``python benchmarks/kernel_cost.py``.

Frames of aluminium (or an alloy of the models' elements) are evaluated by turns; what is printed are medians of
processor time per atom, on one thread, and their ratio to one model evaluated by DeePMD-kit: the file named by
``--unit`` (a compressed model, as users have them), else the first model. Neighbour search is part of both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from pathlib import Path

import numpy as np
from ase.build import bulk

from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.frame import Frame
from lammps_dpgen.native.convert import convert_apart

THREADS = ("OMP_NUM_THREADS", "DP_INTRA_OP_PARALLELISM_THREADS", "DP_INTER_OP_PARALLELISM_THREADS")
DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
SLICE = 0.2  # s, shortest time that is measured


def crystal(repeats: int, elements: tuple[str, ...]) -> Frame:
    """Return perturbed fcc with elements in random places."""
    atoms = bulk("Al", "fcc", a=4.05, cubic=True).repeat(repeats)
    atoms.rattle(0.1, seed=1)
    atoms.symbols = np.random.default_rng(1).choice(elements, len(atoms))
    return Frame.from_ase(atoms)


def measure(ensemble: Ensemble, frame: Frame) -> float:
    """Return processor time per atom in µs."""
    count, spent = 0, 0.0
    begin = time.process_time()
    while spent < SLICE:
        ensemble.predict(frame)
        count += 1
        spent = time.process_time() - begin
    return spent / count / frame.n_atoms * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=sorted((DATA / "al").glob("model_*.pb")))
    parser.add_argument("--unit", type=Path, help="model that is 1, evaluated by DeePMD-kit")
    parser.add_argument("--repeats", type=int, nargs="*", default=[2, 4], help="cells along each edge, 4 atoms each")
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    os.environ.update(dict.fromkeys(THREADS, "1"))  # read when DeePMD-kit is loaded
    models = list(arguments.models)
    convert_apart(models)
    ensembles = {
        "DeePMD-kit, 1 model": Ensemble([arguments.unit or models[0]], min_models=1, kernel="deepmd"),
        f"DeePMD-kit, {len(models)} models": Ensemble(models, min_models=1, kernel="deepmd"),
        "native double": Ensemble(models, min_models=1, kernel="native"),
        "native single": Ensemble(models, min_models=1, kernel="native", precision="single"),
    }
    for name in ("native double", "native single"):
        print(ensembles[name].kernel)
    for repeats in arguments.repeats:
        frame = crystal(repeats, ensembles["native double"].type_map)
        times: dict[str, list[float]] = {name: [] for name in ensembles}
        for ensemble in ensembles.values():
            ensemble.predict(frame)
        for _ in range(arguments.rounds):
            for name, ensemble in ensembles.items():
                times[name].append(measure(ensemble, frame))
        unit = statistics.median(times["DeePMD-kit, 1 model"])
        for name, values in times.items():
            median = statistics.median(values)
            print(f"{frame.n_atoms:6d} atoms  {name:24s}{median:10.1f} µs/atom{median / unit:9.3f}")


if __name__ == "__main__":
    main()
