"""Results that are computed once: plain data under a key that says all that decides them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Column, Float, MetaData, String, Table, Text, select

from lammps_dpgen.errors import StoreError
from lammps_dpgen.store.database import Database

_metadata = MetaData()

_results = Table(
    "results",
    _metadata,
    Column("key", String(64), primary_key=True),
    Column("what", Text, nullable=False),
    Column("value", Text),
    Column("failure", Text, nullable=False, default=""),
    Column("seconds", Float, nullable=False),
    Column("time", String(32), nullable=False),
)


@dataclass(frozen=True)
class StoredResult:
    """A result, or the cause why there is none.

    Attributes
    ----------
    value
        Plain data; None where `failure` says why.
    seconds
        Wall time that it cost.
    """

    value: dict[str, Any] | None
    failure: str
    seconds: float


class ResultStore:
    """An SQLite file of results.

    Raises
    ------
    StoreError
        The file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the folder {path.parent} cannot be made: {error}; name one that you may write"
            ) from error
        self._database = Database(path, read_only=False, busy_timeout=60.0)
        with self._database.write() as connection:
            _metadata.create_all(connection)

    def find(self, key: str) -> StoredResult | None:
        """Return the result under `key`, or None."""
        query = select(_results.c.value, _results.c.failure, _results.c.seconds).where(_results.c.key == key)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return StoredResult(None if row.value is None else json.loads(row.value), row.failure, row.seconds)

    def add(self, key: str, what: str, result: StoredResult) -> None:
        """Store a result; one that is there already stays."""
        values = {
            "key": key,
            "what": what,
            "value": None if result.value is None else json.dumps(result.value, allow_nan=False),
            "failure": result.failure,
            "seconds": result.seconds,
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        with self._database.write() as connection:
            connection.execute(self._database.insert(_results).values(values).on_conflict_do_nothing())

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> ResultStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
