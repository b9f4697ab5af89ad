"""What a label costs that is not the reference method's: a thousand labels that take a millisecond, by engine.

    python benchmarks/task_overhead.py [--labels 1000] [--engine local parsl]

labels perturbed cells of aluminium by ASE's EMT through the same queue, ledger and executors as a run, with two tasks
side by side; ``parsl`` is its pilots on this machine (provider ``local``). Starting processes counts.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from ase.build import bulk

from lammps_dpgen.config.label import LabelConfig
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.labels import label_frames
from lammps_dpgen.learning.workers import label_executor
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

ENGINES: dict[str, dict[str, Any]] = {
    "local": {"width": 2},
    "parsl": {"engine": "parsl", "labels": {"provider": "local", "cores": 2}, "address": "127.0.0.1"},
}


def frames(number: int) -> list[Frame]:
    """Return small cells, all different."""
    cells = []
    for seed in range(number):
        atoms = bulk("Al", cubic=True)
        atoms.rattle(0.05, seed=seed)
        cells.append(Frame.from_ase(atoms))
    return cells


def measure(engine: str, cells: list[Frame], folder: Path) -> float:
    """Return the wall time of all labels in seconds."""
    labeler = {"name": "ase", "settings": {"calculator": "ase.calculators.emt:EMT", "trial": False}}
    config = LabelConfig.model_validate({"labeler": labeler, "execution": ENGINES[engine]}, context={"folder": folder})
    run = RunFolder(folder / engine).create()
    with Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger, label_executor(config, run) as executor:
        ledger.add_frames(cells)
        begin = time.monotonic()
        results = label_frames(executor, ledger, cells, config.labeler, run.labels)
        seconds = time.monotonic() - begin
    assert all(result.label is not None for result in results)
    return seconds


def main() -> None:
    """Measure, and print a row per engine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=1000)
    parser.add_argument("--engine", nargs="+", choices=ENGINES, default=list(ENGINES))
    arguments = parser.parse_args()
    cells = frames(arguments.labels)
    print("| engine | labels | seconds | ms per label | controller, MB |\n| --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for engine in arguments.engine:
            seconds = measure(engine, cells, Path(folder))
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            each = 1000 * seconds / len(cells)
            print(f"| {engine} | {len(cells)} | {seconds:.1f} | {each:.0f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
