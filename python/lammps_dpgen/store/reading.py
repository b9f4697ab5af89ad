"""What can be asked of a ledger; each answer comes from one consistent state, also while the run writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar, get_args

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, func, literal, null, select
from typing_extensions import Self

from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.store import rows, schema
from lammps_dpgen.store.database import Database
from lammps_dpgen.store.records import (
    Counts,
    Event,
    FrameState,
    Generation,
    LabelFigures,
    StoredFailure,
    StoredFrame,
    StoredLabel,
)
from lammps_dpgen.store.trajectories import TrajectoryReader

_Item = TypeVar("_Item")

#: Values in one IN (...) list; SQLite allows 32766 variables, older builds 999.
_CHUNK = 500


class LedgerReader(TrajectoryReader):
    """The questions to an open database; close it with :meth:`close` or ``with``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version = schema.SCHEMA_VERSION

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def frames(self, state: FrameState | None = None) -> list[StoredFrame]:
        """Return the frames, all or those of one state, in order of insertion."""
        table = schema.frames
        query = select(*self._frame_columns()).order_by(table.c.number)
        if state is not None:
            query = query.where(table.c.state == state)
        return [rows.stored_frame_from(row) for row in self._fetch(query)]

    def frame_states(self, hashes: Iterable[str]) -> dict[str, FrameState]:
        """Return the state of each of these frames that is known."""
        table = schema.frames
        query = select(table.c.hash, table.c.state)
        parts = [self._fetch(query.where(table.c.hash.in_(part))) for part in chunks(list(hashes))]
        return {row["hash"]: row["state"] for part in parts for row in part}

    def failures(self) -> list[StoredFailure]:
        """Return the labels that could not be computed, in order."""
        table = schema.failures
        query = select(table, schema.frames.c.hash).join(schema.frames).order_by(table.c.number)
        return [rows.failure_from(row) for row in self._fetch(query)]

    def find_label(self, frame_hash: str, settings_hash: str) -> Label | None:
        """Return the label of a frame with these settings, or None."""
        query = select(schema.labels).join(schema.frames).where(schema.frames.c.hash == frame_hash)
        with self._database.read() as connection:
            row = connection.execute(query.where(schema.labels.c.settings_hash == settings_hash)).mappings().first()
        return None if row is None else rows.label_from(row)

    def labels(
        self,
        settings_hash: str | Collection[str] | None = None,
        untrained: bool = False,
        *,
        trained_in: int | None = None,
        numbers: Collection[int] | None = None,
    ) -> list[StoredLabel]:
        """Return labels with their frames, in order of recording.

        Parameters
        ----------
        settings_hash
            Only labels of these settings, or of one of several.
        untrained
            Only labels that no generation has been trained on.
        trained_in
            Only labels that this generation was the first to be trained on.
        numbers
            Only these.
        """
        frames, labels = schema.frames, schema.labels
        of_label = (c.label("label_number") if c.name == "number" else c for c in labels.c)
        query = select(*self._frame_columns(), *of_label)
        query = query.join_from(labels, frames).order_by(labels.c.number)
        if settings_hash is not None:
            query = query.where(_of_settings(settings_hash))
        if untrained:
            query = query.where(labels.c.trained_in.is_(None))
        if trained_in is not None:
            query = query.where(labels.c.trained_in == trained_in)
        parts = [query] if numbers is None else [query.where(labels.c.number.in_(n)) for n in chunks(sorted(numbers))]
        return [rows.stored_label_from(row) for part in parts for row in self._fetch(part)]

    def count_labels(self, settings_hash: str | Collection[str]) -> int:
        """Return how many labels of these settings there are."""
        table = schema.labels
        with self._database.read() as connection:
            query = select(func.count()).select_from(table).where(_of_settings(settings_hash))
            return connection.scalar(query) or 0

    def labels_by_settings(self) -> dict[str, int]:
        """Return how many labels there are of which settings."""
        table = schema.labels
        query = select(table.c.settings_hash, func.count().label("number")).group_by(table.c.settings_hash)
        return {row["settings_hash"]: row["number"] for row in self._fetch(query)}

    def label_numbers(self, settings_hash: str | Collection[str]) -> list[int]:
        """Return the numbers of all labels of these settings, in order."""
        table = schema.labels
        query = select(table.c.number).where(_of_settings(settings_hash)).order_by(table.c.number)
        return [row["number"] for row in self._fetch(query)]

    def labelled_frames(
        self, settings_hash: str | Collection[str], *, after: int = 0, limit: int = 1000
    ) -> list[tuple[int, str, Frame]]:
        """Return frames with a label of these settings, each as number of the label, hash and frame.

        Parameters
        ----------
        after
            Only labels with a higher number, the earliest ones first: who remembers the last number asks for the news.
        limit
            Most frames that are returned.
        """
        frames, labels = schema.frames, schema.labels
        query = select(*self._frame_columns(), labels.c.number.label("label_number")).join_from(labels, frames)
        query = query.where(labels.c.number > after, _of_settings(settings_hash))
        found = self._fetch(query.order_by(labels.c.number).limit(limit))
        return [(row["label_number"], row["hash"], rows.frame_from(row)) for row in found]

    def label_figures(self, judged_since: int | None = None) -> list[LabelFigures]:
        """Return the figures of labels without their arrays, in order of recording: quick for very many.

        Parameters
        ----------
        judged_since
            Only labels whose model error is that of this generation or a later one.
        """
        of_frames = ("max_devi_f", "source", "generation")
        tables = {name: schema.frames if name in of_frames else schema.labels for name in LabelFigures._fields}
        columns = (table.c[name] for name, table in tables.items())
        query = select(schema.labels.c.number, *columns).join_from(schema.labels, schema.frames)
        if judged_since is not None:
            query = query.where(schema.labels.c.generation_judged >= judged_since)
        with self._database.read() as connection:
            # Sorted here: asked for an order, SQLite would read all labels in that order to find a few.
            return [LabelFigures(*row[1:]) for row in sorted(connection.execute(query), key=lambda row: int(row[0]))]

    def generations(self) -> list[Generation]:
        """Return the generations, in order."""
        return self._generations(select(schema.generations).order_by(schema.generations.c.number))

    def latest_generation(self) -> Generation | None:
        """Return the newest generation, or None."""
        found = self._generations(select(schema.generations).order_by(schema.generations.c.number.desc()).limit(1))
        return found[0] if found else None

    def _generations(self, query: Select[Any]) -> list[Generation]:
        table = schema.models
        with self._database.read() as connection:
            found = list(connection.execute(query).mappings())
            models = defaultdict(list)
            wanted = select(table).order_by(table.c.generation, table.c.index)
            if len(found) == 1:
                wanted = wanted.where(table.c.generation == found[0]["number"])
            for row in connection.execute(wanted).mappings():
                models[row["generation"]].append(rows.model_from(row))
        return [rows.generation_from(row, tuple(models[row["number"]])) for row in found]

    def events(self, kind: str | None = None, without: Iterable[str] = ()) -> list[Event]:
        """Return the events, all or those of one kind, or those of no kind in `without`, in order."""
        query = select(schema.events).order_by(schema.events.c.number)
        if kind is not None:
            query = query.where(schema.events.c.kind == kind)
        if left_out := tuple(without):
            query = query.where(schema.events.c.kind.not_in(left_out))
        return [rows.event_from(row) for row in self._fetch(query)]

    def latest_event(self, kind: str | None = None) -> Event | None:
        """Return the newest event, of a kind or of all, or None."""
        table = schema.events
        query = select(table).order_by(table.c.number.desc()).limit(1)
        if kind is not None:
            query = query.where(table.c.kind == kind)
        return next((rows.event_from(row) for row in self._fetch(query)), None)

    def event_counts(self) -> dict[str, int]:
        """Return how many events of each kind there are, from an index alone."""
        kind = schema.events.c.kind
        with self._database.read() as connection:
            query = select(kind, func.count().label("total")).group_by(kind)
            return {row.kind: row.total for row in connection.execute(query)}

    def counts(self) -> Counts:
        """Return how much there is of everything, all from one consistent state and from indexes alone."""
        frames, labels = schema.frames, schema.labels
        with self._database.read() as connection:
            grouped = select(frames.c.state, func.count().label("number")).group_by(frames.c.state)
            by_state = {row.state: row.number for row in connection.execute(grouped)}
            untrained = select(func.count()).select_from(labels).where(labels.c.trained_in.is_(None))
            return Counts(
                frames={state: by_state.get(state, 0) for state in get_args(FrameState)},
                labels=_count(connection, labels),
                untrained=connection.scalar(untrained) or 0,
                failures=_count(connection, schema.failures),
                generations=_count(connection, schema.generations),
            )

    def _frame_columns(self) -> list[ColumnElement[Any]]:
        """Return the columns of a frame, with values for those that an older ledger does not have."""
        missing: dict[str, ColumnElement[Any]] = {}
        if self._version < 2:
            missing["trajectory"] = literal(-1).label("trajectory")
        if self._version < 3:
            missing["learnt"] = null().label("learnt")
        return [missing.get(column.name, column) for column in schema.frames.c]

    def _fetch(self, query: Select[Any]) -> Sequence[RowMapping]:
        """Return the rows of a query, all before any is looked at: while a reader reads, the writer has to wait."""
        with self._database.read() as connection:
            return connection.execute(query).mappings().all()


def _of_settings(settings_hash: str | Collection[str]) -> ColumnElement[bool]:
    """Return the condition that a label has these settings, or one of several."""
    column = schema.labels.c.settings_hash
    return column == settings_hash if isinstance(settings_hash, str) else column.in_(sorted(settings_hash))


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def chunks(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Return the items in pieces that are short enough for an IN (...) list."""
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
