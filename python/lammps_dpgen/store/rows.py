"""Frames, labels and generations as rows of the ledger's tables, and back."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sqlalchemy import RowMapping

from lammps_dpgen.errors import StoreError
from lammps_dpgen.frame import FloatArray, Frame, FrameOrigin, Label
from lammps_dpgen.store.records import Event, Generation, ModelRecord, StoredFailure, StoredFrame, StoredLabel

_ORIGIN_FLOATS = ("time", "temperature", "pressure", "max_devi_f", "max_devi_v")
_ORIGIN_OTHERS = ("source", "reason", "stage", "structure", "walker", "generation", "step", "trajectory")


def now() -> str:
    """Return the time in UTC, ISO 8601 with microseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def to_json(data: Any) -> str:
    """Return JSON text; NumPy numbers and arrays, paths and tuples become plain data."""
    return json.dumps(data, default=_plain, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no plain data that the ledger can keep")


def array_bytes(array: ArrayLike) -> bytes:
    """Return the array as float64 in NumPy's own file format."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array, dtype=np.float64), allow_pickle=False)
    return buffer.getvalue()


def array_from(data: bytes) -> FloatArray:
    """Inverse of :func:`array_bytes`: what ``numpy.load`` returns, twenty times faster for many small arrays.

    Their headers are alike, and reading a header is what costs.
    """
    end = 10 + int.from_bytes(data[8:10], "little")
    shape, dtype = _header(data[:end])
    return np.frombuffer(data, dtype, offset=end).reshape(shape).copy()


@lru_cache(maxsize=4096)
def _header(header: bytes) -> tuple[tuple[int, ...], np.dtype[np.float64]]:
    """Return shape and type from a header of version 1.0, the one that :func:`array_bytes` writes."""
    file = io.BytesIO(header)
    if np.lib.format.read_magic(file) != (1, 0):
        raise StoreError("an array of the ledger has an unknown format; was it written by another program?")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    if fortran_order or dtype != np.float64:
        raise StoreError(f"an array of the ledger has type {dtype}, expected rows of float64")
    return shape, dtype


def known(value: float | None) -> float | None:
    """Return the figure as a plain float, None where it is None or NaN."""
    return None if value is None or value != value else float(value)


def or_nan(value: float | None) -> float:
    """Return the figure, NaN where it is not known: the inverse of :func:`known`."""
    return float("nan") if value is None else float(value)


def frame_row(frame: Frame, state: str, cause: str) -> dict[str, Any]:
    """Return a frame as a row of the table ``frames``."""
    origin = frame.origin
    return {
        "hash": frame.hash,
        "state": state,
        "cause": cause,
        "n_atoms": frame.n_atoms,
        "species": json.dumps(list(frame.species), separators=(",", ":")),
        "pbc": _letters(frame.pbc),
        "cell": array_bytes(frame.cell),
        "positions": array_bytes(frame.positions),
        "spread": None if frame.spread is None else array_bytes(frame.spread),
        "learnt": None if frame.learnt is None else _letters(frame.learnt),
        **{name: getattr(origin, name) for name in _ORIGIN_OTHERS},
        **{name: known(getattr(origin, name)) for name in _ORIGIN_FLOATS},
    }


def _letters(flags: Iterable[bool]) -> str:
    return "".join("T" if flag else "F" for flag in flags)


def frame_from(row: RowMapping) -> Frame:
    """Return the frame of a row."""
    origin: dict[str, Any] = {name: row[name] for name in _ORIGIN_OTHERS}
    origin.update((name, or_nan(row[name])) for name in _ORIGIN_FLOATS)
    return Frame(
        species=tuple(json.loads(row["species"])),
        positions=array_from(row["positions"]),
        cell=array_from(row["cell"]),
        pbc=(row["pbc"][0] == "T", row["pbc"][1] == "T", row["pbc"][2] == "T"),
        origin=FrameOrigin(**origin),
        spread=None if row["spread"] is None else array_from(row["spread"]),
        learnt=None if row["learnt"] is None else np.array([letter == "T" for letter in row["learnt"]]),
    )


def stored_frame_from(row: RowMapping) -> StoredFrame:
    """Return the frame of a row with its number and state."""
    return StoredFrame(row["number"], row["hash"], frame_from(row), row["state"], row["cause"])


def label_row(frame_number: int, label: Label) -> dict[str, Any]:
    """Return a label as a row of the table ``labels``."""
    return {
        "frame": frame_number,
        "settings_hash": label.settings_hash,
        "code": label.code,
        "energy": float(label.energy),
        "forces": array_bytes(label.forces),
        "virial": None if label.virial is None else array_bytes(label.virial),
        "seconds": float(label.seconds),
        "created": now(),
    }


def label_from(row: RowMapping) -> Label:
    """Return the label of a row."""
    return Label(
        energy=row["energy"],
        forces=array_from(row["forces"]),
        virial=None if row["virial"] is None else array_from(row["virial"]),
        code=row["code"],
        settings_hash=row["settings_hash"],
        seconds=row["seconds"],
    )


def stored_label_from(row: RowMapping) -> StoredLabel:
    """Return the label of a row of labels joined with frames; the label's number is ``label_number``."""
    return StoredLabel(
        number=row["label_number"],
        frame=frame_from(row),
        frame_hash=row["hash"],
        label=label_from(row),
        trained_in=row["trained_in"],
        generation_judged=row["generation_judged"],
        force_rmse=row["force_rmse"],
        force_error_max=row["force_error_max"],
        energy_error_per_atom=row["energy_error_per_atom"],
    )


def failure_from(row: RowMapping) -> StoredFailure:
    """Return the failure of a row of failures joined with frames."""
    names = ("number", "settings_hash", "cause", "attempts", "seconds")
    return StoredFailure(frame_hash=row["hash"], **{name: row[name] for name in names})


def generation_row(generation: Generation) -> dict[str, Any]:
    """Return a generation as a row of the table ``generations``."""
    return {
        "number": generation.number,
        "type_map": to_json(generation.type_map),
        "force_rmse_before": known(generation.force_rmse_before),
        "force_rmse_after": known(generation.force_rmse_after),
        "n_labels": generation.n_labels,
        "created": generation.created.isoformat(),
        "reason": generation.reason,
    }


def model_rows(generation: Generation) -> list[dict[str, Any]]:
    """Return a generation's models as rows of the table ``models``."""
    return [
        {
            "generation": generation.number,
            "index": index,
            "path": str(model.path),
            "sha256": model.sha256,
            "warm_start": model.warm_start,
            "curve": to_json(model.curve),
            "seconds": to_json(model.seconds),
            "steps": model.steps,
        }
        for index, model in enumerate(generation.models)
    ]


def model_from(row: RowMapping) -> ModelRecord:
    """Return the model of a row."""
    return ModelRecord(
        path=row["path"],
        sha256=row["sha256"],
        warm_start=row["warm_start"],
        curve=[(int(r[0]), float(r[1]), float(r[2]), float(r[3])) for r in json.loads(row["curve"])],
        seconds=json.loads(row["seconds"]),
        steps=row["steps"],
    )


def generation_from(row: RowMapping, models: tuple[ModelRecord, ...]) -> Generation:
    """Return the generation of a row, with its models."""
    return Generation(
        number=row["number"],
        models=models,
        type_map=tuple(json.loads(row["type_map"])),
        force_rmse_before=row["force_rmse_before"],
        force_rmse_after=row["force_rmse_after"],
        n_labels=row["n_labels"],
        created=datetime.fromisoformat(row["created"]),
        reason=row["reason"],
    )


def event_from(row: RowMapping) -> Event:
    """Return the event of a row."""
    time = datetime.fromisoformat(row["time"])
    return Event(row["number"], time, row["kind"], row["step"], json.loads(row["data"]))
