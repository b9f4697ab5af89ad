"""The generator ``slab``: surfaces of a crystal with vacuum above them, by pymatgen."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from pydantic import BeforeValidator, Field

from lammps_dpgen.errors import StructureError
from lammps_dpgen.frame import Frame
from lammps_dpgen.structures.base import StructureSettings
from lammps_dpgen.structures.cut import CutSettings, cut_frames
from lammps_dpgen.structures.supercell import Row
from lammps_dpgen.structures.variation import Sites, scaled


def _terminations(given: Any) -> Any:
    if given != "all" and not (
        isinstance(given, (list, tuple)) and given and all(type(number) is int and number >= 0 for number in given)
    ):
        raise ValueError("write all, or a list of numbers from 0, such as [0]")
    return given


Terminations = Annotated[
    Literal["all"] | tuple[Annotated[int, Field(ge=0)], ...],
    BeforeValidator(_terminations),
]


class SlabSettings(CutSettings):
    """Slabs of a crystal that are cut by pymatgen, periodic in all directions with vacuum between them.

    The c axis is the normal of the surface. Scaling acts on the crystal; the vacuum stays what it is.
    """

    vacuum: float = Field(
        default=12.0, gt=0.0, le=200.0, description="Distance in Å between the outermost atoms across the vacuum."
    )
    terminations: Terminations = Field(
        default="all",
        description="Which of pymatgen's different terminations of each plane: all, or their numbers from 0.",
    )
    symmetric: bool = Field(
        default=False,
        description="Make both surfaces of a slab the same, by leaving out atoms of one side (pymatgen's symmetrize).",
    )
    primitive: bool = Field(
        default=False, description="Reduce each slab to its smallest cell; `repeat` then enlarges that."
    )


class SlabGenerator:
    """Cuts slabs."""

    name: ClassVar[str] = "slab"
    Settings: ClassVar[type[StructureSettings]] = SlabSettings

    def __init__(self, settings: SlabSettings) -> None:
        self._settings = settings

    def generate(self, rng: np.random.Generator) -> list[Frame]:
        """Return the variations for each plane and termination.

        Raises
        ------
        StructureError
            No such termination, the file of the crystal cannot be used, or two atoms are too close.
        """
        return cut_frames(self._settings, self._pieces, rng)

    def _pieces(self, cell: Atoms, kind: str) -> list[tuple[str, Sites]]:
        found: list[tuple[str, Sites]] = []
        for plane, indices in self._settings.planes:
            slabs = self._slabs(cell, indices)
            for number in self._chosen(len(slabs), f"{kind}{plane}"):
                name = f"{kind}{plane}" if len(slabs) == 1 else f"{kind}{plane}t{number}"
                slab = slabs[number] * (*self._settings.repeat, 1)
                found.append((name, partial(_with_vacuum, slab, self._settings.vacuum)))
        return found

    def _slabs(self, cell: Atoms, indices: Row) -> list[Atoms]:
        """Return a slab for each termination, c along the normal, in pymatgen's order."""
        from pymatgen.core.surface import SlabGenerator as Cutter
        from pymatgen.io.ase import AseAtomsAdaptor

        settings = self._settings
        cutter = Cutter(
            AseAtomsAdaptor.get_structure(cell),
            indices,
            min_slab_size=settings.thickness,
            min_vacuum_size=settings.vacuum,
            primitive=settings.primitive,
            max_normal_search=max(map(abs, indices)),
            center_slab=True,
        )
        slabs = cutter.get_slabs(symmetrize=settings.symmetric)
        return [_plain(AseAtomsAdaptor.get_atoms(slab.get_orthogonal_c_slab())) for slab in slabs]

    def _chosen(self, number: int, name: str) -> range | tuple[int, ...]:
        wanted = self._settings.terminations
        if number == 0:
            raise StructureError(
                f"structure {name}: pymatgen finds no slab; set symmetric to false, or increase thickness"
            )
        if wanted == "all":
            return range(number)
        if max(wanted) >= number:
            raise StructureError(
                f"structure {name}: termination {max(wanted)} was asked for, but it has {number}, numbered from 0"
            )
        return wanted


def _plain(atoms: Atoms) -> Atoms:
    """Return symbols, positions and cell alone: a and b short and in the xy plane, c along z."""
    cell, _ = minkowski_reduce(atoms.cell, pbc=(True, True, False))
    plain = Atoms(atoms.symbols, positions=atoms.positions, cell=cell, pbc=True)
    plain.wrap(eps=1e-6)
    upright, _ = plain.cell.standard_form()
    plain.set_cell(upright, scale_atoms=True)
    return plain


def _with_vacuum(slab: Atoms, vacuum: float, scale: float) -> Atoms:
    """Return the scaled slab in the middle of a cell with so much vacuum (Å)."""
    copy = scaled(slab, scale)
    copy.center(vacuum=vacuum / 2.0, axis=2)
    return copy
