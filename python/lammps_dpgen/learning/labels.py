"""Labels for frames: every result is in the ledger before anything is decided on it, and none is paid twice."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from lammps_dpgen.config.parts import LabelerSection
from lammps_dpgen.errors import LearningError
from lammps_dpgen.execution.base import Executor, Outcome, Task
from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.store.ledger import Ledger

#: Seconds between two looks at the workers.
POLL_INTERVAL = 0.05

#: Most labels that the executor has at a time, more than any queue works on; as tasks they take several times the
#: memory that frames do.
MOST_OPEN = 2000

#: Called while waiting; sleeps, and may redraw, keep other ranks alive, or raise to stop.
Sleep = Callable[[], None]


def sleep_between_polls() -> None:
    """Sleep for one poll interval: what a process does that has nothing else to look after."""
    time.sleep(POLL_INTERVAL)


@dataclass(frozen=True)
class LabelResult:
    """How the labelling of one frame ended: `label`, or None with the cause in `error`.

    Attributes
    ----------
    reused
        The label was in the ledger already and cost nothing.
    attempts, seconds
        What it cost now.
    """

    frame: Frame
    label: Label | None
    error: str | None = None
    reused: bool = False
    attempts: int = 0
    seconds: float = 0.0


class LabelQueue:
    """Labels on their way; a frame may be added at any time, and its label taken long after.

    A label is recorded the moment it arrives. A frame whose label fails after all attempts is set aside with its cause;
    it never stops the others. A frame that has a label of the same settings is not labelled again.

    Parameters
    ----------
    labeler_of
        Returns the labeler of a frame.
    scratch
        Folder for the working folders of the labels; those of failures stay for inspection.
    on_result
        Called for each frame once its result is in the ledger.
    """

    def __init__(
        self,
        executor: Executor,
        ledger: Ledger,
        labeler_of: Callable[[Frame], LabelerSection],
        scratch: Path,
        *,
        on_result: Callable[[LabelResult], None] = lambda result: None,
    ) -> None:
        self._executor, self._ledger, self._labeler_of, self._scratch = executor, ledger, labeler_of, scratch
        self._on_result = on_result
        self._pending: dict[str, tuple[Frame, str]] = {}
        self._waiting: deque[str] = deque()
        self._hashes: list[tuple[LabelerSection, str]] = []

    @property
    def pending(self) -> Set[str]:
        """Hashes of the frames whose label is not there yet."""
        return self._pending.keys()

    def add(self, frames: Iterable[Frame]) -> None:
        """Ask for labels of frames that are in the ledger in state ``selected``; one asked for already counts once."""
        for frame in {frame.hash: frame for frame in frames}.values():
            if frame.hash in self._pending:
                continue
            labeler = self._labeler_of(frame)
            settings_hash = self._hash_of(labeler)
            known = self._ledger.find_label(frame.hash, settings_hash)
            if known is not None:
                self._on_result(LabelResult(frame, known, reused=True))
                continue
            self._pending[frame.hash] = frame, settings_hash
            self._waiting.append(frame.hash)
        self._submit()

    def collect(self) -> int:
        """Record the labels that have come since the last call; return how many ended, well or not.

        Raises
        ------
        LearningError
            The labeler gave a label of other settings than asked.
        """
        outcomes = self._executor.poll()
        for outcome in outcomes:
            frame, settings_hash = self._pending.pop(outcome.task.id)
            self._on_result(_record(self._ledger, frame, outcome, settings_hash))
        self._submit()
        return len(outcomes)

    def _submit(self) -> None:
        """Give the executor as many of the labels that wait as it may have."""
        while self._waiting and len(self._pending) - len(self._waiting) < MOST_OPEN:
            frame, _ = self._pending[self._waiting.popleft()]
            self._executor.submit(label_task(frame, self._labeler_of(frame), self._scratch))

    def _hash_of(self, labeler: LabelerSection) -> str:
        """Return the hash of a labeler's settings, which is worked out once: it reads all files that they name."""
        for known, settings_hash in self._hashes:
            if known == labeler:
                return settings_hash
        self._hashes.append((labeler, labeler.settings_hash))
        return self._hashes[-1][1]


def label_frames(
    executor: Executor,
    ledger: Ledger,
    frames: Sequence[Frame],
    labeler: LabelerSection,
    scratch: Path,
    *,
    on_result: Callable[[LabelResult], None] | None = None,
    sleep: Sleep = sleep_between_polls,
) -> list[LabelResult]:
    """Label frames that are in the ledger, side by side, and wait for all of them; see `LabelQueue`.

    Parameters
    ----------
    sleep
        Called between two looks at the workers.

    Returns
    -------
    list of LabelResult
        In the order in which they ended.
    """
    results: list[LabelResult] = []

    def ended(result: LabelResult) -> None:
        results.append(result)
        if on_result is not None:
            on_result(result)

    labels = LabelQueue(executor, ledger, lambda frame: labeler, scratch, on_result=ended)
    labels.add(frames)
    while labels.pending:
        if not labels.collect():
            sleep()
    return results


def label_task(frame: Frame, labeler: LabelerSection, scratch: Path) -> Task:
    """Return the task of a label; it works in a folder of its own in `scratch`."""
    return Task(
        id=frame.hash,
        service=labeler.service,
        service_settings=labeler.service_settings(),
        method="label",
        payload={"frame": frame.to_json()},
        folder=scratch / frame.hash[:16],
        timeout=labeler.timeout,
        retries=labeler.retries,
        growth=labeler.timeout_growth,
    )


def _record(ledger: Ledger, frame: Frame, outcome: Outcome, settings_hash: str) -> LabelResult:
    """Put an outcome into the ledger."""
    attempts, seconds = outcome.attempts, outcome.seconds
    if outcome.value is None:
        error = outcome.error or "the worker gave no cause"
        ledger.record_failure(frame.hash, settings_hash, error, attempts, seconds)
        return LabelResult(frame, None, error, attempts=attempts, seconds=seconds)
    label = Label.from_json(outcome.value)
    if label.settings_hash != settings_hash:
        raise LearningError(
            f"a label carries the settings hash {label.settings_hash[:12]}, expected {settings_hash[:12]}; the labeler "
            "must pass on the hash of the settings that it was given"
        )
    ledger.record_label(frame.hash, label)
    return LabelResult(frame, label, attempts=attempts, seconds=seconds)
