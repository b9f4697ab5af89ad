"""The property ``faults``: stacking faults and twins of close-packed planes, and what slip costs on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.units import J, m
from pydantic import Field
from scipy.interpolate import CubicSpline

from lammps_dpgen.errors import ConfigError, PropertyError
from lammps_dpgen.validation.base import Chart, Findings, Piece, PropertySettings, Result, Row, Series
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.failures import UnstableError
from lammps_dpgen.validation.potential import Potential, Static
from lammps_dpgen.validation.stacking import (
    PERIODS,
    Steps,
    extra_plane,
    extrinsic,
    growth,
    intrinsic,
    perfect,
    planes,
    slip_lines,
    twin_boundaries,
)

#: Table of the report.
PART = "Stacking faults"

#: J/m² in eV/Å².
SURFACE_UNIT = J / m**2

#: A plane that has slipped over its neighbour by more than this share of a step has left the fault.
SLIPPED = 0.4

#: Faults of each crystal: quantity, what it is, its steps, and how many of them the cell holds.
FAULTS: dict[str, dict[str, tuple[str, Callable[[int], Steps], int]]] = {
    "fcc": {
        "gamma_sf": ("intrinsic fault on (111), ABC|BCA", lambda n: intrinsic("fcc", n), 1),
        "gamma_tsf": ("extrinsic fault on (111), nucleus of a twin, ABC|B|ABC", lambda n: extrinsic("fcc", n), 1),
        "gamma_tb": ("coherent twin boundary on (111), ABC|BA", twin_boundaries, 2),
    },
    "hcp": {
        "gamma_sf": ("basal fault I2, ABAB|CACA", lambda n: intrinsic("hcp", n), 1),
        "gamma_tsf": ("basal twin-like fault T2, ABAB|C|BAB", lambda n: extrinsic("hcp", n), 1),
        "gamma_I1": ("basal growth fault I1, ABAB|CBCB", growth, 1),
        "gamma_E": ("basal extrinsic fault E, ABAB|C|ABAB", extra_plane, 1),
    },
}


class FaultsSettings(PropertySettings):
    """Faults of close-packed planes: (111) of fcc, the basal plane of hcp.

    Examples
    --------
    >>> FaultsSettings(line_points=11).n_planes
    24
    """

    n_planes: int = Field(
        default=24,
        ge=12,
        multiple_of=6,
        description="Planes of the cell, which holds one fault; I1 and E have one more.",
    )
    line_points: int = Field(
        default=21, ge=0, description="Points of the gamma line from one fault to the next; 0 leaves the line out."
    )
    force: float = Field(default=1e-4, gt=0.0, description="Largest force in eV/Å that the relaxation may leave.")


class FaultsProperty:
    """Fault energies: (E(cell with a fault) - N times the energy per atom of the crystal) / area.

    The lattice in the plane is that of the crystal; all atoms and the length of the cell across the planes relax. Along
    the gamma line atoms relax across the planes alone, or they would slip back.
    """

    name: ClassVar[str] = "faults"
    version: ClassVar[int] = 1
    Settings: ClassVar[type[PropertySettings]] = FaultsSettings

    def __init__(self, settings: FaultsSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings
        self._crystals = crystals

    def pieces(self) -> list[Piece]:
        """Return one piece for each fault, and one for the gamma line of each crystal.

        Raises
        ------
        ConfigError
            A crystal is neither fcc nor hcp.
        """
        pieces = []
        for crystal in self._crystals:
            if crystal.prototype not in PERIODS or len(crystal.elements) != 1:
                raise ConfigError(
                    f"faults: {crystal.name} is {crystal.prototype or 'read from a file'}; faults of close-packed "
                    "planes exist in fcc and hcp crystals of one element, given by 'element'. List those under "
                    "'crystals' of this property"
                )
            for quantity in FAULTS[crystal.prototype]:
                pieces.append(Piece(f"{crystal.name} {quantity}", {"crystal": crystal.to_json(), "fault": quantity}))
            if self._settings.line_points:
                pieces.append(Piece(f"{crystal.name} line", {"crystal": crystal.to_json(), "fault": ""}))
        return pieces

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Compute one fault or one gamma line."""
        crystal = Crystal.from_json(piece.payload["crystal"])
        bulk = potential.crystal(crystal)
        if not piece.payload["fault"]:
            return self._line(potential, crystal, bulk)
        _, steps_of, n_faults = FAULTS[crystal.prototype][piece.payload["fault"]]
        steps = steps_of(self._settings.n_planes)
        cell = planes(bulk.atoms.symbols[0], *_lattice(crystal, bulk), steps)
        relaxed = potential.relax(cell, "z", force=self._settings.force)
        _refuse_slip(cell, relaxed.atoms)
        return {"energy": _fault_energy(relaxed, bulk) / n_faults, "n_planes": len(steps)}

    def _line(self, potential: Potential, crystal: Crystal, bulk: Static) -> dict[str, Any]:
        """Return the energies (J/m², None where there is none) along the slip, in steps."""
        steps = perfect(crystal.prototype, self._settings.n_planes)
        slips: list[float] = []
        energies: list[float | None] = []
        causes: list[str] = []
        for slip, slipped in slip_lines(crystal.prototype, steps, self._settings.line_points):
            cell = planes(bulk.atoms.symbols[0], *_lattice(crystal, bulk), steps, slipped)
            slips.append(slip)
            try:
                relaxed = potential.relax(cell, "z", "z", force=self._settings.force)
                energies.append(_fault_energy(relaxed, bulk))
            except PropertyError as error:
                energies.append(None)
                causes.append(f"at {slip:.2f}: {error}")
        return {"slips": slips, "energies": energies, "causes": causes}

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return a row for each fault and each barrier, and the gamma lines."""
        rows: list[Row] = []
        charts: list[Chart] = []
        for piece in self.pieces():
            crystal, result = Crystal.from_json(piece.payload["crystal"]), results[piece.name]
            if piece.payload["fault"]:
                rows.append(self._row(crystal, piece.payload["fault"], result))
            else:
                rows += self._barriers(crystal, result)
                charts += _chart(crystal, result)
        return Findings(tuple(rows), tuple(charts))

    def _row(self, crystal: Crystal, quantity: str, result: Result) -> Row:
        words = FAULTS[crystal.prototype][quantity][0]
        row = Row(PART, crystal.name, quantity, "J/m²", failure=result.failure, note=words)
        if result.value is None:
            return row
        told = f"{result.value['n_planes']} planes, lattice in the plane fixed, atoms and length across relaxed"
        return replace(row, value=result.value["energy"], definition=told)

    def _barriers(self, crystal: Crystal, result: Result) -> list[Row]:
        told = f"{self._settings.n_planes} planes, highest point of the gamma line, atoms relaxed across the planes"
        rows = []
        for quantity, start, words in (("gamma_usf", 0.0, "to the fault"), ("gamma_utf", 1.0, "from it to the twin")):
            row = Row(PART, crystal.name, quantity, "J/m²", definition=told, note=f"barrier {words}")
            value = None if result.value is None else _highest(result.value, start)
            failure = result.failure or ("" if value is not None else "; ".join((result.value or {})["causes"]))
            rows.append(replace(row, value=value, failure=failure))
        return rows


def _lattice(crystal: Crystal, bulk: Static) -> tuple[float, float]:
    """Return the distance of neighbours in a close-packed plane, and that of planes, Å."""
    if crystal.prototype == "fcc":
        a = float(np.cbrt(4.0 * bulk.volume_per_atom))
        return a / np.sqrt(2.0), a / np.sqrt(3.0)
    lengths = bulk.atoms.cell.lengths()
    return float(lengths[0]), float(lengths[2]) / 2.0


def _fault_energy(cell: Static, bulk: Static) -> float:
    """Return the excess energy in J/m²."""
    area = float(np.linalg.norm(np.cross(cell.atoms.cell.array[0], cell.atoms.cell.array[1])))
    return float((cell.energy - len(cell.atoms) * bulk.energy_per_atom) / area / SURFACE_UNIT)


def _refuse_slip(before: Atoms, after: Atoms) -> None:
    """Refuse a fault whose planes have slipped over each other in the relaxation.

    Raises
    ------
    UnstableError
        Says which plane, and how far.
    """
    inner = (after.positions - before.positions)[:, :2]
    slips = np.linalg.norm(np.diff(inner, axis=0, append=inner[:1]), axis=1)
    step = float(before.cell.lengths()[0]) / np.sqrt(3.0)
    worst = int(np.argmax(slips))
    if slips[worst] > SLIPPED * step:
        raise UnstableError(
            f"the fault is unstable: plane {worst + 1} of {len(before)} slipped over the next by {slips[worst]:.2f} Å "
            "in the relaxation"
        )


def _highest(line: Mapping[str, Any], start: float) -> float | None:
    """Return the highest energy within a step from `start`, by a spline; None where points are missing."""
    points = [(x, y) for x, y in zip(line["slips"], line["energies"], strict=True) if start <= x <= start + 1.0]
    if len(points) < 4 or any(y is None for _, y in points):
        return None
    spline = CubicSpline(*zip(*points, strict=True))
    return float(spline(np.linspace(start, start + 1.0, 1001)).max())


def _chart(crystal: Crystal, result: Result) -> list[Chart]:
    if result.value is None:
        return []
    plane = "(111)" if crystal.prototype == "fcc" else "the basal plane"
    caption = (
        f"Energy of slip on {plane} of {crystal.name} in steps of a Shockley partial: 0 the crystal, 1 the fault that "
        "one slip makes, 2 that after a slip of the next plane as well. Atoms relaxed across the planes."
    )
    series = (Series("", result.value["slips"], result.value["energies"]),)
    name = f"Gamma line of {crystal.name}"
    return [
        Chart(f"gamma-line-{crystal.name}", PART, name, caption, "slip (partials)", "energy (J/m²)", "lines", series)
    ]
