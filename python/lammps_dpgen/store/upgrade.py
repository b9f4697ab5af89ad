"""Ledgers of older versions of lammps-dpgen: their tables are brought up to date inside one transaction."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, update
from sqlalchemy.schema import CreateIndex

from lammps_dpgen.store import schema


def upgrade(connection: Connection, version: int) -> None:
    """Turn the tables of an older version into those of ``schema.SCHEMA_VERSION``, step by step.

    The caller's transaction makes it all or nothing, on SQLite and on PostgreSQL: a kill leaves the old ledger.
    """
    for older in range(version, schema.SCHEMA_VERSION):
        _STEPS[older](connection)
    mark = update(schema.meta).where(schema.meta.c.key == "schema_version")
    connection.execute(mark.values(value=str(schema.SCHEMA_VERSION)))


def _from_1(connection: Connection) -> None:
    """Trajectories of campaigns; frames know theirs, and labels are found by the generation that was judged."""
    connection.exec_driver_sql("ALTER TABLE frames ADD COLUMN trajectory INTEGER DEFAULT -1 NOT NULL")
    new = ("frames_by_trajectory", "ix_labels_generation_judged")
    for index in (*schema.frames.indexes, *schema.labels.indexes):
        if index.name in new:
            connection.execute(CreateIndex(index))
    schema.trajectories.create(connection)


def _from_2(connection: Connection) -> None:
    """Frames that were cut out of larger ones know whose forces are learnt."""
    connection.exec_driver_sql("ALTER TABLE frames ADD COLUMN learnt TEXT")


#: Version -> what makes the next version of it.
_STEPS: dict[int, Callable[[Connection], None]] = {1: _from_1, 2: _from_2}
