"""The file of ``lammps-dpgen bootstrap``: what makes generation 0, and the ground of every learning run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from lammps_dpgen.config.base import FilePath, Section
from lammps_dpgen.config.execution import ExecutionSettings, refuse_short_walltime
from lammps_dpgen.config.names import check_distinct, check_known
from lammps_dpgen.config.parts import LabelerSection, StructureSection, TrainerSection


def are_elements(type_map: Any) -> Any:
    """Return a list of elements as it is; raises ValueError, which pydantic reports, if it is none."""
    from ase.data import atomic_numbers

    if not isinstance(type_map, (list, tuple)):
        raise ValueError("expected a list of elements, such as [Al, Mg]")
    if False in type_map:
        raise ValueError("YAML reads a bare No as false; write 'No' in quotes for nobelium")
    unknown = [name for name in type_map if name == "X" or name not in atomic_numbers]
    if unknown:
        raise ValueError(f"no chemical element: {', '.join(map(str, unknown))}; write symbols such as Al, Mg")
    if len(set(type_map)) < len(type_map):
        raise ValueError("an element stands twice")
    return type_map


class BaseConfig(Section):
    """What bootstrap and learning run share."""

    run_folder: FilePath
    """Folder of the run, made if absent; relative to the folder of this file."""
    type_map: tuple[str, ...] = Field(min_length=1)
    """Elements of the models, in order."""
    models: int = Field(default=4, ge=2)
    """Number of models in the ensemble."""
    seed: int = Field(default=1, ge=0, lt=2**31)
    """Every random number follows from it."""
    labeler: LabelerSection
    """The reference method."""
    trainer: TrainerSection
    """What trains the models."""
    execution: ExecutionSettings = ExecutionSettings()
    """Where labels and trainings run."""

    _elements = field_validator("type_map", mode="before")(are_elements)

    @field_validator("execution")
    @classmethod
    def _walltimes_suffice(cls, execution: ExecutionSettings, info: ValidationInfo) -> ExecutionSettings:
        for what, part in (("labels", "labeler"), ("training", "trainer")):
            if part in info.data:
                refuse_short_walltime(getattr(execution, what), info.data[part].timeout, what)
        return execution

    @cached_property
    def labelers(self) -> tuple[LabelerSection, ...]:
        """The labeler, and those that differ from it in some settings, each once."""
        return (self.labeler,)

    @cached_property
    def settings_hashes(self) -> frozenset[str]:
        """Hashes of the settings whose labels belong into one dataset."""
        return frozenset(labeler.settings_hash for labeler in self.labelers)

    def labeler_of(self, stage: str) -> LabelerSection:
        """Return the labeler of the frames of a stage; one without stages has one labeler."""
        return self.labeler

    def config_hash(self) -> str:
        """SHA-256 of what decides the labels and the models of a run.

        A run folder belongs to one such hash. Files that labeler and trainer name count by their content, so a run can
        be moved together with its configuration. No part of it are limits, execution, time limits, selection and safe
        points, which may change when a run is continued; nor initial structures and models, which are in the run folder
        once they have been used.
        """
        deciding = {
            "type_map": self.type_map,
            "models": self.models,
            "seed": self.seed,
            "labeler": [self.labeler.name, self.labeler.settings_hash],
            "trainer": [self.trainer.name, self.trainer.settings_hash],
        }
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


class BootstrapConfig(BaseConfig):
    """The file of ``lammps-dpgen bootstrap``."""

    structures: tuple[StructureSection, ...] = Field(min_length=1)
    """Initial structures, one source after the other."""
    initial_structures: tuple[str, ...] | None = None
    """Names of the sources whose structures are labelled for generation 0. Default: all."""

    @field_validator("structures")
    @classmethod
    def _names_differ(cls, sources: tuple[StructureSection, ...]) -> tuple[StructureSection, ...]:
        check_distinct("structures", (source.name for source in sources if source.name is not None))
        return sources

    @field_validator("initial_structures")
    @classmethod
    def _are_there(cls, names: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if names and "structures" in info.data:
            check_known("structures", names, source_names(info.data["structures"]))
        return names

    def is_initial(self, source: StructureSection) -> bool:
        """Whether the structures of a source are labelled for generation 0."""
        return self.initial_structures is None or source.source_name in self.initial_structures


def source_names(sources: Iterable[StructureSection]) -> list[str]:
    """Return the names by which sources are selected, in order."""
    return [source.source_name for source in sources]
