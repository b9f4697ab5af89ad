"""Ledgers of older versions: read as they are, upgraded when they are opened for writing, all or nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ledger_records import KINDS, make_frame, new_location
from sqlalchemy import Engine, MetaData, create_engine, event, insert, inspect, select

from lammps_dpgen.errors import StoreError
from lammps_dpgen.frame import FrameOrigin
from lammps_dpgen.store import schema, upgrade
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import TrajectoryRecord

OLD = Path(__file__).parents[1] / "data" / "ledgers" / "version-1.db"
CONFIG = "c" * 64
STATES = {"offered": 0, "selected": 1, "labelled": 3, "set_aside": 1, "dropped": 1}


@pytest.fixture(params=KINDS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A ledger of version 1: the file, or its rows on a server."""
    location = new_location(request.param, tmp_path / "ledger.db")
    if isinstance(location, Path):
        shutil.copy(OLD, location)
    else:
        server = create_engine(location)
        _copy(create_engine(f"sqlite:///{OLD}"), server)
        server.dispose()
    return location


def _copy(source: Engine, target: Engine) -> None:
    tables = MetaData()

    @event.listens_for(tables, "column_reflect")
    def generic(_inspector: Any, _table: Any, column: Any) -> None:
        column["type"] = column["type"].as_generic()

    tables.reflect(source)
    tables.create_all(target)
    with source.connect() as reading, target.begin() as writing:
        for table in tables.sorted_tables:
            if found := [dict(row) for row in reading.execute(select(table)).mappings()]:
                writing.execute(insert(table), found)
        for name in ("frames", "labels", "failures", "events"):  # whose numbers the server counts
            sequence = f"pg_get_serial_sequence('{name}', 'number')"
            writing.exec_driver_sql(f"SELECT setval({sequence}, (SELECT max(number) FROM {name}))")


def _tables(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Return what the database says about its tables: columns and indexes."""
    with ledger._database.read() as connection:
        found = inspect(connection)
        return {
            name: {
                "columns": {column["name"]: column["nullable"] for column in found.get_columns(name)},
                "indexes": sorted(str(index["name"]) for index in found.get_indexes(name)),
                "unique": sorted(str(unique["column_names"]) for unique in found.get_unique_constraints(name)),
            }
            for name in found.get_table_names()
        }


def test_it_is_read_as_it_is(old: Path | str) -> None:
    with Ledger.open(old, config_hash=None) as reader:
        assert reader.counts().frames == STATES
        assert {stored.frame.origin.trajectory for stored in reader.frames()} == {-1}
        assert [stored.frame.origin.step for stored in reader.labels()] == [0, 1, 2]
        assert len(reader.label_figures()) == 3
        assert reader.trajectories() == reader.trajectory_figures() == []
        assert reader.frames("offered") == []
        assert "trajectories" not in _tables(reader)


def test_a_reader_of_version_1_goes_on_while_it_is_upgraded(old: Path | str) -> None:
    with Ledger.open(old, config_hash=None) as reader:
        Ledger.open(old, config_hash=CONFIG).close()
        assert len(reader.labels()) == 3
        assert reader.trajectories() == []


def test_it_is_upgraded_and_nothing_is_lost(old: Path | str, tmp_path: Path) -> None:
    with Ledger.open(old, config_hash=None) as reader:
        before = (reader.frames(), reader.labels(), reader.failures(), reader.generations(), reader.events())
    for _ in range(2):  # the second time there is nothing to do
        with Ledger.open(old, config_hash=CONFIG) as ledger:
            after = (ledger.frames(), ledger.labels(), ledger.failures(), ledger.generations(), ledger.events())
            assert repr(after) == repr(before)
    with Ledger.open(old, config_hash=CONFIG) as ledger:
        (number,) = ledger.add_trajectories([TrajectoryRecord("solid", 0, 0, "fcc", 100, 1)])
        ledger.add_frames([make_frame(1, origin=FrameOrigin("md", trajectory=number))], "offered")
        assert ledger.frames("offered")[0].frame.origin.trajectory == number
        upgraded = _tables(ledger)
    new = tmp_path / "new.db" if isinstance(old, Path) else new_location("server", tmp_path)
    with Ledger.open(new, config_hash=CONFIG) as made_new:
        assert _tables(made_new) == upgraded


def test_another_configuration_upgrades_nothing(old: Path | str) -> None:
    with pytest.raises(StoreError, match="belongs to another configuration"):
        Ledger.open(old, config_hash="d" * 64)
    with Ledger.open(old, config_hash=None) as reader:
        assert "trajectories" not in _tables(reader)


def test_an_upgrade_that_fails_leaves_the_old_ledger(old: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: Any) -> None:
        upgrade._from_1(connection)
        raise RuntimeError("the power is gone")

    monkeypatch.setitem(upgrade._STEPS, 1, broken)
    with pytest.raises(RuntimeError):
        Ledger.open(old, config_hash=CONFIG)
    monkeypatch.undo()
    with Ledger.open(old, config_hash=None) as reader:
        assert "trajectories" not in _tables(reader)
    with Ledger.open(old, config_hash=CONFIG) as ledger:
        assert ledger.counts().frames == STATES


KILLED = """
import os, signal, sys
from lammps_dpgen.store import upgrade
from lammps_dpgen.store.ledger import Ledger

def killed(connection):
    connection.exec_driver_sql("PRAGMA cache_size = 2")  # pages go to the file before the commit
    upgrade._from_1(connection)
    connection.exec_driver_sql("UPDATE frames SET cause = hex(zeroblob(20000))")
    os.kill(os.getpid(), signal.SIGKILL)

original = dict(upgrade._STEPS)
upgrade._STEPS[1] = killed
Ledger.open(sys.argv[1], config_hash="c" * 64)
"""


def test_a_kill_inside_the_upgrade_leaves_the_old_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(OLD, path)
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode < 0
    assert os.path.getsize(f"{path}-journal") > 0
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == ("1",)
    with Ledger.open(path, config_hash=CONFIG) as ledger:
        assert ledger.counts().frames == STATES
        assert ledger.trajectories() == []


@pytest.mark.parametrize("version", ["", "0", "nonsense", str(schema.SCHEMA_VERSION + 1)])
def test_a_version_that_never_was(tmp_path: Path, version: str) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(OLD, path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (version,))
    for config_hash in (CONFIG, None):
        with pytest.raises(StoreError, match=f"has schema version {version or 'unknown'}"):
            Ledger.open(path, config_hash=config_hash)
