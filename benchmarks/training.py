"""What the choices of a short training cost and give: the tables of docs/training.md.

    python benchmarks/training.py [--only errors|chain|cost] [--quick]

Small nets on 32 aluminium atoms, labelled by an embedded-atom potential, on one thread; about six minutes. Errors
repeat from run to run on one machine. Seconds are those of the machine: compare them with each other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import units
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.md.langevin import Langevin

from lammps_dpgen import registry
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.frame import Frame, LabelledFrame
from lammps_dpgen.learning.ensembles import force_rmse
from lammps_dpgen.training.base import TrainingJob, TrainingResult
from lammps_dpgen.training.data import write_systems

for variable in ("OMP_NUM_THREADS", "DP_INTRA_OP_PARALLELISM_THREADS", "DP_INTER_OP_PARALLELISM_THREADS"):
    os.environ.setdefault(variable, "1")

TEMPERATURES = np.linspace(100.0, 2500.0, 12)  # K
#: Held-out frames by temperature, K.
GROUPS = {"up to 300 K": (0, 350), "600-900 K": (550, 1000), "1500-2500 K": (1400, 2600)}
NET = {"rcut": 6.0, "sel": [96], "neuron": [10, 20, 40], "fitting_neuron": [60, 60, 60], "batch_size": 1}
EAM = {"pair_style": "eam/alloy", "pair_coeff": ["* * Al_zhou.eam.alloy Al"], "elements": ["Al"]}

Sample = list[tuple[float, LabelledFrame]]


def sample(seed: int, per_temperature: int) -> Sample:
    """Return (temperature in K, labelled frame) of Langevin MD: ASE's EMT moves the atoms, the EAM labels them."""
    labeler = registry.make(registry.LABELERS, "lammps", EAM)
    rng = np.random.default_rng(seed)
    found: Sample = []
    with tempfile.TemporaryDirectory() as scratch:
        for temperature in TEMPERATURES:
            atoms = bulk("Al", a=4.05, cubic=True).repeat((2, 2, 2))
            atoms.calc = EMT()
            bath = {"temperature_K": float(temperature), "friction": 0.02 / units.fs, "fixcm": False}
            md = Langevin(atoms, 2.0 * units.fs, rng=rng, **bath)
            md.run(200)
            for _ in range(per_temperature):
                md.run(100)
                frame = Frame.from_ase(atoms)
                found.append((float(temperature), LabelledFrame(frame, labeler.label(frame, Path(scratch)))))
    return found


