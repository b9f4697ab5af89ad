"""Distances between the atoms of a frame, and the shortest ones that make sense."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from vesin import ase_neighbor_list

from lammps_dpgen.frame import Frame

#: Default for the shortest distance allowed: this fraction of the sum of the two covalent radii.
CONTACT_FRACTION = 0.6


@dataclass(frozen=True)
class Contact:
    """Two atoms that are too close.

    Attributes
    ----------
    first, second
        Atom indices from 0; equal for an atom and its own periodic image.
    distance, allowed
        Distance and the shortest one allowed, Å.
    """

    first: int
    second: int
    distance: float
    allowed: float

    def describe(self, frame: Frame) -> str:
        """Say which atoms (numbered from 1) are too close."""
        names = f"{frame.species[self.first]} {self.first + 1} and {frame.species[self.second]} {self.second + 1}"
        return f"atoms {names} are {self.distance:.3f} Å apart, at least {self.allowed:.3f} Å are allowed"


def shortest_allowed(first: str, second: str) -> float:
    """Return the default shortest distance of two elements in Å: 0.6 times the sum of their covalent radii.

    For Al it is 1.45 Å (nearest neighbours in the crystal: 2.86 Å); liquids at several thousand kelvin stay above it.
    """
    return CONTACT_FRACTION * float(covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]])


def closest_contact(frame: Frame, min_distance: float | None = None) -> Contact | None:
    """Return the two atoms that are closest among those that are too close, or None if none are.

    Parameters
    ----------
    min_distance
        Shortest distance allowed in Å; None: :func:`shortest_allowed` of each pair of elements.
    """
    elements = sorted(set(frame.species))
    limits = np.array(
        [[shortest_allowed(a, b) if min_distance is None else min_distance for b in elements] for a in elements]
    )
    kind = np.searchsorted(elements, frame.species)
    first, second, distance = ase_neighbor_list("ijd", frame.to_ase(), float(limits.max()))
    allowed = limits[kind[first], kind[second]]
    close = np.flatnonzero(distance < allowed)
    if len(close) == 0:
        return None
    k = close[np.argmin(distance[close])]
    i, j = sorted((int(first[k]), int(second[k])))
    return Contact(i, j, float(distance[k]), float(allowed[k]))


def shortest_distance(frame: Frame) -> float:
    """Return the shortest distance between two atoms in Å, images through periodic faces included.

    Infinite for a single atom that is not periodic.
    """
    atoms = frame.to_ase()
    farthest = 2.0 * float(np.linalg.norm(np.abs(frame.cell).sum(axis=0)) + np.ptp(frame.positions, axis=0).max() + 1.0)
    cutoff = 3.0
    while True:
        *_, distance = ase_neighbor_list("ijd", atoms, cutoff)
        if len(distance):
            return float(distance.min())
        if cutoff > farthest:
            return float("inf")
        cutoff *= 2.0
