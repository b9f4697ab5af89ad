"""Bulk: energy, volume and lattice constants of relaxed crystals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from ase import Atoms

from lammps_dpgen.validation.base import Findings, Piece, PropertySettings, Result, Row
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.potential import Potential

PART = "Bulk"

#: How a crystal is relaxed, in words.
RELAXATION_WORDS = {
    "none": "not relaxed",
    "iso": "atoms and volume relaxed",
    "aniso": "atoms and volume relaxed, then the lengths of the cell vectors",
    "tri": "atoms and volume relaxed, then the lengths of the cell vectors, then the whole cell",
    "lammps": "fix box/relax iso, then aniso, as far as LAMMPS' line search goes",
}

_HEXAGONAL = ("hcp", "dhcp")


class BulkSettings(PropertySettings):
    """Energy per atom, volume per atom and lattice constants of the crystals, relaxed as each of them says.

    The energy is that of the potential: against isolated atoms for most, against other states for DFT and models.
    """


class BulkProperty:
    """See :class:`BulkSettings`."""

    name: ClassVar[str] = "bulk"
    version: ClassVar[int] = 1
    Settings: ClassVar[type[PropertySettings]] = BulkSettings

    def __init__(self, settings: BulkSettings, crystals: Sequence[Crystal]) -> None:
        self._crystals = crystals

    def pieces(self) -> list[Piece]:
        """Return one piece for each crystal."""
        return [Piece(crystal.name, {"crystal": crystal.to_json()}) for crystal in self._crystals]

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Relax the crystal."""
        relaxed = potential.crystal(Crystal.from_json(piece.payload["crystal"]))
        return {
            "energy": relaxed.energy_per_atom,
            "volume": relaxed.volume_per_atom,
            "cell": [float(x) for x in relaxed.atoms.cell.cellpar()],
        }

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return energy, volume and the lattice constants that the symmetry leaves free."""
        rows: list[Row] = []
        for crystal in self._crystals:
            rows += _rows(crystal, results[crystal.name])
        return Findings(tuple(rows))


def relaxation_of(crystal: Crystal) -> str:
    """Say how a crystal is relaxed."""
    start = crystal.prototype or f"cell of {len(crystal.atoms)} atoms from a file"
    return f"{start}, {RELAXATION_WORDS[crystal.relaxation]}"


def _rows(crystal: Crystal, result: Result) -> list[Row]:
    definition = relaxation_of(crystal)
    value = result.value
    blank = Row(PART, crystal.name, "", definition=definition, failure=result.failure)
    rows = [
        replace(blank, quantity="E", unit="eV/atom", value=None if value is None else value["energy"]),
        replace(blank, quantity="V0", unit="Å³/atom", value=None if value is None else value["volume"]),
    ]
    for number, quantity in _free_lengths(crystal):
        length = None if value is None else value["cell"][number]
        rows.append(replace(blank, quantity=quantity, unit="Å", value=length))
    if crystal.prototype in _HEXAGONAL:
        ratio = None if value is None else value["cell"][2] / value["cell"][0]
        rows.append(replace(blank, quantity="c/a", value=ratio))
    return rows


def _free_lengths(crystal: Crystal) -> list[tuple[int, str]]:
    """Return which lengths of the cell are worth a row, with their symbols."""
    if crystal.prototype:
        return [(0, "a"), (2, "c")] if crystal.prototype in _HEXAGONAL else [(0, "a")]
    a, b, c = _lengths(crystal.atoms)
    free = [(0, "a")]
    if abs(b - a) > 1e-3 * a:
        free.append((1, "b"))
    if abs(c - a) > 1e-3 * a:
        free.append((2, "c"))
    return free


def _lengths(atoms: Atoms) -> tuple[float, float, float]:
    a, b, c = (float(x) for x in atoms.cell.lengths())
    return a, b, c
