"""Surface energies of all inequivalent indices and terminations, relaxed and unrelaxed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ase.units import J, m
from pydantic import Field, field_validator

from lammps_dpgen.errors import ConfigError, PropertyError
from lammps_dpgen.validation.base import Chart, Findings, Piece, PropertySettings, Result, Row, Series
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.failures import UnsuitableError
from lammps_dpgen.validation.potential import Potential, Static
from lammps_dpgen.validation.slabs import Slab, formula_units, miller_indices, miller_text, terminations

PART = "Surfaces"

#: J/m² in eV/Å².
_UNIT = float(J / m**2)

_HEXAGONAL = ("hcp", "dhcp")


class SurfacesSettings(PropertySettings):
    """Energies of the surfaces of the crystals: half of what a slab has above as many atoms in the crystal, by area.

    For each index all terminations are cut; "gamma" of an index is the lowest of them. Where there are several, each
    has rows of its own, termination 1 being cut where the layers are farthest apart. Slabs of compounds whose
    composition is not that of the crystal are refused; where the two surfaces of a slab differ, their mean is given
    and said.
    """

    max_index: int = Field(default=1, ge=1, le=5, description="Largest Miller index (of the conventional cell).")
    miller: tuple[tuple[int, ...], ...] | None = Field(
        default=None, description="Instead: these indices, three or four (hexagonal) each."
    )
    thickness: float = Field(default=25.0, gt=3.0, description="Least thickness of a slab in Å.")
    vacuum: float = Field(default=20.0, gt=3.0, description="Least vacuum in Å.")
    relax: bool = Field(default=True, description="Relax the atoms as well, in the cell of the relaxed crystal.")
    force: float = Field(default=1e-3, gt=0.0, description="Residual force of the relaxation in eV/Å.")

    @field_validator("miller")
    @classmethod
    def _are_indices(cls, found: tuple[tuple[int, ...], ...] | None) -> tuple[tuple[int, ...], ...] | None:
        for indices in found or ():
            if len(indices) not in (3, 4) or not any(indices):
                raise ValueError(f"{list(indices)} are no Miller indices; give three, or four of a hexagonal crystal")
            if len(indices) == 4 and indices[2] != -indices[0] - indices[1]:
                raise ValueError(f"{list(indices)}: the third index is minus the sum of the first two")
        return found


class SurfacesProperty:
    """See :class:`SurfacesSettings`."""

    name: ClassVar[str] = "surfaces"
    version: ClassVar[int] = 1
    Settings: ClassVar[type[PropertySettings]] = SurfacesSettings

    def __init__(self, settings: SurfacesSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings
        self._crystals = crystals

    def pieces(self) -> list[Piece]:
        """Return one piece for each crystal and index."""
        return [piece for crystal in self._crystals for piece in self._pieces_of(crystal)]

    def _pieces_of(self, crystal: Crystal) -> list[Piece]:
        hexagonal = crystal.prototype in _HEXAGONAL
        if self._settings.miller is None:
            indices = miller_indices(crystal.atoms, self._settings.max_index)
        else:
            indices = [(given[0], given[1], given[-1]) for given in self._settings.miller]
            if any(len(given) == 4 for given in self._settings.miller) and not hexagonal:
                raise ConfigError(f"surfaces: four Miller indices, but {crystal.name} is no hcp or dhcp prototype")
        return [
            Piece(f"{crystal.name} {miller_text(hkl, hexagonal)}", {"crystal": crystal.to_json(), "miller": list(hkl)})
            for hkl in indices
        ]

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Cut all terminations and compute their energies."""
        bulk = potential.crystal(Crystal.from_json(piece.payload["crystal"]))
        settings = self._settings
        slabs = terminations(bulk.atoms, piece.payload["miller"], settings.thickness, settings.vacuum)
        return {"terminations": [self._energies(potential, slab, bulk) for slab in slabs]}

    def _energies(self, potential: Potential, slab: Slab, bulk: Static) -> dict[str, Any]:
        found: dict[str, Any] = {"unrelaxed": None, "relaxed": None, "n_atoms": len(slab.atoms), "failure": ""}
        found["symmetric"] = slab.symmetric
        try:
            whole = formula_units(slab.atoms, bulk.atoms) * bulk.energy
            found["unrelaxed"] = surface_energy(potential.static(slab.atoms), whole, slab.area)
            if self._settings.relax:
                relaxed = potential.relax(slab.atoms, force=self._settings.force)
                found["relaxed"] = surface_energy(relaxed, whole, slab.area)
        except PropertyError as error:
            found["failure"] = str(error)
        return found

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return the rows of all terminations, and bars of the lowest of each index."""
        rows: list[Row] = []
        charts: list[Chart] = []
        for crystal in self._crystals:
            names = [piece.name for piece in self._pieces_of(crystal)]
            for name in names:
                rows += self._rows(name, results[name])
            charts.append(self._chart(crystal.name, names, rows))
        return Findings(tuple(rows), tuple(charts))

    def _rows(self, name: str, result: Result) -> list[Row]:
        found: list[dict[str, Any]] = [] if result.value is None else result.value["terminations"]
        kinds = [("gamma", "relaxed"), ("gamma_unrelaxed", "unrelaxed")]
        kinds = kinds if self._settings.relax else kinds[1:]
        rows = []
        for quantity, key in kinds:
            values = [(one[key], one) for one in found if one[key] is not None]
            best = min(values, key=lambda pair: float(pair[0])) if values else (None, {})
            failure = result.failure or ("" if values else "; ".join(dict.fromkeys(one["failure"] for one in found)))
            rows.append(self._row(name, quantity, key, best[0], failure, best[1]))
        if len(found) > 1:
            for number, one in enumerate(found, 1):
                subject = f"{name} termination {number}"
                for quantity, key in kinds:
                    failure = one["failure"] if one[key] is None else ""
                    rows.append(self._row(subject, quantity, key, one[key], failure, one))
        return rows

    def _row(
        self, subject: str, quantity: str, key: str, value: float | None, failure: str, one: Mapping[str, Any]
    ) -> Row:
        settings = self._settings
        size = f"slab of at least {settings.thickness:g} Å, {settings.vacuum:g} Å vacuum"
        how = "atoms relaxed in the fixed cell" if key == "relaxed" else "atoms as in the crystal"
        note = "" if one.get("symmetric", True) else "the two surfaces of the slab differ: their mean"
        return Row(PART, subject, quantity, "J/m²", value, None, f"{size}, {how}", failure, note)

    def _chart(self, crystal: str, names: Sequence[str], rows: Sequence[Row]) -> Chart:
        quantity = "gamma" if self._settings.relax else "gamma_unrelaxed"
        values = {row.subject: row.value for row in rows if row.quantity == quantity}
        words = [name.removeprefix(f"{crystal} ") for name in names]
        return Chart(
            id=f"surfaces-{crystal}",
            part=PART,
            title=f"Surface energies of {crystal}",
            caption="The lowest termination of each index" + (", relaxed." if self._settings.relax else ", unrelaxed."),
            x_label="",
            y_label="surface energy (J/m²)",
            kind="bars",
            series=(Series("", words, [values.get(name) for name in names]),),
            keys=tuple((name, quantity) for name in names),
        )


def surface_energy(slab: Static, crystal_energy: float, area: float) -> float:
    """Return the surface energy in J/m² of a slab with two surfaces.

    Parameters
    ----------
    crystal_energy
        Of as many atoms in the crystal, eV.
    area
        Of one surface, Å².

    Raises
    ------
    UnsuitableError
        The area is none.
    """
    if area <= 0.0:
        raise UnsuitableError("the slab has no area")
    return (slab.energy - crystal_energy) / (2.0 * area) / _UNIT
