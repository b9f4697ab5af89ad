"""The replaceable parts in a configuration: labeler, trainer and structure generators, each with settings of its own.

The settings are validated by the part's own ``Settings`` class, found through the registry, at the moment the file is
read; what is kept is its normalised form, every default written out.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from lammps_dpgen import registry
from lammps_dpgen.config.base import Duration, FilePath, Section
from lammps_dpgen.errors import DpgenError
from lammps_dpgen.labeling.service import SERVICE as LABEL_SERVICE
from lammps_dpgen.part import PartSettings
from lammps_dpgen.training.base import TrainerSettings
from lammps_dpgen.training.service import SERVICE as TRAIN_SERVICE


def settings_model(group: str, name: Any) -> type[BaseModel]:
    """Return the class of the settings of a part; raises ValueError, which pydantic reports, if there is none."""
    try:
        model: type[BaseModel] = registry.load(group, str(name)).Settings
    except DpgenError as error:
        raise ValueError(str(error)) from error
    return model


def normal_settings(group: str, name: Any, settings: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Return the settings of a part as plain data: validated, defaults written out, file names absolute."""
    return settings_model(group, name).model_validate(settings, context=info.context).model_dump(mode="json")


class PartSection(Section):
    """A labeler or trainer, by the name it is registered with."""

    group: ClassVar[str]
    service: ClassVar[str]

    name: str
    """Name it is registered with; ``lammps-dpgen doctor`` lists them."""
    settings: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    """Its own settings, see its page."""
    timeout: Duration = 3600.0
    """Wall time after which one task is stopped and counts as failed (seconds, or a text such as "2h")."""
    timeout_growth: float = Field(default=2.0, ge=1.0)
    """By this ``timeout`` is multiplied for the attempt that follows one which exceeded it."""
    retries: int = Field(default=1, ge=0)
    """Further attempts after a failed one."""

    @field_validator("name")
    @classmethod
    def _is_registered(cls, name: str) -> str:
        settings_model(cls.group, name)
        return name

    @field_validator("settings")
    @classmethod
    def _validate_settings(cls, settings: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "name" not in info.data:
            return settings
        return normal_settings(cls.group, info.data["name"], settings, info)

    def service_settings(self) -> dict[str, Any]:
        """Return what a worker process makes the part from."""
        return {"name": self.name, "settings": self.settings}

    @property
    def settings_hash(self) -> str:
        """SHA-256 of the settings that decide the result, wherever the files lie that they name; labels carry it."""
        settings: PartSettings = registry.load(self.group, self.name).Settings.model_validate(self.settings)
        return settings.hash()


class LabelerSection(PartSection):
    """The reference method."""

    group = registry.LABELERS
    service = LABEL_SERVICE

    threads: int = Field(default=1, ge=1)
    """Cores that one label uses; the executor runs so many labels side by side as the cores allow."""
    log_file: FilePath | None = None
    """If given, the workers themselves append a line per completed label: frame hash, time, process id."""

    def service_settings(self) -> dict[str, Any]:
        """Return what a worker process makes the labeler from."""
        settings = super().service_settings()
        return settings if self.log_file is None else {**settings, "log_file": str(self.log_file)}


class TrainerSection(PartSection):
    """What trains the models."""

    group = registry.TRAINERS
    service = TRAIN_SERVICE

    retries: int = Field(default=0, ge=0)
    """Further attempts with the same seed after a failed one, for machines that lose jobs; a training that diverged is
    repeated with another seed in any case."""
    timeout: Duration = 14400.0
    """Wall time after which the training of one model is stopped and counts as failed (seconds, or a text such as
    "2h")."""

    @property
    def model_suffix(self) -> str:
        """Suffix of the models that it makes."""
        settings: TrainerSettings = registry.load(self.group, self.name).Settings.model_validate(self.settings)
        return settings.model_suffix


class InlineSection(Section):
    """A part whose own settings stand beside the keys of the section.

    Subclasses have a field named `key`, the part's name, and after it the field ``settings``.
    """

    group: ClassVar[str]
    key: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _gather_settings(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        own = {key: value for key, value in data.items() if key in cls.own_keys()}
        return {**own, "settings": {key: value for key, value in data.items() if key not in own}}

    @field_validator("settings", check_fields=False)
    @classmethod
    def _validate_settings(cls, settings: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if cls.key not in info.data:
            return settings
        return normal_settings(cls.group, info.data[cls.key], settings, info)

    @classmethod
    def own_keys(cls) -> list[str]:
        """Return the keys that are not the part's own settings."""
        return [key for key in cls.model_fields if key != "settings"]


class StructureSection(InlineSection):
    """One source of structures: the generator's name and, beside it, the generator's own settings."""

    group = registry.STRUCTURES
    key = "generator"

    generator: str
    """Name the generator is registered with (``prototype``, ``file``, ...); its settings are the keys beside it."""
    name: str | None = Field(default=None, min_length=1, coerce_numbers_to_str=True)
    """Name of this source, by which other sections select it; a named source makes the same structures wherever it
    stands in the list. Default: the name of the generator."""
    settings: SkipJsonSchema[dict[str, Any]] = Field(default_factory=dict, validate_default=True)
    """The generator's own settings."""

    @field_validator("generator")
    @classmethod
    def _is_registered(cls, generator: str) -> str:
        settings_model(cls.group, generator)
        return generator

    @property
    def source_name(self) -> str:
        """Name by which it is selected."""
        return self.name or self.generator
