"""The file ``deviation.csv``: one row per look at the model deviation, possibly millions."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lammps_dpgen.ensemble import CLASSES
from lammps_dpgen.errors import StoreError
from lammps_dpgen.frame import FloatArray

COLUMNS = ("step", "temperature", "max_devi_f", "class", "generation")


@dataclass(frozen=True)
class Looks:
    """All looks of a run folder in the order in which they were made; arrays are ``[n_looks]``.

    Attributes
    ----------
    step
        MD step as LAMMPS counts it; drops where a script or a resumed run starts again.
    done
        MD steps made until then, all passes together: like `step`, but never dropping. The pictures' axis.
    temperature
        K, NaN where not known.
    max_devi_f
        eV/Å; NaN or infinite where a model was.
    kind
        Index into `lammps_dpgen.ensemble.CLASSES`.
    generation
        Generation of the models that looked.
    """

    step: NDArray[np.int64]
    done: NDArray[np.int64]
    temperature: FloatArray
    max_devi_f: FloatArray
    kind: NDArray[np.int64]
    generation: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.step)

    def failed_in_last(self, share: float) -> int:
        """Return how many looks failed within the last `share` (0 to 1) of the MD steps that were made."""
        if len(self) == 0:
            return 0
        first, last = int(self.done[0]), int(self.done[-1])
        late = self.done > last - share * (last - first)
        return int(np.count_nonzero(late & (self.kind == CLASSES.index("failed"))))

    def counts_by_generation(self) -> dict[int, tuple[int, int, int]]:
        """Return the numbers of accurate, candidate and failed looks of each generation."""
        out = {}
        for generation in np.unique(self.generation):
            counts = np.bincount(self.kind[self.generation == generation], minlength=3)
            out[int(generation)] = (int(counts[0]), int(counts[1]), int(counts[2]))
        return out

    def place(self, steps: Iterable[int]) -> list[float]:
        """Return where on the axis `done` events lie, given their LAMMPS steps in the order in which they happened.

        A step number can occur in several passes of a script; an event belongs to the first pass that has it and that
        is not before the event ahead of it. What belongs nowhere is NaN.
        """
        starts = np.flatnonzero(np.diff(self.step, prepend=self.step[:1]) < 0)
        bounds = [0, *starts.tolist(), len(self)]
        passes = [
            (int(self.step[a]), int(self.step[b - 1]), int(self.done[a] - self.step[a]))
            for a, b in pairwise(bounds)
            if b > a
        ]
        out, reached = [], -np.inf
        for step in steps:
            fits = [step + offset for lo, hi, offset in passes if lo <= step <= hi and step + offset >= reached]
            out.append(float(fits[0]) if fits else np.nan)
            reached = fits[0] if fits else reached
        return out


def read_looks(path: Path) -> Looks | None:
    """Read ``deviation.csv``; None when there is no file or no row. Rows that a kill has torn are left out.

    Raises
    ------
    StoreError
        The file lacks a column.
    """
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    header, _, body = text[: text.rfind("\n") + 1].partition("\n")
    names = [name.strip() for name in header.split(",")]
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise StoreError(f"{path} has no column {', '.join(missing)}; its columns are: {header}")
    if not body.strip():
        return None
    table = _parse(body, names)
    return _looks(table) if len(table) else None


def _parse(body: str, names: list[str]) -> NDArray[np.void]:
    kinds = {"step": "i8", "generation": "i8", "class": "U9"}
    dtype = np.dtype([(name, kinds.get(name, "f8")) for name in COLUMNS])
    columns = [names.index(name) for name in COLUMNS]
    try:
        return np.loadtxt(io.StringIO(body), delimiter=",", dtype=dtype, usecols=columns, ndmin=1)
    except ValueError:
        return np.array(_whole_rows(body, names), dtype=dtype)


def _whole_rows(body: str, names: list[str]) -> list[tuple[int, float, float, str, int]]:
    """Read row by row, slower, and leave out what is no row."""
    rows = []
    for values in csv.reader(io.StringIO(body)):
        if len(values) != len(names):
            continue
        row = dict(zip(names, values, strict=True))
        try:
            temperature, deviation = (float(row[name] or "nan") for name in ("temperature", "max_devi_f"))
            rows.append((int(row["step"]), temperature, deviation, row["class"].strip(), int(row["generation"])))
        except ValueError:
            continue
    return rows


def _looks(table: NDArray[np.void]) -> Looks:
    step = table["step"]
    done = step[0] + np.concatenate([[0], np.cumsum(np.maximum(np.diff(step), 0))])
    kind = np.full(len(table), CLASSES.index("failed"), dtype=np.int64)
    for code, name in enumerate(CLASSES):
        kind[table["class"] == name] = code
    return Looks(step, done, table["temperature"], table["max_devi_f"], kind, table["generation"])


def envelope(x: NDArray[np.int64], y: FloatArray, n_bins: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return bin centres, minima and maxima of `y` over at most `n_bins` equal bins of the rising `x`, in their units.

    No peak is lost, however many rows there are. Values that are not finite are ignored; a bin without any is NaN.
    """
    edges = np.linspace(x[0], x[-1], n_bins + 1)
    starts = np.unique(np.searchsorted(x, edges[:-1], side="left"))
    starts = starts[starts < len(x)]
    with np.errstate(invalid="ignore"):
        low = np.fmin.reduceat(np.where(np.isfinite(y), y, np.nan), starts)
        high = np.fmax.reduceat(np.where(np.isfinite(y), y, np.nan), starts)
    ends = np.append(starts[1:], len(x)) - 1
    return (x[starts] + x[ends]) / 2.0, low, high
