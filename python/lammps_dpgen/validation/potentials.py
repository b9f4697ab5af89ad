"""Makes potentials from their settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.labeling.lammps import LammpsSettings
from lammps_dpgen.validation.lammps_potential import LammpsPotential
from lammps_dpgen.validation.potential import Potential


def make_potential(name: str, settings: Mapping[str, Any], folder: Path | None = None) -> Potential:
    """Make a potential from plain settings: those of the labeler ``lammps``, or ``models``.

    Parameters
    ----------
    folder
        For logs; a temporary one if not given.

    Raises
    ------
    ConfigError
        Settings that make no potential.
    """
    models: tuple[str, ...] = ()
    data = dict(settings)
    if "models" in data:
        models = tuple(str(path) for path in data.pop("models"))
        data = {**deepmd_settings(models), **data}
    try:
        valid = LammpsSettings.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"potential {name}: {error}") from error
    return LammpsPotential(name, valid, folder, models)


def deepmd_settings(models: tuple[str, ...]) -> dict[str, Any]:
    """Return the settings of the labeler ``lammps`` for the first of some Deep Potentials."""
    from lammps_dpgen.ensemble import Ensemble

    elements = list(Ensemble([models[0]], min_models=1).type_map)
    return {
        "pair_style": f'deepmd "{models[0]}"',
        "pair_coeff": [f"* * {' '.join(elements)}"],
        "elements": elements,
        "plugins": "yes",
    }
