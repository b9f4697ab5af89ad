"""Which labelers there are: the built-in ones and those of other packages, by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.labeling.base import Labeler, LabelerSettings

#: Entry point group in which packages register labelers.
GROUP = "lammps_dpgen.labelers"

#: The built-in labelers; pyproject.toml registers the same ones, a source tree that was never installed needs them.
BUILT_IN = {
    "lammps": "lammps_dpgen.labeling.lammps:LammpsLabeler",
    "ase": "lammps_dpgen.labeling.ase:AseLabeler",
}


def labeler_names() -> list[str]:
    """Return the names of all labelers that can be used, sorted."""
    return sorted(_entries())


def labeler_class(name: str) -> type[Labeler]:
    """Return the class of the labeler `name`.

    Raises
    ------
    ConfigError
        No labeler has this name (the nearest and all known ones are listed), or its package cannot be imported.
    """
    entries = _entries()
    if name not in entries:
        close = difflib.get_close_matches(name, entries, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigError(
            f"no labeler is called {name!r}; {hint}known are {', '.join(sorted(entries))}. Others come with packages "
            f"that register one in the entry point group {GROUP!r}"
        )
    entry = entries[name]
    try:
        labeler: type[Labeler] = entry.load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"labeler {name!r} ({entry.value}) cannot be imported: {error}") from error
    return labeler


def labeler_settings(name: str, settings: Mapping[str, Any], folder: Path | None = None) -> LabelerSettings:
    """Validate the settings of the labeler `name`.

    Parameters
    ----------
    folder
        Folder that relative file names start from, the configuration's; None leaves them as they are.

    Raises
    ------
    ConfigError
        Unknown labeler, or every wrong setting with the value got.
    """
    kind = labeler_class(name).Settings
    try:
        valid = kind.model_validate(dict(settings))
    except ValidationError as error:
        raise ConfigError(f"labeler {name!r}: {_explain(error, kind)}") from error
    return valid if folder is None else valid.resolved(folder)


def make_labeler(name: str, settings: Mapping[str, Any], folder: Path | None = None) -> Labeler:
    """Make the labeler `name` from plain settings; see :func:`labeler_settings` for parameters and errors."""
    return labeler_class(name)(labeler_settings(name, settings, folder))


def _entries() -> dict[str, EntryPoint]:
    """Return all entry points by name; the built-in ones cannot be overridden."""
    installed = {entry.name: entry for entry in entry_points(group=GROUP)}
    return installed | {name: EntryPoint(name, value, GROUP) for name, value in BUILT_IN.items()}


def _explain(error: ValidationError, kind: type[LabelerSettings]) -> str:
    """Say what is wrong with each setting, and what an unknown one may have meant."""
    parts = []
    for item in error.errors(include_url=False):
        where = ".".join(str(key) for key in item["loc"]) or "settings"
        if item["type"] == "extra_forbidden":
            close = difflib.get_close_matches(where, kind.model_fields, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            parts.append(f"unknown key {where!r}; {hint}known are {', '.join(kind.model_fields)}")
        elif item["type"] == "missing":
            parts.append(f"{where!r} is missing ({kind.model_fields[where].description or 'required'})")
        else:
            parts.append(f"{where!r}: {item['msg']} (got {item['input']!r})")
    return "; ".join(parts)
