"""The generations of a campaign as the service of a worker process, which validates all of them together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lammps_dpgen.config.campaign_validation import GenerationsConfig
from lammps_dpgen.config.load import load_config
from lammps_dpgen.config.validation import WorkerSettings
from lammps_dpgen.execution.local import LocalExecutor
from lammps_dpgen.validation.command import validate
from lammps_dpgen.validation.output import check_references
from lammps_dpgen.validation.runner import Validation

#: Import path for ``Task.service``.
SERVICE = "lammps_dpgen.validation.generations:GenerationsValidator"

#: By how much the priority of the process is lowered: walkers and trainings come first.
_NICENESS = 5


def check_file(file: Path) -> None:
    """Refuse a validation that cannot work: its crystals, references, properties and pieces.

    Raises
    ------
    DpgenError
        The first thing that is wrong.
    """
    config = load_config(file, GenerationsConfig)
    check_references(config)
    Validation(config)


class GenerationsValidator:
    """Validates generations beside a campaign.

    Parameters
    ----------
    file
        A file of ``lammps-dpgen validate``.
    folder
        Of the results.
    width
        Pieces that are computed side by side.
    """

    def __init__(self, *, file: str, folder: str, width: int) -> None:
        os.nice(_NICENESS)
        self._config = load_config(file, GenerationsConfig)
        self._folder, self._width = Path(folder), width

    def validate(self, payload: dict[str, Any], folder: Path | str) -> dict[str, Any]:
        """Validate ``payload["models"]``, model files of each generation by its name; ``payload["new"]`` is new.

        Returns
        -------
        dict
            rows and failed: of the new one; shares: part of the report to rows within tolerance and rows that
            could be judged, of the new one.
        """
        models: dict[str, list[str]] = payload["models"]
        generations = {name: {"models": files} for name, files in models.items()}
        settings = self._config.model_copy(
            update={
                "potentials": {**self._config.potentials, **generations},
                "folder": self._folder,
                "execution": WorkerSettings(width=self._width),
            }
        )
        report = validate(
            settings, lambda: LocalExecutor(self._width, name="validate"), print, self._folder.parent.name
        )
        new: str = payload["new"]
        rows = report.rows[new]
        return {
            "rows": len(rows),
            "failed": sum(bool(row.failure) for row in rows),
            "shares": {table.part: list(table.shares[new]) for table in report.tables if table.shares[new][1]},
        }
