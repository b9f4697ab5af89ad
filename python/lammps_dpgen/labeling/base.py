"""What a labeler is. Third parties register theirs in the entry point group ``lammps_dpgen.labelers``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from lammps_dpgen.frame import Frame, Label


class LabelerSettings(BaseModel):
    """Base class of a labeler's settings: unknown keys are refused, values never change afterwards.

    Whoever reads a configuration file validates with ``context={"folder": ...}``, the folder of that file; settings
    that name files make them absolute with it, since a worker may run anywhere.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def hash(self) -> str:
        """SHA-256 of the settings that decide the result, stored with each label."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


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
