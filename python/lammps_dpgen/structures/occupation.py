"""Random occupation of crystal sites by several elements, at given compositions or at all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import comb
from typing import Annotated

import numpy as np
from ase import Atoms
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from typing_extensions import Self

from lammps_dpgen.errors import StructureError
from lammps_dpgen.structures.base import Element

#: More compositions than this in one structure are taken for a mistake.
MOST_COMPOSITIONS = 10_000

Counts = dict[str, int]


def _adds_up(composition: dict[str, float]) -> dict[str, float]:
    if abs(sum(composition.values()) - 1.0) > 1e-6:
        raise ValueError(f"the shares add up to {sum(composition.values()):g}, expected 1")
    return composition


_SHARES = {"type": "object", "additionalProperties": {"type": "number", "exclusiveMinimum": 0}}

#: Share of each element on the sites; the shares add up to 1.
Composition = Annotated[dict[Element, Annotated[float, Field(gt=0.0)]], AfterValidator(_adds_up)]

#: Compositions; in the file a single one may stand without its list.
Compositions = Annotated[
    tuple[Composition, ...],
    BeforeValidator(lambda given: [given] if isinstance(given, dict) else given),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [_SHARES, {"type": "array", "items": _SHARES, "minItems": 1}]}),
]


class AllCompositions(BaseModel):
    """Every composition that the sites allow, or those on a grid."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    elements: tuple[Element, ...] = Field(min_length=2, description="Elements on the sites.")
    spacing: float | None = Field(
        default=None,
        gt=0.0,
        le=0.5,
        description="Step of the shares, a whole fraction of 1 such as 0.25; counts are the nearest whole atoms. "
        "Default: one atom.",
    )
    mixed_only: bool = Field(
        default=False, description="Leave out compositions that lack one of the elements, as DP-GEN does."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if len(set(self.elements)) < len(self.elements):
            raise ValueError("an element stands twice")
        if self.spacing is not None and abs(1.0 / self.spacing - round(1.0 / self.spacing)) > 1e-6:
            raise ValueError(f"spacing: 1 is no multiple of {self.spacing:g}; use a share such as 0.25, 0.125 or 0.1")
        return self

    def counts(self, n_sites: int) -> list[Counts]:
        """Return the numbers of atoms of each composition, first element first.

        Raises
        ------
        StructureError
            No composition fits the sites, or there are more than :data:`MOST_COMPOSITIONS`.
        """
        steps = n_sites if self.spacing is None else round(1.0 / self.spacing)
        number = comb(steps + len(self.elements) - 1, len(self.elements) - 1)
        if number > MOST_COMPOSITIONS:
            raise StructureError(
                f"all_compositions: {number} compositions of {', '.join(self.elements)} on {n_sites} sites, at most "
                f"{MOST_COMPOSITIONS} are allowed; set a wider spacing, such as 0.25"
            )
        found: dict[tuple[int, ...], Counts] = {}
        for parts in _splits(steps, len(self.elements)):
            counts = nearest_counts({e: part / steps for e, part in zip(self.elements, parts, strict=True)}, n_sites)
            if not (self.mixed_only and 0 in counts.values()):
                found.setdefault(tuple(counts.values()), counts)
        if not found:
            raise StructureError(
                f"all_compositions: {n_sites} sites cannot hold all of {', '.join(self.elements)} at spacing "
                f"{self.spacing or 1 / n_sites:g}; enlarge the cell (repeat) or change spacing or mixed_only"
            )
        return list(found.values())


def fixed_counts(compositions: Sequence[Mapping[str, float]], n_sites: int) -> list[Counts]:
    """Return the numbers of atoms of given compositions: shares as near as whole atoms allow.

    Raises
    ------
    StructureError
        A composition has more elements than there are sites.
    """
    for composition in compositions:
        if n_sites < len(composition):
            raise StructureError(
                f"composition: {n_sites} sites for {len(composition)} elements ({', '.join(composition)}); enlarge "
                "the cell (repeat)"
            )
    return [nearest_counts(composition, n_sites) for composition in compositions]


def nearest_counts(shares: Mapping[str, float], n_sites: int) -> Counts:
    """Return whole numbers of atoms that add up to the number of sites, by the largest remainders."""
    wanted = np.array(list(shares.values())) * n_sites
    counts = np.floor(wanted + 1e-9).astype(int)
    for i in np.argsort(counts - wanted, kind="stable")[: n_sites - counts.sum()]:
        counts[i] += 1
    return {element: int(count) for element, count in zip(shares, counts, strict=True)}


def site_indices(atoms: Atoms, elements: Sequence[str] | None) -> list[int]:
    """Return the indices (from 0) of the sites that are occupied anew: those of `elements`, or all.

    Raises
    ------
    StructureError
        There is none.
    """
    found = [i for i, symbol in enumerate(atoms.symbols) if elements is None or symbol in elements]
    if not found:
        raise StructureError(f"sites: {atoms.symbols} has no atom of {', '.join(elements or ())}; correct sites")
    return found


def occupied(atoms: Atoms, sites: Sequence[int], counts: Counts, rng: np.random.Generator) -> Atoms:
    """Return a copy with so many atoms of each element at random on the sites."""
    symbols = np.array(list(atoms.symbols))
    symbols[list(sites)] = rng.permutation(np.repeat(list(counts), list(counts.values())))
    alloy = atoms.copy()
    alloy.symbols = list(symbols)
    return alloy


def _splits(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """Yield all ways to write `total` as a sum of so many numbers >= 0, the first number falling."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total, -1, -1):
        for rest in _splits(total - first, parts - 1):
            yield (first, *rest)
