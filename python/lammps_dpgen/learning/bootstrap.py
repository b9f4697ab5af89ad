"""The preparation step: initial structures are labelled, and an ensemble is trained on them: generation 0.

Killed at any moment and run again, it goes on where it was: structures are the same for the same seed, each label is in
the ledger as soon as it is there, and a model that was trained is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lammps_dpgen.config.bootstrap import BootstrapConfig
from lammps_dpgen.errors import LearningError
from lammps_dpgen.execution.base import Executor
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.checks import check_and_label, check_part
from lammps_dpgen.learning.generations import publish_generation, train_generation
from lammps_dpgen.learning.interrupts import Interrupts
from lammps_dpgen.learning.labels import LabelResult, Sleep, sleep_between_polls
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.learning.models import link_generation
from lammps_dpgen.learning.patience import Patience
from lammps_dpgen.learning.training_progress import TrainingProgress
from lammps_dpgen.learning.workers import label_executor, training_executor
from lammps_dpgen.monitor.journal import Journal
from lammps_dpgen.monitor.recording import RecordingView
from lammps_dpgen.monitor.view import View
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.structures.sources import frames_of_sources


def bootstrap(config: BootstrapConfig, *, progress: View | None = None) -> Generation:
    """Make generation 0 in the run folder of the configuration, or return the newest one that is there.

    Parameters
    ----------
    progress
        Where progress is shown.

    Raises
    ------
    StoreError
        The run folder is in use, cannot be written, or belongs to another configuration.
    ConfigError
        The labeler's settings cannot work, or a structure has an element that is not in the type map.
    LearningError
        No label or not enough trained models; what was stored is kept.
    """
    run = RunFolder(config.run_folder).create()
    interrupts = Interrupts()
    with (
        interrupts.taken(),
        run.lock(),
        interrupts.watched(run),
        Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger,
        Journal(run.journal) as journal,
    ):
        newest = ledger.latest_generation()
        if newest is not None:
            link_generation(run, newest)
            return newest
        with label_executor(config, run) as labels, training_executor(config, run) as trainings:
            view = None if progress is None else RecordingView(progress, run, "bootstrap")
            first = Bootstrap(config, run, ledger, Logbook(ledger, journal), view)
            return first.make(labels, trainings)


class Bootstrap:
    """Makes generation 0 in an open run folder.

    Parameters
    ----------
    progress
        Where progress is shown, if anywhere.
    sleep
        Called while it waits for labels and trainings.
    """

    def __init__(
        self,
        config: BootstrapConfig,
        run: RunFolder,
        ledger: Ledger,
        logbook: Logbook,
        progress: View | None = None,
        sleep: Sleep = sleep_between_polls,
    ) -> None:
        self._config, self._run, self._ledger, self._logbook = config, run, ledger, logbook
        self._view, self._sleep = progress, sleep
        self._counts: Counter[str] = Counter()
        self._trainings: TrainingProgress | None = None

    def make(self, labels: Executor, trainings: Executor) -> Generation:
        """Label the initial structures and train generation 0; the ledger has no generation yet."""
        initial = filter(self._config.is_initial, self._config.structures)
        self._logbook.write("bootstrap", structures=[source.source_name for source in initial])
        check_part(trainings, self._config.trainer, self._config.type_map, self._run.training, sleep=self._wait)
        self._label(labels)
        self._show("training", "generation 0")
        self._trainings = (
            None if self._view is None else TrainingProgress(self._view, self._run, 0, self._config.models)
        )
        trained = train_generation(
            trainings,
            self._ledger,
            self._run,
            self._config,
            number=0,
            reason="bootstrap",
            warm_start=False,
            on_event=self._training_event,
            sleep=self._wait,
        )
        generation = publish_generation(self._ledger, self._run, trained)
        self._logbook.write("generation", number=0, n_labels=generation.n_labels)
        return generation

    def _label(self, executor: Executor) -> None:
        frames = initial_frames(self._config)
        self._ledger.add_frames(frames)
        waiting = [stored.frame for stored in self._ledger.frames("selected")]
        self._counts = Counter(total=len(waiting))
        self._show("labels", f"{len(waiting)} initial frames")
        patience = Patience(executor, self._config.execution)

        def wait() -> None:
            self._wait()
            patience.look()

        check_and_label(
            executor,
            self._ledger,
            waiting,
            self._config.labeler,
            self._run.labels,
            on_result=self._label_event,
            sleep=wait,
        )
        counts = self._ledger.counts()
        if counts.labels == 0:
            causes = Counter(failure.cause for failure in self._ledger.failures())
            worst = "; ".join(f"{cause} ({number} frames)" for cause, number in causes.most_common(3))
            raise LearningError(
                f"none of the {sum(counts.frames.values())} initial frames could be labelled: {worst}. See "
                f"{self._run.labels}; mend the labeler or the structures and begin in a new run folder"
            )

    def _label_event(self, result: LabelResult) -> None:
        self._counts["failed" if result.label is None else "done"] += 1
        self._logbook.write("label", frame=result.frame.hash, seconds=result.seconds, error=result.error)
        if self._view is not None:
            if result.error is not None:
                self._view.message(f"no label for a frame of {result.frame.formula}: {result.error}")
            self._view.labels(self._counts["done"], self._counts["total"], self._counts["failed"])

    def _training_event(self, kind: str, data: Mapping[str, Any]) -> None:
        self._logbook.write(kind, **data)
        if self._view is None:
            return
        if kind == "training":
            rmse = float("nan") if data["rmse"] is None else data["rmse"]
            self._view.training(data["generation"], data["index"], data["steps"], data["steps"], rmse)
        else:
            self._view.message(f"training of model {data['index']} rejected: {data['cause']}")

    def _show(self, phase: str, detail: str) -> None:
        if self._view is not None:
            self._view.phase(phase, detail)

    def _wait(self) -> None:
        if self._trainings is not None:
            self._trainings.look()
        if self._view is not None:
            self._view.tick()
        self._sleep()


def initial_frames(config: BootstrapConfig) -> list[Frame]:
    """Return the initial structures, the same ones for the same seed.

    Raises
    ------
    ConfigError
        An element that the type map lacks.
    StructureError
        A structure cannot be made.
    """
    made = frames_of_sources(config.structures, config.seed, config.type_map)
    pairs = zip(config.structures, made, strict=True)
    return [frame for source, frames in pairs if config.is_initial(source) for frame in frames]
