"""Energy over volume of several crystal structures of an element, and what a Birch-Murnaghan fit says of each."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from ase.units import GPa
from pydantic import Field, model_validator
from typing_extensions import Self

from lammps_dpgen.errors import PropertyError
from lammps_dpgen.structures.lattice import CRYSTALS, conventional_cell, lattice
from lammps_dpgen.structures.lattice import Crystal as Prototype
from lammps_dpgen.validation.base import Chart, Findings, Piece, PropertySettings, Result, Row, Series
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.failures import UnsuitableError
from lammps_dpgen.validation.potential import Potential

PART = "Equations of state"

#: Points next to the lowest one, on each side, that the fit uses.
_FIT_POINTS = 4


class EosSettings(PropertySettings):
    """Equations of state: static energies over a range of volumes, for each element in several crystal structures.

    Nothing relaxes: atoms stay on their sites, c/a is that of the element's own crystal where it is the structure, else
    the ideal one. A crystal from a file is scaled as it is. The energy and volume of the minimum and the bulk modulus
    are those of a Birch-Murnaghan fit to the points around it.
    """

    structures: tuple[Prototype, ...] = Field(
        default=("fcc", "hcp", "dhcp", "bcc", "sc", "diamond"), description="Crystal structures of elements."
    )
    volumes: tuple[float, float] = Field(
        default=(0.7, 2.2), description="Smallest and largest volume, as shares of that of the relaxed crystal."
    )
    points: int = Field(default=61, ge=7, description="Number of volumes.")

    @model_validator(mode="after")
    def _is_range(self) -> Self:
        if not 0.1 < self.volumes[0] < self.volumes[1] < 10.0:
            raise ValueError(f"volumes: {list(self.volumes)} is no range; give two shares such as [0.7, 1.5]")
        return self


class EosProperty:
    """See :class:`EosSettings`."""

    name: ClassVar[str] = "eos"
    version: ClassVar[int] = 1
    Settings: ClassVar[type[PropertySettings]] = EosSettings

    def __init__(self, settings: EosSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings
        self._crystals = crystals

    def pieces(self) -> list[Piece]:
        """Return one piece for each crystal and structure."""
        return [piece for crystal in self._crystals for piece in self._pieces_of(crystal).values()]

    def _pieces_of(self, crystal: Crystal) -> dict[str, Piece]:
        """Return the pieces of a crystal by the name of the structure."""
        if not crystal.prototype:
            return {"": Piece(crystal.name, {"crystal": crystal.to_json(), "structure": ""})}
        kinds = dict.fromkeys([crystal.prototype, *self._settings.structures])
        return {
            kind: Piece(f"{crystal.name} {kind}", {"crystal": crystal.to_json(), "structure": kind}) for kind in kinds
        }

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Compute energies over volumes, and fit."""
        crystal = Crystal.from_json(piece.payload["crystal"])
        relaxed = potential.crystal(crystal)
        kind = piece.payload["structure"]
        if kind in ("", crystal.prototype):
            cell = relaxed.atoms
        elif kind in CRYSTALS:
            element = crystal.elements[0]
            ideal = {"hcp": np.sqrt(8.0 / 3.0), "dhcp": 2.0 * np.sqrt(8.0 / 3.0)}.get(kind)
            cell = conventional_cell(lattice(kind, {element: 1.0}, 4.0, ideal and 4.0 * float(ideal)), element)
        else:
            raise UnsuitableError(f"{kind!r} is no crystal structure; allowed are {', '.join(CRYSTALS)}")
        low, high = self._settings.volumes
        volumes = np.linspace(low, high, self._settings.points) * relaxed.volume_per_atom
        energies = []
        for volume in volumes:
            scaled = cell.copy()
            factor = float(np.cbrt(volume * len(cell) / cell.get_volume()))
            scaled.set_cell(cell.cell.array * factor, scale_atoms=True)
            energies.append(potential.static(scaled).energy_per_atom)
        curve: dict[str, Any] = {"volumes": [float(v) for v in volumes], "energies": energies}
        try:
            return {**curve, "fit": _fit(volumes, np.array(energies)), "failure": ""}
        except PropertyError as error:
            return {**curve, "fit": None, "failure": str(error)}

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return the fits, the energies relative to the crystal itself, and the curves."""
        rows: list[Row] = []
        charts: list[Chart] = []
        for crystal in self._crystals:
            pieces = self._pieces_of(crystal)
            own = results[pieces[crystal.prototype].name].value
            base = None if own is None or own["fit"] is None else own["fit"]["energy"]
            for kind, piece in pieces.items():
                rows += self._rows(piece.name, kind != crystal.prototype, results[piece.name], base)
            charts.append(_chart(crystal.name, {k or crystal.name: results[p.name] for k, p in pieces.items()}))
        return Findings(tuple(rows), tuple(charts))

    def _rows(self, subject: str, other: bool, result: Result, base: float | None) -> list[Row]:
        low, high = self._settings.volumes
        how = (
            f"static, {self._settings.points} volumes of {low:g} to {high:g} V0, Birch-Murnaghan fit around the minimum"
        )
        fit = None if result.value is None else result.value["fit"]
        failure = result.failure or ("" if result.value is None else result.value["failure"])
        blank = Row(PART, subject, "", definition=how, failure=failure)
        units = {"E_min": ("eV/atom", "energy"), "V_min": ("Å³/atom", "volume"), "B_0": ("GPa", "bulk_modulus")}
        rows = [
            replace(blank, quantity=quantity, unit=unit, value=None if fit is None else fit[key])
            for quantity, (unit, key) in units.items()
        ]
        if other:
            difference = None if fit is None or base is None else 1000.0 * (fit["energy"] - base)
            missing = "" if difference is not None or failure else "the crystal itself has no minimum"
            rows.append(replace(blank, quantity="dE", unit="meV/atom", value=difference, failure=failure or missing))
        return rows


def _fit(volumes: np.ndarray[Any, np.dtype[np.float64]], energies: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
    """Return energy (eV/atom), volume (Å³/atom) and bulk modulus (GPa) of the minimum.

    Raises
    ------
    UnsuitableError
        There is no minimum within the volumes.
    """
    lowest = int(np.argmin(energies))
    if lowest in (0, len(volumes) - 1):
        raise UnsuitableError(f"no minimum between {volumes[0]:.2f} and {volumes[-1]:.2f} Å³/atom")
    near = slice(max(0, lowest - _FIT_POINTS), lowest + _FIT_POINTS + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymatgen.analysis.eos import EOS

        try:
            found = EOS("birch_murnaghan").fit(volumes[near], energies[near])
        except Exception as error:  # pymatgen's EOSError, and what scipy raises
            raise UnsuitableError(f"no Birch-Murnaghan fit: {error}") from error
    return {"energy": float(found.e0), "volume": float(found.v0), "bulk_modulus": float(found.b0) / GPa}


def _chart(name: str, results: Mapping[str, Result]) -> Chart:
    curves = tuple(
        Series(kind, result.value["volumes"], result.value["energies"])
        for kind, result in results.items()
        if result.value is not None
    )
    return Chart(
        id=f"eos-{name}",
        part=PART,
        title=f"Energy over volume of {name}",
        caption="Colour: the potential, or the structure where there is only one potential. Nothing relaxes.",
        x_label="volume (Å³/atom)",
        y_label="energy (eV/atom)",
        kind="lines",
        series=curves,
    )
