"""The trainer as a service of a worker process: plain data in, plain data out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lammps_dpgen import registry
from lammps_dpgen.execution.part_service import PartService
from lammps_dpgen.training.base import Trainer, TrainingJob

#: Import path for ``Task.service``.
SERVICE = "lammps_dpgen.training.service:TrainService"


class TrainService(PartService[Trainer]):
    """A trainer that a worker process makes once and then calls for each training."""

    group = registry.TRAINERS

    def train(self, payload: dict[str, Any], folder: Path | str) -> dict[str, Any]:
        """Train the job ``payload`` in `folder`; both it and the result are what their ``to_json`` says.

        Raises
        ------
        TrainingError
            Why there is no model.
        """
        return self._part.train(TrainingJob.from_json(payload), Path(folder)).to_json()
