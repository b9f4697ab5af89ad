"""Labeler and trainer look at their settings before anything is paid, in a worker as they will run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lammps_dpgen.config.parts import LabelerSection, PartSection, TrainerSection
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.execution.base import Executor, Task
from lammps_dpgen.labeling.service import SERVICE as LABEL_SERVICE
from lammps_dpgen.learning.labels import Sleep, sleep_between_polls
from lammps_dpgen.training.service import SERVICE as TRAIN_SERVICE


def check_labeler(
    executor: Executor,
    labeler: LabelerSection,
    species: Sequence[str],
    scratch: Path,
    *,
    sleep: Sleep = sleep_between_polls,
) -> None:
    """Let the labeler check its settings for these elements; the executor has no open task.

    Raises
    ------
    ConfigError
        What is missing, in the labeler's own words.
    """
    _check(executor, "labeler", LABEL_SERVICE, labeler, {"species": list(species)}, scratch, sleep)


def check_trainer(
    executor: Executor,
    trainer: TrainerSection,
    type_map: Sequence[str],
    scratch: Path,
    *,
    sleep: Sleep = sleep_between_polls,
) -> None:
    """Let the trainer check its settings for this type map; the executor has no open task.

    Raises
    ------
    ConfigError
        What is missing, in the trainer's own words.
    """
    _check(executor, "trainer", TRAIN_SERVICE, trainer, {"type_map": list(type_map)}, scratch, sleep)


def _check(
    executor: Executor,
    word: str,
    service: str,
    section: PartSection,
    payload: dict[str, Any],
    scratch: Path,
    sleep: Sleep,
) -> None:
    task = Task(
        id=f"check of the {word}",
        service=service,
        service_settings=section.service_settings(),
        method="check",
        payload=payload,
        folder=scratch / "check",
        timeout=section.timeout,
        retries=0,
    )
    executor.submit(task)
    while not (outcomes := executor.poll()):
        sleep()
    if outcomes[0].value is None:
        raise ConfigError(f"{word}: {outcomes[0].error}")
