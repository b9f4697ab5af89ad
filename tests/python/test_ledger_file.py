"""The SQLite file under the ledger: who may open it, and what is left when the disk is full or the writer is killed."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ledger_records import labelled, make_frame

from lammps_dpgen.errors import StoreError
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.schema import SCHEMA_VERSION


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path, config_hash="c" * 64) as opened:
        yield opened


def test_a_reader_sees_the_run_and_changes_nothing(ledger: Ledger, path: Path) -> None:
    labelled(ledger, 1)
    with Ledger.open(path, config_hash=None) as reader:
        assert reader.counts().labels == 1
        ledger.add_frames([make_frame(7)])
        assert reader.counts().frames["selected"] == 1
        with pytest.raises(StoreError, match="for reading only"):
            reader.add_event("start")


def test_a_reader_makes_no_file(path: Path) -> None:
    with pytest.raises(StoreError, match="there is no ledger"):
        Ledger.open(path, config_hash=None)
    assert not path.exists()


@pytest.mark.parametrize("config_hash", ["c", None])
def test_a_newer_schema(path: Path, config_hash: str | None) -> None:
    Ledger.open(path, config_hash="c").close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", (str(SCHEMA_VERSION + 1),))
    told = rf"has schema version {SCHEMA_VERSION + 1}.*use the program that made the run, or a newer one"
    with pytest.raises(StoreError, match=told):
        Ledger.open(path, config_hash=config_hash)


def test_a_database_of_something_else(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE recipes (name TEXT)")
    for config_hash in ("c", None):
        with pytest.raises(StoreError, match="is no ledger of lammps-dpgen"):
            Ledger.open(path, config_hash=config_hash)


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_text("some notes " * 100)
    for config_hash in ("c", None):
        with pytest.raises(StoreError, match="not an SQLite database"):
            Ledger.open(path, config_hash=config_hash)


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="make the run folder first"):
        Ledger.open(tmp_path / "none" / "ledger.db", config_hash="c")


def test_a_url_without_driver_or_sense() -> None:
    with pytest.raises(StoreError, match="no driver for the ledger's database"):
        Ledger.open("nosuchdatabase://user:secret@host/name", config_hash="c")
    with pytest.raises(StoreError, match="cannot be read") as caught:
        Ledger.open("://", config_hash="c")
    assert caught.value.__suppress_context__


def test_a_database_that_another_program_locks(ledger: Ledger, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for config_hash in ("c" * 64, None):
        with pytest.raises(StoreError, match=r"locked by another process for 0\.1 s; find the program"):
            Ledger.open(path, config_hash=config_hash, busy_timeout=0.1)
    other.close()
    ledger.add_event("start")


def test_a_database_that_cannot_be_written() -> None:
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, which pytest closes to other users
        folder = Path(name)
        Ledger.open(folder / "ledger.db", config_hash="c").close()
        (folder / "ledger.db").chmod(0o444)
        folder.chmod(0o555)
        try:
            out = _without_rights(folder / "ledger.db")
        finally:
            folder.chmod(0o755)
    refusal, counts = out.splitlines()
    assert "it cannot be written; make the file and its folder writable" in refusal
    assert counts.startswith("Counts(")


def test_the_rollback_journal_is_used(ledger: Ledger, path: Path) -> None:
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)


READ_ONLY = """
import os, sys
from lammps_dpgen.errors import StoreError
from lammps_dpgen.store.ledger import Ledger

Ledger.open(sys.argv[1], config_hash=None).close()  # loads what it needs
if os.getuid() == 0:
    os.setuid(65534)  # for root, nothing is read-only
try:
    Ledger.open(sys.argv[1], config_hash="c")
except StoreError as error:
    print(error)
print(Ledger.open(sys.argv[1], config_hash=None).counts())
"""


def _without_rights(path: Path) -> str:
    command = [sys.executable, "-c", READ_ONLY, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


FILL = """
import resource, sys
from ledger_records import make_frame, make_label
from lammps_dpgen.errors import StoreError
from lammps_dpgen.store.ledger import Ledger

def fill(ledger):
    for seed in range(1000):
        frame = make_frame(seed, n_atoms=100)
        ledger.add_frames([frame])
        ledger.record_label(frame.hash, make_label(frame))
        print("recorded", frame.hash, flush=True)

with Ledger.open(sys.argv[1], config_hash="c") as ledger:
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    try:
        fill(ledger)
    except StoreError as error:
        print("error", error)
"""


def test_a_full_disk_loses_nothing_that_was_recorded(path: Path) -> None:
    """A limit on the size of files stands for the full disk: writes fail from there on."""
    here = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([here, *sys.path])}
    command = [sys.executable, "-c", FILL, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    *recorded, last = done.stdout.splitlines()
    assert last.startswith("error ")
    assert "nothing that was recorded is lost" in last
    assert len(recorded) > 10
    with Ledger.open(path, config_hash="c") as ledger:  # with room again, the run goes on
        assert [f"recorded {stored.frame_hash}" for stored in ledger.labels()] == recorded
        ledger.add_event("start")
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


BREAK = """
import os, signal, sys
from sqlalchemy import event, update
from lammps_dpgen.store import schema
from lammps_dpgen.store.ledger import Ledger

ledger = Ledger.open(sys.argv[1], config_hash="c")
with ledger._database.write() as connection:
    connection.exec_driver_sql("PRAGMA cache_size = 2")  # pages go to the file before the commit
    connection.execute(update(schema.frames).values(state="dropped", cause="x" * 2000))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_reader_undoes_a_transaction_that_a_kill_broke(path: Path) -> None:
    with Ledger.open(path, config_hash="c") as ledger:
        ledger.add_frames([make_frame(seed, n_atoms=100) for seed in range(100)])
    broken = subprocess.run([sys.executable, "-c", BREAK, str(path)], check=False)
    assert broken.returncode != 0
    assert path.with_name(path.name + "-journal").stat().st_size > 0
    with Ledger.open(path, config_hash=None) as reader:
        assert reader.counts().frames["selected"] == 100
