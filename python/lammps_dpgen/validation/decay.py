"""Whether a relaxed structure is still the one that it started from."""

from __future__ import annotations

import warnings

import numpy as np
import spglib
from ase import Atoms
from ase.data import covalent_radii
from vesin import ase_neighbor_list

from lammps_dpgen.frame import Frame
from lammps_dpgen.geometry import shortest_distance
from lammps_dpgen.validation.failures import CollapsedError

#: A cell that shrinks or grows beyond these is no crystal any more.
_SMALLEST, _LARGEST = 0.3, 3.0
#: Shortest distance allowed, as a fraction of the sum of two of the smallest covalent radii of the structure.
_CLOSEST = 0.5

#: Å; positions of a relaxed structure count as symmetric within this.
SYMMETRY_PRECISION = 0.05


def refuse_collapse(before: Atoms, after: Atoms) -> None:
    """Refuse a relaxation whose cell or atoms have gone where no crystal is.

    Raises
    ------
    CollapsedError
        Says what happened.
    """
    formula = before.get_chemical_formula()
    positions_are_finite = np.isfinite(after.positions).all() and np.isfinite(after.cell.array).all()
    if not positions_are_finite:
        raise CollapsedError(f"{formula}: positions or cell are not finite after the relaxation")
    ratio = abs(np.linalg.det(after.cell.array)) / abs(np.linalg.det(before.cell.array))
    if not _SMALLEST < ratio < _LARGEST:
        raise CollapsedError(f"{formula}: the relaxation changed the volume by a factor of {ratio:.3g}")
    distance = shortest_distance(Frame.from_ase(after))
    allowed = _CLOSEST * 2.0 * float(min(covalent_radii[z] for z in set(after.numbers)))
    if distance < allowed:
        raise CollapsedError(f"{formula}: two atoms are {distance:.2f} Å apart after the relaxation")


def space_group(atoms: Atoms, precision: float = SYMMETRY_PRECISION) -> tuple[int, str]:
    """Return number and symbol of the space group; (0, "unknown") where spglib finds none."""
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = spglib.get_symmetry_dataset(cell, symprec=precision)
    return (0, "unknown") if data is None else (int(data.number), str(data.international))


def coordination(atoms: Atoms) -> tuple[int, ...]:
    """Return the sorted coordination numbers of the atoms: neighbours within 1.2 times an atom's shortest distance."""
    nearest = _first_distance(atoms)
    i, d = ase_neighbor_list("id", atoms, 1.21 * float(nearest.max()))
    counts = np.bincount(i[d < 1.2 * nearest[i]], minlength=len(atoms))
    return tuple(sorted(int(n) for n in counts))


def _first_distance(atoms: Atoms) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    cutoff = 1.1 * float(np.cbrt(atoms.get_volume() / len(atoms)) * 2.0)
    nearest = np.full(len(atoms), np.inf)
    while not np.isfinite(nearest).all():
        i, d = ase_neighbor_list("id", atoms, cutoff)
        np.minimum.at(nearest, i, d)
        cutoff *= 1.5
    return nearest


def decayed(before: Atoms, after: Atoms) -> str:
    """Say how `after` is another structure than `before`; "" if it is the same.

    The symmetry and the neighbours both tell: a crystal that only sheds a little symmetry, or whose distances shift
    within its symmetry, is still itself.
    """
    old, new = space_group(before), space_group(after)
    if old[0] == new[0] and coordination(before) == coordination(after):
        return ""
    told = []
    if old[0] != new[0]:
        told.append(f"space group {old[1]} became {new[1]}")
    was, now = coordination(before), coordination(after)
    if was != now:
        told.append(f"coordination {np.mean(was):.1f} became {np.mean(now):.1f}")
    return ", ".join(told)
