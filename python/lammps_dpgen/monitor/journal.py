"""The journal ``log.jsonl``: one event per line, written as it happens, readable while it grows.

The ledger is the truth; the journal is for people and their scripts (``tail -f``, ``jq``). A line is flushed before
:meth:`Journal.write` returns, so a killed process loses at most the line that it was writing.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from lammps_dpgen.errors import StoreError
from lammps_dpgen.strict_json import plain


class Journal:
    """Append-only journal of a run.

    Parameters
    ----------
    path
        File to append to; made when missing. A torn last line of a killed run is closed first, so that it stays
        the only unreadable one.

    Raises
    ------
    StoreError
        The file cannot be opened for writing.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            torn = _ends_torn(self.path)
            self._file: TextIO = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"cannot write the journal {self.path}: {error.strerror}; is the folder writable?"
            ) from error
        if torn:
            self._file.write("\n")

    def write(self, kind: str, **data: Any) -> None:
        """Append one event.

        Parameters
        ----------
        kind
            What happened: "pause", "label", "swap" ...
        data
            Anything that belongs to it; see :func:`plain` for what becomes of numbers that are not finite.

        Raises
        ------
        StoreError
            The line could not be written (full disk, lost file system).
        """
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "kind": kind, **plain(data)}, ensure_ascii=False, allow_nan=False)
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            raise StoreError(f"cannot write the journal {self.path}: {error.strerror}; is the disk full?") from error

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ends_torn(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) != b"\n"


def read_journal(path: Path | str) -> list[dict[str, Any]]:
    """Return the events of a journal, oldest first; lines that a kill has torn are skipped, a missing file is empty."""
    path = Path(path)
    if not path.exists():
        return []
    events = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(event, dict) and "kind" in event:
                events.append(event)
    return events
