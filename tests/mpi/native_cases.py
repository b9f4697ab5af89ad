"""Program behind ``test_native_in_lammps.py``: the native kernel under LAMMPS beside DeePMD-kit.

``python native_cases.py FOLDER DATA`` writes ``FOLDER/results.json`` on rank 0; the models of DATA have been converted.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from pair_cases import COMM, METAL, SAME_AS_DEEPMD, Bench

CASES = ("alloy", "overlay")
#: Columns of the deviation by what stands behind the fix, on top of which pair style.
FIXES = {"auto": "deepmd", "deepmd": "deepmd", "on top": "dpgen"}


class NativeBench(Bench):
    """Cases of the native kernel."""

    def pair(self, name: str, style: str, threads: int = 1) -> dict[str, Any]:
        """Return figures of a case with this pair style."""
        atoms, pair = SAME_AS_DEEPMD[name]
        if threads > 1:
            atoms = atoms.replace("units metal", f"package omp {threads}\nunits metal")
        return self.state(atoms + pair.replace("STYLE", style).replace("NAME", style.split()[0]))

    def pairs(self) -> dict[str, Any]:
        """Figures of DeePMD-kit, and of the native kernel on one thread and on two."""
        native = f"dpgen {self.models[0]} kernel native"
        return {
            name: {
                "deepmd": self.pair(name, f"deepmd {self.models[0]}"),
                "one thread": self.pair(name, native),
                "two threads": self.pair(name, native, threads=2),
            }
            for name in CASES
        }

    def fixes(self) -> None:
        """Write the columns of ``fix dpgen`` with the kernel that it takes by itself, and with the others."""
        for name, style in FIXES.items():
            models = " ".join(self.models)
            pair = f"deepmd {self.models[0]}" if style == "deepmd" else f"dpgen {models} kernel native"
            kernel = "kernel deepmd" if name == "deepmd" else ""
            out = name.replace(" ", "_") + ".out"
            fix = f"fix dp all dpgen 1 {models} types Al Mg frames none stop never out_file {out} {kernel}"
            self.run(f"{METAL}pair_style {pair}\npair_coeff * * Al Mg\n{fix}\nfix move all nve\nrun 4\n")


def main(folder: Path, data: Path) -> None:
    os.chdir(folder)
    bench = NativeBench(data)
    bench.fixes()
    results = {"pairs": bench.pairs()}
    bench.lmp.close()
    if COMM.rank == 0:
        (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
