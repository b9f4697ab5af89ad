"""The file of ``lammps-dpgen validate``: potentials, crystals, references and the properties that are compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import Self

from lammps_dpgen import registry
from lammps_dpgen.config.base import Duration, FilePath, Section, resolve_path
from lammps_dpgen.config.names import check_distinct, check_known
from lammps_dpgen.config.parts import InlineSection, LabelerSection, settings_model
from lammps_dpgen.labeling.lammps import LammpsSettings
from lammps_dpgen.structures.base import Element
from lammps_dpgen.structures.lattice import Crystal as Prototype

#: What tells the kinds of potential apart.
_KINDS = ("models", "run", "pair_style", "labeler")

#: Name of a potential that is a generation of a run: that of the run, and the number.
GENERATION = re.compile(r"(.+) g(\d{3,})")


class CrystalSection(Section):
    """A crystal that properties are computed of: a prototype of an element, or a file."""

    name: str = Field(min_length=1)
    """Subject of its rows in tables and references."""
    element: Element | None = None
    """Chemical symbol of a prototype."""
    crystal: Prototype | None = None
    """Default: the element's own, from ASE's reference states."""
    a: float | None = Field(default=None, gt=0.5, lt=50.0)
    """Lattice constant in Å that the relaxation starts from. Default: ASE's reference, or an estimate."""
    c: float | None = Field(default=None, gt=0.5, lt=100.0)
    """Lattice constant c of hcp and dhcp in Å that the relaxation starts from. Default: ASE's c/a, or the ideal one."""
    file: FilePath | None = None
    """Instead of an element: a structure that ASE reads (CIF, POSCAR, extxyz ...), one cell."""
    volume: float | None = Field(default=None, gt=1.0)
    """Volume per atom in Å³ that the cell is scaled to before its relaxation."""
    relax: Literal["none", "iso", "aniso", "tri", "lammps"] = "aniso"
    """How far the cell relaxes, always with the atoms: iso the volume; aniso then the lengths of the cell vectors, at
    their angles; tri then lengths and angles. lammps: iso and aniso of LAMMPS' own ``fix box/relax``, one go each, as
    far as its line search goes, which in tilted cells is no minimum."""

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.element is None) == (self.file is None):
            raise ValueError(f"crystal {self.name!r}: give either element or file")
        return self


class ReferenceSection(Section):
    """A set of reference values."""

    file: FilePath
    """CSV with the columns subject, quantity, value and, if wanted, unit, uncertainty, tolerance and source; lines that
    begin with # are comments. A tolerance is a number in the unit of the row, or a share such as 3%."""
    tolerance: float = Field(default=0.05, gt=0.0)
    """Share of the reference within which a value counts as right, for rows without a tolerance of their own."""


class PropertySection(InlineSection):
    """A property: its name and, beside it, its own settings."""

    group = registry.PROPERTIES
    key = "property"

    property: str
    """Name it is registered with; its settings are the keys beside it."""
    crystals: tuple[str, ...] | None = None
    """Names of the crystals that it is computed of. Default: all."""
    timeout: Duration = 86400.0
    """Wall time after which one piece of it is stopped and counts as failed."""
    settings: SkipJsonSchema[dict[str, Any]] = Field(default_factory=dict, validate_default=True)
    """The property's own settings."""

    @field_validator("property")
    @classmethod
    def _is_registered(cls, name: str) -> str:
        settings_model(cls.group, name)
        return name


class WorkerSettings(Section):
    """Worker processes, which share the pieces of all properties."""

    width: int | Literal["auto"] = Field(default="auto", union_mode="left_to_right")
    """How many pieces are computed side by side, each on one core; ``auto``: all cores that this process may use."""

    @field_validator("width", mode="before")
    @classmethod
    def _is_count(cls, width: Any) -> Any:
        if width != "auto" and (isinstance(width, bool) or not isinstance(width, int) or width < 1):
            raise ValueError("allowed: auto, or a number of cores of at least 1")
        return width


