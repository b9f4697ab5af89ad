"""The generator ``prototype``: ideal crystals and random alloys on their sites, scaled and perturbed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, reference_states
from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from lammps_dpgen.errors import StructureError
from lammps_dpgen.frame import Frame
from lammps_dpgen.structures.base import StructureSettings
from lammps_dpgen.structures.variation import VariationSettings, variations

Crystal = Literal["fcc", "bcc", "hcp", "sc", "diamond"]
Count = Annotated[int, Field(ge=1)]

IDEAL_C_OVER_A = float(np.sqrt(8.0 / 3.0))

#: Volume per atom in units of a³, given c/a.
_ATOMIC_VOLUME: dict[str, Callable[[float], float]] = {
    "fcc": lambda _: 1 / 4,
    "bcc": lambda _: 1 / 2,
    "hcp": lambda c_over_a: float(np.sqrt(3.0) / 4.0) * c_over_a,
    "sc": lambda _: 1.0,
    "diamond": lambda _: 1 / 8,
}


class PrototypeSettings(VariationSettings):
    """A crystal of one element, or a random alloy on its sites.

    Examples
    --------
    >>> PrototypeSettings(element="Al", repeat=(2, 2, 2), perturb={"displacement": 0.1}, number=10).crystal
    """

    element: str = Field(description="Chemical symbol; decides the default crystal and lattice constant.")
    crystal: Crystal | None = Field(
        default=None, description="Default: the element's own, from ASE's reference states."
    )
    a: float | None = Field(
        default=None,
        gt=0.5,
        lt=50.0,
        description="Lattice constant in Å. Default: ASE's reference; for another crystal, the same volume per atom.",
    )
    c: float | None = Field(
        default=None, gt=0.5, lt=100.0, description="Lattice constant c of hcp in Å. Default: ASE's, or the ideal one."
    )
    cubic: bool | None = Field(
        default=None,
        description="Conventional cubic cell instead of the primitive one. Default: yes where there is one.",
    )
    repeat: tuple[Count, Count, Count] = Field(default=(1, 1, 1), description="Cells along the three cell vectors.")
    composition: dict[str, Annotated[float, Field(gt=0.0)]] | None = Field(
        default=None, description="Random alloy: share of each element on the sites, such as {Al: 0.5, Mg: 0.5}."
    )

    @field_validator("element")
    @classmethod
    def _is_element(cls, element: str) -> str:
        return _known(element)

    @field_validator("composition")
    @classmethod
    def _are_shares(cls, composition: dict[str, float] | None) -> dict[str, float] | None:
        if composition is not None:
            for element in composition:
                _known(element)
            if abs(sum(composition.values()) - 1.0) > 1e-6:
                raise ValueError(f"the shares add up to {sum(composition.values()):g}, expected 1")
        return composition

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        crystal, _ = _lattice(self)
        if self.cubic and crystal == "hcp":
            raise ValueError("cubic: hcp has no cubic cell; leave it out")
        if self.c is not None and crystal != "hcp":
            raise ValueError(f"c: only hcp has a second lattice constant, the crystal is {crystal}")
        return self

    def _is_random(self) -> bool:
        return self.composition is not None and len(self.composition) > 1


class PrototypeGenerator:
    """Makes ideal crystals and perturbed copies of them."""

    name: ClassVar[str] = "prototype"
    Settings: ClassVar[type[StructureSettings]] = PrototypeSettings

    def __init__(self, settings: StructureSettings) -> None:
        if not isinstance(settings, PrototypeSettings):
            raise TypeError(f"PrototypeGenerator needs PrototypeSettings, got {type(settings).__name__}")
        self._settings = settings

    def generate(self, rng: np.random.Generator) -> list[Frame]:
        """Return ``len(scale) * number`` frames; random alloys get new sites in each.

        Raises
        ------
        StructureError
            Two atoms are too close, or an alloy has fewer sites than elements.
        """
        settings = self._settings
        rng = settings.generator(rng)
        crystal, lattice = _lattice(settings)
        cubic = crystal != "hcp" if settings.cubic is None else settings.cubic
        atoms = bulk(settings.element, crystal, **lattice, cubic=cubic) * settings.repeat
        if settings.composition is None:
            return list(variations(atoms, f"{crystal}-{settings.element}{len(atoms)}", settings, rng))
        frames: list[Frame] = []
        for scale in settings.scale:
            for copy in range(settings.number):
                alloy = _alloy(atoms, settings.composition, rng)
                one = settings.model_copy(update={"scale": (scale,), "number": 1})
                formula = alloy.get_chemical_formula(mode="metal")
                frames += variations(alloy, f"{crystal}-{formula}-{copy + 1}", one, rng)
        return frames


def _known(element: str) -> str:
    if atomic_numbers.get(element, 0) == 0:
        raise ValueError(f"{element!r} is no chemical symbol; write it as 'Al'")
    return element


def _lattice(settings: PrototypeSettings) -> tuple[str, dict[str, float]]:
    """Return the crystal and its lattice constants, from the settings or from ASE's reference states.

    Raises
    ------
    ValueError
        ASE's reference of the element is none of the prototypes, so that crystal or lattice constant must be given.
    """
    reference = reference_states[atomic_numbers[settings.element]] or {}
    own = reference.get("symmetry")
    crystal = settings.crystal or own
    if crystal not in _ATOMIC_VOLUME:
        raise ValueError(
            f"crystal: {settings.element} is {own or 'nothing that ASE knows'} in nature; choose one of "
            f"{', '.join(_ATOMIC_VOLUME)}"
        )
    c_over_a = reference["c/a"] if crystal == own == "hcp" else IDEAL_C_OVER_A
    if settings.a is not None:
        a = settings.a
    elif own in _ATOMIC_VOLUME:
        volume = _ATOMIC_VOLUME[own](reference.get("c/a", IDEAL_C_OVER_A)) * reference["a"] ** 3
        a = float((volume / _ATOMIC_VOLUME[crystal](c_over_a)) ** (1.0 / 3.0))
    else:
        raise ValueError(f"a: ASE knows no lattice constant for {crystal} {settings.element}; give it in Å")
    if crystal != "hcp":
        return crystal, {"a": a}
    return crystal, {"a": a, "c": settings.c or c_over_a * a}


def _alloy(atoms: Atoms, composition: dict[str, float], rng: np.random.Generator) -> Atoms:
    """Return a copy with the elements of `composition` at random on the sites, shares as near as whole atoms allow."""
    if len(atoms) < len(composition):
        raise StructureError(
            f"prototype: {len(atoms)} sites for {len(composition)} elements ({', '.join(composition)}); enlarge repeat"
        )
    shares = np.array(list(composition.values())) * len(atoms)
    counts = np.floor(shares).astype(int)
    for i in np.argsort(counts - shares, kind="stable")[: len(atoms) - counts.sum()]:
        counts[i] += 1
    symbols = np.repeat(list(composition), counts)
    alloy = atoms.copy()
    alloy.symbols = list(rng.permutation(symbols))
    return alloy
