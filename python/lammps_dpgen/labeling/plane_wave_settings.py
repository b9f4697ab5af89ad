"""What the settings of plane-wave codes have in common: those of the labelers ``vasp``, ``gpaw`` and ``espresso``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ase.data import atomic_numbers
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from lammps_dpgen.labeling.base import LabelerSettings
from lammps_dpgen.labeling.cell import GroupedCell, chemical_system
from lammps_dpgen.labeling.files import config_folder
from lammps_dpgen.labeling.program import TEXTS, Command, absolute_command, split_command

#: The key that stands for the data sets of all three codes.
_ELEMENTS = "elements"
KSPACING = (
    "Distance of k-points as VASP's KSPACING (1/Å, with the factor 2π): along b_i there are ceil(2π |b_i| / kspacing), "
    "for each frame's own cell."
)

Mesh = tuple[int, int, int]


def _positive(mesh: Mesh | None) -> Mesh | None:
    """Return a mesh of k-points; raises ValueError where a number is below 1."""
    if mesh is not None and min(mesh) < 1:
        raise ValueError(f"{list(mesh)}: a mesh has at least one k-point along each vector, such as [2, 2, 2]")
    return mesh


def refuse_unknown_elements(names: Iterable[str], example: str) -> None:
    """Raise ValueError for names that are no chemical symbols; `example` shows what is expected."""
    unknown = [name for name in names if atomic_numbers.get(name, 0) == 0]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no chemical symbol; write {example}")


class PlaneWaveChange(BaseModel):
    """What is different for the frames of one composition."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kspacing: float | None = Field(default=None, gt=0.0, description="As the common one (1/Å).")
    kpoints: Mesh | None = Field(default=None, description="As the common ones.")

    @field_validator("kpoints")
    @classmethod
    def _mesh(cls, mesh: Mesh | None) -> Mesh | None:
        return _positive(mesh)


class ProtocolChange(PlaneWaveChange):
    """What is different for the frames of one composition, of a code whose protocol is written in settings."""

    cutoff: float | None = Field(default=None, gt=0.0, description="As the common one (eV).")
    width: float | None = Field(default=None, ge=0.0, description="As the common one (eV).")
    magmoms: dict[str, float] | None = Field(default=None, description="In the place of the common ones (µB).")


def _user_s_schema(schema: dict[str, Any], model: type[PlaneWaveSettings]) -> None:
    """Show a code's own settings before the common ones, and the key that may stand for its data sets."""
    properties = schema["properties"]
    first = [*schema.get("required", []), *(key for key in model.__annotations__ if key in properties), *properties]
    schema["properties"] = {key: properties[key] for key in dict.fromkeys(first)}
    if model.data_sets is None:
        return
    text = f"Short for a list of elements as {model.data_sets}; the same key for vasp, gpaw and espresso."
    schema["properties"][_ELEMENTS] = {**TEXTS, "description": text}
    if model.data_sets in schema.get("required", []):
        schema["required"].remove(model.data_sets)
        schema["anyOf"] = [{"required": [model.data_sets]}, {"required": [_ELEMENTS]}]
        schema["properties"][model.data_sets]["description"] += " Required, or `elements`."


