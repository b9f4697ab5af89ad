"""What a generator of initial structures is; third parties register theirs in ``lammps_dpgen.structures``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
from ase.data import atomic_numbers
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

from lammps_dpgen.frame import Frame
from lammps_dpgen.part import config_folder


class StructureSettings(BaseModel):
    """Base class of a generator's settings: unknown keys are refused, values never change afterwards.

    Whoever reads a configuration file validates with ``context={"folder": ...}``, the folder of that file; settings
    that name files make them absolute with it (:data:`ConfigFile`).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StructureGenerator(Protocol):
    """Makes the frames that generation 0 learns from."""

    #: Name in the configuration.
    name: ClassVar[str]
    #: Class of its settings; its docstring and field descriptions are the reference page.
    Settings: ClassVar[type[StructureSettings]]

    def __init__(self, settings: Any) -> None: ...

    def generate(self, rng: np.random.Generator) -> list[Frame]:
        """Return at least one frame, the same ones for the same state of `rng`.

        Every frame says in ``origin.structure`` what it is: the structure, and after a slash how this frame of it
        differs from the others, such as ``fcc-Al32/0.96/3``. :func:`family` returns the part before the slash.

        Raises
        ------
        StructureError
            What is wrong with which structure, and what to do.
        """
        ...


def family(frame: Frame) -> str:
    """Return the structure that a frame is a variant of: its name up to the first slash, or its formula."""
    return frame.origin.structure.partition("/")[0] or frame.formula


def absolute_file(name: str, info: ValidationInfo) -> str:
    """Return an absolute path; a relative one is meant from the folder of the configuration file."""
    return str(config_folder(info) / Path(name).expanduser())


def known_element(symbol: str) -> str:
    """Return a chemical symbol as it is; raises ValueError, which pydantic reports, if there is no such element."""
    if atomic_numbers.get(symbol, 0) == 0:
        raise ValueError(f"{symbol!r} is no chemical symbol; write it as 'Al'")
    return symbol


#: Name of a file, relative to the configuration file.
ConfigFile = Annotated[str, AfterValidator(absolute_file)]

#: Chemical symbol.
Element = Annotated[str, AfterValidator(known_element)]
