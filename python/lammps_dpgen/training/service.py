"""The trainer as a service of a worker process: plain data in, plain data out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lammps_dpgen import registry
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.training.base import Trainer, TrainingJob

#: Import path for ``Task.service``.
SERVICE = "lammps_dpgen.training.service:TrainService"


def make_trainer(name: str, settings: dict[str, Any]) -> Trainer:
    """Make the trainer that is registered as `name` from plain settings.

    Raises
    ------
    ConfigError
        No such trainer, or settings that it does not take.
    """
    kind: type[Trainer] = registry.load(registry.TRAINERS, name)
    try:
        return kind(kind.Settings.model_validate(settings))
    except ValidationError as error:
        raise ConfigError(f"settings of the trainer {name!r}: {error}") from error


class TrainService:
    """What a worker process makes once and then calls for each training.

    Parameters
    ----------
    name, settings
        Trainer and its settings; file names absolute, as a configuration makes them, since a worker may run anywhere.
    """

    def __init__(self, *, name: str, settings: dict[str, Any]) -> None:
        self._trainer = make_trainer(name, settings)

    def train(self, payload: dict[str, Any], folder: Path | str) -> dict[str, Any]:
        """Train the job ``payload`` in `folder`; both it and the result are what their ``to_json`` says.

        Raises
        ------
        TrainingError
            Why there is no model.
        """
        return self._trainer.train(TrainingJob.from_json(payload), Path(folder)).to_json()

    def check(self, payload: dict[str, Any], folder: Path | str) -> dict[str, Any]:
        """Run the trainer's own check for the elements ``payload["type_map"]``.

        Raises
        ------
        ConfigError
            What is missing and what to do.
        """
        self._trainer.check(list(payload["type_map"]))
        return {}
