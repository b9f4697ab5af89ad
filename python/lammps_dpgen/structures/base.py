"""What a generator of initial structures is; third parties register theirs in ``lammps_dpgen.structures``."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from lammps_dpgen.frame import Frame


class StructureSettings(BaseModel):
    """Base class of a generator's settings: unknown keys are refused, values never change afterwards.

    Whoever reads a configuration file validates with ``context={"folder": ...}``, the folder of that file; settings
    that name files make them absolute with it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StructureGenerator(Protocol):
    """Makes the frames that generation 0 learns from."""

    #: Name in the configuration.
    name: ClassVar[str]
    #: Class of its settings; its docstring and field descriptions are the reference page.
    Settings: ClassVar[type[StructureSettings]]

    def __init__(self, settings: StructureSettings) -> None: ...

    def generate(self, rng: np.random.Generator) -> list[Frame]:
        """Return at least one frame, the same ones for the same state of `rng`.

        Raises
        ------
        StructureError
            What is wrong with which structure, and what to do.
        """
        ...
