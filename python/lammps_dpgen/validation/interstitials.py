"""The property ``interstitials``: what it costs to put an atom between the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from pydantic import Field

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import FloatArray
from lammps_dpgen.validation.base import Findings, Piece, PropertySettings, Result, Row
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.defects import (
    DefectSettings,
    defect_crystal,
    defect_payload,
    defect_row,
    relaxed_defect,
)
from lammps_dpgen.validation.interstitial_sites import InterstitialSite, interstitial_sites, more_sites, named_site
from lammps_dpgen.validation.potential import Potential

#: Table of the report.
PART = "Interstitials"

#: Of the random displacements that break the symmetry of the place.
SEED = 1

#: Å; an interstitial that has moved farther has left its place, which is said.
LEFT = 0.5


class InterstitialsSettings(DefectSettings):
    """Formation energies of interstitials, relaxed.

    Examples
    --------
    >>> InterstitialsSettings(sites=("oh", "th"), repeat=(7, 7, 7), cell="iso").positions
    {}
    """

    only_pieces: ClassVar[frozenset[str]] = frozenset(
        {"repeat", "length", "primitive", "cell", "sites", "positions", "elements"}
    )

    sites: tuple[str, ...] | None = Field(
        default=None,
        description="Names of the places: oh, th, and as the report names others. Default: all that are found (corners "
        "of the Voronoi polyhedra, and octahedral places of bcc).",
    )
    positions: dict[str, tuple[float, float, float]] = Field(
        default_factory=dict,
        description="More places, by name: fractions of the cell that is repeated.",
    )
    rattle: float = Field(
        default=1e-6,
        ge=0.0,
        lt=0.5,
        description="Random displacements in Å (standard deviation) of all atoms before the relaxation. 0 keeps the "
        "symmetry of the place, even where the atom would leave it; the default lets it leave places that are clearly "
        "unstable, larger values also those that nearly are stable.",
    )
    elements: tuple[str, ...] | None = Field(
        default=None, description="Elements of the atom put in. Default: each element of the crystal."
    )


class InterstitialsProperty:
    """Interstitial formation energies: E_if = E(supercell with the atom) - E(supercell) - mu.

    mu is the energy per atom of the crystal itself where it has one element, else that of the reference phase of the
    element put in.
    """

    name: ClassVar[str] = "interstitials"
    version: ClassVar[int] = 1
    Settings: ClassVar[type[PropertySettings]] = InterstitialsSettings

    def __init__(self, settings: InterstitialsSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings
        self._crystals = crystals

    def pieces(self) -> list[Piece]:
        """Return one piece for each place and element of each crystal.

        Raises
        ------
        ConfigError
            A place that is asked for does not exist, or an element of an alloy has no reference phase.
        """
        return [piece for crystal in self._crystals for piece in self._pieces_of(crystal)]

    def _pieces_of(self, crystal: Crystal) -> list[Piece]:
        cell = defect_crystal(crystal, self._settings)
        elements = self._settings.elements or crystal.elements
        pieces = []
        for site in self._sites(crystal, cell):
            for element in elements:
                name = f"{crystal.name} {site.name}" + (f" {element}" if len(elements) > 1 else "")
                foreign = crystal.elements != (element,)
                payload = {
                    **defect_payload(crystal, cell, element, self._settings, self._crystals),
                    "fractional": list(site.fractional),
                    "element": element,
                    "quantity": f"E_if_{site.name}",
                    "subject": f"{crystal.name} {element}" if foreign else crystal.name,
                    "note": site.words,
                }
                pieces.append(Piece(name, payload))
        return pieces

    def _sites(self, crystal: Crystal, cell: Crystal) -> list[InterstitialSite]:
        found = interstitial_sites(cell.atoms)
        names = {site.name for site in found}
        inverse = np.linalg.inv(cell.atoms.cell.array)
        for site in more_sites(crystal.atoms, crystal.prototype):
            if site.name not in names:
                place = np.array(site.fractional) @ crystal.atoms.cell.array @ inverse
                found.append(named_site(cell.atoms, site.name, place))
        found += [named_site(cell.atoms, name, np.array(place)) for name, place in self._settings.positions.items()]
        if self._settings.sites is None:
            return found
        wanted = set(self._settings.sites) | set(self._settings.positions)
        missing = sorted(wanted - {site.name for site in found})
        if missing:
            known = "; ".join(f"{site.name} ({site.words})" for site in found) or "none"
            raise ConfigError(
                f"interstitials: {crystal.name} has no place {', '.join(missing)}; found: {known}. Name one of them in "
                "'sites', or give the place in 'positions'"
            )
        return [site for site in found if site.name in wanted]

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Compute the formation energy of one interstitial."""
        given = piece.payload

        def with_atom(cell: Atoms, host: Atoms) -> tuple[Atoms, FloatArray]:
            defect, center = with_interstitial(cell, host, given["fractional"], given["element"])
            rng = np.random.default_rng(SEED)
            defect.positions += rng.normal(0.0, self._settings.rattle, defect.positions.shape)
            return defect, center

        found = relaxed_defect(potential, given, given["element"], 1, with_atom, self._settings.force)
        return {
            "energy": found.energy,
            "n_atoms": len(found.before),
            "moved": _moved(found.before, found.after),
        }

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return one row for each place."""
        return Findings(tuple(self._row(piece, results[piece.name]) for piece in self.pieces()))

    def _row(self, piece: Piece, result: Result) -> Row:
        given = piece.payload
        row = Row(PART, given["subject"], given["quantity"], "eV", note=given["note"])
        row = defect_row(row, given, result)
        if result.value is None or result.value["moved"] <= LEFT:
            return row
        return replace(row, note=f"{row.note}; unstable there: it has moved by {result.value['moved']:.2f} Å")


def with_interstitial(cell: Atoms, host: Atoms, fractional: Sequence[float], element: str) -> tuple[Atoms, FloatArray]:
    """Return the supercell with another atom, the last one, and the atom's place (``[3]`` Å).

    Parameters
    ----------
    fractional
        Place of the atom as fractions of `cell`, which is repeated in `host`.
    """
    center: FloatArray = np.array(fractional) @ cell.cell.array
    defect = host.copy()
    defect.append(element)
    defect.positions[-1] = center
    return defect, center


def _moved(before: Atoms, after: Atoms) -> float:
    """Return how far in Å the last atom has moved among the others, strain and drift taken out."""
    steps = after.get_scaled_positions(wrap=False) - before.get_scaled_positions(wrap=False)
    steps -= np.median(steps, axis=0)
    return float(np.linalg.norm(steps[-1] @ after.cell.array))
