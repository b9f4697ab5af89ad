"""How long status and report of a large campaign take, and how large the page is.

    python benchmarks/report_of_many.py FOLDER [--labels 100000]

writes a made-up campaign of 10 stages, 96 conditions each, into FOLDER through the real ledger (some minutes on a disk
in memory), if it is not there yet, and measures. Frames have four atoms: the report reads no arrays.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "python"))

from campaign_records import CampaignWriter, Stage

from lammps_dpgen.monitor.status import read_run_status
from lammps_dpgen.report import build

STRUCTURES = tuple(f"{metal}-{lattice}" for metal in ("Al", "Mg", "AlMg") for lattice in ("fcc", "hcp", "bcc", "sc"))
TEMPERATURES = tuple(100.0 * i for i in range(1, 9))
N_STAGES, N_ROUNDS = 10, 20


def main() -> None:
    """Write, measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", type=int, default=100_000)
    parser.add_argument("--walkers", type=int, default=1000)
    arguments = parser.parse_args()
    each = arguments.labels // N_STAGES // (N_ROUNDS - 1)  # a stage that converges learns nothing in its last round
    if not (arguments.folder / "ledger.db").exists():
        names = [f"stage-{number}" for number in range(N_STAGES)]
        stages = tuple(Stage(name, STRUCTURES, TEMPERATURES, N_ROUNDS, 192, each) for name in names)
        CampaignWriter(arguments.folder, stages, arguments.walkers).write()
    began = time.process_time()
    status = read_run_status(arguments.folder)
    seconds = time.process_time() - began
    print(f"status: {seconds:.2f} s of CPU, {status.labels['done']} labels, {status.generation} generations")
    began = time.process_time()
    report = build(arguments.folder)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.process_time() - began
    print(f"report: {seconds:.1f} s of CPU, {memory:.0f} MB of memory, page {report.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