class PlaneWaveSettings(LabelerSettings):
    """The settings that every plane-wave code has."""

    model_config = ConfigDict(json_schema_extra=_user_s_schema)

    #: Name of the setting that says which data set each element has: POTCARs, setups or pseudopotentials.
    data_sets: ClassVar[str | None] = None

    kspacing: float | None = Field(default=None, gt=0.0, description=KSPACING)
    kpoints: Mesh | None = Field(
        default=None, description="The same mesh for all frames instead, such as [2, 2, 2]; [1, 1, 1] for vasp_gam."
    )
    gamma_centred: bool | None = Field(default=None, description="Whether the mesh contains Γ.")
    compositions: Mapping[str, PlaneWaveChange] = Field(default_factory=dict)
    vacuum: float = Field(
        default=12.0, gt=0.0, description="Empty space (Å) that is added along directions that are not periodic."
    )

    @model_validator(mode="before")
    @classmethod
    def _any_code_s_elements(cls, given: Any) -> Any:
        """Take `elements` for the data sets: a list that another of the codes understands as well."""
        if cls.data_sets is None or not isinstance(given, Mapping) or _ELEMENTS not in given:
            return given
        if cls.data_sets in given:
            raise ValueError(f"{_ELEMENTS} stands for {cls.data_sets}, which is given too; keep one of them")
        if not isinstance(given[_ELEMENTS], (list, tuple)):
            raise ValueError(f"{_ELEMENTS}: {given[_ELEMENTS]!r} is no list; write [Al, Mg], or {cls.data_sets}")
        others = {key: value for key, value in given.items() if key != _ELEMENTS}
        return {**others, cls.data_sets: given[_ELEMENTS]}

    @field_validator("kpoints")
    @classmethod
    def _mesh(cls, mesh: Mesh | None) -> Mesh | None:
        return _positive(mesh)

    @field_validator("compositions")
    @classmethod
    def _sorted_elements(cls, compositions: dict[str, PlaneWaveChange]) -> dict[str, PlaneWaveChange]:
        return {chemical_system(key.split("-")): change for key, change in compositions.items()}

    def change(self, elements: Iterable[str]) -> PlaneWaveChange:
        """Return what is different for frames of exactly these elements."""
        return self.compositions.get(chemical_system(elements), PlaneWaveChange())


class ProtocolSettings(PlaneWaveSettings):
    """The settings of a code whose protocol is written in settings, and not in a file such as INCAR."""

    kspacing: float = Field(default=0.08, gt=0.0, description=KSPACING)
    gamma_centred: bool = Field(
        default=True, description="Whether the mesh contains Γ; if not, it is Monkhorst-Pack's."
    )
    magmoms: dict[str, float] = Field(
        default_factory=dict,
        description="Initial magnetic moment of each atom by element (µB), such as {Fe: 2.3}; others get 0. Any switch "
        "spin polarization on.",
    )

    def change(self, elements: Iterable[str]) -> ProtocolChange:
        """Return what is different for frames of exactly these elements."""
        change = super().change(elements)
        return change if isinstance(change, ProtocolChange) else ProtocolChange()

    def mesh(self, cell: GroupedCell) -> Mesh:
        """Return the k-points of the composition's settings, else of the common ones."""
        change = self.change(cell.elements)
        if change.kpoints is not None or change.kspacing is not None:
            return change.kpoints or cell.mesh(change.kspacing or self.kspacing)
        return self.kpoints or cell.mesh(self.kspacing)

    def moments(self, cell: GroupedCell) -> dict[str, float]:
        """Return initial magnetic moments by element, empty where the frame's elements have none."""
        change = self.change(cell.elements).magmoms
        given = self.magmoms if change is None else change
        return {element: given[element] for element in cell.elements if element in given}


class ProgramSettings(LabelerSettings):
    """The settings of a code that is a program of its own."""

    command: Command = Field(
        description="How the program is started, such as 'srun vasp_std', 'mpirun -n 4 pw.x' or 'srun pw.x -nk 2': a "
        "text, split into words as a shell would, or a list of words. No shell runs it. A program named by a path, "
        "such as ./run.sh, is looked for from the folder of the configuration file.",
        min_length=1,
    )
    omp_threads: int = Field(
        default=1,
        ge=1,
        description="OpenMP threads of each rank (OMP_NUM_THREADS); labeler.threads counts the cores of all ranks.",
    )

    @field_validator("command", mode="before")
    @classmethod
    def _words(cls, command: Any) -> Any:
        return split_command(command)

    @field_validator("command")
    @classmethod
    def _absolute_program(cls, command: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return absolute_command(command, config_folder(info))
