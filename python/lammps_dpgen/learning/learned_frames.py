"""What a selection has to know of the frames that have a label, kept in memory and never read twice."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lammps_dpgen.config.selection import SelectionSettings
from lammps_dpgen.frame import FloatArray, Frame
from lammps_dpgen.learning.descriptor import Descriptor, as_matrix, describe
from lammps_dpgen.learning.growing_rows import GrowingRows
from lammps_dpgen.learning.near_duplicates import NearDuplicates
from lammps_dpgen.store.ledger import Ledger

#: Pairs of elements, centre and neighbour, that a descriptor tells of.
Pairs = tuple[tuple[str, str], ...]
#: Labels that are read from the ledger at once.
PORTION = 500
#: Distances that are held at once while the nearest are sought.
_DISTANCES = 1 << 21


class LearnedFrames:
    """The labelled frames, as far as they decide which further ones are worth a label.

    Of the candidates that it was asked about last it remembers how far they are from these frames, so that a pool of
    candidates is compared with new labels only. A frame takes 12 bytes per atom and, where the method is
    "farthest_point", 152 bytes per ordered pair of its elements: 100,000 frames of 32 atoms and two elements take some
    100 MB.

    Parameters
    ----------
    settings
        Of the selection that asks.
    """

    def __init__(self, settings: SelectionSettings) -> None:
        self._near = NearDuplicates(settings.near_duplicate)
        self._descriptors = DescriptorTable() if settings.method == "farthest_point" else None
        self._hashes: set[bytes] = set()
        self._last = 0
        self._candidates: dict[str, tuple[Descriptor, float]] = {}
        self._compared: dict[Pairs, int] = {}

    def add(self, frames: Iterable[Frame]) -> None:
        """Remember frames."""
        for frame in frames:
            self._add(frame.hash, frame)

    def follow(
        self, ledger: Ledger, settings_hash: str | Collection[str], meanwhile: Callable[[], None] = lambda: None
    ) -> None:
        """Remember the labels of these settings that were recorded since the last call: all of them at the first.

        Parameters
        ----------
        meanwhile
            Called after every few hundred frames: the first call takes a while in a large run that is resumed.
        """
        while news := ledger.labelled_frames(settings_hash, after=self._last, limit=PORTION):
            for self._last, frame_hash, frame in news:
                self._add(frame_hash, frame)
            meanwhile()

    def has_near(self, frame: Frame) -> bool:
        """Tell whether a frame is a near duplicate of one of these."""
        return self._near.has(frame)

    def compare(self, candidates: Sequence[Frame]) -> tuple[FloatArray, FloatArray]:
        """Describe frames, and say how far each is from the nearest of these.

        Returns
        -------
        descriptors
            ``[n, d]``, a row per frame.
        distances
            ``[n]``, infinite where there are no labelled frames.
        """
        if self._descriptors is None:
            raise ValueError("descriptors are kept for the method farthest_point only")
        before, table = self._candidates, self._descriptors
        descriptors = [before[f.hash][0] if f.hash in before else describe(f) for f in candidates]
        distances = np.array([before[f.hash][1] if f.hash in before else np.inf for f in candidates])
        old = np.array([f.hash in before for f in candidates], dtype=bool)
        for group, since in ((old, self._compared), (~old, {})):
            chosen = [descriptors[i] for i in np.flatnonzero(group)]
            distances[group] = np.minimum(distances[group], table.nearest(chosen, since))
        known = zip(descriptors, distances.tolist(), strict=True)
        self._candidates = {frame.hash: pair for frame, pair in zip(candidates, known, strict=True)}
        self._compared = table.sizes()
        return as_matrix(descriptors), distances

    def __contains__(self, frame_hash: str) -> bool:
        return bytes.fromhex(frame_hash) in self._hashes

    def __len__(self) -> int:
        return len(self._hashes)

    def _add(self, frame_hash: str, frame: Frame) -> None:
        if frame_hash in self:
            return
        self._hashes.add(bytes.fromhex(frame_hash))
        self._near.add(frame)
        if self._descriptors is not None:
            self._descriptors.add(describe(frame))


class DescriptorTable:
    """Descriptors of very many frames, by the elements that the frames have."""

    def __init__(self) -> None:
        self._groups: dict[Pairs, tuple[GrowingRows, GrowingRows]] = {}

    def add(self, descriptor: Descriptor) -> None:
        """Remember a descriptor."""
        pairs = tuple(sorted(descriptor))
        row = _row(descriptor, pairs)
        if pairs not in self._groups:
            self._groups[pairs] = GrowingRows(len(row)), GrowingRows()
        rows, squares = self._groups[pairs]
        rows.append(row[None])
        squares.append([row @ row])

    def sizes(self) -> dict[Pairs, int]:
        """Return how many descriptors there are by the elements of their frames."""
        return {pairs: len(rows) for pairs, (rows, _) in self._groups.items()}

    def nearest(self, descriptors: Sequence[Descriptor], since: Mapping[Pairs, int] | None = None) -> FloatArray:
        """Return how far each descriptor is from the nearest one remembered; a pair that one lacks counts as zeros.

        Parameters
        ----------
        since
            What `sizes` returned before: only what was added afterwards is looked at. None: all.
        """
        nearest = np.full(len(descriptors), np.inf)
        if not descriptors:
            return nearest
        whole = (as_matrix(descriptors) ** 2).sum(axis=1)
        for pairs, (all_rows, all_squares) in self._groups.items():
            first = (since or {}).get(pairs, 0)
            rows, squares = all_rows.rows[first:], all_squares.rows[first:]
            if not len(rows):
                continue
            candidates = np.array([_row(descriptor, pairs) for descriptor in descriptors])
            best = rows[_nearest_rows(candidates.astype(np.float32), rows, squares)]
            # Elements that these frames do not have add the whole of their part of the descriptor.
            missing = np.maximum(0.0, whole - (candidates**2).sum(axis=1))
            nearest = np.minimum(nearest, np.sqrt(((candidates - best) ** 2).sum(axis=1) + missing))
        return nearest


def _row(descriptor: Descriptor, pairs: Sequence[tuple[str, str]]) -> FloatArray:
    zeros = np.zeros_like(next(iter(descriptor.values())))
    return np.concatenate([descriptor.get(pair, zeros) for pair in pairs])


def _nearest_rows(
    candidates: NDArray[np.float32], rows: NDArray[np.float32], squares: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Return the index of the row that is nearest to each candidate: one matrix product, a piece at a time.

    A difference of large numbers in single precision finds the row; how far it is the caller computes from the rows.
    """
    block = max(1, _DISTANCES // len(candidates))
    best = np.zeros(len(candidates), dtype=np.int64)
    least = np.full(len(candidates), np.inf, dtype=np.float32)
    for start in range(0, len(rows), block):
        piece = slice(start, start + block)
        distance = candidates @ rows[piece].T  # half the square of the distance, but for the candidate's own square
        np.subtract(0.5 * squares[piece], distance, out=distance)
        index = distance.argmin(axis=1)
        found = distance[np.arange(len(candidates)), index]
        closer = found < least
        best[closer], least[closer] = start + index[closer], found[closer]
    return best
