"""Scaled, perturbed and newly occupied copies of a structure, as in the preparation step of DP-GEN.

Steps II to IV of Fig. 1a of the paper (arXiv:1810.11890), for whatever crystal a generator makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from typing_extensions import Self

from lammps_dpgen.errors import StructureError
from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.geometry import closest_contact
from lammps_dpgen.structures.base import Element, StructureSettings
from lammps_dpgen.structures.occupation import (
    AllCompositions,
    Compositions,
    Counts,
    fixed_counts,
    occupied,
    site_indices,
)

#: Factors on all lengths that the paper explores; ``scale: paper``.
PAPER_SCALE = (0.96, 0.98, 1.0, 1.02, 1.04)

#: Returns the ideal structure at a factor on its lengths.
Sites = Callable[[float], Atoms]


def _scale(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return value
    if value != "paper":
        raise ValueError("write a list of factors, such as [0.96, 1.0, 1.04], or the word paper")
    return PAPER_SCALE


_FACTORS = {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0.2, "exclusiveMaximum": 5}, "minItems": 1}

Scale = Annotated[
    tuple[Annotated[float, Field(gt=0.2, lt=5.0)], ...],
    BeforeValidator(_scale),
    WithJsonSchema({"anyOf": [_FACTORS, {"const": "paper"}]}),
]


class Perturbation(BaseModel):
    """Random changes; every number is drawn from a uniform distribution. The paper's: 0.01 Å and 3 %."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    displacement: float = Field(
        default=0.0, ge=0.0, description="Each coordinate of each atom changes by at most this (Å)."
    )
    cell: float = Field(
        default=0.0,
        ge=0.0,
        lt=50.0,
        description="Each element of the symmetric strain of the cell is at most this (%): every vector of a cell "
        "along x, y, z changes by at most this share of its length in each direction. Atoms move with the cell.",
    )

    @property
    def is_none(self) -> bool:
        """Whether nothing changes."""
        return self.displacement == 0.0 and self.cell == 0.0


class VariationSettings(StructureSettings):
    """What all generators of crystals share: for every composition and scale, so many perturbed copies."""

    scale: Scale = Field(
        default=(1.0,),
        min_length=1,
        description="Factors alpha on all lengths (volumes change by alpha³), such as [0.96, 1.0, 1.04]; `paper`: "
        "0.96, 0.98, 1.0, 1.02, 1.04.",
    )
    perturb: Perturbation = Field(default=Perturbation(), description="Random changes of each copy.")
    number: int = Field(default=1, ge=1, description="Copies for each composition and scale, each perturbed anew.")
    composition: Compositions | None = Field(
        default=None,
        description="Random alloy: share of each element on the sites, such as {Al: 0.5, Mg: 0.5}, or a list of such "
        "compositions. Every copy gets new random sites.",
    )
    all_compositions: AllCompositions | None = Field(
        default=None, description="Random alloys at every composition, instead of `composition`."
    )
    sites: tuple[Element, ...] | None = Field(
        default=None,
        min_length=1,
        description="Only atoms of these elements are replaced by `composition` or `all_compositions`. Default: all.",
    )
    min_distance: float | None = Field(
        default=None,
        gt=0.0,
        description="Two atoms closer than this (Å) are an error. Default: 0.6 times the sum of their covalent radii.",
    )
    seed: int | None = Field(
        default=None, ge=0, description="Seed of these structures; default: they follow from the run's own seed."
    )

    @model_validator(mode="after")
    def _one_occupation(self) -> Self:
        if self.composition is not None and self.all_compositions is not None:
            raise ValueError("composition and all_compositions exclude each other; keep one")
        if self.sites is not None and not self.is_occupied:
            raise ValueError("sites: nothing replaces them; add composition or all_compositions, or leave sites out")
        return self

    @model_validator(mode="after")
    def _copies_differ(self) -> Self:
        mixed = self.all_compositions is not None or any(len(one) > 1 for one in self.composition or ())
        if self.number > 1 and self.perturb.is_none and not mixed:
            raise ValueError(
                f"number: {self.number} copies would be identical; set perturb (displacement in Å, cell in %), "
                "or number: 1"
            )
        return self

    @property
    def is_occupied(self) -> bool:
        """Whether elements are put on the sites at random."""
        return self.composition is not None or self.all_compositions is not None

    @property
    def elements(self) -> tuple[str, ...]:
        """The elements that are put on the sites."""
        if self.all_compositions is not None:
            return self.all_compositions.elements
        return tuple(dict.fromkeys(element for one in self.composition or () for element in one))

    def counts(self, n_sites: int) -> list[Counts]:
        """Return the numbers of atoms of every composition; empty where the structure keeps its own.

        Raises
        ------
        StructureError
            The sites are too few, or the compositions too many.
        """
        if self.all_compositions is not None:
            return self.all_compositions.counts(n_sites)
        return fixed_counts(self.composition or (), n_sites)

    def generator(self, rng: np.random.Generator) -> np.random.Generator:
        """Return the random numbers to use: those of the own seed, or else `rng`."""
        return rng if self.seed is None else np.random.default_rng(self.seed)


