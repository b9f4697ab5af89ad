"""The file ``deviation.csv``: every look of the learning run, a row each."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from lammps_dpgen.errors import StoreError

if TYPE_CHECKING:
    from lammps_dpgen import _core

COLUMNS = (
    *("step", "time", "temperature"),
    *("max_devi_v", "min_devi_v", "avg_devi_v"),
    *("max_devi_f", "min_devi_f", "avg_devi_f"),
    *("class", "generation"),
)

#: Seconds after which rows are on disk at the latest.
FLUSH_INTERVAL = 1.0


class LookLog:
    """Appends looks; units ps, K, eV/atom, eV/Å. A context manager.

    Parameters
    ----------
    path
        File to append to, made when missing.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}; is the folder writable?") from error
        # The row that a kill has torn is closed, so that it stays the only one that cannot be read.
        self._file.write(",".join(COLUMNS) + "\n" if self._file.tell() == 0 else "\n")
        self._flushed = time.monotonic()

    def write(self, look: _core.Look, generation: int) -> None:
        """Append a look that the models of `generation` took."""
        d = look.deviation
        figures = (look.time, look.temperature, d.max_v, d.min_v, d.avg_v, d.max_f, d.min_f, d.avg_f)
        numbers = ",".join(f"{figure:.8g}" for figure in figures)
        self._file.write(f"{look.step},{numbers},{look.frame_class},{generation}\n")
        if time.monotonic() - self._flushed > FLUSH_INTERVAL:
            self.flush()

    def flush(self) -> None:
        """Put all rows on disk."""
        self._file.flush()
        self._flushed = time.monotonic()

    def __enter__(self) -> LookLog:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
