"""Makes potentials from their settings, and tells them apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lammps_dpgen import registry
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.labeling.files import file_identity
from lammps_dpgen.labeling.lammps import LammpsSettings
from lammps_dpgen.part import PartSettings
from lammps_dpgen.validation.labeler_potential import LabelerPotential
from lammps_dpgen.validation.lammps_potential import LammpsPotential
from lammps_dpgen.validation.potential import Potential


def make_potential(name: str, settings: Mapping[str, Any], folder: Path | None = None) -> Potential:
    """Make a potential from plain settings: those of the labeler ``lammps``, or ``models``, or ``labeler``.

    Parameters
    ----------
    folder
        For logs; a temporary one if not given.

    Raises
    ------
    ConfigError
        Settings that make no potential.
    """
    identity = identity_of(name, settings)
    if "labeler" in settings:
        section = settings["labeler"]
        labeler = registry.make(registry.LABELERS, section["name"], section.get("settings", {}))
        return LabelerPotential(name, labeler, identity, folder)
    if "models" in settings:
        models = tuple(str(path) for path in settings["models"])
        return LammpsPotential(name, _deepmd_settings(models[0]), identity, folder, models)
    return LammpsPotential(name, _lammps_settings(name, settings), identity, folder)


def identity_of(name: str, settings: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what decides the numbers of a potential: files by content.

    Raises
    ------
    ConfigError
        Settings that make no potential.
    """
    if "labeler" in settings:
        section = settings["labeler"]
        kind = registry.load(registry.LABELERS, section["name"])
        own: PartSettings = kind.Settings.model_validate(section.get("settings", {}))
        deciding = ["labeler", section["name"], own.hash()]
    elif "models" in settings:
        deciding = ["models", *(file_identity(Path(path)).rpartition(":")[2] for path in settings["models"])]
    else:
        deciding = ["lammps", _lammps_settings(name, settings).hash()]
    return hashlib.sha256(json.dumps(deciding).encode()).hexdigest()


def _lammps_settings(name: str, settings: Mapping[str, Any]) -> LammpsSettings:
    try:
        return LammpsSettings.model_validate(dict(settings))
    except ValidationError as error:
        raise ConfigError(f"potential {name}: {error}") from error


def _deepmd_settings(model: str) -> LammpsSettings:
    """Return the settings of the labeler ``lammps`` for a Deep Potential."""
    from lammps_dpgen.ensemble import Ensemble

    elements = Ensemble([model], min_models=1).type_map
    return LammpsSettings(
        pair_style=f'deepmd "{model}"',
        pair_coeff=(f"* * {' '.join(elements)}",),
        elements=elements,
        plugins="yes",
    )
