"""How the generations of a run approach what their properties are compared with, read from ``validation.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lammps_dpgen.config.validation import GENERATION
from lammps_dpgen.errors import StoreError
from lammps_dpgen.store.records import Event, Generation

#: Tolerance where a potential is the reference, as a share of its value.
_SHARE = 0.05
#: Newest generations that have a column in the table.
MOST_COLUMNS = 12


@dataclass(frozen=True)
class Approach:
    """A quantity of all generations.

    Attributes
    ----------
    values, errors
        By generation; None where it could not be computed, or has no error bar.
    target, tolerance
        What it is compared with, and the difference within which it counts as right.
    """

    part: str
    subject: str
    quantity: str
    unit: str
    values: tuple[float | None, ...]
    errors: tuple[float | None, ...]
    target: float
    tolerance: float

    def within(self, number: int) -> bool:
        """Tell whether the value of the generation at this place is right."""
        value = self.values[number]
        return value is not None and abs(value - self.target) <= self.tolerance * (1.0 + 1e-12)

    def relative(self, number: int) -> float | None:
        """Return the difference at this place as a share of the target, None where there is none."""
        value = self.values[number]
        return None if value is None or self.target == 0.0 else (value - self.target) / self.target


@dataclass(frozen=True)
class ValidationRecord:
    """The validation of a run's generations.

    Attributes
    ----------
    base
        Name of what they are compared with.
    generations, labels
        Numbers of the generations, and how many labels each was trained on.
    approaches
        Of all quantities that can be compared, in the order of the page of the validation.
    failed
        Generations that could not be validated, with the cause.
    """

    base: str
    generations: tuple[int, ...]
    labels: tuple[int, ...]
    approaches: tuple[Approach, ...]
    failed: Mapping[int, str]

    def parts(self) -> list[dict[str, Any]]:
        """Return a row for each part: for the newest generations the values that are right, all, and their RMS."""
        rows = []
        for part in dict.fromkeys(one.part for one in self.approaches):
            mine = [one for one in self.approaches if one.part == part]
            cells = []
            for place in list(range(len(self.generations)))[-MOST_COLUMNS:]:
                relative = [share for one in mine if (share := one.relative(place)) is not None]
                mean = math.sqrt(sum(x * x for x in relative) / len(relative)) if relative else None
                cells.append({"within": sum(one.within(place) for one in mine), "all": len(mine), "rms": mean})
            rows.append({"part": part, "cells": cells})
        return rows

    def summary(self) -> list[dict[str, int]]:
        """Return for each generation how many of its values are right, and how many could be compared."""
        return [
            {
                "generation": number,
                "labels": labels,
                "within": sum(one.within(place) for one in self.approaches),
                "all": len(self.approaches),
            }
            for place, (number, labels) in enumerate(zip(self.generations, self.labels, strict=True))
        ]

    @property
    def columns(self) -> list[tuple[int, int]]:
        """Number and labels of the generations in the columns of the table."""
        return list(zip(self.generations, self.labels, strict=True))[-MOST_COLUMNS:]


def read_validation(path: Path, generations: list[Generation], events: list[Event]) -> ValidationRecord | None:
    """Read ``validation.json`` of a run; None where no generation has been validated.

    Parameters
    ----------
    events
        Those of the kind "validation".

    Raises
    ------
    StoreError
        The file cannot be understood.
    """
    failed = {}
    for event in events:
        number = int(event.data["generation"])
        failed[number] = str(event.data["error"])
    failed = {number: error for number, error in failed.items() if error}
    if not path.is_file():
        return ValidationRecord("", (), (), (), failed) if failed else None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        labels = {generation.number: generation.n_labels for generation in generations}
        names = {int(match[2]): name for name in data["potentials"] if (match := GENERATION.fullmatch(name))}
        known = {number: name for number, name in sorted(names.items()) if number in labels}
        approaches = _approaches(data, list(known.values()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is no validation: {error}; delete it to do without") from error
    if not known:
        return None
    numbers = tuple(known)
    return ValidationRecord(
        str(data["compared_with"] or ""), numbers, tuple(labels[number] for number in numbers), approaches, failed
    )


def _approaches(data: Mapping[str, Any], names: list[str]) -> tuple[Approach, ...]:
    targets = _targets(data)
    rows = [{(row["part"], row["subject"], row["quantity"]): row for row in _rows(data, name)} for name in names]
    found = []
    for key in dict.fromkeys(key for of_one in rows for key in of_one):
        if key[1:] not in targets:
            continue
        cells = [of_one.get(key, {}) for of_one in rows]
        unit = next(cell["unit"] for cell in cells if cell)
        values, errors = tuple(cell.get("value") for cell in cells), tuple(cell.get("error") for cell in cells)
        found.append(Approach(*key, unit, values, errors, *targets[key[1:]]))
    return tuple(found)


def _targets(data: Mapping[str, Any]) -> dict[tuple[str, str], tuple[float, float]]:
    """Return what quantities are compared with, and the tolerances, by subject and quantity."""
    base = data["compared_with"]
    if base in data["references"]:
        found = data["references"][base]
        return {(one["subject"], one["quantity"]): (one["value"], one["tolerance"]) for one in found}
    if base not in data["potentials"]:
        return {}
    known = [row for row in _rows(data, base) if row["value"] is not None]
    return {(row["subject"], row["quantity"]): (row["value"], _SHARE * abs(row["value"])) for row in known}


def _rows(data: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = data["potentials"][name]["rows"]
    return rows
