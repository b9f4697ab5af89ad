"""Scaled and perturbed copies of a structure, as in the preparation step of DP-GEN (arXiv:1810.11890, Table S1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import Self

from lammps_dpgen.errors import StructureError
from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.geometry import closest_contact
from lammps_dpgen.structures.base import StructureSettings


class Perturbation(BaseModel):
    """Random changes; every number is drawn from a uniform distribution."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    displacement: float = Field(
        default=0.0, ge=0.0, description="Each coordinate of each atom changes by at most this (Å)."
    )
    cell: float = Field(
        default=0.0,
        ge=0.0,
        lt=50.0,
        description="Each element of the symmetric strain of the cell is at most this (%); atoms move with the cell.",
    )

    @property
    def is_none(self) -> bool:
        """Whether nothing changes."""
        return self.displacement == 0.0 and self.cell == 0.0


class VariationSettings(StructureSettings):
    """What all generators of crystals share: for every scale, so many perturbed copies."""

    scale: tuple[Annotated[float, Field(gt=0.2, lt=5.0)], ...] = Field(
        default=(1.0,), min_length=1, description="Factors on all lengths, such as [0.96, 0.98, 1.0, 1.02, 1.04]."
    )
    perturb: Perturbation = Field(default=Perturbation(), description="Random changes of each copy.")
    number: int = Field(default=1, ge=1, description="Copies for each scale, each perturbed anew.")
    min_distance: float | None = Field(
        default=None,
        gt=0.0,
        description="Two atoms closer than this (Å) are an error. Default: 0.6 times the sum of their covalent radii.",
    )
    seed: int | None = Field(
        default=None, ge=0, description="Seed of these structures; default: they follow from the run's own seed."
    )

    @model_validator(mode="after")
    def _copies_differ(self) -> Self:
        if self.number > 1 and self.perturb.is_none and not self._is_random():
            raise ValueError(
                f"number: {self.number} copies would be identical; set perturb (displacement in Å, cell in %), "
                "or number: 1"
            )
        return self

    def _is_random(self) -> bool:
        """Whether copies differ without a perturbation."""
        return False

    def generator(self, rng: np.random.Generator) -> np.random.Generator:
        """Return the random numbers to use: those of the own seed, or else `rng`."""
        return rng if self.seed is None else np.random.default_rng(self.seed)


def variations(atoms: Atoms, structure: str, settings: VariationSettings, rng: np.random.Generator) -> Iterator[Frame]:
    """Yield a frame for each scale and copy.

    Parameters
    ----------
    structure
        Name of the structure; scale and number of the copy are appended.

    Raises
    ------
    StructureError
        Two atoms are too close.
    """
    for scale in settings.scale:
        for copy in range(settings.number):
            changed = _perturbed(atoms, scale, settings.perturb, rng)
            name = f"{structure}-{scale:g}" + (f"-{copy + 1}" if settings.number > 1 else "")
            frame = Frame.from_ase(changed, FrameOrigin("bootstrap", reason="initial", structure=name))
            contact = closest_contact(frame, settings.min_distance)
            if contact is not None:
                raise StructureError(
                    f"structure {name}: {contact.describe(frame)}; use a smaller perturbation, a larger scale or "
                    "lattice constant, or set min_distance"
                )
            yield frame


def _perturbed(atoms: Atoms, scale: float, perturb: Perturbation, rng: np.random.Generator) -> Atoms:
    strain = np.triu(rng.uniform(-1.0, 1.0, (3, 3))) * perturb.cell / 100.0
    strain = strain + np.triu(strain, 1).T
    changed = atoms.copy()
    changed.set_cell(scale * atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    changed.positions += perturb.displacement * rng.uniform(-1.0, 1.0, changed.positions.shape)
    return changed
