"""``lammps-dpgen validate``: properties of potentials, beside each other and beside references."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lammps_dpgen.cli.parallel import launched, run_on_ranks
from lammps_dpgen.config import load_config
from lammps_dpgen.config.validation import ValidationConfig

if TYPE_CHECKING:
    from mpi4py import MPI

    from lammps_dpgen.execution.base import Executor
    from lammps_dpgen.validation.output import Report


def run_validate(config: Path, against: Path | None, *, debug: bool) -> int:
    """Compute what is not stored yet, write the page and its data, and print the shares within tolerance.

    On one process worker processes share the work, under a launcher its ranks.

    Returns
    -------
    int
        0, or 1 where a row could not be computed.

    Raises
    ------
    ConfigError
        The configuration, a file of references, or the other validation is wrong.
    """
    if launched(os.environ)[1] > 1:
        return run_on_ranks(lambda world: _on_ranks(config, against, world), debug=debug)
    settings = load_config(config, ValidationConfig)
    from lammps_dpgen.execution.local import LocalExecutor

    width = settings.execution.width
    cores = len(os.sched_getaffinity(0)) if width == "auto" else width
    return _validate(settings, config.stem, against, lambda: LocalExecutor(cores, name="validate"))


def _on_ranks(config: Path, against: Path | None, world: MPI.Comm) -> int:
    """Compute one piece on each rank at a time; collective."""
    from lammps_dpgen.execution.ranks import RanksExecutor, serve_tasks
    from lammps_dpgen.mpi import on_root

    def work() -> int:
        with RanksExecutor(world, name="validate") as executor:  # its end lets the other ranks go, also after an error
            return _validate(load_config(config, ValidationConfig), config.stem, against, lambda: executor)

    if world.rank:
        serve_tasks(world, name="validate")
    return on_root(world, work)


def _validate(
    settings: ValidationConfig, name: str, against: Path | None, make_executor: Callable[[], Executor]
) -> int:
    from lammps_dpgen.validation.command import PAGE, validate

    report = validate(settings, make_executor, lambda line: print(line, flush=True), name, against)
    return _say(report, settings.folder / PAGE)


def _say(report: Report, page: Path) -> int:
    for table in report.tables:
        for name, (within, judged) in table.shares.items():
            if judged:
                print(f"{table.part}: {name}: {within} of {judged} within tolerance")
    failed = [row for rows in report.rows.values() for row in rows if row.failure]
    print(f"report: {page}" + (f" ({len(failed)} rows could not be computed)" if failed else ""))
    return 1 if failed else 0
