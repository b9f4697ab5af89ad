"""The property ``phonons``: dispersion along the standard path and density of states, by phonopy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil
from typing import Any, ClassVar

import numpy as np
import seekpath
from ase import Atoms
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from pydantic import Field

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.validation.base import Chart, Findings, Piece, PropertySettings, Result, Row, Series
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.potential import Potential

#: Table of the report.
PART = "Phonons"

#: THz; frequencies below minus this are imaginary modes and no numerical noise around Gamma.
IMAGINARY = 0.05

#: Branches of crystals with at most so many atoms in the primitive cell get rows at the special points.
FEW_ATOMS = 2


class PhononsSettings(PropertySettings):
    """Phonons by finite displacements in a supercell of the relaxed crystal.

    Examples
    --------
    >>> PhononsSettings(repeat=(4, 4, 4)).displacement
    0.01
    """

    only_pieces: ClassVar[frozenset[str]] = frozenset({"repeat", "length"})

    repeat: tuple[int, int, int] | None = Field(
        default=None, description="Copies of the crystal's cell along its vectors. Default: as many as `length` needs."
    )
    length: float = Field(
        default=16.0,
        gt=0.0,
        description="Shortest length in Å of the supercell's vectors where `repeat` is left out. Twice the cut-off of "
        "the potential takes all force constants in.",
    )
    displacement: float = Field(default=0.01, gt=0.0, lt=0.5, description="Displacement of the atoms in Å.")
    points: int = Field(default=51, ge=2, description="Points along the longest segment of the path.")
    mesh: int = Field(default=21, ge=2, description="Points of the mesh of the density of states along each direction.")


class PhononsProperty:
    """Harmonic phonons: force constants from forces on displaced atoms, path by seekpath, DOS by tetrahedra."""

    name: ClassVar[str] = "phonons"
    version: ClassVar[int] = 1
    Settings: ClassVar[type[PropertySettings]] = PhononsSettings

    def __init__(self, settings: PhononsSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings
        self._crystals = crystals

    def pieces(self) -> list[Piece]:
        """Return one piece for each crystal."""
        return [
            Piece(crystal.name, {"crystal": crystal.to_json(), "repeat": list(self._repeat(crystal.atoms))})
            for crystal in self._crystals
        ]

    def _repeat(self, atoms: Atoms) -> tuple[int, ...]:
        if self._settings.repeat is not None:
            return self._settings.repeat
        return tuple(max(1, ceil(self._settings.length / length - 1e-6)) for length in atoms.cell.lengths())

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Compute frequencies (THz, imaginary ones negative) along the path and their density."""
        settings = self._settings
        bulk = potential.crystal(Crystal.from_json(piece.payload["crystal"]))
        phonon = force_constants(potential, bulk.atoms, piece.payload["repeat"], settings.displacement)
        paths, ticks = band_path(phonon.primitive, settings.points)
        bands = phonon.run_band_structure(paths) or phonon.band_structure
        mesh = phonon.run_mesh([settings.mesh] * 3) or phonon.mesh
        dos = phonon.run_total_dos() or phonon.total_dos
        return {
            "n_atoms": len(phonon.supercell),
            "distances": [part.tolist() for part in bands.distances],
            "frequencies": [part.tolist() for part in bands.frequencies],
            "labels": ticks,
            "dos": [dos.frequency_points.tolist(), dos.dos.tolist()],
            **_lowest(paths, bands.frequencies, mesh),
        }

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return rows of extremes and special points, the dispersion, and the density of states."""
        rows: list[Row] = []
        charts: list[Chart] = []
        for piece in self.pieces():
            result = results[piece.name]
            rows += self._rows(piece, result)
            if result.value is not None:
                charts += [_dispersion(piece.name, result.value), _density(piece.name, result.value)]
        return Findings(tuple(rows), tuple(charts))

    def _rows(self, piece: Piece, result: Result) -> list[Row]:
        size = "x".join(str(n) for n in piece.payload["repeat"])
        told = f"{size} supercell of the cell, displacements of {self._settings.displacement} Å"
        row = Row(PART, piece.name, "nu_min", "THz", failure=result.failure, definition=told)
        value = result.value
        if value is None:
            return [row, replace(row, quantity="nu_max")]
        rows = [
            replace(row, value=value["lowest"], note=_imaginary_note(value)),
            replace(row, quantity="nu_max", value=float(max(np.max(part) for part in value["frequencies"]))),
        ]
        for label, frequencies in _special_points(value).items():
            rows += [
                replace(row, quantity=f"nu({label})_{number}", value=frequency, note=f"branch {number} at {label}")
                for number, frequency in enumerate(frequencies, start=1)
            ]
        return rows


def force_constants(potential: Potential, atoms: Atoms, repeat: Sequence[int], displacement: float) -> Phonopy:
    """Return phonopy with the force constants of a crystal.

    Parameters
    ----------
    displacement
        Å. Forces on the undisplaced supercell are subtracted.
    """
    cell = PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(),
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(),
        masses=atoms.get_masses(),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # phonopy 4 tells which primitive cell it found
        phonon = Phonopy(cell, np.diag(repeat), primitive_matrix="auto", symprec=1e-4)
    phonon.generate_displacements(distance=displacement)
    rest = potential.static(_as_ase(phonon.supercell)).forces
    phonon.forces = [potential.static(_as_ase(cell)).forces - rest for cell in phonon.supercells_with_displacements]
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    return phonon


def band_path(primitive: PhonopyAtoms, n_points: int) -> tuple[list[FloatArray], list[tuple[str, str]]]:
    """Return the segments of the standard path, ``[n, 3]`` fractions each, and the names of their ends.

    The path is that of HPKOT (DOI 10.1016/j.commatsci.2016.10.015), in the reciprocal basis of `primitive`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = seekpath.get_path_orig_cell((primitive.cell, primitive.scaled_positions, primitive.numbers))
    reciprocal = np.linalg.inv(primitive.cell).T
    points = {name: np.array(place) for name, place in found["point_coords"].items()}
    ends = [(points[one], points[other]) for one, other in found["path"]]
    lengths = [float(np.linalg.norm((other - one) @ reciprocal)) for one, other in ends]
    paths = [
        np.linspace(one, other, max(2, ceil(n_points * length / max(lengths))))
        for (one, other), length in zip(ends, lengths, strict=True)
    ]
    return paths, [(_letter(one), _letter(other)) for one, other in found["path"]]


