"""A whole validation, from its configuration to the files that it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lammps_dpgen.config.validation import ValidationConfig
from lammps_dpgen.execution.base import Executor
from lammps_dpgen.store.results import ResultStore
from lammps_dpgen.validation.output import (
    Report,
    check_references,
    make_report,
    read_rows,
    write_chart_data,
    write_csv,
    write_json,
)
from lammps_dpgen.validation.page import render
from lammps_dpgen.validation.runner import Progress, Validation

#: Name of the page in the folder of a validation.
PAGE = "validation.html"


def validate(
    settings: ValidationConfig,
    make_executor: Callable[[], Executor],
    tell: Callable[[str], None],
    name: str,
    against: Path | None = None,
) -> Report:
    """Compute what is not stored yet, and write the page and its data into the folder of the validation.

    Parameters
    ----------
    make_executor
        Makes what computes the pieces, when everything has been checked; it is closed here.
    tell
        Takes a line about each piece.
    name
        Heading of the page.
    against
        ``validation.json`` of another validation; the page says what has changed since.

    Raises
    ------
    ConfigError
        The configuration, a file of references, or the other validation is wrong.
    """
    check_references(settings)
    before = None if against is None else read_rows(against)
    validation = Validation(settings)
    with ResultStore(settings.folder / "results.db") as store, make_executor() as executor:
        found = validation.run(executor, store, Progress(tell))
    report = make_report(settings, found)
    write_json(report, settings.folder / "validation.json")
    write_csv(report, settings.folder / "rows.csv")
    write_chart_data(report, settings.folder / "charts")
    page = settings.folder / PAGE
    page.write_text(render(report, name, before, str(against or "")), encoding="utf-8")
    return report
