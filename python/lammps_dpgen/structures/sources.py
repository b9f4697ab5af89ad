"""The frames of all sources of a configuration: the same ones for a run, its preview and its repetition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol
from zlib import crc32

import numpy as np

from lammps_dpgen import registry
from lammps_dpgen.errors import ConfigError, StructureError
from lammps_dpgen.frame import Frame


class Source(Protocol):
    """An item of ``structures``: the name of a generator, and its settings as plain data."""

    @property
    def generator(self) -> str:
        """Name that the generator is registered with."""

    @property
    def name(self) -> str | None:
        """Name of the source, None where it was given none."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """The generator's own settings."""


def frames_of_sources(sources: Iterable[Source], seed: int, type_map: Sequence[str] | None = None) -> list[list[Frame]]:
    """Return the frames of each source.

    They follow from the seed and the name of the source, or its place in the list where it has none.

    Parameters
    ----------
    type_map
        Elements that are allowed; None: all.

    Raises
    ------
    ConfigError
        An element that the type map lacks, or settings that a generator does not take.
    StructureError
        A structure cannot be made; the message names the source.
    """
    made: list[list[Frame]] = []
    for number, source in enumerate(sources):
        where = f"structures[{number}] ({source.name or source.generator})"
        generator = registry.make(registry.STRUCTURES, source.generator, source.settings)
        origin = number if source.name is None else crc32(source.name.encode())
        try:
            frames: list[Frame] = generator.generate(np.random.default_rng([seed, origin]))
        except StructureError as error:
            raise StructureError(f"{where}: {error}") from error
        if not frames:
            raise StructureError(f"{where} makes no frame; correct its settings, or leave it out")
        _check_elements(where, frames, type_map)
        made.append(frames)
    return made


def _check_elements(where: str, frames: Iterable[Frame], type_map: Sequence[str] | None) -> None:
    if type_map is None:
        return
    unknown = sorted({element for frame in frames for element in frame.species} - set(type_map))
    if unknown:
        raise ConfigError(
            f"{where} has {', '.join(unknown)}, which type_map lacks "
            f"(it has {', '.join(type_map)}); add the element there, or leave the structure out"
        )
