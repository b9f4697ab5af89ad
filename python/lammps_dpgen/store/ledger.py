"""The ledger of a learning run: frames, labels, generations of models and events, each change all or nothing.

One process writes, any number may read. Every change of state is one transaction that checks, while it holds the write
lock, that the change is possible; a process killed at any moment leaves the state before or after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, insert, inspect, select, update

from lammps_dpgen import __version__
from lammps_dpgen.errors import StoreError
from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.store import rows, schema
from lammps_dpgen.store.database import Database
from lammps_dpgen.store.reading import LedgerReader, chunks
from lammps_dpgen.store.records import FrameState, Generation
from lammps_dpgen.store.trajectories import TrajectoryWriter
from lammps_dpgen.store.upgrade import upgrade

#: Changes that :meth:`Ledger.set_frame_state` allows; a frame becomes labelled by its label alone, and stays so.
_ALLOWED_FROM: dict[FrameState, tuple[FrameState, ...]] = {
    "offered": ("offered",),
    "selected": ("offered", "selected", "set_aside", "dropped"),
    "set_aside": ("selected", "set_aside"),
    "dropped": ("offered", "selected", "dropped"),
}


class Ledger(LedgerReader, TrajectoryWriter):
    """The database of a learning run: its questions, see `LedgerReader`, and its changes; :meth:`open` opens it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._held_events: list[dict[str, Any]] = []

    @classmethod
    def open(cls, path: Path | str, *, config_hash: str | None, busy_timeout: float = 30.0) -> Ledger:
        """Open a ledger, or make a new one.

        Parameters
        ----------
        path
            SQLite file (``RunFolder.ledger``) or a database URL (``postgresql+psycopg://...``).
        config_hash
            Hash of the run's configuration: the ledger is opened for writing, made where there is none, upgraded
            where an older version made it, and must belong to this configuration. None: opened for reading only, as
            a report does while the run writes; one of an older version is read as it is.
        busy_timeout
            Seconds to wait where another process holds the database.

        Raises
        ------
        StoreError
            Another configuration, a newer schema, no ledger, locked, read-only, full disk: with what to do.
        """
        database = Database(path, read_only=config_hash is None, busy_timeout=busy_timeout)
        ledger = cls(database)
        try:
            if config_hash is None:
                with database.read() as connection:
                    ledger._version = ledger._check(connection, None)
            else:
                with database.write() as connection:
                    if not inspect(connection).get_table_names():
                        ledger._create(connection, config_hash)
                    version = ledger._check(connection, config_hash)
                    if version < schema.SCHEMA_VERSION:
                        upgrade(connection, version)
                    # A write of its own: a database that cannot be written is found now, not at the first label.
                    mark = update(schema.meta).where(schema.meta.c.key == "opened").values(value=rows.now())
                    connection.execute(mark)
        except BaseException:
            database.close()
            raise
        return ledger

    def _create(self, connection: Connection, config_hash: str) -> None:
        schema.metadata.create_all(connection)
        values = {
            "schema_version": str(schema.SCHEMA_VERSION),
            "config_hash": config_hash,
            "created_by": f"lammps-dpgen {__version__}",
            "created": rows.now(),
            "opened": rows.now(),
        }
        connection.execute(insert(schema.meta), [{"key": key, "value": value} for key, value in values.items()])

    def _check(self, connection: Connection, config_hash: str | None) -> int:
        """Return the version of the tables, or refuse the ledger."""
        name = self._database.name
        if "meta" not in inspect(connection).get_table_names():
            raise StoreError(f"{name} is no ledger of lammps-dpgen; name the folder of a run, or an empty one")
        meta = {row.key: row.value for row in connection.execute(select(schema.meta))}
        version = meta.get("schema_version", "")
        if version not in map(str, range(1, schema.SCHEMA_VERSION + 1)):
            maker = meta.get("created_by", "an unknown program")
            raise StoreError(
                f"ledger {name} has schema version {version or 'unknown'} (made by {maker}), this is "
                f"lammps-dpgen {__version__} with schema version {schema.SCHEMA_VERSION}; use the program that "
                "made the run, or a newer one"
            )
        if config_hash is not None and meta.get("config_hash") != config_hash:
            raise StoreError(
                f"ledger {name} belongs to another configuration (hash {meta.get('config_hash', '')[:12]}, this one "
                f"{config_hash[:12]}); go on with the configuration that the run was started with, or name a new run "
                "folder"
            )
        return int(version)

    # ---------------------------------------------------------------------------------------------------- frames

    def add_frames(self, frames: Iterable[Frame], state: FrameState = "selected", cause: str = "") -> list[str]:
        """Add frames in one transaction and return their hashes, in order; a known hash is not added again.

        A known frame keeps the state that it has, but an offered one takes the state given here, and the deviation,
        which may be that of newer models by now.
        """
        if state not in _ALLOWED_FROM:
            raise StoreError(f"frames cannot be added in state '{state}'; allowed are {', '.join(_ALLOWED_FROM)}")
        new = [rows.frame_row(frame, state, cause) for frame in frames]
        if new:
            add = self._database.insert(schema.frames)
            judged = {name: add.excluded[name] for name in ("generation", "max_devi_f", "max_devi_v", "spread")}
            add = add.on_conflict_do_update(
                index_elements=["hash"],
                set_={"state": state, "cause": cause, **judged},
                where=schema.frames.c.state == "offered",
            )
            with self._write_with_held() as connection:
                connection.execute(add, new)
        return [row["hash"] for row in new]

    def set_frame_state(self, frame_hash: str, state: FrameState, cause: str = "") -> None:
        """Change the state of a frame.

        An offered frame is selected or dropped. A selected one may be set aside or dropped, and either may be selected
        again. A labelled frame stays labelled.

        Raises
        ------
        StoreError
            Unknown frame, or a change that is not possible.
        """
        self.set_frame_states([(frame_hash, state, cause)])

    def set_frame_states(self, changes: Iterable[tuple[str, FrameState, str]]) -> None:
        """Change the states of frames as `set_frame_state` does, each with its cause, in one transaction."""
        table = schema.frames
        with self._database.write() as connection:
            for frame_hash, state, cause in changes:
                number, _ = self._frame_number(connection, frame_hash)
                before = connection.scalar(select(table.c.state).where(table.c.number == number))
                if before == state == "labelled":
                    continue
                if before not in _ALLOWED_FROM.get(state, ()):
                    raise StoreError(
                        f"frame {frame_hash[:12]} is {before} and cannot become {state}; a labelled frame stays "
                        "labelled, and only its label makes a frame labelled"
                    )
                connection.execute(update(table).where(table.c.number == number).values(state=state, cause=cause))

    # ---------------------------------------------------------------------------------------------------- labels

    def record_label(self, frame_hash: str, label: Label) -> bool:
        """Record a label exactly once per frame and settings; the frame becomes labelled in the same transaction.

        Returns
        -------
        bool
            True if the label was new; False if there was one already, which stays as it is.
        """
        return self.record_labels([(frame_hash, label)]) == 1

    def record_labels(self, labels: Iterable[tuple[str, Label]]) -> int:
        """Record labels by frame hash as `record_label` does, in one transaction; return how many were new."""
        n_new = 0
        with self._database.write() as connection:
            for frame_hash, label in labels:
                n_new += self._record_label(connection, frame_hash, label)
        return n_new

    def _record_label(self, connection: Connection, frame_hash: str, label: Label) -> bool:
        number, n_atoms = self._frame_number(connection, frame_hash)
        if label.forces.shape != (n_atoms, 3):
            raise StoreError(
                f"the label of frame {frame_hash[:12]} has forces of shape {label.forces.shape}, expected "
                f"({n_atoms}, 3); the labeler must return one force per atom, in the frame's order"
            )
        once = self._database.insert(schema.labels).on_conflict_do_nothing()
        new = connection.execute(once, rows.label_row(number, label)).rowcount == 1
        done = update(schema.frames).where(schema.frames.c.number == number)
        connection.execute(done.where(schema.frames.c.state != "labelled").values(state="labelled", cause=""))
        return new

    def record_failure(self, frame_hash: str, settings_hash: str, cause: str, attempts: int, seconds: float) -> None:
        """Record that a label could not be computed; a selected frame is set aside with the cause."""
        table = schema.frames
        with self._database.write() as connection:
            number, _ = self._frame_number(connection, frame_hash)
            values = {
                "frame": number,
                "settings_hash": settings_hash,
                "cause": cause,
                "attempts": attempts,
                "seconds": float(seconds),
                "created": rows.now(),
            }
            connection.execute(insert(schema.failures), values)
            aside = update(table).where(table.c.number == number, table.c.state == "selected")
            connection.execute(aside.values(state="set_aside", cause=cause))

    def record_model_error(
        self,
        frame_hash: str,
        settings_hash: str,
        *,
        generation: int,
        force_rmse: float,
        force_error_max: float,
        energy_error_per_atom: float,
    ) -> None:
        """Record how wrong the models were that chose the frame, before any training on its label.

        Parameters
        ----------
        generation
            Of the models that were judged.
        force_rmse, force_error_max
            eV/Å, over components and over atoms.
        energy_error_per_atom
            eV.

        Raises
        ------
        StoreError
            No such label, judged by another generation already, or the judged models were trained on it.
        """
        table = schema.labels
        with self._database.write() as connection:
            number, _ = self._frame_number(connection, frame_hash)
            one = (table.c.frame == number, table.c.settings_hash == settings_hash)
            row = connection.execute(select(table.c.trained_in, table.c.generation_judged).where(*one)).first()
            what = f"the model error of frame {frame_hash[:12]} with settings {settings_hash[:12]} cannot be recorded"
            if row is None:
                raise StoreError(f"{what}: it has no label; record the label first")
            if row.trained_in is not None and row.trained_in <= generation:
                raise StoreError(f"{what}: generation {row.trained_in} was trained on it; judge before training")
            if row.generation_judged not in (None, generation):
                raise StoreError(f"{what}: generation {row.generation_judged} was judged on it, not {generation}")
            values = {
                "generation_judged": generation,
                "force_rmse": rows.known(force_rmse),
                "force_error_max": rows.known(force_error_max),
                "energy_error_per_atom": rows.known(energy_error_per_atom),
            }
            connection.execute(update(table).where(*one).values(values))

    # ----------------------------------------------------------------------------------------------- generations

    def add_generation(self, generation: Generation, label_numbers: Iterable[int]) -> None:
        """Add a generation, and mark the labels that were new in its training, in one transaction.

        Raises
        ------
        StoreError
            Not the next number, no models, or a label that does not exist or was trained on before.
        """
        numbers = sorted(set(label_numbers))
        if not generation.models:
            raise StoreError(f"generation {generation.number} has no models")
        with self._write_with_held() as connection:
            latest = connection.scalar(select(func.max(schema.generations.c.number)))
            expected = 0 if latest is None else latest + 1
            if generation.number != expected:
                raise StoreError(f"generation {generation.number} cannot be added; the next one is {expected}")
            connection.execute(insert(schema.generations), rows.generation_row(generation))
            connection.execute(insert(schema.models), rows.model_rows(generation))
            table = schema.labels
            marked = 0
            for part in chunks(numbers):
                chosen = table.c.number.in_(part)
                mark = update(table).where(chosen, table.c.trained_in.is_(None)).values(trained_in=generation.number)
                marked += connection.execute(mark).rowcount
            if marked != len(numbers):
                raise StoreError(
                    f"generation {generation.number} names {len(numbers)} new labels, but {len(numbers) - marked} of "
                    "them do not exist or were trained on before; take those that labels(untrained=True) returns"
                )

    # ---------------------------------------------------------------------------------------------------- events

    def add_event(self, kind: str, step: int = -1, **data: Any) -> None:
        """Add an event; `data` is plain data, NumPy numbers and paths are converted."""
        with self._write_with_held() as connection:
            connection.execute(insert(schema.events), _event_row(kind, step, data))

    def hold_event(self, kind: str, step: int = -1, **data: Any) -> None:
        """Keep an event for the next transaction that adds frames, a generation or an event.

        Each transaction waits for the disk several times; what is written together waits once.
        """
        self._held_events.append(_event_row(kind, step, data))

    # --------------------------------------------------------------------------------------------------- private

    @contextmanager
    def _write_with_held(self) -> Iterator[Connection]:
        """Transaction that also stores the events that wait for one."""
        with self._database.write() as connection:
            if self._held_events:
                connection.execute(insert(schema.events), self._held_events)
            yield connection
        self._held_events.clear()

    def _frame_number(self, connection: Connection, frame_hash: str) -> tuple[int, int]:
        """Return a frame's number and how many atoms it has."""
        table = schema.frames
        row = connection.execute(select(table.c.number, table.c.n_atoms).where(table.c.hash == frame_hash)).first()
        if row is None:
            raise StoreError(
                f"frame {frame_hash[:12]} is not in the ledger {self._database.name}; add it with add_frames first"
            )
        return row.number, row.n_atoms


def _event_row(kind: str, step: int, data: Mapping[str, Any]) -> dict[str, Any]:
    return {"time": rows.now(), "kind": kind, "step": int(step), "data": rows.to_json(data)}
