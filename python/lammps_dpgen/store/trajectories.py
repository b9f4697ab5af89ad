"""The trajectories of a campaign in its ledger: what can be asked about them, and how they change."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from sqlalchemy import Connection, RowMapping, Select, func, select, update
from typing_extensions import Unpack

from lammps_dpgen.errors import StoreError
from lammps_dpgen.store import rows, schema
from lammps_dpgen.store.database import Database
from lammps_dpgen.store.records import (
    RoundFigures,
    TrajectoryChange,
    TrajectoryFigures,
    TrajectoryRecord,
    TrajectoryState,
)

#: State -> states that may come next. One that has ended does not change any more.
_NEXT: dict[TrajectoryState, tuple[TrajectoryState, ...]] = {
    "waiting": ("waiting", "running", "set_aside"),
    "running": ("running", "waiting", "parked", "done", "set_aside"),
    "parked": ("parked", "running", "waiting", "done", "set_aside"),
    "done": (),
    "set_aside": (),
}
_JSON = ("conditions", "plan")


class TrajectoryReader:
    """The questions about trajectories; a ledger from before there were campaigns has none."""

    _database: Database
    #: Version of the tables that are there: below ``schema.SCHEMA_VERSION`` for an older ledger that is only read.
    _version: int

    def trajectories(
        self,
        stage: str | None = None,
        states: Iterable[TrajectoryState] | None = None,
        numbers: Iterable[int] | None = None,
    ) -> list[TrajectoryRecord]:
        """Return trajectories in the order in which they were planned.

        Parameters
        ----------
        stage
            Only those of this stage.
        states
            Only those in one of these states. Those that a killed campaign was at are still ``running``.
        numbers
            Only these.
        """
        table = schema.trajectories
        query = select(table).order_by(table.c.number)
        if stage is not None:
            query = query.where(table.c.stage == stage)
        if states is not None:
            query = query.where(table.c.state.in_(tuple(states)))
        if numbers is not None:
            query = query.where(table.c.number.in_(tuple(numbers)))
        return [_record_from(row) for row in self._rows(query)]

    def trajectory_figures(self) -> list[TrajectoryFigures]:
        """Return what was found by stage, structure and temperature, in the order in which they were planned."""
        table, frames, labels = schema.trajectories, schema.frames, schema.labels
        group = (table.c.stage, table.c.structure, table.c.conditions)
        looks = [func.sum(table.c[name]).label(name) for name in ("accurate", "candidate", "failed", "seconds")]
        largest = func.max(table.c.max_devi_f).label("max_devi_f")
        first = func.min(table.c.number).label("first")
        counted = select(*group, table.c.state, func.count().label("total"), *looks, largest, first)
        squares = func.sum(labels.c.force_rmse * labels.c.force_rmse).label("squares")
        judged = func.count(labels.c.force_rmse).label("judged")
        errors = select(*group, func.count().label("labels"), judged, squares)
        errors = errors.join_from(table, frames, frames.c.trajectory == table.c.number).join(labels)
        sums: dict[tuple[str, str, float | None], _Sums] = defaultdict(_Sums)
        for row in sorted(self._rows(counted.group_by(*group, table.c.state)), key=lambda row: int(row["first"])):
            sums[_group(row)].add_trajectories(row)
        for row in self._rows(errors.group_by(*group)):
            sums[_group(row)].add_labels(row)
        return [TrajectoryFigures(*of, *total.figures()) for of, total in sums.items()]

    def round_figures(self) -> list[RoundFigures]:
        """Return what the rounds of the stages have shown, in the order in which they were planned."""
        table = schema.trajectories
        group = (table.c.stage, table.c.round)
        looks = [func.sum(table.c[name]).label(name) for name in ("accurate", "candidate", "failed")]
        query = select(
            *group, table.c.state, func.count().label("total"), *looks, func.min(table.c.number).label("first")
        )
        found: dict[tuple[str, int], RoundFigures] = {}
        for row in sorted(self._rows(query.group_by(*group, table.c.state)), key=lambda row: int(row["first"])):
            place = row["stage"], row["round"]
            before = found.get(place, RoundFigures(*place, dict.fromkeys(get_args(TrajectoryState), 0), 0, 0, 0))
            found[place] = RoundFigures(
                *place,
                {**before.trajectories, row["state"]: row["total"]},
                before.accurate + row["accurate"],
                before.candidate + row["candidate"],
                before.failed + row["failed"],
            )
        return list(found.values())

    def audited_errors(self) -> dict[str, list[float]]:
        """Return by stage the largest force errors (eV/Å) of the accurate frames that were drawn at random."""
        table, frames, labels = schema.trajectories, schema.frames, schema.labels
        query = select(table.c.stage, labels.c.force_error_max).join_from(
            table, frames, frames.c.trajectory == table.c.number
        )
        query = query.join(labels).where(frames.c.source == "audit", labels.c.force_error_max.is_not(None))
        errors: dict[str, list[float]] = defaultdict(list)
        for row in self._rows(query):
            errors[row["stage"]].append(row["force_error_max"])
        return dict(errors)

    def _rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        if self._version < 2:
            return ()
        with self._database.read() as connection:
            return connection.execute(query).mappings().all()


class TrajectoryWriter(TrajectoryReader):
    """The changes of trajectories, each all or nothing."""

    def add_trajectories(self, records: Iterable[TrajectoryRecord]) -> list[int]:
        """Plan trajectories, in one transaction; return their numbers, in order.

        One whose place (stage, round, index) is taken stays as it is: after a kill a round can be planned again.
        """
        with self._database.write() as connection:
            return [self._add(connection, record) for record in records]

    def _add(self, connection: Connection, record: TrajectoryRecord) -> int:
        table = schema.trajectories
        connection.execute(self._database.insert(table).on_conflict_do_nothing(), _row(record))
        place = (table.c.stage == record.stage, table.c.round == record.round, table.c.index == record.index)
        return int(connection.execute(select(table.c.number).where(*place)).scalar_one())

    def update_trajectory(self, number: int, **change: Unpack[TrajectoryChange]) -> None:
        """Note how far a trajectory has come.

        Raises
        ------
        StoreError
            Unknown, ended already, or a change of state that is not possible.
        """
        self.update_trajectories({number: change})

    def update_trajectories(self, changes: Mapping[int, TrajectoryChange]) -> None:
        """Change trajectories by number as `update_trajectory` does, in one transaction: cheap for many at once."""
        table = schema.trajectories
        if not changes:
            return
        with self._database.write() as connection:
            for number, change in changes.items():
                before = connection.scalar(select(table.c.state).where(table.c.number == number))
                values = _checked(number, before, change)
                connection.execute(update(table).where(table.c.number == number).values(values))


class _Sums:
    """Adds up what the rows of one stage, structure and temperature say."""

    def __init__(self) -> None:
        self._states: dict[TrajectoryState, int] = dict.fromkeys(get_args(TrajectoryState), 0)
        self._looks = [0, 0, 0]
        self._largest: float | None = None
        self._seconds, self._squares, self._labels, self._judged = 0.0, 0.0, 0, 0

    def add_trajectories(self, row: RowMapping) -> None:
        self._states[row["state"]] += row["total"]
        self._looks = [
            sum(pair) for pair in zip(self._looks, (row["accurate"], row["candidate"], row["failed"]), strict=True)
        ]
        self._largest = max((value for value in (self._largest, row["max_devi_f"]) if value is not None), default=None)
        self._seconds += row["seconds"]

    def add_labels(self, row: RowMapping) -> None:
        self._labels += row["labels"]
        self._judged += row["judged"]
        self._squares += row["squares"] or 0.0

    def figures(self) -> tuple[Any, ...]:
        rmse = math.sqrt(self._squares / self._judged) if self._judged else None
        return self._states, *self._looks, self._largest, self._seconds, self._labels, self._judged, rmse


def _group(row: RowMapping) -> tuple[str, str, float | None]:
    return row["stage"], row["structure"], json.loads(row["conditions"]).get("temperature")


def _checked(number: int, before: TrajectoryState | None, change: TrajectoryChange) -> dict[str, Any]:
    """Return the new values of a row, or refuse the change."""
    if before is None:
        raise StoreError(f"trajectory {number} is not in the ledger; add it with add_trajectories first")
    state = change.get("state", before)
    if state not in _NEXT[before]:
        allowed = ", ".join(_NEXT[before]) or "nothing: it has ended"
        raise StoreError(f"trajectory {number} is {before} and cannot become {state}; allowed is {allowed}")
    values: dict[str, Any] = dict(change)
    if "max_devi_f" in change:
        values["max_devi_f"] = rows.known(change["max_devi_f"])
    if not _NEXT[state]:
        values["ended"] = rows.now()
    return values


def _row(record: TrajectoryRecord) -> dict[str, Any]:
    values = {**vars(record), **{name: rows.to_json(dict(sorted(getattr(record, name).items()))) for name in _JSON}}
    del values["number"]
    values["max_devi_f"] = rows.known(record.max_devi_f)
    values["created"] = record.created.isoformat()
    values["ended"] = None if record.ended is None else record.ended.isoformat()
    return values


def _record_from(row: RowMapping) -> TrajectoryRecord:
    values = {**row, **{name: json.loads(row[name]) for name in _JSON}}
    values["max_devi_f"] = rows.or_nan(row["max_devi_f"])
    values["created"] = datetime.fromisoformat(row["created"])
    values["ended"] = None if row["ended"] is None else datetime.fromisoformat(row["ended"])
    return TrajectoryRecord(**values)
