"""Settings of generators that cut a crystal along lattice planes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from typing_extensions import Self

from lammps_dpgen.frame import Frame
from lammps_dpgen.structures.base import ConfigFile
from lammps_dpgen.structures.crystal import CrystalSettings, Cut, crystal_frames
from lammps_dpgen.structures.file import periodic, read_images
from lammps_dpgen.structures.supercell import Count, Row
from lammps_dpgen.structures.variation import variations


def _one_or_many(planes: Any) -> Any:
    is_one = isinstance(planes, (list, tuple)) and planes and all(isinstance(n, int) for n in planes)
    return [planes] if is_one else planes


def _is_plane(indices: tuple[int, ...]) -> tuple[int, ...]:
    told = f"({' '.join(map(str, indices))})"
    if len(indices) not in (3, 4):
        raise ValueError(
            f"{told} has {len(indices)} indices; a plane has three (h k l), or four (h k i l) if hexagonal"
        )
    if not any(indices):
        raise ValueError(f"{told} is no plane: at least one index must differ from 0")
    if len(indices) == 4 and indices[0] + indices[1] + indices[2] != 0:
        raise ValueError(f"{told} is no hexagonal plane: i must be -(h + k), here {-indices[0] - indices[1]}")
    return indices


_INDICES = {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 4}

#: Miller indices of planes, three or (hexagonal) four each; in the file a single plane may stand without its list.
Planes = Annotated[
    tuple[Annotated[tuple[int, ...], AfterValidator(_is_plane)], ...],
    BeforeValidator(_one_or_many),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [_INDICES, {"type": "array", "items": _INDICES, "minItems": 1}]}),
]


class CutSettings(CrystalSettings):
    """What generators share that cut a crystal along lattice planes."""

    file: ConfigFile | None = Field(
        default=None,
        description="File with the crystal that is cut (its last structure), instead of element, crystal, a and c; "
        "relative to the configuration file.",
    )
    miller: Planes = Field(
        description="Planes by their Miller indices, such as [[1, 0, 0], [1, 1, 1]], in the conventional cell (of a "
        "file: in its cell); hexagonal crystals also with four, such as [0, 0, 0, 1]."
    )
    thickness: float = Field(default=10.0, gt=0.0, le=200.0, description="Least thickness of the crystal in Å.")
    repeat: tuple[Count, Count] = Field(default=(1, 1), description="Cells along the two vectors in the plane.")

    @model_validator(mode="after")
    def _crystal_or_file(self) -> Self:
        told = [key for key in ("element", "crystal", "a", "c") if getattr(self, key) is not None]
        if self.file is not None and told:
            raise ValueError(f"file and {', '.join(told)} exclude each other; keep one of them")
        return self

    @model_validator(mode="after")
    def _four_indices_are_hexagonal(self) -> Self:
        four = any(len(plane) == 4 for plane in self.miller)
        if four and self.file is None and self.chosen_crystal not in ("hcp", "dhcp"):
            raise ValueError(f"miller: only hexagonal crystals have four indices, the crystal is {self.chosen_crystal}")
        return self

    @property
    def has_crystal(self) -> bool:
        """Whether the structure is one of the prototypes, and not read from a file."""
        return self.file is None

    @property
    def planes(self) -> list[tuple[str, Row]]:
        """Name of each plane as it was given, such as ``(0001)``, and its three indices."""
        return [(_told(plane), (plane[0], plane[1], plane[-1])) for plane in self.miller]


def cut_frames(settings: CutSettings, cut: Cut, rng: np.random.Generator) -> list[Frame]:
    """Return the variations of everything that is cut from the crystal of the settings, or of its file.

    Raises
    ------
    StructureError
        The file cannot be used, two atoms are too close, or the composition does not fit the sites.
    """
    rng = settings.generator(rng)
    if settings.file is None:
        return list(crystal_frames(settings, cut, rng))
    path = Path(settings.file)
    atoms = periodic(read_images(path, "-1")[0], path.name)
    pieces = cut(atoms, path.name)
    return [frame for name, sites in pieces for frame in variations(sites, name, settings, rng)]


def _told(plane: tuple[int, ...]) -> str:
    """Return the plane as it is written: (111), (10-10), and with spaces where an index has two digits."""
    separator = "" if all(-10 < n < 10 for n in plane) else " "
    return f"({separator.join(map(str, plane))})"