def _as_ase(cell: PhonopyAtoms) -> Atoms:
    return Atoms(cell.symbols, scaled_positions=cell.scaled_positions, cell=cell.cell, pbc=True)


def _letter(label: str) -> str:
    return "Γ" if label == "GAMMA" else label.replace("_", "")


def _lowest(paths: list[FloatArray], bands: list[FloatArray], mesh: Any) -> dict[str, Any]:
    """Return the lowest frequency of path and mesh, where it is, and the share of imaginary modes on the mesh."""
    places = np.concatenate([*paths, mesh.qpoints])
    frequencies = np.concatenate([*(np.asarray(part) for part in bands), mesh.frequencies])
    lowest = frequencies.min(axis=1)
    place = int(np.argmin(lowest))
    weights = np.asarray(mesh.weights, dtype=np.float64)
    imaginary = (np.asarray(mesh.frequencies) < -IMAGINARY).mean(axis=1)
    return {
        "lowest": float(lowest[place]),
        "lowest_at": [float(x) for x in places[place]],
        "imaginary": float((imaginary * weights).sum() / weights.sum()),
    }


def _imaginary_note(value: Mapping[str, Any]) -> str:
    if value["lowest"] >= -IMAGINARY:
        return ""
    place = ", ".join(f"{x:.3g}" for x in value["lowest_at"])
    return (
        f"imaginary modes: the crystal is unstable. The lowest is {-value['lowest']:.3g}i THz at ({place}); "
        f"{value['imaginary']:.1%} of all modes are imaginary"
    )


def _special_points(value: Mapping[str, Any]) -> dict[str, list[float]]:
    """Return the frequencies at the special points but Gamma, of crystals with few branches, the lowest first."""
    found: dict[str, list[float]] = {}
    for (one, other), frequencies in zip(value["labels"], value["frequencies"], strict=True):
        found.setdefault(one, frequencies[0])
        found.setdefault(other, frequencies[-1])
    found.pop("Γ", None)
    return {label: sorted(modes) for label, modes in found.items() if len(modes) <= 3 * FEW_ATOMS}


def _dispersion(subject: str, value: Mapping[str, Any]) -> Chart:
    distances, frequencies = value["distances"], value["frequencies"]
    # A gap after each part: where the path jumps to another point, branches are not connected.
    x = [float(d) for part in distances for d in [*part, part[-1]]]
    series = []
    for branch in range(len(frequencies[0][0])):
        y = [value for part in frequencies for value in [*(float(modes[branch]) for modes in part), None]]
        series.append(Series("", x, y))
    ticks: dict[float, str] = {}
    for (one, other), part in zip(value["labels"], distances, strict=True):
        before = ticks.get(part[0], one)
        ticks[part[0]] = before if before == one else f"{before}|{one}"
        ticks[part[-1]] = other
    caption = "Phonon frequencies along the standard path (HPKOT); imaginary ones are drawn below zero."
    return Chart(
        f"phonons-{subject}",
        PART,
        f"Phonon dispersion of {subject}",
        caption,
        "",
        "frequency (THz)",
        "lines",
        tuple(series),
        tuple(ticks.items()),
        zero_line=True,
    )


def _density(subject: str, value: Mapping[str, Any]) -> Chart:
    caption = "Phonon density of states, by the tetrahedron method; its integral is the number of branches."
    title = f"Phonon density of states of {subject}"
    series = (Series("", *value["dos"]),)
    return Chart(f"phonon-dos-{subject}", PART, title, caption, "frequency (THz)", "density (1/THz)", "lines", series)
