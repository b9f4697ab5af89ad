"""Supercells, and cells of a crystal whose c axis leaves a given lattice plane."""

from __future__ import annotations

from itertools import product
from math import gcd
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from ase.build import make_supercell
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from lammps_dpgen.errors import StructureError
from lammps_dpgen.structures.variation import VariationSettings

Count = Annotated[int, Field(ge=1)]
Row = tuple[int, int, int]


def _checked_repeat(repeat: Any) -> Any:
    """Tell all that can be wrong in one sentence; pydantic would tell it for both forms."""
    if _is_row(repeat):
        if min(repeat) < 1:
            raise ValueError("the numbers of cells must be at least 1")
        return repeat
    if not (isinstance(repeat, (list, tuple)) and len(repeat) == 3 and all(_is_row(row) for row in repeat)):
        raise ValueError("write three numbers of cells, such as [2, 2, 2], or three rows of three integers")
    volume = round(float(np.linalg.det(np.array(repeat))))
    if volume < 1:
        raise ValueError(
            f"the matrix has determinant {volume}: it must be above 0, the number of cells in the supercell; "
            "swap two rows if it is negative"
        )
    return repeat


def _is_row(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 3 and all(type(number) is int for number in value)


#: Cells along the three vectors, or a 3x3 matrix of integers: its rows are the new vectors in terms of the old ones.
Repeat = tuple[Count, Count, Count] | tuple[Row, Row, Row]


class SupercellSettings(VariationSettings):
    """Adds the supercell to what generators share."""

    repeat: Annotated[Repeat, BeforeValidator(_checked_repeat)] = Field(
        default=(1, 1, 1),
        description="Cells along the three cell vectors, such as [2, 2, 2], or three rows of integers, the vectors of "
        "the supercell in terms of the cell's, such as [[1, 0, 0], [1, 2, 0], [0, 0, 1]].",
    )


def supercell(atoms: Atoms, repeat: Repeat) -> Atoms:
    """Return the supercell of a crystal."""
    if isinstance(repeat[0], int):
        return atoms * repeat
    larger: Atoms = make_supercell(atoms, np.array(repeat))
    return larger


def oriented(crystal: Atoms, miller: Row, thickness: float) -> Atoms:
    """Return a cell of the crystal with a and b in a lattice plane, and c as near to its normal as the lattice allows.

    The cell is one of the bulk crystal: periodic along c as well, without surface. a lies along x, the plane is the
    xy plane, and c points to positive z.

    Parameters
    ----------
    miller
        Plane, in terms of the cell of `crystal`.
    thickness
        Least height of the cell along the normal (Å).
    """
    plane = np.array(miller) // gcd(*miller)
    cell = crystal.cell.array
    spacing = 1.0 / np.linalg.norm(plane @ np.linalg.inv(cell).T)
    first, second = _plane_vectors(cell, plane)
    layers = max(1, int(np.ceil(thickness / spacing - 1e-6)))
    third = layers * _step(plane)
    across = np.array([first, second]) @ cell
    lateral, *_ = np.linalg.lstsq(across.T, third @ cell, rcond=None)
    third = third - np.round(lateral[0]).astype(int) * first - np.round(lateral[1]).astype(int) * second
    atoms: Atoms = make_supercell(crystal, np.array([first, second, third]))
    upright, _ = atoms.cell.standard_form()
    atoms.set_cell(upright, scale_atoms=True)
    atoms.wrap(eps=1e-6)
    return atoms


def _plane_vectors(cell: NDArray[np.float64], plane: NDArray[np.int_]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Return the two shortest lattice vectors that span the plane, right-handed with its normal."""
    reach = range(-int(np.abs(plane).max()), int(np.abs(plane).max()) + 1)
    found = [np.array(n) for n in product(reach, repeat=3) if any(n) and np.dot(n, plane) == 0]
    # Vectors with positive components first, so that the choice among equally short ones does not look odd.
    found.sort(key=lambda n: (round(float(np.linalg.norm(n @ cell)), 6), tuple(-n)))
    first = found[0]
    for second in found:
        normal = np.cross(first, second)
        if np.array_equal(normal, plane):
            return first, second
    raise StructureError(
        f"miller: found no lattice vectors that span the plane ({', '.join(map(str, plane))}); use a cell that is less "
        "skew"
    )


def _step(plane: NDArray[np.int_]) -> NDArray[np.int_]:
    """Return a lattice vector from one lattice plane to the next: its product with the indices is 1."""
    reach = int(np.abs(plane).max())
    vectors = (np.array(n) for n in product(range(-reach, reach + 1), repeat=3) if np.dot(n, plane) == 1)
    return min(vectors, key=lambda n: (np.abs(n).sum(), tuple(-n)))
