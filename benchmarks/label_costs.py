"""What labels cost beside the reference method: three tables, with --write in docs/execution.md.

    python benchmarks/label_costs.py [overhead] [workers] [queue] [--quick] [--write]

overhead: a thousand labels that take a millisecond (ASE's EMT on four atoms), two side by side, through the queue,
ledger and executors of a run; ``parsl`` is its pilots on this machine. Starting processes counts.

workers: labels by GPAW, in turns by one worker and by two, which have made one label each before; the ratio of the
medians counts.

queue: labels that wait in the queue of a Slurm that runs none of them (`queued_labels.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ase.build import bulk
from run import machine

from lammps_dpgen.config.label import LabelConfig
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.labels import label_frames
from lammps_dpgen.learning.workers import label_executor
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "execution.md"
#: Around each table on the page.
BEGIN, END = "<!-- {name}: written by benchmarks/label_costs.py --write -->\n", "<!-- end of {name} -->\n"

EMT = {"name": "ase", "settings": {"calculator": "ase.calculators.emt:EMT", "trial": False}}
GPAW = {"name": "gpaw", "settings": {"elements": ["Al"], "cutoff": 250, "kspacing": 0.8}}
ENGINES: dict[str, dict[str, Any]] = {
    "local": {"width": 2},
    "parsl": {"engine": "parsl", "labels": {"provider": "local", "cores": 2}, "address": "127.0.0.1"},
}
#: Bounds: seconds per label that are ours (local), seconds of a thousand labels (parsl), ratio of one worker to two.
MAX_OURS, MAX_THOUSAND, MIN_RATIO = 0.2, 60.0, 1.8


def frames(number: int, first: int = 0) -> list[Frame]:
    """Return cells of four atoms, all different."""
    cells = []
    for seed in range(first, first + number):
        atoms = bulk("Al", cubic=True)
        atoms.rattle(0.05, seed=seed)
        cells.append(Frame.from_ase(atoms))
    return cells


def label(labeler: dict[str, Any], execution: dict[str, Any], batches: list[list[Frame]], folder: Path) -> list[float]:
    """Return the wall time of the labels of each batch, in seconds, one after another by the same workers."""
    config = LabelConfig.model_validate({"labeler": labeler, "execution": execution}, context={"folder": folder})
    run, times = RunFolder(folder).create(), []
    with Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger, label_executor(config, run) as executor:
        for cells in batches:
            ledger.add_frames(cells)
            begin = time.monotonic()
            results = label_frames(executor, ledger, cells, config.labeler, run.labels)
            times.append(time.monotonic() - begin)
            failed = [result.error for result in results if result.label is None]
            if failed:
                raise SystemExit(f"{len(failed)} labels failed: {failed[0]}")
    return times


def overhead(quick: bool, folder: Path) -> list[str]:
    """Return the table of labels that cost next to nothing."""
    cells = frames(100 if quick else 1000)
    rows = ["| engine | labels | wall time, s | of one label, ms | controller, MB |", "|---|---:|---:|---:|---:|"]
    for engine, execution in ENGINES.items():
        (seconds,) = label(EMT, execution, [cells], folder / engine)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append(f"| {engine} | {len(cells):,} | {seconds:.1f} | {1e3 * seconds / len(cells):.0f} | {memory:.0f} |")
    bounds = (
        f"Bounds: {1e3 * MAX_OURS:.0f} ms per label with the engine local, {MAX_THOUSAND:.0f} s for 1,000 by Parsl."
    )
    return [*rows, "", bounds]


def workers(quick: bool, folder: Path) -> list[str]:
    """Return the table of labels by GPAW with one worker and with two."""
    n_labels, turns = (2, 1) if quick else (20, 3)
    times: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(turns):
        for width in (1, 2) if turn % 2 else (2, 1):
            warm, timed = frames(width, first=10_000), frames(n_labels, first=1000 * turn)
            times[width].append(label(GPAW, {"width": width}, [warm, timed], folder / f"{turn}-{width}")[1])
    middle = {width: statistics.median(seconds) for width, seconds in times.items()}
    rows = ["| workers | labels | wall time of each turn, s | median, s |", "|---:|---:|---|---:|"]
    for width, seconds in times.items():
        told = ", ".join(f"{one:.1f}" for one in seconds)
        rows.append(f"| {width} | {n_labels} | {told} | {middle[width]:.1f} |")
    return [*rows, "", f"Ratio of the medians: {middle[1] / middle[2]:.2f} (bound {MIN_RATIO})."]


def queue(quick: bool, folder: Path) -> list[str]:
    """Return the table of labels that wait."""
    rows = [
        "| labels | into the queue, ms each | controller, MB more | its engine, MB | sbatch | squeue in {window} s |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    window = 10
    for number in (10, 100) if quick else (100, 1000, 10_000):
        command = [sys.executable, str(HERE / "queued_labels.py"), str(folder / str(number)), str(number), str(window)]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found = json.loads(answer.splitlines()[-1])
        rows.append(
            f"| {number:,} | {1e3 * found['seconds'] / number:.1f} | {found['controller'] / 1e6:.0f} | "
            f"{found['engine'] / 1e6:.0f} | {found['sbatch']} | {found['squeue']} |"
        )
    return [row.format(window=window) for row in rows]


TABLES = {"overhead": overhead, "workers": workers, "queue": queue}


def main() -> None:
    """Measure, print, and put the tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(TABLES)}; all if none is named")
    parser.add_argument("--quick", action="store_true", help="little of everything: to see that it works")
    parser.add_argument("--write", action="store_true", help=f"write the tables into {PAGE.name}")
    asked = parser.parse_args()
    for name in asked.tables or TABLES:
        if name not in TABLES:
            parser.error(f"no table {name}; there are {', '.join(TABLES)}")
        where = machine()
        with tempfile.TemporaryDirectory() as folder:
            rows = TABLES[name](asked.quick, Path(folder))
        measured = (
            f"Measured on {where['date']} with `python benchmarks/label_costs.py {name}`: {where['cores']} cores of "
            f"{where['cpu']}, load {where['load_at_start']} when it began; Python {where['python']}."
        )
        print("\n".join([*rows, "", measured, ""]), flush=True)
        if asked.write:
            write(name, "\n".join(["", *rows, "", measured, "", ""]))


def write(name: str, text: str) -> None:
    """Put a table between its marks in the page."""
    begin, end = (mark.format(name=name) for mark in (BEGIN, END))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    if not rest:
        raise SystemExit(f"{PAGE} has no line {begin.strip()}")
    fresh = PAGE.with_suffix(".new")
    fresh.write_text(f"{before}{begin}{text}{end}{rest.partition(end)[2]}", encoding="utf-8")
    os.replace(fresh, PAGE)


if __name__ == "__main__":
    main()
