"""A potential as the service of a worker process, which computes pieces of properties."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lammps_dpgen import registry
from lammps_dpgen.errors import ConfigError, PropertyError
from lammps_dpgen.validation.base import Piece, Property
from lammps_dpgen.validation.potentials import make_potential

#: Import path for ``Task.service``.
SERVICE = "lammps_dpgen.validation.service:PieceService"


class PieceService:
    """A potential that a worker makes once and then computes pieces with.

    Parameters
    ----------
    name, settings
        The potential, as `make_potential` takes it.
    """

    def __init__(self, *, name: str, settings: dict[str, Any]) -> None:
        self._potential = make_potential(name, settings)
        self._properties: dict[str, Property] = {}

    def compute(self, payload: dict[str, Any], folder: Path | str) -> dict[str, Any]:
        """Compute ``payload["piece"]`` of a property; returns its "value", or None and a "failure"."""
        self._potential.folder = Path(folder)
        part = self._property(payload["property"], payload["settings"])
        piece = Piece(payload["piece"]["name"], payload["piece"]["payload"])
        try:
            value = part.compute(self._potential, piece)
            json.dumps(value, allow_nan=False)
        except PropertyError as error:
            return {"value": None, "failure": f"{error}"}
        except ValueError as error:
            if "JSON compliant" not in str(error):
                raise
            return {"value": None, "failure": f"{piece.name}: a number is not finite"}
        return {"value": value, "failure": ""}

    def _property(self, name: str, settings: dict[str, Any]) -> Property:
        key = json.dumps([name, settings], sort_keys=True)
        if key not in self._properties:
            self._properties[key] = make_property(name, settings, ())
        return self._properties[key]


def make_property(name: str, settings: dict[str, Any], crystals: tuple[Any, ...]) -> Property:
    """Make a property from plain settings.

    Raises
    ------
    ConfigError
        No such property, or settings that it does not take.
    """
    kind = registry.load(registry.PROPERTIES, name)
    try:
        made: Property = kind(kind.Settings.model_validate(settings), crystals)
    except ValueError as error:
        raise ConfigError(f"settings of the property {name!r}: {error}") from error
    return made
