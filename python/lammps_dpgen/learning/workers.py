"""How many worker processes labels and trainings get: all cores, whichever of the two is at work."""

from __future__ import annotations

from lammps_dpgen.config.bootstrap import BaseConfig
from lammps_dpgen.config.label import LabelConfig
from lammps_dpgen.execution.environment import available_cores
from lammps_dpgen.execution.local import LocalExecutor


def label_executor(config: BaseConfig | LabelConfig) -> LocalExecutor:
    """Return an executor that runs as many labels side by side as the cores allow."""
    threads = config.labeler.threads
    return LocalExecutor(max(1, _cores(config) // threads), threads, name="labels")


def training_executor(config: BaseConfig) -> LocalExecutor:
    """Return an executor that trains the models side by side, with several threads each where cores are left."""
    cores = _cores(config)
    return LocalExecutor(min(config.models, cores), max(1, cores // config.models), name="training")


def _cores(config: BaseConfig | LabelConfig) -> int:
    return available_cores() if config.execution.width == "auto" else config.execution.width
