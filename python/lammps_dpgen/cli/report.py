"""``lammps-dpgen report``: the pictures and tables of a run."""

from __future__ import annotations

from pathlib import Path

from lammps_dpgen.errors import StoreError


def write_report(run_folder: Path) -> None:
    """Write the report of a run and say where it is."""
    if not (run_folder / "ledger.db").is_file():
        raise StoreError(f"{run_folder} has no ledger.db; name the folder of a run that was started")
    from lammps_dpgen.report import build

    print(build(run_folder))
