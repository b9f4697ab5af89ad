"""The section ``validation`` of a campaign: which generations are validated, and how."""

from __future__ import annotations

from typing import Any

from pydantic import Field, NonNegativeInt, ValidationInfo, field_validator

from lammps_dpgen.config.base import Duration, FilePath, Section
from lammps_dpgen.config.load import load_config
from lammps_dpgen.config.validation import GENERATION, ValidationConfig, potentials_of
from lammps_dpgen.errors import ConfigError


class GenerationsConfig(ValidationConfig):
    """A file of ``lammps-dpgen validate`` as a campaign reads it: potentials that are a ``run`` are left out."""

    potentials: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Potentials beside the generations of the campaign."""

    @field_validator("potentials")
    @classmethod
    def _are_potentials(cls, found: dict[str, dict[str, Any]], info: ValidationInfo) -> dict[str, dict[str, Any]]:
        return potentials_of({name: settings for name, settings in found.items() if "run" not in settings}, info)


class CampaignValidation(Section):
    """Validation of the models beside the campaign: how properties approach the reference as labels are added."""

    file: FilePath
    """A file of ``lammps-dpgen validate``: crystals, references, properties, and potentials to compare with, such as
    the oracle. The generations of the campaign are added; potentials in it that are a ``run`` are left out, and its
    ``folder`` and ``execution`` do not count: results are in ``validation`` of the run folder."""
    every: int | None = Field(default=1, ge=1)
    """Generations 0, N, 2 N and so on are validated; null: none but those below."""
    generations: tuple[NonNegativeInt, ...] = ()
    """More generations, by number."""
    at_end: bool = True
    """Also the last generation of the campaign, which after a final training is that one."""
    name: str = Field(default="DP", min_length=1)
    """What the generations are called in tables and pictures: "DP g000" and so on."""
    width: int = Field(default=1, ge=1)
    """Pieces that are computed side by side, each on one core, with low priority, while walkers and trainings go on."""
    timeout: Duration = 21600.0
    """Wall time after which the validation of a generation is given up; pieces that are done stay stored."""

    @field_validator("file")
    @classmethod
    def _is_validation(cls, file: Any) -> Any:
        try:
            load_config(file, GenerationsConfig)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return file

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str, info: ValidationInfo) -> str:
        file = info.data.get("file")
        if file is not None:
            others = load_config(file, GenerationsConfig)
            taken = [one for one in (*others.potentials, *others.references) if _clashes(one, name)]
            if taken:
                raise ValueError(f"{taken[0]!r} in {file} has this name already; give the generations another one")
        return name

    def wants(self, generation: int) -> bool:
        """Tell whether a generation is to be validated while the campaign goes on."""
        return generation in self.generations or (self.every is not None and generation % self.every == 0)


def _clashes(one: str, name: str) -> bool:
    match = GENERATION.fullmatch(one)
    return one == name or (match is not None and match[1] == name)
