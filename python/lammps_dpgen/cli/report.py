"""``lammps-dpgen report``: the pictures and tables of a run."""

from __future__ import annotations

from pathlib import Path


def write_report(run_folder: Path) -> None:
    """Write the report of a run and say where it is."""
    from lammps_dpgen.report import build

    print(build(run_folder))
