"""Labels for the frames of a file, outside any learning run: the same workers, the same ledger, nothing paid twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lammps_dpgen.config.label import LabelConfig
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.execution.base import Executor
from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.learning.checks import check_and_label
from lammps_dpgen.learning.interrupts import Interrupts
from lammps_dpgen.learning.labels import LabelResult, sleep_between_polls
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.learning.patience import Patience
from lammps_dpgen.learning.workers import label_executor
from lammps_dpgen.monitor.journal import Journal
from lammps_dpgen.monitor.view import View
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder


@dataclass(frozen=True)
class FileLabels:
    """What became of the frames of a file.

    Attributes
    ----------
    labels
        By frame hash.
    causes
        Why the others have none, by frame hash.
    n_new
        Labels that were computed now, and not found in the ledger.
    """

    labels: Mapping[str, Label]
    causes: Mapping[str, str]
    n_new: int


def label_file(
    frames: Sequence[Frame], config: LabelConfig, run: RunFolder, view: View, *, retry_failed: bool = False
) -> FileLabels:
    """Label frames in a folder of their own; killed and called again, it goes on where it was.

    Parameters
    ----------
    frames
        Frames in any order; those that are the same are labelled once.
    run
        Folder of ledger, journal and scratch folders; made if absent.
    view
        Where progress is shown.
    retry_failed
        Label frames again whose label has failed before.

    Raises
    ------
    ConfigError
        Frames with elements that the type map lacks, or without a volume, and labelers that cannot work.
    StoreError
        The folder is in use, cannot be written, or belongs to other settings of the labeler.
    """
    _refuse_bad_frames(frames, config)
    run.create()
    interrupts = Interrupts()
    with (
        interrupts.taken(),
        run.lock(),
        interrupts.watched(run),
        Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger,
        Journal(run.journal) as journal,
        label_executor(config, run) as executor,
    ):
        return _FileRun(frames, config, run, ledger, Logbook(ledger, journal), view).make(executor, retry_failed)


class _FileRun:
    """Labels frames with an open ledger."""

    def __init__(
        self,
        frames: Sequence[Frame],
        config: LabelConfig,
        run: RunFolder,
        ledger: Ledger,
        logbook: Logbook,
        view: View,
    ) -> None:
        self._config, self._run, self._ledger, self._logbook, self._view = config, run, ledger, logbook, view
        self._frames = {frame.hash: frame for frame in frames}
        self._n_new = self._n_done = self._n_failed = 0
        self._patience: Patience | None = None

    def make(self, executor: Executor, retry_failed: bool) -> FileLabels:
        """Label what has no label yet."""
        self._ledger.add_frames(self._frames.values())
        if retry_failed:
            for stored in self._ledger.frames("set_aside"):
                if stored.hash in self._frames:
                    self._ledger.set_frame_state(stored.hash, "selected")
        waiting = [stored.frame for stored in self._ledger.frames("selected") if stored.hash in self._frames]
        self._n_failed = sum(stored.hash in self._frames for stored in self._ledger.frames("set_aside"))
        self._n_done = len(self._frames) - len(waiting) - self._n_failed
        self._view.phase("labels", f"{len(waiting)} of {len(self._frames)} frames")
        self._show()
        self._patience = Patience(executor, self._config.execution)
        check_and_label(
            executor,
            self._ledger,
            waiting,
            self._config.labeler,
            self._run.labels,
            on_result=self._done,
            sleep=self._wait,
        )
        return self._found()

    def _found(self) -> FileLabels:
        stored = self._ledger.labels(self._config.labeler.settings_hash)
        labels = {one.frame_hash: one.label for one in stored if one.frame_hash in self._frames}
        causes = {f.frame_hash: f.cause for f in self._ledger.failures() if f.frame_hash in self._frames}
        return FileLabels(labels, {key: cause for key, cause in causes.items() if key not in labels}, self._n_new)

    def _done(self, result: LabelResult) -> None:
        if result.label is None:
            self._n_failed += 1
            self._view.message(f"no label for a frame of {result.frame.formula}: {result.error}")
        else:
            self._n_done += 1
            self._n_new += not result.reused
        self._logbook.write("label", frame=result.frame.hash, seconds=result.seconds, error=result.error)
        self._show()

    def _show(self) -> None:
        self._view.labels(self._n_done, len(self._frames), self._n_failed)

    def _wait(self) -> None:
        self._view.tick()
        sleep_between_polls()
        if self._patience is not None:
            self._patience.look()


def _refuse_bad_frames(frames: Sequence[Frame], config: LabelConfig) -> None:
    for number, frame in enumerate(frames, start=1):
        if any(frame.pbc) and abs(float(np.linalg.det(frame.cell))) < 1e-6:
            raise ConfigError(
                f"frame {number} ({frame.formula}) is periodic, and its cell {frame.cell.tolist()} has no volume; "
                "give it three independent cell vectors, or none and no periodicity"
            )
        foreign = sorted(set(frame.species) - set(config.type_map)) if config.type_map else []
        if foreign:
            raise ConfigError(
                f"frame {number} ({frame.formula}) has {', '.join(foreign)}, which type_map lacks (it has "
                f"{', '.join(config.type_map)}); add the element there, or leave the frame out"
            )