class ValidationConfig(Section):
    """The file of ``lammps-dpgen validate``."""

    folder: FilePath = Field(default=Path("validation"), validate_default=True)
    """Folder of the results, made if absent; relative to the folder of this file."""
    potentials: dict[str, dict[str, Any]] = Field(min_length=1)
    """What is validated, by name. Each is one of: ``models``, model files of a Deep Potential (properties use the
    first, the deviation all of them); ``run``, a run folder, of whose ``generations`` (all, if not given) each becomes
    a potential of its own, named as here with " g002" and so on; the settings of the labeler ``lammps``, for any pair
    style; ``labeler``, a labeler by name and settings, such as DFT."""
    crystals: tuple[CrystalSection, ...] = ()
    """Crystals that properties are computed of."""
    references: dict[str, ReferenceSection] = Field(default_factory=dict)
    """Sets of reference values, by name."""
    compare_with: str | None = None
    """Name of the set of references, or of the potential, that differences are taken from. Default: the first set of
    references, or else the first potential."""
    properties: tuple[PropertySection, ...] = Field(min_length=1)
    """What is computed."""
    execution: WorkerSettings = WorkerSettings()
    """Worker processes."""

    @field_validator("folder", mode="before")
    @classmethod
    def _default_folder(cls, folder: Any, info: ValidationInfo) -> Path:
        return resolve_path(folder, info)

    @field_validator("potentials")
    @classmethod
    def _are_potentials(cls, found: dict[str, dict[str, Any]], info: ValidationInfo) -> dict[str, dict[str, Any]]:
        return potentials_of(found, info)

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        names = [crystal.name for crystal in self.crystals]
        check_distinct("crystals", names)
        for section in self.properties:
            check_known("crystals", section.crystals or (), names)
        comparable = [*self.references, *self.potentials]
        check_distinct("references and potentials", comparable)
        if self.compare_with is not None:
            check_known("compare_with", [self.compare_with], comparable)
        return self

    @property
    def base(self) -> str | None:
        """Name of what differences are taken from; None where there is nothing to compare."""
        if self.compare_with is not None:
            return self.compare_with
        if self.references:
            return next(iter(self.references))
        return next(iter(self.potentials)) if len(self.potentials) > 1 else None


def potentials_of(found: dict[str, dict[str, Any]], info: ValidationInfo) -> dict[str, dict[str, Any]]:
    """Return the settings of all potentials as plain data; a run becomes one potential for each generation."""
    potentials: dict[str, dict[str, Any]] = {}
    for name, settings in found.items():
        if "run" in settings:
            potentials |= _generations(name, settings, info)
        else:
            potentials[name] = _potential(name, settings, info)
    return potentials


def _potential(name: str, settings: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Return the settings of a potential as plain data, file names absolute."""
    kinds = [kind for kind in _KINDS if kind in settings]
    if len(kinds) != 1:
        raise ValueError(f"potential {name!r}: give one of {', '.join(_KINDS)}, got {', '.join(settings) or 'nothing'}")
    if kinds == ["pair_style"]:
        return LammpsSettings.model_validate(settings, context=info.context).model_dump(mode="json")
    if len(settings) > 1:
        raise ValueError(f"potential {name!r}: beside {kinds[0]} there can be nothing, got {', '.join(settings)}")
    if kinds == ["labeler"]:
        section = LabelerSection.model_validate(settings["labeler"], context=info.context)
        return {"labeler": section.model_dump(mode="json", include={"name", "settings"})}
    files = settings["models"]
    if not isinstance(files, list) or not files:
        raise ValueError(f"potential {name!r}: models is a list of model files, got {files!r}")
    paths = [resolve_path(path, info) for path in files]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise ValueError(f"potential {name!r}: no model file {', '.join(missing)}")
    return {"models": [str(path) for path in paths]}


def _generations(name: str, settings: dict[str, Any], info: ValidationInfo) -> dict[str, dict[str, Any]]:
    """Return a potential for each wanted generation of a run, by name."""
    others = sorted(set(settings) - {"run", "generations"})
    if others:
        raise ValueError(f"potential {name!r}: beside run there can be generations only, got {', '.join(others)}")
    models = resolve_path(settings["run"], info) / "models"
    found = {int(path.name[1:]): path for path in sorted(models.glob("g[0-9]*")) if path.name[1:].isdigit()}
    wanted = settings.get("generations", list(found))
    if not isinstance(wanted, list) or not wanted or any(number not in found for number in wanted):
        there = ", ".join(map(str, found)) or "none"
        raise ValueError(f"potential {name!r}: generations is {wanted}; those with models in {models} are: {there}")
    return {
        f"{name} g{number:03d}": {"models": [str(path) for path in sorted(found[number].glob("model_*"))]}
        for number in wanted
    }
