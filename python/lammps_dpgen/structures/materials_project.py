"""The generator ``materials_project``: crystals of the Materials Project, scaled and perturbed."""

from __future__ import annotations

import json
import os
import re
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from ase import Atoms
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator
from typing_extensions import Self

from lammps_dpgen.errors import StructureError
from lammps_dpgen.frame import Frame
from lammps_dpgen.structures.base import ConfigFile, Element, StructureSettings
from lammps_dpgen.structures.materials_api import summaries
from lammps_dpgen.structures.supercell import SupercellSettings, supercell
from lammps_dpgen.structures.variation import scaled, variations


def _is_id(text: str) -> str:
    if not re.fullmatch(r"mp-[0-9a-z]+", text):
        raise ValueError(f"{text!r} is no id of the Materials Project; they look like 'mp-2151'")
    return text


def _ids(given: Any) -> Any:
    if not isinstance(given, (str, list, tuple)):
        raise ValueError("write ids such as mp-2151, one or a list of them")
    return [given] if isinstance(given, str) else given


def _elements(system: Any) -> Any:
    if not isinstance(system, (str, list, tuple)):
        raise ValueError("write a chemical system such as Al-Mg, or a list of its elements")
    return system.split("-") if isinstance(system, str) else system


Ids = Annotated[
    tuple[Annotated[str, AfterValidator(_is_id)], ...],
    BeforeValidator(_ids),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]

System = Annotated[
    tuple[Element, ...],
    BeforeValidator(_elements),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class MaterialsProjectSettings(SupercellSettings):
    """Crystals of the Materials Project (materialsproject.org, CC BY 4.0), by id or chemical system.

    The key is taken from the environment variable `MP_API_KEY`. With `store`, neither key nor network is needed again.
    """

    ids: Ids | None = Field(default=None, description="Materials by their ids, such as [mp-134, mp-153].")
    system: System | None = Field(
        default=None, description="All materials of exactly these elements, such as Al-Mg, instead of ids."
    )
    subsystems: bool = Field(
        default=False, description="Also materials of some of the elements of `system`, pure ones included."
    )
    max_energy_above_hull: float | None = Field(
        default=None, ge=0.0, description="Only materials this near to stability (eV/atom). Default: all."
    )
    max_atoms: int | None = Field(
        default=None, ge=1, description="Only materials with at most so many atoms in the stored cell. Default: all."
    )
    conventional: bool = Field(default=False, description="Conventional standard cells instead of the stored ones.")
    store: ConfigFile | None = Field(
        default=None,
        description="File that keeps the answer, relative to the configuration file. Where it is there, nothing is "
        "asked: so that a run can be repeated, and made on nodes without network.",
    )

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if (self.ids is None) == (self.system is None):
            raise ValueError("give either ids, such as [mp-134], or system, such as Al-Mg")
        if self.subsystems and self.system is None:
            raise ValueError("subsystems: they belong to system; leave it out")
        return self

    def criteria(self) -> dict[str, Any]:
        """Return the query: parameters of the route ``materials/summary``."""
        query: dict[str, Any] = {}
        if self.ids is not None:
            query["material_ids"] = ",".join(self.ids)
        if self.system is not None:
            elements = sorted(set(self.system))
            sizes = range(1 if self.subsystems else len(elements), len(elements) + 1)
            query["chemsys"] = ",".join("-".join(some) for size in sizes for some in combinations(elements, size))
        if self.max_energy_above_hull is not None:
            query["energy_above_hull_max"] = self.max_energy_above_hull
        if self.max_atoms is not None:
            query["nsites_max"] = self.max_atoms
        return query


class MaterialsProjectGenerator:
    """Fetches crystals and makes perturbed copies of them."""

    name: ClassVar[str] = "materials_project"
    Settings: ClassVar[type[StructureSettings]] = MaterialsProjectSettings

    def __init__(self, settings: MaterialsProjectSettings) -> None:
        self._settings = settings

    def generate(self, rng: np.random.Generator) -> list[Frame]:
        """Return the variations of each material, in the order of their ids.

        Raises
        ------
        StructureError
            No key, no answer, an answer that cannot be used, an id that is not in it, no material at all, a crystal
            with partly occupied sites, or two atoms that are too close.
        """
        settings = self._settings
        rng = settings.generator(rng)
        documents = {one["material_id"]: one for one in self._documents()}
        lost = [wanted for wanted in settings.ids or () if wanted not in documents]
        if lost or not documents:
            asked = ", ".join(f"{key}={value}" for key, value in settings.criteria().items())
            missing = f"has no {', '.join(lost)}" if lost else "has no such material"
            raise StructureError(f"materials_project: the answer {missing} ({asked}); correct the question")
        frames: list[Frame] = []
        for identity in sorted(documents, key=lambda text: (len(text), text)):
            crystal = supercell(self._crystal(identity, documents[identity]["structure"]), settings.repeat)
            frames += variations(partial(scaled, crystal), identity, settings, rng)
        return frames

    def _documents(self) -> list[dict[str, Any]]:
        """Return the documents from the store, or else from the server."""
        criteria = self._settings.criteria()
        if self._settings.store is None:
            return summaries(criteria)
        path = Path(self._settings.store)
        if path.exists():
            return _stored(path, criteria)
        documents = summaries(criteria)
        _keep(path, {"question": criteria, "data": documents})
        return documents

    def _crystal(self, identity: str, data: dict[str, Any]) -> Atoms:
        from pymatgen.core import Structure
        from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

        try:
            structure = Structure.from_dict(data)
        except Exception as error:  # whatever pymatgen makes of data that it does not know
            raise StructureError(
                f"materials_project: the structure of {identity} cannot be read ({type(error).__name__}: {error})"
            ) from error
        if not structure.is_ordered:
            raise StructureError(f"materials_project: {identity} has partly occupied sites; leave it out")
        if self._settings.conventional:
            structure = SpacegroupAnalyzer(structure).get_conventional_standard_structure()
        symbols = [site.specie.symbol for site in structure]
        return Atoms(symbols, positions=structure.cart_coords, cell=structure.lattice.matrix, pbc=True)


def _stored(path: Path, criteria: dict[str, Any]) -> list[dict[str, Any]]:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        question, documents = kept["question"], list(kept["data"])
        complete = all(isinstance(one["structure"], dict) and isinstance(one["material_id"], str) for one in documents)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StructureError(
            f"{path}: no stored answer of the Materials Project ({type(error).__name__}: {error}); delete it, so that "
            "it is asked for again"
        ) from error
    if not complete or question != criteria:
        raise StructureError(
            f"{path}: holds the answer to another question, {question}, now asked is {criteria}; delete it, or name "
            "another file as 'store'"
        )
    return documents


def _keep(path: Path, answer: dict[str, Any]) -> None:
    """Write the file whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StructureError(f"{path}: the answer cannot be stored ({error.strerror}); correct 'store'") from error
