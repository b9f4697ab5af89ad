"""The generator ``prototype``: ideal crystals and random alloys on their sites, scaled and perturbed."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np
from ase import Atoms
from pydantic import Field, model_validator
from typing_extensions import Self

from lammps_dpgen.frame import Frame
from lammps_dpgen.structures.base import StructureSettings
from lammps_dpgen.structures.crystal import CrystalSettings, crystal_frames
from lammps_dpgen.structures.lattice import is_hexagonal
from lammps_dpgen.structures.supercell import SupercellSettings, supercell
from lammps_dpgen.structures.variation import Sites, scaled


class PrototypeSettings(CrystalSettings, SupercellSettings):
    """A crystal of one element, or random alloys on its sites.

    Examples
    --------
    >>> PrototypeSettings(element="Al", repeat=(2, 2, 2), perturb={"displacement": 0.1}, number=10).crystal
    """

    cubic: bool | None = Field(
        default=None,
        description="Conventional cubic cell instead of the primitive one. Default: yes where there is one.",
    )

    @model_validator(mode="after")
    def _has_cubic_cell(self) -> Self:
        if self.cubic and is_hexagonal(self.chosen_crystal):
            raise ValueError(f"cubic: {self.chosen_crystal} has no cubic cell; leave it out")
        return self


class PrototypeGenerator:
    """Makes ideal crystals and perturbed copies of them."""

    name: ClassVar[str] = "prototype"
    Settings: ClassVar[type[StructureSettings]] = PrototypeSettings

    def __init__(self, settings: PrototypeSettings) -> None:
        self._settings = settings

    def generate(self, rng: np.random.Generator) -> list[Frame]:
        """Return ``len(scale) * number`` frames of each composition; random alloys get new sites in each.

        Raises
        ------
        StructureError
            Two atoms are too close, or an alloy has fewer sites than elements.
        """
        settings = self._settings
        rng = settings.generator(rng)
        return list(crystal_frames(settings, self._cells, rng, cubic=settings.cubic is not False))

    def _cells(self, cell: Atoms, kind: str) -> list[tuple[str, Sites]]:
        return [(kind, partial(scaled, supercell(cell, self._settings.repeat)))]
