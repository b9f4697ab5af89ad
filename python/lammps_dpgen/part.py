"""What the replaceable parts, labelers and trainers, have in common: settings that tell results apart, and a check."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, ValidationInfo


class PartSettings(BaseModel):
    """Base class of a part's settings: unknown keys are refused, values never change afterwards.

    Whoever reads a configuration file validates with ``context={"folder": ...}``, the folder of that file. Settings
    that name files make the names absolute with it, since a worker may run anywhere, or read the files at once.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def hash(self) -> str:
        """SHA-256 of the settings that decide the result; files count by what is in them, not by where they lie."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


class Part(Protocol):
    """A part that has been made from its settings."""

    def check(self, elements: list[str], /) -> None:
        """Refuse settings that cannot work for these elements (raises ConfigError)."""
        ...


def config_folder(info: ValidationInfo) -> Path:
    """Return the folder that relative paths start from: the configuration file's, or the working folder."""
    return Path((info.context or {}).get("folder", Path.cwd()))
