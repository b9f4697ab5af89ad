"""The part of a configuration that `lammps-dpgen structures` reads: any file with ``structures`` will do."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from lammps_dpgen.config.base import Section
from lammps_dpgen.config.parts import StructureSection


class StructuresConfig(Section):
    """Sources of structures, and what decides their frames; other sections of the file are left to their readers."""

    model_config = ConfigDict(extra="ignore")

    structures: tuple[StructureSection, ...] = Field(min_length=1)
    """Initial structures."""
    seed: int = Field(default=1, ge=0, lt=2**31)
    """Every random number follows from it."""
    type_map: tuple[str, ...] | None = None
    """Elements of the models; where it is given, structures with others are refused."""
