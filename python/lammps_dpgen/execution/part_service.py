"""A labeler or trainer as the service of a worker process: plain data in, plain data out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from lammps_dpgen import registry
from lammps_dpgen.part import Part

PartType = TypeVar("PartType", bound=Part)


class PartService(Generic[PartType]):
    """What a worker process makes once and then calls for each task.

    Parameters
    ----------
    name, settings
        The part and its settings; file names absolute, as a configuration makes them, since a worker may run anywhere.

    Raises
    ------
    ConfigError
        No such part, or settings that it does not take.
    """

    #: Entry point group that the part is registered in.
    group: ClassVar[str]

    def __init__(self, *, name: str, settings: dict[str, Any]) -> None:
        self._part: PartType = registry.make(self.group, name, settings)

    def check(self, payload: dict[str, Any], folder: Path | str) -> dict[str, Any]:
        """Run the part's own check for the elements ``payload["elements"]``.

        Raises
        ------
        ConfigError
            What is missing and what to do.
        """
        self._part.check(list(payload["elements"]))
        return {}
