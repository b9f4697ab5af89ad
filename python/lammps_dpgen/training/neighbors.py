"""Neighbour statistics of training data: how many neighbours a model has to hold, and how close atoms come.

DeePMD-kit counts them anew in each training; here each system is counted once per process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list

from lammps_dpgen.errors import TrainingError
from lammps_dpgen.training.data import System, read_system

#: `sel` is made a multiple of this, which keeps arrays aligned.
MULTIPLE = 4


@dataclass(frozen=True)
class NeighborStatistics:
    """What was counted in some systems.

    Attributes
    ----------
    largest
        By element, the largest number of neighbours of that element that any atom has within the cut-off.
    shortest
        Shortest distance between two atoms in Å; the cut-off where no two atoms are closer.
    """

    largest: dict[str, int]
    shortest: float


def count_neighbors(systems: Sequence[str], cutoff: float) -> NeighborStatistics:
    """Count the neighbours in deepmd/npy systems.

    Parameters
    ----------
    cutoff
        In Å.

    Raises
    ------
    TrainingError
        A system cannot be read, or two of its atoms sit in the same place.
    """
    largest: dict[str, int] = {}
    shortest = cutoff
    for path in systems:
        found = _count_system(path, cutoff, _last_change(path))
        shortest = min(shortest, found.shortest)
        for element, number in found.largest.items():
            largest[element] = max(largest.get(element, 0), number)
    return NeighborStatistics(largest, shortest)


def selected_neighbors(statistics: NeighborStatistics, type_map: Sequence[str], margin: float) -> list[int]:
    """Return `sel`: by element of the type map, neighbours that the model holds.

    Dynamics visits denser places than the first frames, hence the margin. An element that no frame holds so far gets
    as many as the largest of the others.

    Parameters
    ----------
    margin
        The largest number counted is multiplied by it.
    """
    seen = [number for number in statistics.largest.values() if number > 0]
    numbers = [statistics.largest.get(element, 0) or max(seen, default=1) for element in type_map]
    return [MULTIPLE * int(np.ceil(max(1.0, number * margin) / MULTIPLE)) for number in numbers]


def _last_change(path: str) -> int:
    """Return when the system's coordinates were last written, in ns: a system that was replaced is counted again."""
    return max((file.stat().st_mtime_ns for file in Path(path).glob("set.*/coord.npy")), default=0)


@lru_cache(maxsize=4096)
def _count_system(path: str, cutoff: float, changed: int) -> NeighborStatistics:
    system = read_system(Path(path))
    largest = dict.fromkeys(system.species, 0)
    shortest = cutoff
    for index in range(len(system.positions)):
        first, second, distance = neighbor_list("ijd", _atoms(system, index), cutoff)
        if not len(distance):
            continue
        shortest = min(shortest, float(distance.min()))
        kinds = np.array(system.species)[second]
        for element in largest:
            counts = np.bincount(first[kinds == element], minlength=1)
            largest[element] = max(largest[element], int(counts.max()))
    if shortest <= 0.0:
        raise TrainingError(f"two atoms of a frame in '{path}' sit in the same place; remove that frame")
    return NeighborStatistics(largest, shortest)


def _atoms(system: System, index: int) -> Atoms:
    if system.cells is None:
        return Atoms(system.species, positions=system.positions[index])
    return Atoms(system.species, positions=system.positions[index], cell=system.cells[index], pbc=True)
