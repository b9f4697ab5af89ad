"""Whether a frame is another one but for small displacements, asked of very many."""

from __future__ import annotations

import numpy as np
from ase.cell import Cell
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from lammps_dpgen.frame import FloatArray, Frame
from lammps_dpgen.learning.growing_rows import GrowingRows

#: Frames that a search looks at one by one before they enter the tree, at most.
_UNSORTED = 512
#: Added to a search radius in fractional coordinates: what rounding to float32 can change.
_ROUNDING = 1e-5


class NearDuplicates:
    """Remembers frames and tells whether another one is the same but for small displacements.

    Two frames of the same atoms in the same order are near duplicates when no atom and no cell vector differs by more
    than `tolerance` (Å); atoms that left the cell by whole vectors are where they were. A question costs about the same
    among a hundred frames and among a hundred thousand; a frame takes 12 bytes per atom.
    """

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._groups: dict[tuple[object, ...], _Group] = {}

    def add(self, *frames: Frame) -> None:
        """Remember frames."""
        for frame in frames:
            group = self._groups.get(_key(frame))
            if group is None:
                group = self._groups[_key(frame)] = _Group(frame)
            group.add(frame)

    def has(self, frame: Frame) -> bool:
        """Tell whether a frame is a near duplicate of a remembered one."""
        group = self._groups.get(_key(frame))
        return group is not None and group.has(frame, self._tolerance)


class _Group:
    """Frames of the same atoms in the same order: cells and fractional coordinates, and a tree of a few of them.

    Frames that are near have near coordinates of the first, middle and last atom. A tree finds these few frames, and
    only they are compared as a whole.
    """

    def __init__(self, frame: Frame) -> None:
        self._pbc = np.array(frame.pbc)
        self._probes = sorted({0, frame.n_atoms // 2, frame.n_atoms - 1})
        self._box = np.tile(np.where(self._pbc, 1.0, 0.0), len(self._probes))  # 0: not periodic
        self._cells, self._fractional = GrowingRows(3, 3), GrowingRows(frame.n_atoms, 3)
        self._tree: cKDTree | None = None
        self._sorted = 0

    def add(self, frame: Frame) -> None:
        basis = _basis(frame)
        self._cells.append(basis[None])
        self._fractional.append(self._wrapped(frame, basis)[None])
        if len(self._cells) - self._sorted > _UNSORTED:
            points = self._fractional.rows[:, self._probes].reshape(len(self._cells), -1)
            self._tree = cKDTree(points, boxsize=self._box, balanced_tree=False, compact_nodes=False)
            self._sorted = len(self._cells)

    def has(self, frame: Frame, tolerance: float) -> bool:
        basis = _basis(frame)
        fractional = self._wrapped(frame, basis)
        suspects = self._suspects(fractional, tolerance * np.linalg.norm(np.linalg.inv(basis), axis=0).max())
        changed = self._cells.rows[suspects] - basis.astype(np.float32)
        suspects = suspects[np.linalg.norm(changed, axis=2).max(axis=1) <= tolerance]
        shift = fractional - self._fractional.rows[suspects]
        shift -= np.where(self._pbc, np.round(shift), 0.0)
        return bool((np.linalg.norm(shift @ basis, axis=2).max(axis=1) <= tolerance).any())

    def _suspects(self, fractional: NDArray[np.float32], radius: float) -> NDArray[np.int64]:
        """Return the frames whose first, middle and last atom are near."""
        wanted, radius = fractional[self._probes], radius + _ROUNDING
        shift = self._fractional.rows[self._sorted :, self._probes] - wanted
        shift -= np.where(self._pbc, np.round(shift), 0.0)
        unsorted = self._sorted + np.flatnonzero((np.abs(shift) <= radius).all(axis=(1, 2)))
        if self._tree is None:
            return unsorted
        near = self._tree.query_ball_point(wanted.ravel(), radius, p=np.inf)
        return np.concatenate([np.array(near, dtype=np.int64), unsorted])

    def _wrapped(self, frame: Frame, basis: FloatArray) -> NDArray[np.float32]:
        """Return fractional coordinates, from 0 to below 1 along periodic vectors."""
        fractional = np.linalg.solve(basis.T, frame.positions.T).T
        wrapped = np.where(self._pbc, fractional % 1.0, fractional).astype(np.float32)
        return np.where(self._pbc & (wrapped >= 1.0), np.float32(0.0), wrapped)


def _key(frame: Frame) -> tuple[object, ...]:
    return frame.species, frame.pbc


def _basis(frame: Frame) -> FloatArray:
    """Return the periodic cell vectors, the others replaced by unit vectors at right angles to them."""
    periodic = np.where(np.array(frame.pbc)[:, None], frame.cell, 0.0)
    return np.array(Cell(periodic).complete(), dtype=np.float64)
