"""What a second walker brings: MD steps per second of a campaign with one and with two walkers, on as many cores.

    python benchmarks/walker_scaling.py [--turns 3] [--picoseconds 4]

Real campaigns with given models, which trust everything, so that there is only MD. They take turns: 1 2, 2 1, ... The
steps of all trajectories are divided by the longest time that a walker spent in MD and deviation; the start of LAMMPS
does not count. On a machine that does other work as well the wall time says little; the CPU time per step, which is
told beside it, shows what walkers cost each other: with a core for each, two of them are twice the ratio of the CPU
times as fast as one.
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
from pathlib import Path
from typing import Any

import yaml
from run import machine

from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

BIN = Path(sys.executable).parent
MODELS = sorted((Path(__file__).resolve().parent.parent / "tests" / "data" / "al").glob("*.pb"))
#: Trajectories of a campaign.
TRAJECTORIES = 4


def configuration(picoseconds: float) -> dict[str, Any]:
    """Return a campaign of aluminium in cells of 32 atoms, with the models that the tests have."""
    labeler = {"pair_style": "eam/alloy", "pair_coeff": ["* * Al_zhou.eam.alloy Al"], "elements": ["Al"]}
    stage = {"name": "md", "trajectories": TRAJECTORIES, "temperatures": 600, "time": picoseconds, "timestep": 2}
    return {
        "run_folder": "run",
        "type_map": ["Al"],
        "models": len(MODELS),
        "labeler": {"name": "lammps", "settings": labeler},
        "trainer": {"name": "deepmd"},
        "initial_models": [str(path) for path in MODELS],
        "structures": [{"name": "fcc", "generator": "prototype", "element": "Al", "repeat": [2, 2, 2]}],
        "trust": {"lo": 1e6, "hi": 2e6},
        "stages": [stage],
    }


def measure(walkers: int, picoseconds: float) -> tuple[float, float]:
    """Run a campaign; return MD steps per second of wall time, and the CPU time of a step in ms."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "campaign.yaml").write_text(yaml.safe_dump(configuration(picoseconds)))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [BIN / "mpirun", "-n", str(walkers), BIN / "lammps-dpgen", "run", "campaign.yaml"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        with Ledger.open(RunFolder(folder / "run").ledger, config_hash=None) as ledger:
            steps = sum(record.step for record in ledger.trajectories())
            seconds = [event.data["seconds"] for event in ledger.events("walker_time")]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return steps / max(one["md"] + one["deviation"] for one in seconds), 1e3 * cpu / steps


def main() -> None:
    """Measure, and say it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--picoseconds", type=float, default=4.0, help="length of each trajectory")
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for turn in range(asked.turns):
        for walkers in (1, 2) if turn % 2 == 0 else (2, 1):
            found[walkers].append(measure(walkers, asked.picoseconds))
    middle = {w: [statistics.median(column) for column in zip(*rows, strict=True)] for w, rows in found.items()}
    for walkers, (speed, cpu) in middle.items():
        print(f"{walkers} walkers: {speed:.0f} steps/s, {cpu:.3f} ms of CPU time per step, the start included")
    print(
        f"Ratio: {middle[2][0] / middle[1][0]:.2f} in wall time (bound 1.8), {middle[1][1] / middle[2][1]:.2f} in CPU"
    )
    print(f"Load of other programs when it began: {load:.1f}; {json.dumps(machine())}")


if __name__ == "__main__":
    main()
