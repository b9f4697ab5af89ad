"""Settings of generators that start from a crystal of one element, or of an alloy; and how they go through them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from ase import Atoms
from pydantic import Field, model_validator
from typing_extensions import Self

from lammps_dpgen.frame import Frame
from lammps_dpgen.structures.base import Element
from lammps_dpgen.structures.lattice import (
    CRYSTALS,
    Crystal,
    conventional_cell,
    is_hexagonal,
    lattice,
    mean_volume,
    own_crystal,
)
from lammps_dpgen.structures.occupation import Counts
from lammps_dpgen.structures.variation import Sites, VariationSettings, variations

#: Makes the structures of a crystal cell: for the cell and its name, the name of each and its sites at every scale.
Cut = Callable[[Atoms, str], list[tuple[str, Sites]]]


class CrystalSettings(VariationSettings):
    """Adds the crystal to what generators share."""

    element: Element | None = Field(
        default=None,
        description="Chemical symbol; decides the default crystal and lattice constant. May be left out for alloys: "
        "then the lattice constant follows from the mean volume per atom of each composition.",
    )
    crystal: Crystal | None = Field(
        default=None, description="Default: the element's own, from ASE's reference states."
    )
    a: float | None = Field(
        default=None,
        gt=0.5,
        lt=50.0,
        description="Lattice constant in Å. Default: ASE's reference; for another crystal the same volume per atom; "
        "where there is no reference, estimated from the molar volume or the covalent radius. The name says so.",
    )
    c: float | None = Field(
        default=None,
        gt=0.5,
        lt=100.0,
        description="Lattice constant c of hcp or dhcp in Å. Default: ASE's c/a, or the ideal one.",
    )

    @model_validator(mode="after")
    def _crystal_is_decided(self) -> Self:
        if self.has_crystal:
            if self.element is None and not self.is_occupied:
                raise ValueError("element: missing; give it, or composition or all_compositions")
            if not self.chosen_crystal:
                cause = f"{self.element} has none of the prototypes in nature" if self.element else "no element decides"
                raise ValueError(f"crystal: {cause}; choose one of {', '.join(CRYSTALS)}")
            if self.c is not None and not is_hexagonal(self.chosen_crystal):
                raise ValueError(
                    f"c: only hcp and dhcp have a second lattice constant, the crystal is {self.chosen_crystal}"
                )
            if self.c is not None and self.a is None and self.element is None:
                raise ValueError("c: without element it needs a as well, since each composition has its own lattice")
        return self

    @property
    def has_crystal(self) -> bool:
        """Whether the structure is one of the prototypes, and not read from a file."""
        return True

    @property
    def chosen_crystal(self) -> str:
        """The crystal that is asked for, or else the element's own; "" where neither says one."""
        return self.crystal or (own_crystal(self.element) if self.element else None) or ""

    @property
    def shares(self) -> dict[str, float]:
        """The element that decides the lattice, or else equal shares of those that occupy the sites."""
        deciding = (self.element,) if self.element is not None else self.elements
        return {element: 1.0 / len(deciding) for element in deciding}

    def stretch(self, counts: Counts) -> float:
        """Return by how much the lengths at a composition differ from those of the mean crystal of :attr:`shares`."""
        if self.element is not None or self.a is not None:
            return 1.0
        total = sum(counts.values())
        shares = {element: count / total for element, count in counts.items()}
        return float(np.cbrt(mean_volume(shares) / mean_volume(self.shares)))


def crystal_frames(
    settings: CrystalSettings, cut: Cut, rng: np.random.Generator, *, cubic: bool = True
) -> Iterator[Frame]:
    """Yield the variations of everything that is cut from the crystal of the settings.

    Without an element that decides the lattice, all is cut from the mean crystal, so that every composition has the
    same sites, and then stretched to the volume of the composition.

    Parameters
    ----------
    cubic
        Conventional cubic cells instead of primitive ones, where there are some.

    Raises
    ------
    StructureError
        Two atoms are too close, or the composition does not fit the sites.
    """
    crystal = lattice(settings.chosen_crystal, settings.shares, settings.a, settings.c)
    symbol = next(iter(settings.shares))
    for name, sites in cut(conventional_cell(crystal, symbol, cubic=cubic), crystal.kind):
        yield from variations(sites, name, settings, rng, settings.stretch)
