"""Reference values from a CSV file."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lammps_dpgen.errors import ConfigError

COLUMNS = ("subject", "quantity", "value", "unit", "uncertainty", "tolerance", "source")


@dataclass(frozen=True)
class Reference:
    """A reference value.

    Attributes
    ----------
    tolerance
        Largest difference that counts as right, in the unit of the value.
    uncertainty
        Of the reference itself, in the same unit; None if not known.
    """

    value: float
    tolerance: float
    unit: str = ""
    uncertainty: float | None = None
    source: str = ""


def read_references(path: Path, share: float) -> dict[tuple[str, str], Reference]:
    """Read a CSV of references; the keys are subject and quantity.

    Parameters
    ----------
    share
        Tolerance of rows without one, as a share of the value.

    Raises
    ------
    ConfigError
        The file cannot be read, lacks a column, or a row makes no sense; names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: references cannot be read: {error}; give a CSV file") from error
    numbered = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(line for _, line in numbered)
    missing = [name for name in COLUMNS[:3] if name not in (reader.fieldnames or ())]
    if missing:
        raise ConfigError(f"{path}: no column {', '.join(missing)}; the columns are {', '.join(COLUMNS)}")
    found: dict[tuple[str, str], Reference] = {}
    for (number, _), row in zip(numbered[1:], reader, strict=True):
        try:
            key, reference = _reference(row, share)
        except ValueError as error:
            raise ConfigError(f"{path}:{number}: {error}") from error
        if key in found:
            raise ConfigError(f"{path}:{number}: {key[1]} of {key[0]} stands twice; keep one")
        found[key] = reference
    return found


def _reference(row: Mapping[str, str | None], share: float) -> tuple[tuple[str, str], Reference]:
    cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
    value = _number("value", cells["value"])
    tolerance = cells["tolerance"]
    if tolerance.endswith("%"):
        limit = abs(value) * _number("tolerance", tolerance[:-1]) / 100.0
    else:
        limit = _number("tolerance", tolerance) if tolerance else share * abs(value)
    uncertainty = _number("uncertainty", cells["uncertainty"]) if cells["uncertainty"] else None
    key = (cells["subject"], cells["quantity"])
    return key, Reference(value, limit, cells["unit"], uncertainty, cells["source"])


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{name} is {text!r}, expected a number")
    return number