class Bench:
    """Trains in folders of its own, on frames that are made once."""

    def __init__(self, folder: Path, shorter: int) -> None:
        self._folder, self._shorter, self._n_trainings = folder, shorter, 0
        self.train_frames, self.held_out = sample(seed=1, per_temperature=4), sample(seed=2, per_temperature=1)

    def systems(self, frames: Sequence[LabelledFrame], name: str) -> tuple[str, ...]:
        """Write frames as training data."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return tuple(str(path) for path in write_systems(frames, folder, ["Al"]))

    def train(
        self, settings: dict[str, Any], new: tuple[str, ...], *, old: tuple[str, ...] = (), last: str | None = None
    ) -> TrainingResult:
        """Train one model, from scratch or from the model `last`."""
        self._n_trainings += 1
        steps = {"numb_steps": settings.get("numb_steps", 1000) // self._shorter}
        if "warm_start" in settings:
            reuse = settings["warm_start"]
            steps["warm_start"] = {**reuse, "training_reuse_numb_steps": 600 // self._shorter}
        trainer = registry.make(registry.TRAINERS, "deepmd", {**NET, **settings, **steps})
        job = TrainingJob(0 if last is None else 1, 0, 1, ("Al",), old, new, last)
        result: TrainingResult = trainer.train(job, self._folder / f"training_{self._n_trainings}")
        return result

    def errors(self, result: TrainingResult) -> list[str]:
        """Return the force RMSE (eV/Å) on the held-out frames of each group."""
        model = Ensemble([result.model], min_models=1)
        groups = ([f for t, f in self.held_out if low <= t <= high] for low, high in GROUPS.values())
        return [f"{force_rmse(model, group):.3f}" for group in groups]


def scratch_errors(bench: Bench) -> None:
    """Print force errors after 1,000 steps of one frame, by learning rate, precision and sel."""
    data = bench.systems([frame for _, frame in bench.train_frames], "all")
    rows = []
    for start, stop, precision, sel in (
        (5e-3, 1e-5, "float64", 96),
        (5e-3, 1e-4, "float64", 96),
        (1e-2, 1e-4, "float64", 96),
        (1e-2, 1e-4, "float32", 72),
    ):
        result = bench.train({"start_lr": start, "stop_lr": stop, "precision": precision, "sel": [sel]}, data)
        rows.append([f"{start:.0e}", f"{stop:.0e}", f"{precision}, {sel}", *bench.errors(result)])
    show(["`start_lr`", "`stop_lr`", "precision, `sel`", *GROUPS], rows)


def chain_errors(bench: Bench) -> None:
    """Print force errors after three continued trainings on hotter and hotter frames, by how they restart."""
    quarters = np.array_split(np.arange(len(bench.train_frames)), 4)
    parts = [
        bench.systems([bench.train_frames[i][1] for i in quarter], f"part_{number}")
        for number, quarter in enumerate(quarters)
    ]
    first = bench.train({}, parts[0])
    rows = []
    for start_lr, pref_e, pref_f in ((None, None, None), (3e-3, None, None), (1e-3, 0.1, 100), (3e-4, 0.1, 100)):
        reuse = {
            "training_reuse_start_lr": start_lr,
            "training_reuse_start_pref_e": pref_e,
            "training_reuse_start_pref_f": pref_f,
        }
        result = first
        for number in range(1, 4):
            old = tuple(system for part in parts[:number] for system in part)
            result = bench.train({"warm_start": reuse}, parts[number], old=old, last=result.warm_start)
        named = ["as from scratch" if value is None else f"{value:g}" for value in (start_lr, pref_e, pref_f)]
        rows.append([*named, *bench.errors(result)])
    show(["learning rate", "prefactor of energy", "of forces", *GROUPS], rows)


def costs(bench: Bench) -> None:
    """Print the seconds of the parts of a training of 1,000 steps, and of an evaluation of 108 atoms."""
    data = bench.systems([frame for _, frame in bench.train_frames], "all")
    bench.train({"numb_steps": 100}, data)  # loads TensorFlow
    larger = Frame.from_ase(bulk("Al", a=4.05, cubic=True).repeat((3, 3, 3)))
    rows = []
    for name, settings in {
        "float64, `sel` 96": {},
        "the same, compressed": {"compress": True},
        "`sel` 64": {"sel": [64]},
        "float32": {"precision": "float32"},
        "2 frames per batch": {"batch_size": 2},
        "4 frames per batch": {"batch_size": 4},
    }.items():
        result = bench.train(settings, data)
        model = Ensemble([result.model], min_models=1)
        seconds = [result.seconds.get(part, 0.0) for part in ("start", "loop", "freeze", "compress")]
        rows.append([name, *(f"{value:.1f}" for value in seconds), f"{1000.0 * evaluation(model, larger):.1f}"])
    show(["training", "start, s", "loop, s", "freeze, s", "compress, s", "108 atoms, ms"], rows)


def evaluation(model: Ensemble, frame: Frame, repeats: int = 40) -> float:
    """Return the median time of an evaluation in s, after a few that warm up."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        model.predict(frame)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[5:])


def show(head: list[str], rows: list[list[str]]) -> None:
    """Print a table in Markdown."""
    for cells in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(cells)} |", flush=True)
    print()


def main() -> None:
    """Make frames, train, print."""
    tables = {"errors": scratch_errors, "chain": chain_errors, "cost": costs}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tables, help="one of the tables")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the steps: to see that it works")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), 20 if arguments.quick else 1)
        for name, table in tables.items():
            if arguments.only in (None, name):
                table(bench)


if __name__ == "__main__":
    main()
