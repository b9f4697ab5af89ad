"""The generator ``halves``: two halves of a crystal, moved apart rigidly along the normal of a plane."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, WithJsonSchema

from lammps_dpgen.errors import StructureError
from lammps_dpgen.frame import Frame
from lammps_dpgen.structures.base import StructureSettings
from lammps_dpgen.structures.cut import CutSettings, cut_frames
from lammps_dpgen.structures.supercell import oriented
from lammps_dpgen.structures.variation import Sites, scaled

#: Heights that differ by less than this (Å) are one atomic layer; so do gaps that are equally wide.
LAYER_TOLERANCE = 0.05

#: Displacements of the paper: 0.2 to 10 Å.
PAPER_DISPLACEMENTS: Any = {"start": 0.2, "stop": 10.0, "step": 0.2}


def _distances(value: Any) -> Any:
    """Write out a range, its stop included; make a list of a single number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"start", "stop", "step"} or not all(isinstance(n, (int, float)) for n in value.values()):
        raise ValueError("a range has the numbers start, stop and step (Å), such as {start: 0.2, stop: 10, step: 0.2}")
    start, stop, step = value["start"], value["stop"], value["step"]
    if not (step > 0 and stop >= start):
        raise ValueError(f"from {start:g} to {stop:g} in steps of {step:g} is nothing; step > 0 and stop >= start")
    number = int(np.floor((stop - start) / step + 1e-9)) + 1
    return [round(start + i * step, 9) for i in range(number)]


Distances = Annotated[
    tuple[Annotated[float, Field(ge=0.0, le=100.0)], ...],
    BeforeValidator(_distances),
    Field(min_length=1),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 100}, "minItems": 1},
                {"type": "object", "required": ["start", "stop", "step"], "additionalProperties": {"type": "number"}},
            ]
        }
    ),
]


class HalvesSettings(CutSettings):
    """Two halves of a crystal, the upper one moved away along the normal of a lattice plane.

    The cell grows by the displacement, so that there is one gap in it and everything else is bulk crystal. The crystal
    is scaled first and perturbed last: the displacement itself is never scaled.
    """

    displacements: Distances = Field(
        default=PAPER_DISPLACEMENTS,
        validate_default=True,
        description="Distances d in Å by which the upper half moves: a list, or {start, stop, step}, stop included.",
    )


class HalvesGenerator:
    """Splits crystals along lattice planes."""

    name: ClassVar[str] = "halves"
    Settings: ClassVar[type[StructureSettings]] = HalvesSettings

    def __init__(self, settings: HalvesSettings) -> None:
        self._settings = settings

    def generate(self, rng: np.random.Generator) -> list[Frame]:
        """Return the variations for each plane and displacement.

        Raises
        ------
        StructureError
            The crystal is too thin to be split, its file cannot be used, or two atoms are too close.
        """
        return cut_frames(self._settings, self._pieces, rng)

    def _pieces(self, cell: Atoms, kind: str) -> list[tuple[str, Sites]]:
        found: list[tuple[str, Sites]] = []
        for plane, indices in self._settings.planes:
            block = _turned(oriented(cell, indices, self._settings.thickness)) * (*self._settings.repeat, 1)
            upper = upper_half(block, f"{kind}{plane}")
            for distance in self._settings.displacements:
                found.append((f"{kind}{plane}/d{distance:g}", partial(_opened_at, block, upper, distance)))
        return found


def upper_half(block: Atoms, name: str) -> NDArray[np.bool_]:
    """Return which atoms of a block (its a and b in the xy plane) are above the plane where it is split.

    That is the widest gap between atomic layers, among equally wide ones the nearest to the middle.

    Raises
    ------
    StructureError
        There is only one layer.
    """
    height = block.positions[:, 2]
    levels = np.sort(height)
    gaps = np.diff(levels)
    if len(gaps) == 0 or gaps.max() < LAYER_TOLERANCE:
        raise StructureError(f"structure {name}: a single layer of atoms has no two halves; increase thickness")
    wide = np.flatnonzero(gaps > gaps.max() - LAYER_TOLERANCE)
    middles = levels[wide] + gaps[wide] / 2.0
    plane = middles[np.argmin(np.abs(middles - levels[[0, -1]].mean()).round(6))]
    above: NDArray[np.bool_] = height > plane
    return above


def opened(block: Atoms, upper: NDArray[np.bool_], distance: float) -> Atoms:
    """Return a copy whose upper half is moved by a distance (Å) along z, and the cell with it."""
    copy = block.copy()
    copy.positions[upper, 2] += distance
    cell = copy.cell.array
    cell[2, 2] += distance
    copy.set_cell(cell)
    return copy


def _turned(block: Atoms) -> Atoms:
    """Move the block along c by half a cell where its only widest gap is that between it and its next image."""
    levels = np.sort(block.positions[:, 2])
    outer = block.cell.array[2, 2] - levels[-1] + levels[0]
    if outer > np.diff(levels, prepend=levels[0]).max() + LAYER_TOLERANCE:
        block = block.copy()
        block.positions += 0.5 * block.cell.array[2]
        block.wrap(eps=1e-6)
    return block


def _opened_at(block: Atoms, upper: NDArray[np.bool_], distance: float, scale: float) -> Atoms:
    return opened(scaled(block, scale), upper, distance)
