"""Cells cut out of frames that are too large for DFT, around the atoms whose forces the models know least.

A cell is a frame of its own: what is computed for it, energy and forces, is right for it. Its margin is no piece of the
large frame any more, with faces that atoms have been cut off at, and is only there so that the atoms in the middle have
the surroundings that they had. Therefore the forces on the middle ones alone are learnt (``Frame.learnt``).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from ase import Atoms
from ase.cell import Cell
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from vesin import ase_neighbor_list

from lammps_dpgen.config.extract import ExtractSettings
from lammps_dpgen.errors import StructureError
from lammps_dpgen.frame import FloatArray, Frame

#: A layer without atoms that is thicker than this (Å) is vacuum.
VACUUM = 6.0
#: Atoms on two sides of a face keep this share of the shortest distance in the whole frame; the outer one goes.
_CONTACT = 0.9
#: Distances up to which the shortest one of a frame is looked for, in Å.
_CONTACTS = 4.0
#: Lengths of a cell that are tried, by this step; a longer one has to fit better by so much; all in Å.
_STEP, _BETTER = 0.05, 0.02
#: Where an atom is expected, one that is farther away than this (Å) is another one.
_FARTHEST = 1.5
#: A share of the highest deviation that makes another atom the centre of a further cell.
_NEXT = 0.5


def extract(frame: Frame, settings: ExtractSettings, max_atoms: int) -> list[Frame]:
    """Return the cells around the atoms with the highest deviation of a frame.

    Parameters
    ----------
    frame
        With `spread`.
    max_atoms
        Largest cell, where the settings do not say.

    Raises
    ------
    StructureError
        The frame has no spread, or a cell has more atoms than allowed.
    """
    if frame.spread is None:
        raise StructureError("a frame without the deviation of its atoms has no place to cut a cell around")
    limit = settings.max_atoms or max_atoms
    cells = [cut(frame, centre, settings) for centre in _centres(frame, frame.spread, settings)]
    for cell in cells:
        if cell.n_atoms > limit:
            raise StructureError(
                f"a cell with a core of {settings.core:g} Å and a margin of {settings.margin:g} Å has {cell.n_atoms} "
                f"atoms, {limit} are allowed; make core, margin or slack smaller, or allow more"
            )
    return cells


def cut(frame: Frame, centre: int, settings: ExtractSettings) -> Frame:
    """Return the cell around an atom (index from 0); its atoms keep their order."""
    offsets = _offsets(frame, centre)
    reach = settings.core + settings.margin
    if settings.shape == "cluster" or not any(frame.pbc):
        # A frame without periodicity is a cluster itself, and stays one.
        chosen = np.flatnonzero(np.linalg.norm(offsets, axis=1) <= reach)
        cell, middle = None, np.zeros(3)
    else:
        cell, offsets, middle, chosen = _periodic_cell(frame, offsets, reach, settings)
        chosen = _without_contacts(frame, cell, offsets, chosen)
    learnt = np.linalg.norm(offsets[chosen], axis=1) <= settings.core
    return _piece(frame, chosen, offsets[chosen] - middle, cell, learnt)


def _piece(
    frame: Frame, chosen: NDArray[np.int_], offsets: FloatArray, cell: FloatArray | None, learnt: NDArray[np.bool_]
) -> Frame:
    """Return atoms of a frame as a frame of its own; `offsets` are from the middle of the cell, if it has one."""
    vectors = np.zeros((3, 3)) if cell is None else cell
    periodic = cell is not None
    return replace(
        frame,
        species=tuple(frame.species[i] for i in chosen),
        positions=offsets + 0.5 * vectors.sum(axis=0),
        cell=vectors,
        pbc=(periodic, periodic, periodic),
        spread=None if frame.spread is None else frame.spread[chosen],
        learnt=learnt,
    )


def _centres(frame: Frame, spread: FloatArray, settings: ExtractSettings) -> list[int]:
    """Return the atoms to cut around: those with the highest deviation, each outside the cores of the others."""
    left = np.where(np.isfinite(spread), spread, np.inf)
    least = _NEXT * left.max()
    centres: list[int] = []
    while len(centres) < settings.cells and (not centres or left.max() >= least):
        centres.append(int(np.argmax(left)))
        left[np.linalg.norm(_offsets(frame, centres[-1]), axis=1) <= settings.core] = -np.inf
    return centres


def _offsets(frame: Frame, centre: int) -> FloatArray:
    """Return the way (Å) from an atom to each atom, along periodic directions to the image nearest in cell vectors."""
    offsets = frame.positions - frame.positions[centre]
    basis = _complete(frame)
    fractional = np.linalg.solve(basis.T, offsets.T).T
    fractional -= np.where(frame.pbc, np.round(fractional), 0.0)
    return np.asarray(fractional @ basis)


def _complete(frame: Frame) -> FloatArray:
    """Return the cell vectors, with unit vectors at right angles where there is none."""
    return np.array(Cell(np.where(np.array(frame.pbc)[:, None], frame.cell, 0.0)).complete(), dtype=np.float64)


def _periodic_cell(
    frame: Frame, offsets: FloatArray, reach: float, settings: ExtractSettings
) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[np.int_]]:
    """Return the vectors of the cell, the ways from the centre to all atoms and to its middle, and the atoms inside."""
    basis = _complete(frame)
    fractional = np.linalg.solve(basis.T, offsets.T).T
    heights = 1.0 / np.linalg.norm(np.linalg.inv(basis), axis=0)  # between the faces of the frame's cell
    lengths, middle = np.ones(3), np.zeros(3)  # of the new cell, in units of the frame's vectors
    inside = np.ones(frame.n_atoms, dtype=bool)
    dense = []
    for axis in range(3):
        height = float(heights[axis])
        along = _in_one_piece(np.asarray(fractional[:, axis], dtype=np.float64), height, frame.pbc[axis])
        if along is not None:
            fractional[:, axis] = along
            inside &= np.abs(along) * height <= reach
            low, high = along[inside].min(), along[inside].max()
            lengths[axis], middle[axis] = high - low + settings.vacuum / height, 0.5 * (low + high)
        elif height > 2.0 * reach + settings.slack:
            dense.append(axis)
        # Else the frame is hardly longer than the cell: it stays whole here, without a seam.
    for axis, length in zip(dense, _fitting_lengths(frame, basis, offsets, dense, reach, settings), strict=True):
        lengths[axis] = length / heights[axis]
        inside &= (fractional[:, axis] >= -0.5 * lengths[axis]) & (fractional[:, axis] < 0.5 * lengths[axis])
    return lengths[:, None] * basis, np.asarray(fractional @ basis), middle @ basis, np.flatnonzero(inside)


def _in_one_piece(along: FloatArray, height: float, periodic: bool) -> FloatArray | None:
    """Return coordinates along a cell vector without vacuum between the atoms; None where there is no vacuum."""
    if not periodic:
        return along
    ordered = np.sort(along)
    gaps = np.diff(np.append(ordered, ordered[0] + 1.0))
    widest = int(np.argmax(gaps))
    if gaps[widest] * height <= VACUUM:
        return None
    last = ordered[widest]  # the vacuum begins above it; the centre, at 0, stays where it is
    return np.asarray(along - (along > last) if last >= 0.0 else along + (along <= last))


def _fitting_lengths(
    frame: Frame, basis: FloatArray, offsets: FloatArray, axes: list[int], reach: float, settings: ExtractSettings
) -> list[float]:
    """Return distances (Å) between opposite faces for which atoms at the one are where the other leads to expect them.

    The atoms inside the lower face are moved by the length of the cell. Where the frame has atoms in those places, as a
    crystal has at its periods, the atoms at the face do not notice it.
    """
    shifts = np.array(list(product(*((-1, 0, 1) if periodic else (0,) for periodic in frame.pbc)))) @ basis
    everywhere = (offsets[None] + shifts[:, None]).reshape(-1, 3)
    normals = np.linalg.inv(basis) / np.linalg.norm(np.linalg.inv(basis), axis=0)
    places = everywhere @ normals  # distances from the planes through the centre
    lateral = np.abs(places) <= reach
    tree = cKDTree(everywhere)
    found = []
    for axis in axes:
        others = [other for other in axes if other != axis]
        # Across, a slab with free surfaces is looked at as a whole.
        tube = np.all(lateral[:, others], axis=1)
        per_length = basis[axis] / float(basis[axis] @ normals[:, axis])
        best, fitting = np.inf, 2.0 * reach
        for length in np.arange(2.0 * reach, 2.0 * reach + settings.slack + _STEP, _STEP):
            low = places[:, axis] + 0.5 * length
            layer = everywhere[tube & (low >= 0.0) & (low < settings.margin)]
            if len(layer) == 0:
                continue
            missing = np.minimum(tree.query(layer + length * per_length)[0], _FARTHEST)
            if (misfit := float(np.sqrt(np.mean(missing**2)))) < best - _BETTER:
                best, fitting = misfit, float(length)
        found.append(fitting)
    return found


def _without_contacts(
    frame: Frame, cell: FloatArray, offsets: FloatArray, chosen: NDArray[np.int_]
) -> NDArray[np.int_]:
    """Return the atoms without those of the margin that have come too close to others through a face of the cell."""
    shortest = ase_neighbor_list("d", frame.to_ase(), _CONTACTS)
    closest = _CONTACT * float(np.min(shortest, initial=_CONTACTS))
    atoms = Atoms(positions=offsets[chosen], cell=cell, pbc=True)
    first, second, distances = ase_neighbor_list("ijd", atoms, closest)
    out: set[int] = set()
    far = np.linalg.norm(offsets[chosen], axis=1)
    for pair in np.argsort(distances):
        i, j = int(first[pair]), int(second[pair])
        if i not in out and j not in out:
            out.add(i if far[i] > far[j] else j)
    return np.delete(chosen, sorted(out))
