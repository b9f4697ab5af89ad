"""The trainings of a generation, repeated until their models help; who asks for them decides what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lammps_dpgen.config.learning import LearningConfig
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.errors import LearningError
from lammps_dpgen.execution.base import Executor
from lammps_dpgen.frame import LabelledFrame
from lammps_dpgen.learning.generations import FINAL, TrainedGeneration, train_generation
from lammps_dpgen.learning.judge import Judge
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.learning.training_progress import TrainingProgress
from lammps_dpgen.monitor.view import View
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

#: New models may be this much worse than the old ones on the new labels where the old ones were already good.
TOLERANCE = 1.5
#: They are good below this force RMSE, eV/Å: less than a small net reaches on a melt.
GOOD_ALREADY = 0.02
#: Labels that the models of the last training are compared on with their predecessors, at most.
FINAL_SAMPLE = 500

#: Models that are trained and stored, the same ones loaded, and the force RMSE (eV/Å) before and after.
Judged = tuple[TrainedGeneration, Ensemble, float, float]


class GenerationTraining:
    """Trains the models of one generation.

    Parameters
    ----------
    number
        Of the generation.
    on_model
        Called with the file of each model as soon as it is there.
    on_news
        Called while models of a generation that is not the final one are still in training.
    wait
        Called between two looks at the trainings.
    """

    def __init__(
        self,
        config: LearningConfig,
        run: RunFolder,
        ledger: Ledger,
        logbook: Logbook,
        view: View,
        executor: Executor,
        number: int,
        *,
        on_model: Callable[[Path], None],
        on_news: Callable[[Judge], None],
        wait: Callable[[], None],
    ) -> None:
        self._config, self._run, self._ledger, self._logbook, self._view = config, run, ledger, logbook, view
        self._executor, self._number = executor, number
        self._on_model, self._on_news, self._wait = on_model, on_news, wait
        self._progress = TrainingProgress(view, run, number, config.models)

    def until_better(self, reason: str, judge: Judge) -> Judged:
        """Train from the last models, then from scratch, until the new ones are better on the new labels.

        Raises
        ------
        LearningError
            They never were, or a training could not be mended.
        """
        for attempt in range(self._config.training_patience + 1):
            self._view.phase("training", f"generation {self._number} on {self._ledger.counts().labels} labels")
            judged = self._train(reason, judge, attempt)
            _, _, before, after = judged
            if improved(before, after):
                return judged
            cause = f"force RMSE on the new labels {before:.4f} eV/Å before, {after:.4f} after"
            self._logbook.write("training_rejected", generation=self._number, index=-1, cause=cause)
            self._view.message(f"generation {self._number} rejected: {cause}")
        raise LearningError(
            f"generation {self._number} did not improve in {self._config.training_patience + 1} trainings, "
            f"warm-started and from scratch: {cause}. Everything is stored. Give the trainer more steps or a larger "
            "net; that needs a new run folder"
        )

    def final(self, judge: Judge) -> Judged:
        """Train the final models, on all labels alike; errors as of :meth:`until_better`."""
        return self._train(FINAL, judge, attempt=0)

    def _train(self, reason: str, judge: Judge, attempt: int) -> Judged:
        """Train the models, the first time from the last ones unless they are the final ones."""
        settings = self._config.final_training if reason == FINAL else None
        trained = train_generation(
            self._executor,
            self._ledger,
            self._run,
            self._config if settings is None else self._config.for_final_training(),
            number=self._number,
            reason=reason,
            warm_start=attempt == 0 if settings is None else settings.warm_start,
            final=settings is not None,
            attempt=attempt,
            patience=self._config.training_patience,
            on_event=partial(self._event, judge, settings is not None),
            on_model=partial(self._model_arrived, judge),
            sleep=self._look_and_wait,
        )
        models, before, after = judge.verdict()
        _check_judged(models, trained)
        return trained, models, before, after

    def _model_arrived(self, judge: Judge, index: int, model: Path) -> None:
        judge.arrived(index, model)
        self._on_model(model)

    def _event(self, judge: Judge, final: bool, kind: str, data: Mapping[str, Any]) -> None:
        self._logbook.write(kind, **data)
        if not final:
            self._on_news(judge)
        if kind == "training":
            rmse = float("nan") if data["rmse"] is None else data["rmse"]
            self._view.training(data["generation"], data["index"], data["steps"], data["steps"], rmse)
        else:
            self._view.message(f"training of model {data['index']} rejected: {data['cause']}")

    def _look_and_wait(self) -> None:
        self._progress.look()
        self._wait()


def improved(before: float, after: float) -> bool:
    """Tell whether a training helped: better on the new labels, or no worse than noise where they were fine."""
    if not np.isfinite(after):
        return False
    return after < before or (before < GOOD_ALREADY and after < TOLERANCE * before)


def sample_of_labels(ledger: Ledger, config: LearningConfig, number: int) -> list[LabelledFrame]:
    """Draw labels, the same ones at each start of a run, that final models are compared on with the last ones."""
    numbers = ledger.label_numbers(config.settings_hashes)
    rng = np.random.default_rng([config.seed, number])
    drawn = rng.choice(len(numbers), min(len(numbers), FINAL_SAMPLE), replace=False)
    labels = ledger.labels(numbers=[numbers[int(i)] for i in drawn])
    return [LabelledFrame(stored.frame, stored.label) for stored in labels]


def good_enough(before: float, after: float) -> bool:
    """Tell whether final models may replace the last ones, by the force RMSE on labels that both have seen."""
    return bool(np.isfinite(after)) and after <= TOLERANCE * before


def _check_judged(models: Ensemble, trained: TrainedGeneration) -> None:
    """Assert that the models which were judged, as the trainings left them, are those that are stored."""
    stored = tuple(model.sha256 for model in trained.generation.models)
    if models.hashes != stored:
        raise LearningError(
            f"model files of generation {trained.generation.number} changed while they were copied; is the disk "
            "sound, and does another program write to the run folder? Run the same command again"
        )
