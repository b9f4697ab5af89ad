"""Values beside each other: potentials and references, differences, and which share is within tolerance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lammps_dpgen.validation.base import Row
from lammps_dpgen.validation.references import Reference


@dataclass(frozen=True)
class Cell:
    """The value of one potential in a line of a table.

    Attributes
    ----------
    difference
        From the value that is compared with, in the unit of the line; None without one.
    within
        Whether the difference is within the tolerance; None where there is nothing to compare with.
    """

    row: Row
    difference: float | None = None
    within: bool | None = None


@dataclass(frozen=True)
class Line:
    """A line of a table.

    Attributes
    ----------
    references
        Of each set of references that has this line, by its name.
    cells
        Of each potential that has it, by its name.
    base
        Value that differences are taken from, or None.
    """

    subject: str
    quantity: str
    unit: str
    definition: str
    references: Mapping[str, Reference]
    cells: Mapping[str, Cell]
    base: float | None


@dataclass(frozen=True)
class Table:
    """All lines of a part of the report, and how many of those that can be compared are within tolerance.

    Attributes
    ----------
    shares
        Of each potential: lines within tolerance, and lines that can be compared. A value that could not be computed
        counts as not within.
    """

    part: str
    lines: tuple[Line, ...]
    shares: Mapping[str, tuple[int, int]]

    @property
    def known(self) -> list[str]:
        """Names of the sets of references that have any of its lines."""
        return list(dict.fromkeys(name for line in self.lines for name in line.references))


def compare(
    rows: Mapping[str, Sequence[Row]],
    references: Mapping[str, Mapping[tuple[str, str], Reference]],
    base: str | None,
    share: float = 0.05,
) -> list[Table]:
    """Return the tables, in the order in which parts and rows first occur.

    Parameters
    ----------
    rows
        Of each potential, by its name.
    base
        Name of the set of references, or of the potential, that differences are taken from.
    share
        Tolerance where the base is a potential, as a share of its value.
    """
    parts: dict[str, dict[tuple[str, str], dict[str, Row]]] = {}
    for name, found in rows.items():
        for row in found:
            parts.setdefault(row.part, {}).setdefault(row.key, {})[name] = row
    tables = []
    for part, keyed in parts.items():
        lines = tuple(_line(key, by_name, references, base, share) for key, by_name in keyed.items())
        tables.append(Table(part, lines, _shares(rows, lines)))
    return tables


def _line(
    key: tuple[str, str],
    rows: Mapping[str, Row],
    references: Mapping[str, Mapping[tuple[str, str], Reference]],
    base: str | None,
    share: float,
) -> Line:
    first = next(iter(rows.values()))
    known = {name: found[key] for name, found in references.items() if key in found}
    target: float | None = None
    tolerance = 0.0
    if base is not None and base in known:
        target, tolerance = known[base].value, known[base].tolerance
    elif base is not None and base in rows:
        target = rows[base].value
        tolerance = share * abs(target) if target is not None else 0.0
    cells = {name: _cell(row, None if name == base else target, tolerance) for name, row in rows.items()}
    return Line(first.subject, first.quantity, first.unit, first.definition, known, cells, target)


def _cell(row: Row, target: float | None, tolerance: float) -> Cell:
    if target is None:
        return Cell(row)
    if row.value is None:
        return Cell(row, None, False)
    difference = row.value - target
    return Cell(row, difference, abs(difference) <= tolerance * (1.0 + 1e-12))


def _shares(names: Iterable[str], lines: Sequence[Line]) -> dict[str, tuple[int, int]]:
    shares = {}
    for name in names:
        judged = [line.cells[name].within for line in lines if name in line.cells]
        shares[name] = (sum(one is True for one in judged), sum(one is not None for one in judged))
    return shares
