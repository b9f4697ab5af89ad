"""Prototype crystals and their lattice constants: given, from ASE's reference states, or estimated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii, reference_states

Crystal = Literal["fcc", "bcc", "hcp", "dhcp", "sc", "diamond"]
CRYSTALS: tuple[str, ...] = get_args(Crystal)

IDEAL_C_OVER_A = float(np.sqrt(8.0 / 3.0))

#: ASE lists these as hcp; they are trigonal (A8), with three atoms in the cell, and count as no prototype.
_NOT_HCP = ("Se", "Te")

#: Å³ per atom for a molar volume of 1 cm³/mol.
_CM3_PER_MOL = 1e24 / 6.02214076e23

#: Where a volume or lattice constant comes from.
Source = Literal["given", "reference", "volume", "radius"]


@dataclass(frozen=True)
class Lattice:
    """A prototype with its lattice constants.

    Attributes
    ----------
    a, c
        Lattice constants in Å; c for hcp and dhcp only.
    source
        "given" in the settings; the "reference" crystal of the element; estimated from a "volume" per atom or a
        "radius".
    """

    crystal: str
    a: float
    c: float | None
    source: Source

    @property
    def kind(self) -> str:
        """Name of the crystal, and what its lattice constant was estimated from if it was."""
        return f"{self.crystal}-by-{self.source}" if self.source in ("volume", "radius") else self.crystal


def is_hexagonal(crystal: str) -> bool:
    """Return whether the crystal has a second lattice constant, c."""
    return crystal in ("hcp", "dhcp")


def own_crystal(element: str) -> str | None:
    """Return the prototype that the element has in nature after ASE's reference states, None for another crystal."""
    own = (reference_states[atomic_numbers[element]] or {}).get("symmetry")
    return own if own in CRYSTALS and element not in _NOT_HCP else None


def lattice(crystal: str, composition: Mapping[str, float], a: float | None = None, c: float | None = None) -> Lattice:
    """Return the lattice constants of a crystal of these elements.

    What is not given follows, in this order, from ASE's reference state of the element in the same crystal; from the
    volume per atom, that of the element in its own crystal (or its molar volume), for several elements the mean by
    their shares; from spheres of the covalent radius in close packing.

    Parameters
    ----------
    composition
        Share of each element.
    a, c
        Lattice constants that are given (Å).
    """
    c_over_a = _c_over_a(crystal, composition)
    if a is not None:
        source: Source = "given"
    else:
        a = float(np.cbrt(mean_volume(composition) / _volume_of_unit_a(crystal, c_over_a)))
        own = len(composition) == 1 and own_crystal(next(iter(composition))) == crystal
        by_radius = any(atomic_volume(element)[1] == "radius" for element in composition)
        source = "radius" if by_radius else "reference" if own else "volume"
    if not is_hexagonal(crystal):
        return Lattice(crystal, a, None, source)
    return Lattice(crystal, a, c or c_over_a * a, source)


def mean_volume(composition: Mapping[str, float]) -> float:
    """Return the mean volume per atom (Å³) at these shares: that of each element does not change in the alloy."""
    return sum(share * atomic_volume(element)[0] for element, share in composition.items())


def atomic_volume(element: str) -> tuple[float, Source]:
    """Return the volume per atom (Å³), and whether it is of the "reference" crystal, a molar "volume", or a "radius".

    The molar volume is that of the solid, or of the liquid for elements that are known as such, from pymatgen.
    """
    own = own_crystal(element)
    if own is not None:
        reference = reference_states[atomic_numbers[element]]
        return _volume_of_unit_a(own, reference.get("c/a", IDEAL_C_OVER_A)) * reference["a"] ** 3, "reference"
    molar = _molar_volume(element)
    if molar is not None:
        return molar * _CM3_PER_MOL, "volume"
    diameter = 2.0 * float(covalent_radii[atomic_numbers[element]])
    return diameter**3 / float(np.sqrt(2.0)), "radius"


def conventional_cell(lattice: Lattice, element: str, *, cubic: bool = True) -> Atoms:
    """Return one cell of the crystal with `element` on all sites.

    Parameters
    ----------
    cubic
        Conventional cubic cell instead of the primitive one, where there is one.
    """
    if lattice.crystal == "dhcp":
        return _dhcp(lattice, element)
    if lattice.crystal == "hcp":
        return bulk(element, "hcp", a=lattice.a, c=lattice.c)
    return bulk(element, lattice.crystal, a=lattice.a, cubic=cubic)


def _dhcp(lattice: Lattice, element: str) -> Atoms:
    """Return double hcp, layers ABAC along c (La, Pr, Nd: A3', space group 194, sites 2a and 2c)."""
    cell = lattice.a * np.array([[1.0, 0.0, 0.0], [-0.5, np.sqrt(0.75), 0.0], [0.0, 0.0, 0.0]])
    cell[2, 2] = lattice.c
    sites = [[0, 0, 0], [1 / 3, 2 / 3, 1 / 4], [0, 0, 1 / 2], [2 / 3, 1 / 3, 3 / 4]]
    return Atoms([element] * 4, scaled_positions=sites, cell=cell, pbc=True)


def _c_over_a(crystal: str, composition: Mapping[str, float]) -> float:
    """Return c/a of ASE's reference for one element that is hcp itself, else the ideal ratio; twice it for dhcp."""
    ratio = IDEAL_C_OVER_A
    if len(composition) == 1:
        (element,) = composition
        if own_crystal(element) == "hcp":
            ratio = float(reference_states[atomic_numbers[element]]["c/a"])
    return 2.0 * ratio if crystal == "dhcp" else ratio


def _volume_of_unit_a(crystal: str, c_over_a: float) -> float:
    """Return the volume per atom in units of a³."""
    if is_hexagonal(crystal):
        return float(np.sqrt(0.75)) * c_over_a / (4 if crystal == "dhcp" else 2)
    return {"fcc": 1 / 4, "bcc": 1 / 2, "sc": 1.0, "diamond": 1 / 8}[crystal]


def _molar_volume(element: str) -> float | None:
    """Return the molar volume in cm³/mol, None where it is not known."""
    import warnings

    from pymatgen.core.periodic_table import Element

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "No data available" is what None says
        volume = Element(element).molar_volume
    return None if volume is None else float(volume)
