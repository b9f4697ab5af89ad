"""Write the deviations and errors of the labels of learning runs as one table: RUN_FOLDER ... > labels.csv."""

from __future__ import annotations

import sys
from pathlib import Path

from lammps_dpgen.store.ledger import Ledger

print("run,generation,max_devi_f,force_error_max")
for run, folder in enumerate(sys.argv[1:]):
    with Ledger.open(Path(folder) / "ledger.db", config_hash=None) as ledger:
        for label in ledger.label_figures():
            if label.is_judged:
                print(f"{run},{label.generation_judged},{label.max_devi_f:.5f},{label.force_error_max:.5f}")
