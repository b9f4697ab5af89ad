"""The property ``vacancies``: what it costs to take an atom out of each inequivalent site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ase import Atoms

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.validation.base import Findings, Piece, PropertySettings, Result, Row
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.defects import (
    DefectSettings,
    defect_crystal,
    defect_payload,
    defect_row,
    inequivalent_sites,
    relaxed_defect,
)
from lammps_dpgen.validation.potential import Potential


class VacanciesSettings(DefectSettings):
    """Formation energies of vacancies on all inequivalent sites, relaxed.

    Examples
    --------
    >>> VacanciesSettings(repeat=(7, 7, 7), cell="fixed").force
    0.0001
    """

    only_pieces: ClassVar[frozenset[str]] = frozenset({"repeat", "length", "primitive", "cell"})


class VacanciesProperty:
    """Vacancy formation energies: E_vf = E(supercell without the atom) - E(supercell) + mu.

    mu is the energy per atom of the crystal itself where it has one element, else that of the reference phase of the
    element taken out.
    """

    name: ClassVar[str] = "vacancies"
    version: ClassVar[int] = 1
    Settings: ClassVar[type[PropertySettings]] = VacanciesSettings

    def __init__(self, settings: VacanciesSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings
        self._crystals = crystals

    def pieces(self) -> list[Piece]:
        """Return one piece for each inequivalent site of each crystal.

        Raises
        ------
        ConfigError
            An element of an alloy has no reference phase.
        """
        return [piece for crystal in self._crystals for piece in self._pieces_of(crystal)]

    def _pieces_of(self, crystal: Crystal) -> list[Piece]:
        cell = defect_crystal(crystal, self._settings)
        sites = inequivalent_sites(cell.atoms)
        pieces = []
        for number, (atom, n_equivalent) in enumerate(sites, start=1):
            element = cell.atoms[atom].symbol
            subject = crystal.name if len(sites) == 1 else f"{crystal.name} site {number}"
            note = "" if len(sites) == 1 else f"{element}, {n_equivalent} of {len(cell.atoms)} sites of the cell"
            payload = defect_payload(crystal, cell, element, self._settings, self._crystals)
            pieces.append(Piece(subject, {**payload, "atom": atom, "note": note}))
        return pieces

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Compute the formation energy of one vacancy."""
        number: int = piece.payload["atom"]

        def without(cell: Atoms, host: Atoms) -> tuple[Atoms, FloatArray]:
            defect = host.copy()
            del defect[number]
            return defect, host.positions[number]

        element = Crystal.from_json(piece.payload["crystal"]).atoms[number].symbol
        found = relaxed_defect(potential, piece.payload, element, -1, without, self._settings.force)
        return {"energy": found.energy, "n_atoms": len(found.before)}

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return one row for each site."""
        return Findings(tuple(self._row(piece, results[piece.name]) for piece in self.pieces()))

    def _row(self, piece: Piece, result: Result) -> Row:
        row = Row("Vacancies", piece.name, "E_vf", "eV", note=piece.payload["note"])
        return defect_row(row, piece.payload, result)