def variations(
    sites: Sites,
    kind: str,
    settings: VariationSettings,
    rng: np.random.Generator,
    stretch: Callable[[Counts], float] | None = None,
) -> Iterator[Frame]:
    """Yield a frame for each composition, scale and copy.

    Parameters
    ----------
    sites
        The ideal structure at each scale.
    kind
        What it is, such as ``fcc``; the name of a frame is ``<kind>-<formula>/<scale>/<copy>``.
    stretch
        Factor on the lengths at a composition, beside the scale; None: 1.

    Raises
    ------
    StructureError
        Two atoms are too close, or the composition does not fit the sites.
    """
    if not settings.is_occupied:
        yield from _copies(sites, None, kind, settings, rng)
        return
    for counts in settings.counts(len(site_indices(sites(1.0), settings.sites))):
        factor = 1.0 if stretch is None else stretch(counts)
        yield from _copies(sites, counts, kind, settings, rng, factor)


def _copies(
    sites: Sites,
    counts: Counts | None,
    kind: str,
    settings: VariationSettings,
    rng: np.random.Generator,
    stretch: float = 1.0,
) -> Iterator[Frame]:
    """Yield a frame for each scale and copy at one composition, or at the structure's own; see `variations`."""
    pure = counts is not None and sum(count > 0 for count in counts.values()) == 1
    number = 1 if pure and settings.perturb.is_none else settings.number
    kind, _, variant = kind.partition("/")
    for scale in settings.scale:
        ideal = sites(scale * stretch)
        chosen = site_indices(ideal, settings.sites)
        for copy in range(number):
            atoms = ideal if counts is None else occupied(ideal, chosen, counts, rng)
            changed = _perturbed(atoms, settings.perturb, rng)
            structure = f"{kind}-{atoms.get_chemical_formula(mode='metal')}"
            parts = [structure, *([variant] if variant else []), f"{scale:g}", *([str(copy + 1)] if number > 1 else [])]
            yield checked("/".join(parts), changed, settings.min_distance)


def checked(name: str, atoms: Atoms, min_distance: float | None) -> Frame:
    """Return an initial frame of that name.

    Raises
    ------
    StructureError
        Two atoms are too close.
    """
    frame = Frame.from_ase(atoms, FrameOrigin("bootstrap", reason="initial", structure=name))
    contact = closest_contact(frame, min_distance)
    if contact is not None:
        raise StructureError(
            f"structure {name}: {contact.describe(frame)}; use a smaller perturbation, a larger scale or "
            "lattice constant, or set min_distance"
        )
    return frame


def scaled(atoms: Atoms, factor: float) -> Atoms:
    """Return a copy with all lengths multiplied."""
    copy = atoms.copy()
    copy.set_cell(factor * atoms.cell.array, scale_atoms=True)
    return copy


def _perturbed(atoms: Atoms, perturb: Perturbation, rng: np.random.Generator) -> Atoms:
    strain = np.triu(rng.uniform(-1.0, 1.0, (3, 3))) * perturb.cell / 100.0
    strain = strain + np.triu(strain, 1).T
    changed = atoms.copy()
    if perturb.cell > 0.0:
        changed.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    changed.positions += perturb.displacement * rng.uniform(-1.0, 1.0, changed.positions.shape)
    return changed
