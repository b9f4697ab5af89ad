"""Whether a crystal is still the one that it was: symmetry and neighbours before and after a relaxation."""

from __future__ import annotations

import numpy as np
import spglib
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray
from vesin import ase_neighbor_list

from lammps_dpgen.frame import FloatArray

#: A neighbour of an atom: its number, and the image of the cell that it is in.
Bond = tuple[int, int, int, int]

#: Neighbours are the atoms nearer than this many times the distance of the nearest one: the first shell of close-packed
#: crystals, both shells of body-centred ones.
SHELL = 1.22

#: Share of the atoms that may have other neighbours than before without a word.
TOLERANCE = 0.05

#: Distance in Å by which atoms may miss their symmetric places, relative to the nearest-neighbour distance.
SYMMETRY_TOLERANCE = 0.03

#: Pairs nearer than this share of the sum of their covalent radii lie on top of each other.
CONTACT = 0.5

#: The volume may change by this factor, up or down.
VOLUME_FACTOR = 1.6

#: A change of symmetry counts when the shape of the cell has been strained by more than this: the largest logarithmic
#: strain at constant volume, which is 0.23 from bcc to fcc.
SHAPE_STRAIN = 0.05


def crystal_decay(before: Atoms, after: Atoms) -> str:
    """Say how a crystal has become another one.

    Parameters
    ----------
    before, after
        The same atoms in the same order, periodic along all three cell vectors.

    Returns
    -------
    str
        A sentence without a full stop; empty where the crystal is intact. A crystal has decayed where its neighbours
        have changed, or where another symmetry comes with a strain of the cell's shape, as from bcc to fcc. A change of
        volume or of c/a, or small displacements that raise the symmetry, leave it intact.
    """
    collapse = cell_collapse(before, after)
    if collapse:
        return collapse
    share, strain = changed_neighbors(before, after), shape_strain(before, after)
    if share <= TOLERANCE and strain <= SHAPE_STRAIN:
        return ""
    was, now = space_group(before), space_group(after)
    if share <= TOLERANCE:
        return (
            "" if was == now else f"it has become another structure: {was} before, {now} after a strain of {strain:.0%}"
        )
    if was == now:
        return f"{share:.0%} of its atoms have other neighbours than before (still {now})"
    if now.startswith("P1 ") and len(after) > 1:
        return (
            f"it is no crystal any more: {share:.0%} of its atoms have other neighbours, and of {was} nothing is left"
        )
    return f"it has become another structure: {was} before, {now} after, {share:.0%} of its atoms with other neighbours"


def host_decay(before: Atoms, after: Atoms, centers: FloatArray, radius: float) -> str:
    """Say how the crystal around a defect has decayed: far from it the neighbours must be the same as before.

    Parameters
    ----------
    before, after
        The cell with its defect before and after the relaxation, atoms in the same order.
    centers
        ``[n, 3]`` positions of the defects in Å, in `before`.
    radius
        In Å; atoms nearer to a centre may have changed their neighbours.

    Returns
    -------
    str
        A sentence without a full stop; empty where the crystal is intact.
    """
    collapse = cell_collapse(before, after)
    if collapse:
        return collapse
    vectors = before.positions[:, None, :] - np.atleast_2d(centers)[None, :, :]
    inverse = np.linalg.inv(before.cell.array)
    fractional = vectors @ inverse
    vectors = (fractional - np.round(fractional)) @ before.cell.array
    far = (np.linalg.norm(vectors, axis=2) > radius).all(axis=1)
    if not far.any():
        return ""
    share = changed_neighbors(before, after, far)
    if share <= TOLERANCE:
        return ""
    return f"the crystal around the defect has decayed: {share:.0%} of its atoms have other neighbours than before"


def cell_collapse(before: Atoms, after: Atoms) -> str:
    """Say whether cell or atoms have gone where no crystal is; empty where they have not."""
    ratio = float(after.get_volume() / before.get_volume())
    if not 1.0 / VOLUME_FACTOR < ratio < VOLUME_FACTOR:
        what = "collapsed" if ratio < 1 else "been torn apart"
        return f"the cell has {what}: its volume is {ratio:.2f} times the former"
    radii = covalent_radii[after.numbers]
    first, second, distance = ase_neighbor_list("ijd", after, float(CONTACT * 2 * radii.max()))
    close = distance < CONTACT * (radii[first] + radii[second])
    if close.any():
        number = int(np.argmin(np.where(close, distance, np.inf)))
        pair = f"{first[number] + 1} and {second[number] + 1}"
        return f"atoms {pair} lie on top of each other ({distance[number]:.2f} Å apart)"
    return ""


def changed_neighbors(before: Atoms, after: Atoms, among: NDArray[np.bool_] | None = None) -> float:
    """Return the share of atoms whose neighbours, as atoms of the cell and counted with their images, have changed.

    An atom that has kept most of its neighbours counts as unchanged: a shell that lies at the edge of the criterion
    (c/a of hcp, tetragonal strain) splits without the crystal being another one. A change of volume does not count.

    Parameters
    ----------
    among
        ``[n_atoms]``, the atoms to look at; default all.
    """
    cutoff = SHELL * nearest_distance(before)
    growth = float(after.get_volume() / before.get_volume()) ** (1 / 3)
    one, other = _bonds(before, cutoff), _bonds(after, cutoff * growth)
    atoms = range(len(before)) if among is None else np.flatnonzero(among)
    changed = sum(_differ(one[atom], other[atom]) for atom in atoms)
    return changed / max(1, len(atoms))


def shape_strain(before: Atoms, after: Atoms) -> float:
    """Return the largest logarithmic strain from one cell to the other that is left when the volume is kept."""
    gradient = np.linalg.solve(before.cell.array, after.cell.array)
    stretches = np.log(np.linalg.svd(gradient, compute_uv=False))
    return float(np.abs(stretches - stretches.mean()).max())


def space_group(atoms: Atoms) -> str:
    """Return the space group as "Fm-3m (225)"; atoms may miss their places by 3 % of the nearest distance."""
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    found = spglib.get_spacegroup(cell, symprec=SYMMETRY_TOLERANCE * nearest_distance(atoms))
    return str(found) if found else "P1 (1)"


def nearest_distance(atoms: Atoms) -> float:
    """Return the shortest distance between two atoms or an atom and its image, in Å."""
    reach = 2.0 * float(atoms.get_volume() / len(atoms)) ** (1 / 3)
    while True:
        _, distances = ase_neighbor_list("id", atoms, reach)
        if len(distances):
            return float(distances.min())
        reach *= 1.5


def _bonds(atoms: Atoms, cutoff: float) -> list[set[Bond]]:
    """Return the neighbours of each atom within the cut-off, as atom and image."""
    first, second, images = ase_neighbor_list("ijS", atoms, cutoff)
    bonds: list[set[Bond]] = [set() for _ in range(len(atoms))]
    for i, j, image in zip(first, second, images, strict=True):
        bonds[int(i)].add((int(j), int(image[0]), int(image[1]), int(image[2])))
    return bonds


def _differ(one: set[Bond], other: set[Bond]) -> bool:
    """Return whether fewer than two thirds of the neighbours are common to both."""
    most = max(len(one), len(other))
    return most > 0 and 3 * len(one & other) < 2 * most
