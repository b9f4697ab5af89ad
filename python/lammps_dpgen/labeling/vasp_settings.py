"""The settings of the labeler ``vasp``, and the protocol that it follows by default. Knows no VASP file but POTCAR."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue, ValidationInfo, WithJsonSchema, field_validator, model_validator
from typing_extensions import Self

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.labeling.cell import chemical_system
from lammps_dpgen.labeling.files import config_folder, find_file
from lammps_dpgen.labeling.plane_wave_settings import (
    KSPACING,
    PlaneWaveChange,
    PlaneWaveSettings,
    ProgramSettings,
    refuse_unknown_elements,
)
from lammps_dpgen.labeling.program import TEXTS
from lammps_dpgen.labeling.vasp_potcar import find_potcar, potcar_hash

#: The protocol of the DP-GEN paper for Al, Mg and their alloys (Phys. Rev. Materials 3, 023804): PBE by the POTCARs,
#: 600 eV, Methfessel-Paxton order 1 with 0.25 eV, 1e-6 eV. Frames of MD have no symmetry, hence ISYM.
PAPER: Mapping[str, JsonValue] = {
    "PREC": "Accurate",
    "ENCUT": 600,
    "EDIFF": 1e-6,
    "NELM": 100,
    "NELMIN": 4,
    "ALGO": "Normal",
    "ISMEAR": 1,
    "SIGMA": 0.25,
    "ISYM": 0,
    "LREAL": False,
    "LWAVE": False,
    "LCHARG": False,
}
#: Of the same protocol, in 1/Å, reciprocal vectors with their factor 2π: VASP's tag KSPACING.
PAPER_KSPACING = 0.08

#: What makes a calculation a single point with forces and stress; nobody may set these otherwise.
SINGLE_POINT: Mapping[str, JsonValue] = {"NSW": 0, "IBRION": -1, "ISIF": 2}


#: Tags that decide how fast a result is there, and what is written beside it, but not the result.
UNIMPORTANT = frozenset(
    {"KPAR", "LCHARG", "LPLANE", "LSCALAPACK", "LSCALU", "LWAVE", "NCORE", "NPAR", "NSIM", "NWRITE", "SYSTEM"}
)

#: In the file a mapping or a list of elements.
Potcars = Annotated[
    dict[str, str],
    WithJsonSchema({"anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, TEXTS]}),
]


class VaspChange(PlaneWaveChange):
    """What is different for the frames of one composition."""

    incar: dict[str, JsonValue] = Field(default_factory=dict, description="INCAR tags on top of the common ones.")

    @field_validator("incar")
    @classmethod
    def _tags(cls, incar: dict[str, JsonValue]) -> dict[str, JsonValue]:
        return upper_tags(incar)


class VaspSettings(ProgramSettings, PlaneWaveSettings):
    """VASP as the reference: one single point per frame, in a folder of its own.

    Examples
    --------
    >>> VaspSettings(command="srun vasp_std", potcars=["Al", "Mg"]).potcars
    {'Al': 'Al', 'Mg': 'Mg'}
    """

    data_sets: ClassVar[str | None] = "potcars"

    potcars: Potcars = Field(
        description="Symbol of the POTCAR of each element, such as {Al: Al, Mg: Mg_pv}; a list of elements stands for "
        "the POTCARs of the same names.",
        min_length=1,
    )
    functional: Literal["PBE", "PBE_52", "PBE_54", "PBE_64", "LDA", "LDA_52", "LDA_54", "LDA_64", "PW91"] = Field(
        default="PBE", description="Which release of POTCARs: pymatgen's names."
    )
    potcar_folder: str | None = Field(
        default=None,
        description="Folder with one folder of POTCARs per functional, laid out as for pymatgen or ASE. Default: "
        "PMG_VASP_PSP_DIR of pymatgen's settings, then VASP_PP_PATH of ASE's.",
    )
    input_set: str = Field(
        default="paper",
        description="INCAR to begin with. paper: the protocol of the DP-GEN paper; none: VASP's own defaults; or the "
        "import path of a pymatgen input set, such as 'pymatgen.io.vasp.sets:MPStaticSet', whose k-points hold too.",
    )
    input_set_arguments: dict[str, JsonValue] = Field(
        default_factory=dict, description="Keyword arguments of the pymatgen input set, plain data."
    )
    incar_file: str | None = Field(default=None, description="INCAR file that takes the place of the input set.")
    incar: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="INCAR tags on top, such as {ENCUT: 500, ALGO: Fast}; null removes a tag. A value by element, such "
        "as MAGMOM: {Fe: 2.5} or LDAUU: {Fe: 4}, is written in the order of the POSCAR.",
    )
    kspacing: float | None = Field(
        default=None, gt=0.0, description=f"{KSPACING} Default: KSPACING of the INCAR; 0.08 with paper."
    )
    gamma_centred: bool | None = Field(
        default=None, description="Whether the mesh contains Γ. Default: KGAMMA of the INCAR, or true."
    )
    compositions: dict[str, VaspChange] = Field(
        default_factory=dict,
        description="What is different for frames of exactly these elements, such as {Al-Mg: {incar: {NELM: 200}}}; "
        "keys are incar, kspacing and kpoints.",
    )

    @field_validator("potcars", mode="before")
    @classmethod
    def _same_names(cls, potcars: Any) -> Any:
        return {name: name for name in potcars} if isinstance(potcars, (list, tuple)) else potcars

    @field_validator("potcars")
    @classmethod
    def _elements(cls, potcars: dict[str, str]) -> dict[str, str]:
        refuse_unknown_elements(potcars, "{element: POTCAR}, such as {Mg: Mg_pv}")
        strange = [symbol for symbol in potcars.values() if not symbol or Path(symbol).name != symbol]
        if strange:
            raise ValueError(f"{strange[0]!r} is no name of a POTCAR; write one such as Mg_pv, without folders")
        return potcars

    @field_validator("potcar_folder")
    @classmethod
    def _absolute_folder(cls, folder: str | None, info: ValidationInfo) -> str | None:
        return None if folder is None else str((config_folder(info) / Path(folder).expanduser()).absolute())

    @field_validator("incar_file")
    @classmethod
    def _absolute_file(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is None:
            return None
        path = find_file(str(Path(name).expanduser()), [config_folder(info)])
        if path is None:
            raise ValueError(f"no such file: {config_folder(info) / name}; give an INCAR file, or leave incar_file out")
        return str(path)

    @field_validator("input_set")
    @classmethod
    def _import_path(cls, path: str) -> str:
        parts = path.replace(":", ".").split(".")
        if path not in ("paper", "none") and (len(parts) < 2 or not all(part.isidentifier() for part in parts)):
            raise ValueError("allowed: paper, none, or an import path such as 'pymatgen.io.vasp.sets:MPStaticSet'")
        return path

    @field_validator("incar")
    @classmethod
    def _tags(cls, incar: dict[str, JsonValue]) -> dict[str, JsonValue]:
        return upper_tags(incar)

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        if self.incar_file is not None and self.input_set != "paper":
            raise ValueError("incar_file and input_set exclude each other: either is the INCAR to begin with")
        if self.input_set_arguments and self.input_set in ("paper", "none"):
            raise ValueError("input_set_arguments belong to a pymatgen input set; name it in input_set")
        foreign = sorted({element for key in self.compositions for element in key.split("-")} - set(self.potcars))
        if foreign:
            raise ValueError(f"compositions name {', '.join(foreign)}, which have no POTCAR in potcars")
        return self

    def change(self, elements: Iterable[str]) -> VaspChange:
        """Return what is different for frames of exactly these elements."""
        return self.compositions.get(chemical_system(elements), VaspChange())

    def potcar(self, element: str) -> Path:
        """Return the POTCAR file of an element.

        Raises
        ------
        ConfigError
            It has none in `potcars`, or the file is not there.
        """
        if element not in self.potcars:
            raise ConfigError(
                f"labeler vasp: no POTCAR for {element}; 'potcars' lists {', '.join(self.potcars)}. Add the element"
            )
        return find_potcar(self.potcars[element], self.functional, self.potcar_folder)

    def hash(self) -> str:
        """SHA-256 of what decides the result; POTCARs and INCAR file count by content, wherever they lie.

        How the work is shared out (NCORE, KPAR ...) may change from one label to the next.

        Raises
        ------
        ConfigError
            A POTCAR is not there.
        """
        data = self.model_dump(mode="json", exclude={"command", "potcar_folder", "omp_threads"})
        for part in (data, *data["compositions"].values()):
            part["incar"] = {key: value for key, value in part["incar"].items() if key not in UNIMPORTANT}
        data["potcars"] = {name: [symbol, potcar_hash(self.potcar(name))] for name, symbol in self.potcars.items()}
        if self.incar_file is not None:
            data["incar_file"] = hashlib.sha256(Path(self.incar_file).read_bytes()).hexdigest()
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def upper_tags(incar: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Return INCAR tags in upper case; raises ValueError where one stands twice."""
    tags = {key.strip().upper(): value for key, value in incar.items()}
    if len(tags) < len(incar):
        raise ValueError("an INCAR tag stands twice, once in upper and once in lower case; keep one")
    return tags
