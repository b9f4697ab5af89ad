"""What a validation leaves behind: ``validation.json``, CSV files and the page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lammps_dpgen import __version__
from lammps_dpgen.config.validation import ValidationConfig
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.store.run_folder import write_whole
from lammps_dpgen.validation.base import Chart, Row
from lammps_dpgen.validation.comparison import Table, compare
from lammps_dpgen.validation.references import Reference, read_references
from lammps_dpgen.validation.runner import PotentialFindings

#: Raised whenever the form of validation.json changes.
FORMAT = 1


@dataclass(frozen=True)
class Report:
    """Everything that the outputs show.

    Attributes
    ----------
    rows, charts
        By the name of the potential.
    base
        What differences are taken from.
    """

    identities: Mapping[str, str]
    seconds: Mapping[str, float]
    rows: Mapping[str, Sequence[Row]]
    charts: Mapping[str, Sequence[Chart]]
    references: Mapping[str, Mapping[tuple[str, str], Reference]]
    tables: Sequence[Table]
    base: str | None
    created: datetime


def make_report(config: ValidationConfig, found: Sequence[PotentialFindings]) -> Report:
    """Put findings and references together.

    Raises
    ------
    ConfigError
        A file of references is wrong.
    """
    references = {name: read_references(r.file, r.tolerance) for name, r in config.references.items()}
    rows = {one.name: [row for findings in one.findings for row in findings.rows] for one in found}
    return Report(
        identities={one.name: one.identity for one in found},
        seconds={one.name: one.seconds for one in found},
        rows=rows,
        charts={one.name: [chart for findings in one.findings for chart in findings.charts] for one in found},
        references=references,
        tables=compare(rows, references, config.base),
        base=config.base,
        created=datetime.now(timezone.utc),
    )


def check_references(config: ValidationConfig) -> None:
    """Read all references, so that a wrong file is told before anything is computed (raises ConfigError)."""
    for section in config.references.values():
        read_references(section.file, section.tolerance)


def write_json(report: Report, path: Path) -> None:
    """Write everything as JSON."""
    potentials = {
        name: {
            "identity": report.identities[name],
            "seconds": report.seconds[name],
            "rows": [row.to_json() for row in rows],
            "charts": [chart.to_json() for chart in report.charts[name]],
        }
        for name, rows in report.rows.items()
    }
    references = {
        name: [{"subject": key[0], "quantity": key[1], **asdict(one)} for key, one in found.items()]
        for name, found in report.references.items()
    }
    data = {
        "format": FORMAT,
        "lammps_dpgen": __version__,
        "created": report.created.isoformat(timespec="seconds"),
        "compared_with": report.base,
        "potentials": potentials,
        "references": references,
        "shares": {table.part: {n: list(share) for n, share in table.shares.items()} for table in report.tables},
    }
    write_whole(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(report: Report, path: Path) -> None:
    """Write all rows, one line for each potential."""
    header = ["part", "subject", "quantity", "unit", "potential", "value", "error", "reference", "difference", "within"]
    lines = [[*header, "definition", "failure", "note"]]
    for table in report.tables:
        for line in table.lines:
            for name, cell in line.cells.items():
                row = cell.row
                base = "" if line.base is None else repr(line.base)
                within = "" if cell.within is None else "yes" if cell.within else "no"
                figures = [*map(_text, (row.value, row.error)), base, _text(cell.difference), within]
                where = [table.part, line.subject, line.quantity, line.unit, name]
                lines.append([*where, *figures, row.definition, row.failure, row.note])
    write_whole(path, _csv(lines))


def write_chart_data(report: Report, folder: Path) -> None:
    """Write the data of each chart as a CSV: potential, series, x, y, error."""
    folder.mkdir(exist_ok=True)
    for identity, charts in charts_by_id(report.charts).items():
        lines = [["potential", "series", "x", "y", "error"]]
        for name, chart in charts.items():
            for series in chart.series:
                errors: Sequence[float | None] = series.error or [None] * len(series.x)
                for x, y, error in zip(series.x, series.y, errors, strict=True):
                    lines.append([name, series.name, str(x), _text(y), _text(error)])
        write_whole(folder / f"{_file_name(identity)}.csv", _csv(lines))


def charts_by_id(charts: Mapping[str, Sequence[Chart]]) -> dict[str, dict[str, Chart]]:
    """Return the charts that are drawn as one together: by their id, then by the name of the potential."""
    found: dict[str, dict[str, Chart]] = {}
    for name, own in charts.items():
        for chart in own:
            found.setdefault(chart.id, {})[name] = chart
    return found


def read_rows(path: Path) -> dict[str, list[Row]]:
    """Return the rows of another validation by the name of the potential.

    Raises
    ------
    ConfigError
        The file is no validation.json of this or an older form.
    """
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] > FORMAT:
            raise ConfigError(f"{path} has format {data['format']}, this version reads up to {FORMAT}; update")
        return {name: [Row(**row) for row in one["rows"]] for name, one in data["potentials"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"{path} is no validation.json ({what}); give one that lammps-dpgen validate wrote"
        ) from error


def _text(value: float | None) -> str:
    return "" if value is None else repr(value)


def _csv(lines: Sequence[Sequence[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue()


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in text)
