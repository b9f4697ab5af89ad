"""Finds and makes the replaceable parts by name: labelers, trainers, structure generators, samplers and properties.

The built-in ones and those of other packages register through entry points
(https://packaging.python.org/specifications/entry-points/), so that nothing here knows a particular one.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from lammps_dpgen.errors import ConfigError, InstallationError

LABELERS = "lammps_dpgen.labelers"
TRAINERS = "lammps_dpgen.trainers"
STRUCTURES = "lammps_dpgen.structures"
SAMPLERS = "lammps_dpgen.samplers"
PROPERTIES = "lammps_dpgen.properties"

#: What a part of each group is called.
WORDS = {
    LABELERS: "labeler",
    TRAINERS: "trainer",
    STRUCTURES: "structure generator",
    SAMPLERS: "sampler",
    PROPERTIES: "property",
}


@cache
def registered(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name; nothing is imported.

    All installed packages are read once per process: that takes longer than a pause of a learning run should.
    """
    return {point.name: point for point in sorted(entry_points(group=group))}


def load(group: str, name: str) -> Any:
    """Import the class that is registered as `name`.

    Raises
    ------
    ConfigError
        No such name in the group.
    InstallationError
        It is registered, but importing it fails.
    """
    points = registered(group)
    word = WORDS[group]
    if name not in points:
        near = difflib.get_close_matches(name, points, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        known = ", ".join(points) or "none; install the package with 'pip install .'"
        raise ConfigError(f"no {word} has the name '{name}'{hint} (registered: {known})")
    try:
        return points[name].load()
    except Exception as error:
        raise InstallationError(
            f"the {word} '{name}' ({points[name].value}) cannot be imported: {type(error).__name__}: {error}"
        ) from error


def make(group: str, name: str, settings: Mapping[str, Any]) -> Any:
    """Make the part that is registered as `name` from plain settings.

    Raises
    ------
    ConfigError
        No such name in the group, or settings that the part does not take.
    InstallationError
        It is registered, but importing it fails.
    """
    kind = load(group, name)
    try:
        valid = kind.Settings.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(f"settings of the {WORDS[group]} {name!r}: {error}") from error
    return kind(valid)
