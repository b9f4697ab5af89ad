"""``lammps-dpgen validate``: properties of potentials, beside each other and beside references."""

from __future__ import annotations

import os
from pathlib import Path

from lammps_dpgen.cli.parallel import refuse_launcher
from lammps_dpgen.config import load_config
from lammps_dpgen.config.validation import ValidationConfig


def run_validate(config: Path, against: Path | None) -> int:
    """Compute what is not stored yet, write the page and its data, and print the shares within tolerance.

    Returns
    -------
    int
        0, or 1 where a row could not be computed.

    Raises
    ------
    ConfigError
        The configuration, a file of references, or the other validation is wrong.
    """
    refuse_launcher("validate")
    settings = load_config(config, ValidationConfig)
    from lammps_dpgen.execution.local import LocalExecutor
    from lammps_dpgen.store.results import ResultStore
    from lammps_dpgen.validation.output import (
        check_references,
        make_report,
        read_rows,
        write_chart_data,
        write_csv,
        write_json,
    )
    from lammps_dpgen.validation.page import render
    from lammps_dpgen.validation.runner import Progress, Validation

    check_references(settings)
    before = None if against is None else read_rows(against)
    validation = Validation(settings)
    width = settings.execution.width
    cores = len(os.sched_getaffinity(0)) if width == "auto" else width
    with ResultStore(settings.folder / "results.db") as store, LocalExecutor(cores, name="validate") as executor:
        found = validation.run(executor, store, Progress(lambda line: print(line, flush=True)))
    report = make_report(settings, found)
    write_json(report, settings.folder / "validation.json")
    write_csv(report, settings.folder / "rows.csv")
    write_chart_data(report, settings.folder / "charts")
    page = settings.folder / "validation.html"
    page.write_text(render(report, config.stem, before, str(against or "")), encoding="utf-8")
    for table in report.tables:
        for name, (within, judged) in table.shares.items():
            if judged:
                print(f"{table.part}: {name}: {within} of {judged} within tolerance")
    failed = [row for rows in report.rows.values() for row in rows if row.failure]
    print(f"report: {page}" + (f" ({len(failed)} rows could not be computed)" if failed else ""))
    return 1 if failed else 0
