"""An array that rows are added to at its end: a memory that grows for as long as a run."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


class GrowingRows:
    """Rows of float32, enough for distances between frames at half the memory.

    Parameters
    ----------
    shape
        Of one row.
    """

    def __init__(self, *shape: int) -> None:
        self._array = np.empty((1, *shape), dtype=np.float32)
        self._count = 0

    def append(self, rows: ArrayLike) -> None:
        """Add rows, ``[n, *shape]``; the array doubles where there is no room, so that a row costs the same always."""
        added = np.asarray(rows, dtype=np.float32)
        total = self._count + len(added)
        if total > len(self._array):
            larger = np.empty((max(total, 2 * len(self._array)), *self._array.shape[1:]), dtype=np.float32)
            larger[: self._count] = self.rows
            self._array = larger
        self._array[self._count : total] = added
        self._count = total

    @property
    def rows(self) -> NDArray[np.float32]:
        """All rows; they must not be written to."""
        return self._array[: self._count]

    def __len__(self) -> int:
        return self._count
