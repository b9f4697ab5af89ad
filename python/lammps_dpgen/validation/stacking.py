"""Close-packed planes on each other: crystals, faults and twins as the steps from one plane to the next.

A plane has its atoms at A, B or C of the triangular lattice. The next one is a step forward (A to B, B to C, C to A) or
backward from it; forward steps alone are fcc, steps that alternate are hcp. A fault is a sequence of steps that differs
from that of the crystal, and a cell of periodic steps, tilted by what they add up to, holds exactly one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from ase import Atoms

from lammps_dpgen.frame import FloatArray

#: Steps from one plane to the next: +1 forward, -1 backward.
Steps = tuple[int, ...]

#: Structures that consist of close-packed planes, with the planes of their period.
PERIODS = {"fcc": 3, "hcp": 2}


def perfect(prototype: str, n_planes: int) -> Steps:
    """Return the steps of a crystal: of an even number of planes for hcp."""
    return (1,) * n_planes if prototype == "fcc" else tuple(1 - 2 * (plane % 2) for plane in range(n_planes))


def intrinsic(prototype: str, n_planes: int) -> Steps:
    """Return the steps of the fault that a single slip makes: intrinsic in fcc (ABC|BCA), I2 in hcp (ABAB|CACA)."""
    steps = list(perfect(prototype, n_planes))
    middle = _slipped(prototype, n_planes)
    steps[middle] = -steps[middle]
    return tuple(steps)


def extrinsic(prototype: str, n_planes: int) -> Steps:
    """Return the steps after slips on two neighbouring planes: extrinsic in fcc (ABC|B|ABC), T2 in hcp (ABAB|C|BAB).

    The former is the nucleus of a twin, the latter is called twin-like: one plane in a wrong place.
    """
    steps = list(intrinsic(prototype, n_planes))
    middle = _slipped(prototype, n_planes)
    steps[middle + 1] = -steps[middle + 1]
    return tuple(steps)


def growth(n_planes: int) -> Steps:
    """Return the steps of the growth fault I1 of hcp (ABAB|CBCB): one step is repeated; an odd number of planes."""
    odd = n_planes + 1 - n_planes % 2
    return tuple(1 - 2 * (plane % 2) for plane in range(odd))


def extra_plane(n_planes: int) -> Steps:
    """Return the steps of the extrinsic fault E of hcp (ABAB|C|ABAB), a plane put in: an odd number of planes."""
    odd = n_planes + 1 - n_planes % 2
    return (1,) * 4 + tuple(2 * (plane % 2) - 1 for plane in range(odd - 4))


def twin_boundaries(n_planes: int) -> Steps:
    """Return the steps of fcc with two coherent twin boundaries; an even number of planes."""
    half = n_planes // 2
    return (1,) * half + (-1,) * half


def planes(symbol: str, a: float, spacing: float, steps: Steps, slips: dict[int, float] | None = None) -> Atoms:
    """Return a periodic cell of close-packed planes, one atom each, normal along z.

    Parameters
    ----------
    a
        Distance of neighbours in a plane, Å.
    spacing
        Distance of planes, Å.
    slips
        Additional slips between a plane and the next, by number of the step, in whole steps forward.
    """
    step = np.array([a / 2.0, a / (2.0 * np.sqrt(3.0)), 0.0])
    sizes = np.array(steps, dtype=np.float64)
    for number, slip in (slips or {}).items():
        sizes[number] += slip
    shifts = np.concatenate(([0.0], np.cumsum(sizes)))
    heights = np.arange(len(steps) + 1) * spacing
    places = shifts[:, None] * step + heights[:, None] * np.array([0.0, 0.0, 1.0])
    plane_vectors = np.array([[a, 0.0, 0.0], [a / 2.0, a * np.sqrt(3.0) / 2.0, 0.0]])
    top = shortest(places[-1], plane_vectors)
    return Atoms([symbol] * len(steps), positions=places[:-1], cell=[*plane_vectors, top], pbc=True)


def shortest(vector: FloatArray, plane_vectors: FloatArray) -> FloatArray:
    """Return the vector with the smallest tilts that ends on an equivalent point of the plane."""
    reduced = vector.copy()
    for axis in (1, 0):
        reduced -= np.rint(reduced[axis] / plane_vectors[axis, axis]) * plane_vectors[axis]
    return reduced


def _slipped(prototype: str, n_planes: int) -> int:
    """Return the number of a backward step of hcp, or of any step of fcc, in the middle of the cell."""
    middle = n_planes // 2
    return middle - 1 + middle % 2 if prototype == "hcp" else middle


def slip_lines(prototype: str, steps: Steps, n_points: int) -> Iterator[tuple[float, dict[int, float]]]:
    """Yield the slips of a gamma line: to the fault of a single slip (0 to 1), then of the next plane too (1 to 2).

    Each step is slipped in its own direction, where the atoms go through the hollow and not over the top.

    Yields
    ------
    float
        How far, in steps.
    dict
        What :func:`planes` takes.
    """
    first = _slipped(prototype, len(steps))
    direction, next_direction = steps[first], steps[first + 1]
    for slip in np.linspace(0.0, 1.0, n_points):
        yield float(slip), {first: direction * float(slip)}
    for slip in np.linspace(0.0, 1.0, n_points)[1:]:
        yield 1.0 + float(slip), {first: float(direction), first + 1: next_direction * float(slip)}
