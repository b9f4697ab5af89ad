"""What point defects have in common: the supercell, the relaxation, what an atom costs, and the check afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, Literal

import numpy as np
import spglib
from ase import Atoms
from pydantic import Field

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.validation.base import PropertySettings, Result, Row
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.crystals import reference_phases
from lammps_dpgen.validation.failures import UnstableError
from lammps_dpgen.validation.potential import CellFreedom, Potential, Static
from lammps_dpgen.validation.stability import host_decay

#: Atoms nearer to a defect than this (Å) may change their neighbours.
DEFECT_RADIUS = 5.0

#: Å; how near atoms must be to the places of a space group that the unrelaxed crystal is given.
SYMMETRY_PRECISION = 0.01


class DefectSettings(PropertySettings):
    """Supercell and relaxation of a point defect."""

    repeat: tuple[int, int, int] | None = Field(
        default=None, description="Copies of the cell along its vectors. Default: as many as `length` needs."
    )
    length: float = Field(
        default=14.0, gt=0.0, description="Shortest length in Å of the supercell's vectors where `repeat` is left out."
    )
    primitive: bool = Field(
        default=True,
        description="Repeat the primitive cell of prototypes, not the conventional one; cells of files are always "
        "repeated as they are.",
    )
    cell: Literal["fixed", "iso", "aniso", "tri"] | None = Field(
        default=None,
        description="What may relax beside the atoms: nothing, the volume, then the lengths, then the angles of the "
        "supercell. Default: the volume of cubic crystals, the lengths too of others.",
    )
    force: float = Field(default=1e-4, gt=0.0, description="Largest force in eV/Å that the relaxation may leave.")


def defect_crystal(crystal: Crystal, settings: DefectSettings) -> Crystal:
    """Return the crystal in the cell that is repeated."""
    if not (settings.primitive and crystal.prototype):
        return crystal
    cell = (crystal.atoms.cell.array, crystal.atoms.get_scaled_positions(), crystal.atoms.numbers)
    found = spglib.standardize_cell(cell, to_primitive=True, no_idealize=True, symprec=SYMMETRY_PRECISION)
    if found is None or len(found[2]) == len(crystal.atoms):
        return crystal
    vectors, positions, numbers = found
    return replace(crystal, atoms=Atoms(numbers, scaled_positions=positions, cell=vectors, pbc=True))


def repeats(crystal: Crystal, settings: DefectSettings) -> tuple[int, int, int]:
    """Return the copies along the three vectors, decided by the unrelaxed crystal: the same for all potentials."""
    if settings.repeat is not None:
        return settings.repeat
    a, b, c = (max(1, ceil(settings.length / length - 1e-6)) for length in crystal.atoms.cell.lengths())
    return a, b, c


def freedoms(crystal: Crystal, settings: DefectSettings) -> tuple[CellFreedom, ...]:
    """Return the rounds of the relaxation."""
    stages: dict[str, tuple[CellFreedom, ...]] = {
        "fixed": ("fixed",),
        "iso": ("iso",),
        "aniso": ("iso", "aniso"),
        "tri": ("iso", "aniso", "tri"),
    }
    return stages[settings.cell or ("iso" if is_cubic(crystal.atoms) else "aniso")]


def is_cubic(atoms: Atoms) -> bool:
    """Return whether the space group is cubic."""
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=SYMMETRY_PRECISION)
    return dataset is not None and dataset.number >= 195


def inequivalent_sites(atoms: Atoms) -> list[tuple[int, int]]:
    """Return one atom of each set of equivalent ones, by number from 0, and how many atoms the set has."""
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=SYMMETRY_PRECISION)
    if dataset is None:
        return [(number, 1) for number in range(len(atoms))]
    firsts, counts = np.unique(dataset.equivalent_atoms, return_counts=True)
    return [(int(first), int(count)) for first, count in zip(firsts, counts, strict=True)]


def reference_crystals(crystal: Crystal, elements: Iterable[str], crystals: Sequence[Crystal]) -> dict[str, Any]:
    """Return the crystals whose energy per atom is the chemical potential of the elements that a defect moves.

    A crystal of one element is itself the reference phase of this element; for others it is the first of its element
    among `crystals`, or else the element's own.

    Raises
    ------
    ConfigError
        An element has no reference phase.
    """
    moved = [element for element in sorted(set(elements)) if crystal.elements != (element,)]
    return {element: phase.to_json() for element, phase in reference_phases(moved, crystals).items()}


def chemical_potential(potential: Potential, element: str, bulk: Static, references: dict[str, Any]) -> float:
    """Return the energy in eV of an atom of `element` where it comes from or goes to."""
    if element not in references:
        return bulk.energy_per_atom
    return potential.crystal(Crystal.from_json(references[element])).energy_per_atom


def defect_payload(
    crystal: Crystal, cell: Crystal, element: str, settings: DefectSettings, crystals: Sequence[Crystal]
) -> dict[str, Any]:
    """Return what every piece of a point defect says: cell, supercell, relaxation, and what `element` costs.

    Parameters
    ----------
    cell
        The crystal in the cell that is repeated; see :func:`defect_crystal`.
    element
        Of the atom that is taken out or put in.

    Raises
    ------
    ConfigError
        The element has no reference phase.
    """
    return {
        "crystal": cell.to_json(),
        "repeat": list(repeats(cell, settings)),
        "stages": list(freedoms(crystal, settings)),
        "references": reference_crystals(crystal, [element], crystals),
    }


@dataclass(frozen=True)
class RelaxedDefect:
    """A point defect before and after its relaxation, with its formation energy in eV."""

    energy: float
    before: Atoms
    after: Atoms


def relaxed_defect(
    potential: Potential,
    given: Mapping[str, Any],
    element: str,
    gained: int,
    make: Callable[[Atoms, Atoms], tuple[Atoms, FloatArray]],
    force: float,
) -> RelaxedDefect:
    """Relax a supercell with a defect; its energy is E(supercell with the defect) - E(supercell) - gained mu.

    Parameters
    ----------
    given
        Payload of the piece; see :func:`defect_payload`.
    gained
        Atoms of `element` that the supercell has gained: 1, or -1.
    make
        Given the relaxed cell and the perfect supercell, returns the supercell with the defect and where it is
        (``[3]`` Å).
    force
        Largest force in eV/Å that may be left.

    Raises
    ------
    UnstableError
        The crystal around the defect is no longer the one that it was.
    NotConvergedError, CollapsedError, NotFiniteError, PairStyleError
        Why there is no minimum.
    """
    bulk = potential.crystal(Crystal.from_json(given["crystal"]))
    host = bulk.atoms.repeat(given["repeat"])
    defect, center = make(bulk.atoms, host)
    relaxed = potential.relax(defect, tuple(given["stages"]), force=force)
    change = host_decay(defect, relaxed.atoms, center, DEFECT_RADIUS)
    if change:
        raise UnstableError(change)
    mu = chemical_potential(potential, element, bulk, given["references"])
    energy = relaxed.energy - bulk.energy_per_atom * len(host) - gained * mu
    return RelaxedDefect(energy, defect, relaxed.atoms)


def defect_row(row: Row, given: Mapping[str, Any], result: Result) -> Row:
    """Return the row with the formation energy and its definition, or with the cause why there is none."""
    if result.value is None:
        return replace(row, failure=result.failure)
    told = definition(tuple(given["repeat"]), result.value["n_atoms"], tuple(given["stages"]))
    return replace(row, value=result.value["energy"], definition=told)


def definition(copies: tuple[int, int, int], n_atoms: int, stages: tuple[CellFreedom, ...]) -> str:
    """Return the words that stand beside a formation energy."""
    words = {"fixed": "", "iso": "volume", "aniso": "cell lengths", "tri": "cell lengths and angles"}
    free = words[stages[-1]]
    relaxed = "atoms relaxed in the cell of the crystal" if stages == ("fixed",) else f"atoms and {free} relaxed"
    size = "x".join(str(copy) for copy in copies)
    return f"{size} supercell, {n_atoms} atoms, {relaxed}"
