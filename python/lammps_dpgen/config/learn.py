"""The file of ``lammps-dpgen md``: everything about a learning run that is not the LAMMPS script's business."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from lammps_dpgen.config.learning import LearningConfig


class LearnConfig(LearningConfig):
    """The file of ``lammps-dpgen md``."""

    fix: str = Field(min_length=1, coerce_numbers_to_str=True)
    """ID of the ``fix dpgen`` in the LAMMPS script."""

    @field_validator("initial_models")
    @classmethod
    def _one_origin(cls, models: tuple[Path, ...], info: ValidationInfo) -> tuple[Path, ...]:
        if models and info.data.get("structures"):
            raise ValueError("structures and initial_models exclude each other: generation 0 is made or given")
        return models
