"""Write a ledger as the installed version of lammps-dpgen writes it: ``python tests/data/make_ledger.py FILE``.

Run with an old version, it makes the files that tests of the upgrade start from (``ledgers/``, see README.md).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from lammps_dpgen.frame import Frame, FrameOrigin, Label
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation, ModelRecord

SETTINGS = "5" * 64


def frame(step: int) -> Frame:
    rng = np.random.default_rng(step)
    origin = FrameOrigin(
        "md", "candidate", structure="fcc/1", generation=0, step=step, time=0.002 * step, max_devi_f=0.1
    )
    return Frame(("Al", "Mg"), 4.0 * rng.random((2, 3)), np.diag([4.0, 5.0, 6.0]), origin=origin)


def label(step: int) -> Label:
    rng = np.random.default_rng([step, 1])
    return Label(-float(step), rng.normal(size=(2, 3)), rng.normal(size=(3, 3)), "analytic 1", SETTINGS, 0.25)


def main(path: Path) -> None:
    with Ledger.open(path, config_hash="c" * 64) as ledger:
        frames = [frame(step) for step in range(6)]
        hashes = ledger.add_frames(frames)
        for step in range(3):
            ledger.record_label(hashes[step], label(step))
        ledger.add_generation(Generation(0, (ModelRecord("models/g000/model_0.pb", "a" * 64),), ("Al", "Mg")), [1, 2])
        error = {"force_rmse": 0.1, "force_error_max": 0.3, "energy_error_per_atom": 0.01}
        ledger.record_model_error(hashes[2], SETTINGS, generation=0, **error)
        ledger.record_failure(hashes[3], SETTINGS, "no convergence", 2, 12.5)
        ledger.set_frame_state(hashes[4], "dropped", "trusted by newer models")
        ledger.add_event("start")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
