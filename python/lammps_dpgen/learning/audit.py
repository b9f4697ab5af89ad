"""Accurate frames drawn at random, for labels that measure what the trust window misses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lammps_dpgen.config.learning import Audit
from lammps_dpgen.frame import Frame


class AuditSample:
    """Keeps some of the accurate frames since the last swap, all with the same chance (reservoir sampling).

    Every rank of a walker keeps one and draws the same places; the frames themselves are on rank 0.

    Parameters
    ----------
    settings
        Share of the batch.
    batch
        Size of a batch of labels. A share above 0 means at least one frame.
    rng
        Of the same state on all ranks.
    """

    def __init__(self, settings: Audit, batch: int, rng: np.random.Generator) -> None:
        self._size = max(1, round(settings.share * batch)) if settings.share > 0 else 0
        self._rng = rng
        self._frames: list[Frame | None] = []
        self._n_offered = 0

    def offer(self, get: Callable[[], Frame | None]) -> None:
        """Offer an accurate frame; `get`, which returns it on rank 0, is called on all ranks if it is drawn."""
        if self._size == 0:
            return
        self._n_offered += 1
        place = len(self._frames) if len(self._frames) < self._size else int(self._rng.integers(self._n_offered))
        if place < self._size:
            self._frames[place : place + 1] = [get()]

    @property
    def frames(self) -> list[Frame]:
        """The frames that are kept, different ones, on rank 0."""
        return list({frame.hash: frame for frame in self._frames if frame is not None}.values())

    def clear(self) -> None:
        """Begin anew: other models judge from now on."""
        self._frames, self._n_offered = [], 0
