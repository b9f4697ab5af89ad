"""One call that notes an event where programs look (the ledger) and where people do (the journal)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lammps_dpgen.monitor.journal import Journal
from lammps_dpgen.store.ledger import Ledger


class Logbook:
    """Writes events of a run; rank 0 alone has one."""

    def __init__(self, ledger: Ledger, journal: Journal) -> None:
        self._ledger, self._journal = ledger, journal

    def hold(self, kind: str, step: int = -1, **data: Any) -> None:
        """Note an event that more will follow at once: the ledger stores it with them, in the same transaction."""
        self._ledger.hold_event(kind, step, **data)
        self._write_line(kind, step, data)

    def write(self, kind: str, step: int = -1, **data: Any) -> None:
        """Note an event.

        Parameters
        ----------
        kind
            What happened: "label", "training", "swap" ...
        step
            MD step, -1 for none.
        data
            What belongs to it.
        """
        self._ledger.add_event(kind, step, **data)
        self._write_line(kind, step, data)

    def _write_line(self, kind: str, step: int, data: Mapping[str, Any]) -> None:
        self._journal.write(kind, **({"step": step} if step >= 0 else {}), **data)
