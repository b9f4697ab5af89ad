"""Labeler and trainer look at their settings before anything is paid, in a worker as they will run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lammps_dpgen import registry
from lammps_dpgen.config.bootstrap import BaseConfig
from lammps_dpgen.config.parts import LabelerSection, PartSection
from lammps_dpgen.errors import ConfigError, LearningError
from lammps_dpgen.execution.base import Executor, Task
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.labels import LabelResult, Sleep, label_frames, sleep_between_polls
from lammps_dpgen.store.ledger import Ledger


def check_part(
    executor: Executor,
    section: PartSection,
    elements: Sequence[str],
    scratch: Path,
    *,
    sleep: Sleep = sleep_between_polls,
) -> None:
    """Let a labeler or trainer check its settings for these elements; the executor has no open task.

    Parameters
    ----------
    elements
        Chemical symbols; for a trainer the type map, in order.
    scratch
        Folder for the working folder of the check.

    Raises
    ------
    ConfigError
        What is missing, in the part's own words.
    """
    word, task = registry.WORDS[section.group], check_task(section, elements, scratch)
    executor.submit(task)
    while not (outcomes := executor.poll()):
        sleep()
    if outcomes[0].value is None:
        raise ConfigError(f"{word}: {outcomes[0].error}")


def check_task(section: PartSection, elements: Sequence[str], scratch: Path) -> Task:
    """Return the task in which a labeler or trainer checks its settings; see :func:`check_part`."""
    return Task(
        id=f"check of the {registry.WORDS[section.group]}",
        service=section.service,
        service_settings=section.service_settings(),
        method="check",
        payload={"elements": list(elements)},
        folder=scratch / "check",
        timeout=section.timeout,
        retries=0,
        kept=True,
    )


def refuse_foreign_labels(ledger: Ledger, config: BaseConfig) -> None:
    """Refuse a ledger with labels of settings that the configuration does not have: they would be left out silently.

    Raises
    ------
    LearningError
        How many there are of which settings, and what to do.
    """
    foreign = {name: n for name, n in ledger.labels_by_settings().items() if name not in config.settings_hashes}
    if foreign:
        found = ", ".join(f"{number} of {name[:12]}" for name, number in foreign.items())
        known = ", ".join(name[:12] for name in sorted(config.settings_hashes))
        raise LearningError(
            f"the run folder has labels of settings that the configuration has not ({found}; it has {known}): the "
            "labeler of a stage was changed, or the stage was left out. Restore it, or begin in a new run folder"
        )


def check_and_label(
    executor: Executor,
    ledger: Ledger,
    frames: Sequence[Frame],
    labeler: LabelerSection,
    scratch: Path,
    *,
    on_result: Callable[[LabelResult], None],
    sleep: Sleep,
) -> None:
    """Let the labeler check its settings for the elements of `frames`, then label them; see `label_frames`.

    Nothing happens where there is no frame.
    """
    if not frames:
        return
    elements = sorted({element for frame in frames for element in frame.species})
    check_part(executor, labeler, elements, scratch, sleep=sleep)
    label_frames(executor, ledger, frames, labeler, scratch, on_result=on_result, sleep=sleep)
