"""The generator ``file``: structures from files that ASE reads, scaled and perturbed."""

from __future__ import annotations

import glob
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import ase.io
import numpy as np
from ase import Atoms
from ase.io.formats import ioformats, string2index
from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from lammps_dpgen.errors import StructureError
from lammps_dpgen.frame import Frame
from lammps_dpgen.structures.base import ConfigFile, StructureSettings
from lammps_dpgen.structures.supercell import SupercellSettings, supercell
from lammps_dpgen.structures.variation import scaled, variations

Files = Annotated[
    tuple[ConfigFile, ...],
    BeforeValidator(lambda files: [files] if isinstance(files, str) else files),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class FileSettings(SupercellSettings):
    """Structures from files.

    Examples
    --------
    >>> FileSettings(files=["POSCAR", "melt/*.extxyz"], index="::10").index
    '::10'
    """

    files: Files = Field(
        description="Files, relative to the configuration file; * and ? stand for any characters, ** for any folders.",
    )
    index: str = Field(default=":", description="Which structures of a file, as in Python: ':', '-1', '::10'.")
    format: str | None = Field(default=None, description="ASE's name of the file format. Default: ASE finds out.")
    vacuum: float | None = Field(
        default=None,
        gt=0.0,
        description="Cell vectors that a structure lacks are made this much (Å) longer on each side than the atoms "
        "need; it becomes periodic.",
    )

    @field_validator("index")
    @classmethod
    def _is_index(cls, index: str) -> str:
        if not isinstance(string2index(index), (int, slice)):
            raise ValueError(f"{index!r} is no index; write a number such as '-1', or a slice such as '::10'")
        return index

    @field_validator("format")
    @classmethod
    def _is_format(cls, name: str | None) -> str | None:
        if name is not None and name not in ioformats:
            raise ValueError(f"ASE knows no file format {name!r}; 'ase info --formats' lists them")
        return name


class FileGenerator:
    """Reads structures and makes perturbed copies of them."""

    name: ClassVar[str] = "file"
    Settings: ClassVar[type[StructureSettings]] = FileSettings

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings

    def generate(self, rng: np.random.Generator) -> list[Frame]:
        """Return frames in the order of the files (a pattern's are sorted by name).

        Raises
        ------
        StructureError
            No such file, a file that ASE cannot read, no structure selected, no cell, an atom that is no element, or
            two atoms that are too close; with the file and the number of the structure in it.
        """
        settings = self._settings
        rng = settings.generator(rng)
        frames: list[Frame] = []
        for pattern in settings.files:
            for path in _matching(pattern):
                images = read_images(path, settings.index, settings.format)
                for number, atoms in enumerate(images):
                    name = path.name if len(images) == 1 else f"{path.name}[{number}]"
                    crystal = supercell(periodic(atoms, name, settings.vacuum), settings.repeat)
                    frames += variations(partial(scaled, crystal), name, settings, rng)
        return frames


def read_images(path: Path, index: str, file_format: str | None = None) -> list[Atoms]:
    """Return structures of a file, at least one.

    Parameters
    ----------
    index
        Which ones, as in Python.

    Raises
    ------
    StructureError
        ASE cannot read the file, or it has no such structure.
    """
    try:
        images = ase.io.read(path, index=index, format=file_format, parallel=False)  # rank 0 of a job is alone here
    except Exception as error:  # readers raise whatever comes to their mind
        reason = " ".join(str(error).split())
        if isinstance(error, (IndexError, StopIteration)):
            reason = f"the file has no structure {index!r}"
        raise StructureError(
            f"{path}: ASE cannot read it ({type(error).__name__}: {reason}); check the file, 'index' and 'format'"
        ) from error
    images = images if isinstance(images, list) else [images]
    if not images:
        raise StructureError(f"{path}: index {index!r} selects no structure")
    return images


def periodic(atoms: Atoms, name: str, vacuum: float | None = None) -> Atoms:
    """Return a plain copy with a cell, periodic where the file says nothing else.

    Parameters
    ----------
    vacuum
        Cell vectors that are missing are made this much (Å) longer on each side than the atoms need.

    Raises
    ------
    StructureError
        There are no atoms, an atom is no element, or the cell is not complete.
    """
    if len(atoms) == 0:
        raise StructureError(f"structure {name}: it has no atoms")
    if 0 in atoms.numbers:
        number = int(np.flatnonzero(atoms.numbers == 0)[0]) + 1
        raise StructureError(
            f"structure {name}: atom {number} has no known element ('X'); name the elements in the file"
        )
    plain = Atoms(atoms.symbols, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if atoms.cell.rank < 3:
        missing = [axis for axis in range(3) if not atoms.cell[axis].any()]
        if vacuum is None or not missing:
            raise StructureError(
                f"structure {name}: the file gives no cell of three independent vectors; add it there, or set "
                "'vacuum' (Å) to fill in the missing ones"
            )
        plain.center(vacuum=vacuum, axis=missing)
        plain.pbc = True
    elif not plain.pbc.any():
        plain.pbc = True
    return plain


def _matching(pattern: str) -> list[Path]:
    """Return the files that a name or pattern stands for, sorted.

    Raises
    ------
    StructureError
        There is none.
    """
    if Path(pattern).is_file():
        return [Path(pattern)]
    paths = sorted(Path(name) for name in glob.glob(pattern, recursive=True) if Path(name).is_file())
    if not paths:
        raise StructureError(f"no file matches {pattern!r}; correct 'files', relative to the configuration file")
    return paths
