"""How different two frames are: a descriptor that rotation, translation and the order of atoms do not change.

Around each atom i and for each neighbour element B, the distances are summed into a smeared radial histogram::

    g_i^B(r_k) = sum_j in B  exp(-(d_ij - r_k)^2 / (2 w^2)) (1 + cos(pi d_ij / r_c)) / 2

The frame's descriptor holds, for each pair of elements A, B, the mean and the standard deviation of g_i^B over the
atoms i of element A: the first is the radial distribution, the second tells one bad environment among many good ones.
Neither depends on the size of the cell. Distances between frames are Euclidean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import csr_array
from vesin import ase_neighbor_list

from lammps_dpgen.frame import FloatArray, Frame

#: Cut-off r_c and the width w of a neighbour's peak, which is also the distance between the r_k, Å.
CUTOFF = 6.0
WIDTH = 0.3

#: For each pair of elements (centre, neighbour) the mean over the centres, then their standard deviation.
Descriptor = Mapping[tuple[str, str], FloatArray]

_RADII = np.arange(WIDTH, CUTOFF, WIDTH)


def describe(frame: Frame) -> Descriptor:
    """Return the descriptor of a frame; pairs of elements without neighbours have zeros."""
    first, second, distance = ase_neighbor_list("ijd", frame.to_ase(), CUTOFF)
    peaks = (distance[:, None] - _RADII) / WIDTH
    peaks = np.exp(np.multiply(peaks, peaks, out=peaks) * -0.5, out=peaks)
    peaks *= 0.5 * (1.0 + np.cos(np.pi * distance / CUTOFF))[:, None]
    elements, element = np.unique(np.array(frame.species), return_inverse=True)
    # A sum over the pairs of each atom and neighbour element, as one product with a matrix of zeros and ones.
    rows = element[second] * frame.n_atoms + first
    shape = (len(elements) * frame.n_atoms, len(distance))
    sums = csr_array((np.ones(len(distance)), (rows, np.arange(len(distance)))), shape=shape) @ peaks
    histograms = sums.reshape(len(elements), frame.n_atoms, len(_RADII))
    descriptor: dict[tuple[str, str], FloatArray] = {}
    for b, neighbour in enumerate(elements.tolist()):
        for a, centre in enumerate(elements.tolist()):
            around = histograms[b, element == a]
            descriptor[centre, neighbour] = np.concatenate([around.mean(axis=0), around.std(axis=0)])
    return descriptor


def as_matrix(descriptors: Sequence[Descriptor]) -> FloatArray:
    """Return one row per descriptor; a pair of elements that a frame does not have counts as zeros."""
    pairs = sorted({pair for descriptor in descriptors for pair in descriptor})
    zeros = np.zeros(2 * len(_RADII))
    return np.array([np.concatenate([d.get(pair, zeros) for pair in pairs]) for d in descriptors])


def farthest_points(candidates: FloatArray, nearest: FloatArray, count: int, rng: np.random.Generator) -> list[int]:
    """Choose rows of `candidates` one after another, each the farthest from all that is given and chosen.

    Parameters
    ----------
    candidates
        ``[n, d]``.
    nearest
        ``[n]``, distance of each candidate to the nearest given point; infinite where nothing is given: the first
        choice is random then.

    Returns
    -------
    list of int
        Indices in the order of choice; the lowest index wins a tie.
    """
    chosen: list[int] = []
    if np.isinf(nearest).all():
        chosen = [int(rng.integers(len(candidates)))]
        nearest = np.linalg.norm(candidates - candidates[chosen[0]], axis=1)
    nearest = nearest.copy()
    while len(chosen) < min(count, len(candidates)):
        nearest[chosen] = -1.0
        best = int(np.argmax(nearest))
        chosen.append(best)
        nearest = np.minimum(nearest, np.linalg.norm(candidates - candidates[best], axis=1))
    return chosen
