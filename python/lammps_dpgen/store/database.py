"""Opening the ledger's database, and its transactions; database errors become StoreError with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from lammps_dpgen.errors import StoreError

#: What SQLite says -> what it means and what to do.
_ADVICE = (
    (
        "database is locked",
        "it stayed locked by another process for {timeout:g} s; find the program that holds it open (a second job, a "
        "database browser, a backup) and close it, then run the same command again",
    ),
    (
        "readonly database",
        "it cannot be written; make the file and its folder writable (chmod u+w), or copy the run folder elsewhere",
    ),
    (
        "disk is full",
        "the disk is full; nothing that was recorded is lost: free space (or raise the quota) and run the same "
        "command again",
    ),
    (
        "disk i/o error",
        "reading or writing failed, most often a full disk, a quota or a file size limit; nothing that was recorded "
        "is lost: see to the disk and run the same command again",
    ),
    (
        "unable to open",
        "the file or its folder cannot be opened; check that the folder exists and that you may read and write it",
    ),
    (
        "not a database",
        "the file is not an SQLite database; if it is not yours to delete, use another run folder",
    ),
    (
        "malformed",
        "the database is damaged (a disk fault, or a copy taken while it was written); restore it from a backup or use "
        "another run folder",
    ),
)


class Database:
    """One database, with transactions for reading and for writing.

    Parameters
    ----------
    location
        SQLite file, or a database URL such as ``postgresql+psycopg://user@host/name``.
    read_only
        No transaction may write, and the file must exist.
    busy_timeout
        Seconds to wait for a lock of another process.
    """

    def __init__(self, location: Path | str, *, read_only: bool, busy_timeout: float) -> None:
        self.read_only = read_only
        self._timeout = busy_timeout
        url = _url(location, read_only)
        #: For messages: without the password of a URL.
        self.name = url.render_as_string(hide_password=True) if url.get_backend_name() != "sqlite" else str(location)
        try:
            self._engine = create_engine(url, pool_size=1, max_overflow=4)
        except (NoSuchModuleError, ImportError) as error:
            raise StoreError(
                f"no driver for the ledger's database {self.name}: {error}; install one, for PostgreSQL "
                "'pip install psycopg[binary]' with a URL that begins with postgresql+psycopg://"
            ) from error
        if self.dialect == "sqlite":
            _prepare_sqlite(self._engine, read_only, busy_timeout)

    @property
    def dialect(self) -> str:
        """Kind of database: "sqlite" or "postgresql"."""
        return str(self._engine.dialect.name)

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Transaction that writes: all of it or nothing is stored."""
        if self.read_only:
            raise StoreError(f"the ledger {self.name} was opened for reading only; open it with the run's config hash")
        with self._errors(), self._engine.connect() as connection:
            connection.execution_options(ledger_writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Transaction that reads one consistent state."""
        with self._errors(), self._engine.begin() as connection:
            yield connection

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Return an INSERT that can say what happens to a row that is there already; its ``rowcount`` tells."""
        insert_into = postgresql.insert if self.dialect == "postgresql" else sqlite.insert
        return insert_into(table).execution_options(preserve_rowcount=True)

    def close(self) -> None:
        """Close the database's connections."""
        self._engine.dispose()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            cause = " ".join(str(error.orig).split())
            for words, advice in _ADVICE:
                if words in cause.lower():
                    raise StoreError(f"ledger {self.name}: {advice.format(timeout=self._timeout)} ({cause})") from error
            raise StoreError(f"ledger {self.name}: {cause}") from error


def _url(location: Path | str, read_only: bool) -> URL:
    """Return the database URL; a reader's SQLite URL never makes a file."""
    text = str(location)
    if "://" in text:
        try:
            return make_url(text)
        except ArgumentError:
            raise StoreError(
                "the ledger's database URL cannot be read; allowed is a file name or a URL such as "
                "postgresql+psycopg://user@host/database"
            ) from None
    path = Path(text).absolute()
    if not path.parent.is_dir():
        raise StoreError(f"the folder of the ledger {path} does not exist; make the run folder first")
    if read_only and not path.is_file():
        raise StoreError(f"there is no ledger {path}; name the folder of a run that was started")
    # A reader opens the file for writing too where it may: after a kill the first one to come has to roll back the
    # journal of the broken transaction. PRAGMA query_only keeps it from writing anything itself.
    query = {"uri": "true", "mode": "rw" if read_only else "rwc"}
    return URL.create("sqlite", database=path.as_uri(), query=query)


def _prepare_sqlite(engine: Engine, read_only: bool, busy_timeout: float) -> None:
    """Make every connection durable, patient and explicit about its transactions."""

    @event.listens_for(engine, "connect")
    def connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions by itself
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(1000 * busy_timeout)}")
        cursor.execute("PRAGMA foreign_keys = ON")
        if read_only:
            cursor.execute("PRAGMA query_only = ON")
        else:
            # The rollback journal is the mode that network disks bear. EXTRA is FULL, and syncs the folder too when
            # the journal is deleted: a commit that returned survives a power cut.
            cursor.execute("PRAGMA journal_mode = DELETE")
            cursor.execute("PRAGMA synchronous = EXTRA")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # IMMEDIATE takes the write lock first, so that what a transaction read is still true when it writes.
        writes = connection.get_execution_options().get("ledger_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
