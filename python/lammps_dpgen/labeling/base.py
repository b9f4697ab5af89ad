"""What a labeler is. Third parties register theirs in the entry point group ``lammps_dpgen.labelers``."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol

from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.part import PartSettings


class LabelerSettings(PartSettings):
    """Base class of a labeler's settings; their hash is stored with each label."""


class Labeler(Protocol):
    """Computes labels, one frame at a time, in a worker process of its own.

    A labeler is made once per worker from its settings and then labels many frames, so expensive start-up belongs in
    the constructor or in a lazily made member. It keeps the atom order, does not change the frame, returns finite
    numbers or raises, and leaves nothing half-done outside the given folder.
    """

    #: Name in the configuration and in the ledger.
    name: ClassVar[str]
    #: Class of its settings; its docstring and field descriptions are the reference page.
    Settings: ClassVar[type[LabelerSettings]]

    def __init__(self, settings: LabelerSettings) -> None: ...

    def check(self, species: list[str]) -> None:
        """Refuse settings that cannot work before any label is paid (missing files, unknown elements).

        Raises
        ------
        ConfigError
            Says what is missing and what to do.
        """
        ...

    def label(self, frame: Frame, folder: Path) -> Label:
        """Label one frame; `folder` is an empty scratch folder of its own.

        Raises
        ------
        LabelError
            The cause, in one line; the ledger keeps it.
        """
        ...
