"""Labels that wait in the queue of a scheduler: what the controller takes of memory, and how often it asks.

    python benchmarks/queued_labels.py FOLDER NUMBER SECONDS

`label_costs.py` runs it in a process of its own. All is as in a run (queue of labels, ledger, the engine Parsl with its
provider for Slurm) but for Slurm itself: its commands are scripts that note each call, take every job, and tell of all
jobs that they are pending. No label is ever made.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
from ase.build import bulk

from lammps_dpgen.config.label import LabelConfig
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.labels import LabelQueue
from lammps_dpgen.learning.workers import label_executor
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

#: Seconds between two questions to the scheduler; the default is 30.
POLL = 1.0
LABELER = {"name": "ase", "settings": {"calculator": "ase.calculators.emt:EMT", "trial": False}}
POOL = {"provider": "slurm", "jobs": 20, "cores": 64, "tasks": 2}
#: Slurm's commands: what each does beside noting that it was called. Accounting is switched off.
COMMANDS = {
    "sbatch": 'n=$(wc -l < "$here/jobs"); echo "$((n + 1)) PD" >> "$here/jobs"; echo "Submitted batch job $((n + 1))"',
    "squeue": 'cat "$here/jobs"',
    "sacct": "exit 1",
    "scancel": ": > /dev/null",
    "sinfo": ": > /dev/null",
}


def write_commands(folder: Path) -> Path:
    """Write the scripts; return the file with one line per call."""
    folder.mkdir(parents=True)
    (folder / "jobs").write_text("")
    calls = folder / "calls"
    calls.write_text("")
    for name, what in COMMANDS.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\nhere={folder}\necho {name} >> "$here/calls"\n{what}\n')
        script.chmod(0o755)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return calls


def counted(calls: Path) -> Counter[str]:
    """Return how often each command was called so far."""
    return Counter(calls.read_text().split())


def memory_of_children() -> int:
    """Return the memory of all processes that this one has started, in bytes."""
    return sum(child.memory_info().rss for child in psutil.Process().children(recursive=True))


def main() -> None:
    """Queue labels, watch, and say what it cost in a line of JSON."""
    folder, number, window = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    calls = write_commands(folder / "slurm")
    execution = {"engine": "parsl", "labels": POOL, "poll": POLL, "address": "127.0.0.1"}
    config = LabelConfig.model_validate({"labeler": LABELER, "execution": execution}, context={"folder": folder})
    run = RunFolder(folder / "run").create()
    cells = []
    for seed in range(number):
        atoms = bulk("Al", cubic=True) * (2, 2, 2)
        atoms.rattle(0.05, seed=seed)
        cells.append(Frame.from_ase(atoms))
    with Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger, label_executor(config, run) as executor:
        ledger.add_frames(cells)
        labels = LabelQueue(executor, ledger, lambda frame: config.labeler, run.labels)
        before, begin = psutil.Process().memory_info().rss, time.monotonic()
        labels.add(cells)
        seconds = time.monotonic() - begin
        while counted(calls)["sbatch"] < min(POOL["jobs"], (number + 1) // 2):
            labels.collect()
            time.sleep(0.1)
        earlier, end = counted(calls), time.monotonic() + window
        while time.monotonic() < end:
            labels.collect()
            time.sleep(0.05)
        found = {
            "seconds": seconds,
            "controller": psutil.Process().memory_info().rss - before,
            "engine": memory_of_children(),
            "sbatch": counted(calls)["sbatch"],
            "squeue": counted(calls)["squeue"] - earlier["squeue"],
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
