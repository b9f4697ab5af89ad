"""Alloys, many at once: formation energy and volume, and on request elastic constants, defects and surfaces."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from pydantic import Field, model_validator
from typing_extensions import Self

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.structures.base import ConfigFile, family
from lammps_dpgen.structures.materials_project import MaterialsProjectGenerator, MaterialsProjectSettings
from lammps_dpgen.structures.variation import Perturbation
from lammps_dpgen.validation.base import Findings, Piece, Property, PropertySettings, Result, Row
from lammps_dpgen.validation.bulk import RELAXATION_WORDS
from lammps_dpgen.validation.crystal import Crystal, Relaxation
from lammps_dpgen.validation.crystals import read_cell, reference_phases
from lammps_dpgen.validation.elastic import ElasticProperty, ElasticSettings
from lammps_dpgen.validation.failures import UnstableError
from lammps_dpgen.validation.interstitial_paths import InterstitialPathsProperty, InterstitialPathsSettings
from lammps_dpgen.validation.memory import relaxed_as_asked
from lammps_dpgen.validation.potential import Potential, Static
from lammps_dpgen.validation.surfaces import SurfacesProperty, SurfacesSettings
from lammps_dpgen.validation.vacancies import VacanciesProperty, VacanciesSettings

PART = "Alloys"

#: Kind of the pieces that are relaxations of interstitials.
_PATHS = "interstitial paths"

#: eV/Å: forces that a relaxation may leave without a word.
_TOO_MUCH = 1e-3

#: Endings of structure files in a folder.
_ENDINGS = (".cif", ".vasp", ".poscar", ".xyz", ".extxyz", ".json")


class AlloysSettings(PropertySettings):
    """Structures from files: formation energies and volumes, and what else is asked for, of all of them.

    The formation energy per atom is taken from the reference phases of the elements: the first crystal of the element
    alone under ``crystals``, or else its own prototype. A structure whose relaxation ends in another one keeps its
    energy and volume, with a note, and is excluded from everything else.
    """

    files: tuple[ConfigFile, ...] = Field(
        default=(), description="Structure files that ASE reads, or folders of them; the file's stem is the name."
    )
    materials_project: MaterialsProjectSettings | None = Field(
        default=None,
        description="Structures of the Materials Project, with the settings of the generator of that name, such as "
        "{system: Al-Mg, store: al-mg.json}; the id is the name.",
    )
    volumes: ConfigFile | None = Field(
        default=None,
        description="CSV with the columns name and volume (Å³/atom): the cells are scaled to these before they relax.",
    )
    relax: Relaxation = Field(default="aniso", description="How far the cells relax: see crystals.")
    elastic: ElasticSettings | None = Field(default=None, description="Elastic constants too; {} for the defaults.")
    vacancies: VacanciesSettings | None = Field(default=None, description="Vacancies on all sites too.")
    interstitial_paths: InterstitialPathsSettings | None = Field(
        default=None, description="Energies along the relaxation of interstitials too."
    )
    surfaces: SurfacesSettings | None = Field(
        default=None, description="Surfaces too; {relax: false, max_index: 1} as in the paper."
    )

    @model_validator(mode="after")
    def _has_structures(self) -> Self:
        if not self.files and self.materials_project is None:
            raise ValueError("no structures; give files, or materials_project")
        return self

    def hash(self) -> str:
        """SHA-256 of what decides a result; structures count in the pieces, by what they are."""
        return self.model_copy(update={"files": (), "volumes": None, "materials_project": None})._own_hash()

    def _own_hash(self) -> str:
        return super().hash()


class AlloysProperty:
    """See :class:`AlloysSettings`."""

    name: ClassVar[str] = "alloys"
    version: ClassVar[int] = 1
    Settings: ClassVar[type[PropertySettings]] = AlloysSettings

    def __init__(self, settings: AlloysSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings
        self._references = crystals
        self._alloys: list[Crystal] | None = None
        self._paths: InterstitialPathsProperty | None = None

    def reference_pieces(self) -> list[Piece]:
        """Return the relaxations of interstitials, where they are asked for."""
        if self._settings.interstitial_paths is None:
            return []
        if self._paths is None:
            self._paths = InterstitialPathsProperty(self._settings.interstitial_paths, self._crystals())
        pieces = self._paths.reference_pieces()
        return [Piece(f"{_PATHS} of {p.name}", {"kind": _PATHS, "inner": p.payload}) for p in pieces]

    def follow(self, results: Mapping[str, Result]) -> None:
        """Take the paths that the reference potential found."""
        if self._paths is not None:
            self._paths.follow({name.removeprefix(f"{_PATHS} of "): result for name, result in results.items()})

    def pieces(self) -> list[Piece]:
        """Return a piece for each structure, and those of the further properties.

        Raises
        ------
        ConfigError
            A file is no structure, or an element has no reference phase.
        """
        pieces = []
        for alloy in self._crystals():
            phases = reference_phases(alloy.elements, self._references)
            references = {element: phase.to_json() for element, phase in phases.items()}
            payload = {"kind": "energy", "crystal": alloy.to_json(), "references": references}
            pieces.append(Piece(f"energy of {alloy.name}", payload))
        for kind, part in self._further(self._crystals()).items():
            pieces += [Piece(f"{kind} of {p.name}", {"kind": kind, "inner": p.payload}) for p in part.pieces()]
        return pieces

    def _crystals(self) -> list[Crystal]:
        """Return the structures, read once."""
        if self._alloys is None:
            volumes = _volumes(self._settings.volumes)
            cells = [(path.stem, read_cell(path)) for path in _files(self._settings.files)]
            if self._settings.materials_project is not None:
                cells += _fetched(self._settings.materials_project)
            self._alloys = [
                Crystal(name, _scaled(name, atoms, volumes), "", self._settings.relax) for name, atoms in cells
            ]
            names = [alloy.name for alloy in self._alloys]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ConfigError(f"alloys: more than one structure is named {', '.join(twice)}; rename the files")
        return self._alloys

    def _further(self, alloys: Sequence[Crystal]) -> dict[str, Property]:
        """Return the further properties that are asked for, of these structures."""
        settings = self._settings
        found: dict[str, Property] = {}
        if settings.elastic is not None:
            found["elastic"] = ElasticProperty(settings.elastic, alloys)
        if settings.vacancies is not None:
            found["vacancies"] = VacanciesProperty(settings.vacancies, alloys)
        if settings.interstitial_paths is not None:
            found[_PATHS] = self._paths or InterstitialPathsProperty(settings.interstitial_paths, alloys)
        if settings.surfaces is not None:
            found["surfaces"] = SurfacesProperty(settings.surfaces, alloys)
        return found

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Relax a structure, or compute a piece of a further property."""
        kind = piece.payload["kind"]
        if kind != "energy":
            return self._further(())[kind].compute(potential, Piece(piece.name, piece.payload["inner"]))
        alloy = Crystal.from_json(piece.payload["crystal"])
        relaxed, note = _relaxed(potential, alloy)
        left = float(np.abs(relaxed.forces).max())
        if left > _TOO_MUCH and alloy.relaxation != "none":
            note = f"{note}; " if note else ""
            note += f"LAMMPS' line search has left forces up to {left:.2g} eV/Å: no minimum"
        energy = relaxed.energy
        for element, count in alloy.atoms.symbols.formula.count().items():
            phase = potential.crystal(Crystal.from_json(piece.payload["references"][element]))
            energy -= count * phase.energy_per_atom
        return {"energy": energy / len(alloy.atoms), "volume": relaxed.volume_per_atom, "note": note}

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return formation energies and volumes, and what the further properties found."""
        rows: list[Row] = []
        for alloy in self._crystals():
            rows += self._rows(alloy, results[f"energy of {alloy.name}"])
        charts = []
        for kind, part in self._further(self._crystals()).items():
            start = f"{kind} of "
            inner = {name.removeprefix(start): one for name, one in results.items() if name.startswith(start)}
            found = part.findings(inner)
            rows += [replace(row, part=f"{PART}: {row.part.lower()}") for row in found.rows]
            charts += [replace(chart, part=f"{PART}: {chart.part.lower()}") for chart in found.charts]
        return Findings(tuple(rows), tuple(charts))

    def _rows(self, alloy: Crystal, result: Result) -> list[Row]:
        definition = RELAXATION_WORDS[alloy.relaxation]
        value = result.value or {"energy": None, "volume": None, "note": ""}
        rows = []
        for quantity, unit, key in (("E_f", "eV/atom", "energy"), ("V0", "Å³/atom", "volume")):
            row = Row(PART, alloy.name, quantity, unit, value[key], None, definition, result.failure, value["note"])
            rows.append(row)
        return rows


def _relaxed(potential: Potential, alloy: Crystal) -> tuple[Static, str]:
    """Return the relaxed structure, and how it has become another one, if it has."""
    try:
        return potential.crystal(alloy), ""
    except UnstableError as error:
        return relaxed_as_asked(potential, alloy), f"{error}; excluded from further properties"


def _files(names: Sequence[str]) -> list[Path]:
    """Return the structure files, those of folders in alphabetical order."""
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in _ENDINGS)
            if not inside:
                raise ConfigError(f"alloys: the folder {path} has no structure file ({', '.join(_ENDINGS)})")
            found += inside
        else:
            found.append(path)
    return found


def _fetched(settings: MaterialsProjectSettings) -> list[tuple[str, Atoms]]:
    """Return the unperturbed structures of the Materials Project, by id.

    Raises
    ------
    StructureError
        There is no answer, or none that can be used.
    """
    plain = settings.model_copy(update={"scale": (1.0,), "perturb": Perturbation(), "number": 1})
    frames = MaterialsProjectGenerator(plain).generate(np.random.default_rng(0))
    # The generator names them by id and formula.
    return [(family(frame).rpartition("-")[0], frame.to_ase()) for frame in frames]


def _scaled(name: str, atoms: Atoms, volumes: Mapping[str, float]) -> Atoms:
    """Return the atoms at the volume that is given for them, if any."""
    plain = Atoms(atoms.get_chemical_symbols(), positions=atoms.positions, cell=atoms.cell, pbc=True)
    if name in volumes:
        factor = float(np.cbrt(volumes[name] * len(plain) / plain.get_volume()))
        plain.set_cell(plain.cell.array * factor, scale_atoms=True)
    return plain


def _volumes(path: str | None) -> dict[str, float]:
    if path is None:
        return {}
    try:
        with open(path, encoding="utf-8") as stream:
            rows = list(csv.DictReader(line for line in stream if line.strip() and not line.startswith("#")))
        return {row["name"]: float(row["volume"]) for row in rows}
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path}: volumes cannot be read ({error}); give a CSV with name and volume") from error
