"""Slabs with all terminations of a crystal's surfaces, from pymatgen."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.validation.failures import UnsuitableError

#: Å: layers of the crystal that are closer than this are one.
_LAYER = 0.05


@dataclass(frozen=True)
class Slab:
    """A slab in vacuum, periodic along all vectors.

    Attributes
    ----------
    gap
        Distance in Å of the two layers between which the crystal was cut.
    symmetric
        Whether its two surfaces are the same.
    """

    atoms: Atoms
    gap: float
    symmetric: bool

    @property
    def area(self) -> float:
        """Area of one of its surfaces in Å²."""
        return float(np.linalg.norm(np.cross(self.atoms.cell.array[0], self.atoms.cell.array[1])))


def miller_indices(atoms: Atoms, most: int) -> list[tuple[int, int, int]]:
    """Return the symmetrically distinct Miller indices up to `most`, of the cell as it is given, low ones first."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymatgen.core.surface import get_symmetrically_distinct_miller_indices
        from pymatgen.io.ase import AseAtomsAdaptor

        found = get_symmetrically_distinct_miller_indices(AseAtomsAdaptor.get_structure(atoms), most)
    indices = [(int(h), int(k), int(m)) for h, k, m in found]
    return sorted(indices, key=lambda hkl: (sum(abs(i) for i in hkl), tuple(-i for i in hkl)))


def miller_text(indices: Sequence[int], hexagonal: bool) -> str:
    """Return indices as text: "(1 1 1)", or with four indices "(1 0 -1 1)" for hexagonal crystals."""
    h, k, m = indices
    return f"({h} {k} {-h - k} {m})" if hexagonal else f"({h} {k} {m})"


def terminations(bulk: Atoms, miller: Sequence[int], thickness: float, vacuum: float) -> list[Slab]:
    """Return a slab for each termination that symmetry does not make the same, the widest cut first.

    Parameters
    ----------
    miller
        Three indices, of the cell as it is given.
    thickness, vacuum
        At least these, Å.

    Raises
    ------
    UnsuitableError
        The crystal cannot be cut there without changing its composition.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymatgen.core.surface import SlabGenerator
        from pymatgen.io.ase import AseAtomsAdaptor

        h, k, m = miller
        generator = SlabGenerator(
            AseAtomsAdaptor.get_structure(bulk),
            (h, k, m),
            thickness,
            vacuum,
            lll_reduce=True,
            center_slab=True,
            primitive=True,
        )
        cell = generator.oriented_unit_cell
        height = float(abs(np.dot(cell.lattice.matrix[2], _normal(cell.lattice.matrix))))
        levels = np.array(cell.frac_coords[:, 2], dtype=np.float64)
        slabs = []
        for cut in generator.get_slabs(ftol=0.1):
            atoms = AseAtomsAdaptor.get_atoms(cut)
            plain = Atoms(atoms.get_chemical_symbols(), positions=atoms.positions, cell=atoms.cell, pbc=True)
            slabs.append(Slab(plain, _gap(levels, float(cut.shift), height), bool(cut.is_symmetric())))
    if not slabs:
        raise UnsuitableError(f"the crystal has no surface ({h} {k} {m})")
    return sorted(slabs, key=lambda slab: (-round(slab.gap, 3), len(slab.atoms)))


def formula_units(slab: Atoms, bulk: Atoms) -> float:
    """Return how many times the atoms of `bulk` a slab holds.

    Raises
    ------
    UnsuitableError
        It has another composition, so that its surface energy depends on a chemical potential.
    """
    wanted = bulk.symbols.formula.count()
    got = slab.symbols.formula.count()
    ratio = len(slab) / len(bulk)
    if any(abs(got.get(element, 0) - ratio * count) > 1e-6 for element, count in wanted.items()):
        raise UnsuitableError(
            f"the slab has the composition {slab.get_chemical_formula()}, the crystal {bulk.get_chemical_formula()}: "
            "its surface energy would depend on a chemical potential"
        )
    return ratio


def _normal(matrix: FloatArray) -> FloatArray:
    normal = np.cross(matrix[0], matrix[1])
    return np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)


def _gap(levels: FloatArray, shift: float, height: float) -> float:
    """Return the distance of the layers next to the cut at the fractional height `shift`."""
    above = (levels - shift) % 1.0
    below = (shift - levels) % 1.0
    apart = _LAYER / height
    near_above, near_below = above[above > apart], below[below > apart]
    if not len(near_above) or not len(near_below):
        return height
    return float((near_above.min() + near_below.min()) * height)
