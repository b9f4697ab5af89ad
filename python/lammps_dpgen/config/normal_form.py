"""A configuration as plain data for others: every default written out, nothing of this machine, no secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lammps_dpgen.config.base import Section
from lammps_dpgen.config.parts import InlineSection
from lammps_dpgen.execution.environment import HIDDEN, LOGIN, SECRET_NAME

#: An absolute path inside a text: two parts at least, so that a lonely stroke stays.
_PATH = re.compile(r"(?<![\w.:/~$}-])(?:/[^\s/'\",:;=]+)+/([^\s/'\",:;=]+)/?")


def normal_form(config: Section) -> dict[str, Any]:
    """Return a configuration as it could stand in its file, with all defaults.

    Files are named without their folders, since these belong to the machine; logins and values of keys that look like
    secrets are left out.
    """
    found = _plain(config, "")
    assert isinstance(found, dict)
    return found


def _plain(value: Any, key: str) -> Any:
    if SECRET_NAME.search(key) and value and not isinstance(value, (bool, int, float)):
        return HIDDEN
    if isinstance(value, InlineSection):
        own = {name: getattr(value, name) for name in value.own_keys()}
        return _mapping({**own, **value.model_dump()["settings"]})
    if isinstance(value, BaseModel):
        return _mapping({name: getattr(value, name) for name in type(value).model_fields})
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item, key) for item in value]
    if isinstance(value, Path):
        return value.name
    if isinstance(value, str):
        return without_places(value)
    return value


def _mapping(values: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key): _plain(value, str(key)) for key, value in values.items()}


def without_places(text: str) -> str:
    """Return a text with absolute paths cut to the name of the file, and without logins in addresses."""
    text = LOGIN.sub("", text)
    if text.startswith("/") and not re.search(r"\s", text):
        return Path(text).name
    return _PATH.sub(r"\1", text)
