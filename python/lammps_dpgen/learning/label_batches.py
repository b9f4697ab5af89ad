"""Labels for the batches of a learning run: most of a batch are waited for, the rest joins later."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lammps_dpgen.config.learning import LearningConfig
from lammps_dpgen.config.parts import LabelerSection
from lammps_dpgen.errors import LearningError
from lammps_dpgen.execution.base import Executor
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.labels import LabelQueue, LabelResult, Sleep
from lammps_dpgen.store.ledger import Ledger

#: The rate of failures is that of so many labels, the last ones, and nothing is said of it before there are so few.
WINDOW, FEWEST = 100, 20


class LabelBatches:
    """Labels batch by batch.

    Parameters
    ----------
    scratch
        Folder for the working folders of the labels.
    on_result
        Called for each frame once its result is in the ledger, with whether it belongs to the batch that is waited for.
    tell
        Called with what a user should see.
    """

    def __init__(
        self,
        executor: Executor,
        ledger: Ledger,
        config: LearningConfig,
        scratch: Path,
        on_result: Callable[[LabelResult, bool], None],
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._settings, self._share, self._scratch = config.label_batches, config.complete_share, scratch
        self._tries, self._failed_batches = config.safe_points.tries, 0
        self._on_result, self._tell = on_result, tell
        labeler_of = partial(_labeler_of, config)
        self._queue = LabelQueue(executor, ledger, labeler_of, scratch, on_result=self._ended)
        self._batch: set[str] = set()
        self._results: list[LabelResult] = []
        self._last: deque[str | None] = deque(maxlen=WINDOW)

    @property
    def pending(self) -> frozenset[str]:
        """Hashes of the frames whose label is not there yet."""
        return frozenset(self._queue.pending)

    def label(self, frames: Sequence[Frame], sleep: Sleep) -> list[LabelResult]:
        """Label a batch; return as soon as enough of it is there, with what there is of it.

        Of n frames ceil(share * n) are waited for, so of a batch that is smaller than 1 / (1 - share) all of them.

        Raises
        ------
        LearningError
            More labels fail than the configuration bears, or those of several batches failed one and all.
        """
        self._batch, self._results = {frame.hash for frame in frames}, []
        self._queue.add(frames)
        left = len(self._batch) - math.ceil(self._share * len(self._batch) - 1e-9)
        while len(self._batch & self._queue.pending) > left:
            if not self.collect():
                sleep()
        self._refuse_hopeless_labeler()
        return self._results

    def label_rest(self, sleep: Sleep) -> None:
        """Wait for the labels that are still on their way."""
        while self._queue.pending:
            if not self.collect():
                sleep()

    def collect(self) -> int:
        """Record what has come; return how many labels that were."""
        ended = self._queue.collect()
        if ended:
            self._refuse_many_failures()
        return ended

    def _ended(self, result: LabelResult) -> None:
        of_batch = result.frame.hash in self._batch
        if of_batch:
            self._results.append(result)
        if not result.reused:
            self._last.append(result.error if result.label is None else None)
        self._on_result(result, of_batch)

    def _refuse_hopeless_labeler(self) -> None:
        if not self._results or any(result.label is not None for result in self._results):
            self._failed_batches = 0
            return
        self._failed_batches += 1
        causes = Counter(result.error for result in self._results)
        cause, number = causes.most_common(1)[0]
        text = f"all {len(self._results)} labels of a pause failed; most often ({number}): {cause}"
        self._tell(text)
        if self._failed_batches >= self._tries:
            raise LearningError(
                f"{text}. That happened in {self._tries} pauses one after another, so the labeler is at fault and not "
                f"the frames; see {self._scratch}. Frames, labels and models are stored: mend the labeler and run again"
            )

    def _refuse_many_failures(self) -> None:
        causes = Counter(cause for cause in self._last if cause is not None)
        failed, limit = sum(causes.values()), self._settings.max_failed
        if len(self._last) < FEWEST or failed <= limit * len(self._last):
            return
        cause, number = causes.most_common(1)[0]
        raise LearningError(
            f"{failed} of the last {len(self._last)} labels failed, more than label_batches.max_failed = {limit:g} "
            f"bears; most often ({number}): {cause}. See {self._scratch}. Frames, labels and models are stored: mend "
            "the labeler or the machine, or raise max_failed, and run again"
        )


def _labeler_of(config: LearningConfig, frame: Frame) -> LabelerSection:
    """Return the labeler of the stage that a frame is from."""
    return config.labeler_of(frame.origin.stage)
