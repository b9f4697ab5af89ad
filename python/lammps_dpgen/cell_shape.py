"""How distorted a cell is, and how much vacuum surrounds what is in it.

The ratios are those of DP-GEN's filters of frames (its keys ``fp_skip_bad_box`` and ``fp_cluster_vacuum``).
"""

from __future__ import annotations

import numpy as np
from ase.cell import Cell

from lammps_dpgen.frame import FloatArray


def length_ratio(vectors: FloatArray) -> float:
    """Return the longest over the shortest of the cell vectors, the rows of ``[n, 3]``."""
    lengths = np.linalg.norm(vectors, axis=1)
    return float(lengths.max() / lengths.min())


def aspect_ratio(vectors: FloatArray) -> float:
    """Return the longest cell vector over the smallest height of the cell.

    Parameters
    ----------
    vectors
        ``[n, 3]``, one to three independent vectors; a height is measured within the space that they span.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    heights = 1.0 / np.linalg.norm(np.linalg.pinv(vectors), axis=0)
    return float(lengths.max() / heights.min())


def wrap_ratio(cell: FloatArray) -> float:
    """Return the largest of abs(xy / lx), abs(yz / ly), abs(xz / lx), of the ``[3, 3]`` cell in LAMMPS' form.

    It says how far b and c lean over their neighbours; LAMMPS itself allows 0.5 unless told otherwise.
    """
    (lx, _, _), (xy, ly, _), (xz, yz, _) = lammps_form(cell)
    return float(np.abs([xy / lx, yz / ly, xz / lx]).max())


def tilt_ratio(cell: FloatArray) -> float:
    """Return the largest of abs(xy / ly), abs(yz / lz), abs(xz / lz), the tangents of the cell's shear angles."""
    _, (xy, ly, _), (xz, yz, lz) = lammps_form(cell)
    return float(np.abs([xy / ly, yz / lz, xz / lz]).max())


def lammps_form(cell: FloatArray) -> FloatArray:
    """Return the ``[3, 3]`` cell turned so that a lies along x and b in the xy plane; one in that form stays as it is.

    Its rows are (lx, 0, 0), (xy, ly, 0), (xz, yz, lz), in LAMMPS' words.
    """
    cell = np.asarray(cell, dtype=np.float64)
    if not np.triu(cell, 1).any() and (np.diag(cell) > 0.0).all():
        return cell
    return np.asarray(Cell(cell).standard_form()[0].array, dtype=np.float64)


def vacuum(cell: FloatArray, positions: FloatArray) -> float:
    """Return the least room (Å) around the atoms: length of a cell vector minus extent of the atoms along x, y, z.

    It is meant for cells whose vectors lie along x, y and z. Atoms count where they are given, not where their
    images are, so a cluster that lies across a face of the cell has to be given in one piece.
    """
    return float((np.linalg.norm(cell, axis=1) - np.ptp(positions, axis=0)).min())
