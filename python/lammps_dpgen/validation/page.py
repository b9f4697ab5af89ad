"""``validation.html``: all tables and pictures on one page that needs nothing but itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from lammps_dpgen import __version__
from lammps_dpgen.report.pictures.style import BLUE
from lammps_dpgen.validation.base import Row
from lammps_dpgen.validation.charts import approach_charts, colours_of, draw, parity_charts, reference_bars
from lammps_dpgen.validation.output import Report, charts_by_id

#: Decimals of a value by its unit; others get four significant digits.
_DECIMALS = {"eV/atom": 4, "eV": 3, "Å": 4, "Å³/atom": 3, "GPa": 1, "J/m²": 3, "K": 0, "kJ/mol": 2, "THz": 2}


@dataclass(frozen=True)
class Change:
    """A value of this validation beside that of another one."""

    potential: str
    row: Row
    before: float | None
    difference: float | None


@dataclass(frozen=True)
class Picture:
    """A picture of the page."""

    title: str
    source: str
    caption: str


def render(report: Report, name: str, before: Mapping[str, Sequence[Row]] | None = None, other: str = "") -> str:
    """Return the page.

    Parameters
    ----------
    before
        Rows of another validation, by potential; what changed becomes a table.
    other
        Name of that validation's file.
    """
    environment = Environment(
        loader=PackageLoader("lammps_dpgen.validation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(value=value_text, difference=difference_text)
    definitions = _definitions(report)
    return environment.get_template("validation.html.j2").render(
        name=name,
        version=__version__,
        report=report,
        pictures=_pictures(report),
        definitions=definitions,
        changes=None if before is None else changes(report.rows, before),
        other=other,
        failures=_grouped(report, "failure"),
        notes=_grouped(report, "note"),
    )


def changes(now: Mapping[str, Sequence[Row]], before: Mapping[str, Sequence[Row]]) -> list[Change]:
    """Return the rows that have another value than in another validation, and those that are new or have failed since.

    A potential is compared with that of the same name; where each validation has only one, these two are compared.
    """
    names = {name: name for name in now if name in before}
    if not names and len(now) == len(before) == 1:
        names = {next(iter(now)): next(iter(before))}
    found = []
    for name, old_name in names.items():
        old = {(row.part, *row.key): row.value for row in before[old_name]}
        for row in now[name]:
            was = old.get((row.part, *row.key))
            if row.value is None and was is None:
                continue
            same = row.value is not None and was is not None
            difference = row.value - was if row.value is not None and was is not None else None
            if same and value_text(row.value, row.unit) == value_text(was, row.unit):
                continue
            found.append(Change(name, row, was, difference))
    return found


def value_text(value: float | None, unit: str = "") -> str:
    """Return a number with the decimals that its unit deserves, or a dash."""
    if value is None or not math.isfinite(value):
        return "–"
    if unit in _DECIMALS and abs(value) >= 10.0 ** -(_DECIMALS[unit] - 1):
        return f"{value:.{_DECIMALS[unit]}f}".replace("-", "−")
    if unit in _DECIMALS:
        return f"{value:.{_DECIMALS[unit] + 1}f}".replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def difference_text(value: float | None, unit: str = "") -> str:
    """Return a difference with its sign, or nothing."""
    if value is None:
        return ""
    text = value_text(value, unit)
    return text if text.startswith("−") else f"+{text}"


def _grouped(report: Report, field: Literal["failure", "note"]) -> dict[tuple[str, str], list[Row]]:
    """Return the rows that have a failure or note, by potential and text: many rows often share one."""
    found: dict[tuple[str, str], list[Row]] = {}
    for name, rows in report.rows.items():
        for row in rows:
            text: str = getattr(row, field)
            if text:
                found.setdefault((name, text), []).append(row)
    return found


def _definitions(report: Report) -> dict[str, dict[str, int]]:
    """Return the definitions of each part, numbered from 1: many rows share one."""
    found: dict[str, dict[str, int]] = {}
    for table in report.tables:
        numbers = found.setdefault(table.part, {})
        for line in table.lines:
            if line.definition:
                numbers.setdefault(line.definition, len(numbers) + 1)
    return found


def _pictures(report: Report) -> dict[str, list[Picture]]:
    """Return the pictures of each part."""
    colours = colours_of([*report.rows, *report.references], report.base)
    found: dict[str, list[Picture]] = {}
    own = list(charts_by_id(report.charts).values())
    approach = approach_charts(report.tables, list(report.rows), report.base)
    for drawn in [*own, *parity_charts(report.tables, report.base), *approach]:
        first = next(iter(drawn.values()))
        charts = {**drawn, **reference_bars(first, report.references)}
        found.setdefault(first.part, []).append(
            Picture(first.title, draw(charts, {**dict.fromkeys(charts, BLUE), **colours}), first.caption)
        )
    return found
