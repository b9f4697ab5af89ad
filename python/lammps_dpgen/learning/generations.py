"""Generations: an ensemble is trained on everything labelled so far, judged by the caller, and published."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lammps_dpgen.config.bootstrap import BaseConfig
from lammps_dpgen.errors import LearningError
from lammps_dpgen.execution.base import Executor, Outcome, Task
from lammps_dpgen.learning.dataset import new_systems, old_systems
from lammps_dpgen.learning.labels import Sleep, sleep_between_polls
from lammps_dpgen.learning.models import keep_model, link_generation
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation, ModelRecord
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.training.base import TrainingJob, TrainingResult
from lammps_dpgen.training.data import complete_weights

#: Told what happens: kind of the event ("training", "training_rejected") and its data.
OnEvent = Callable[[str, Mapping[str, Any]], None]
#: Told of each model: its index and the file that the training left.
OnModel = Callable[[int, Path], None]
#: Reason of the generation that the last training makes.
FINAL = "final"


@dataclass(frozen=True)
class TrainedGeneration:
    """Models that are trained and stored, and not yet published: the caller judges them first.

    Attributes
    ----------
    generation
        Its record, still without the errors before and after.
    label_numbers
        Labels of the ledger that no earlier generation has seen.
    """

    generation: Generation
    label_numbers: tuple[int, ...]


def train_generation(
    executor: Executor,
    ledger: Ledger,
    run: RunFolder,
    config: BaseConfig,
    *,
    number: int,
    reason: str,
    warm_start: bool,
    final: bool = False,
    attempt: int = 0,
    patience: int = 1,
    on_event: OnEvent | None = None,
    on_model: OnModel | None = None,
    sleep: Sleep = sleep_between_polls,
) -> TrainedGeneration:
    """Train the ensemble of a generation on all labels, its models side by side.

    A model whose training fails or gives numbers that are not finite is trained again from scratch with another seed,
    `patience` times. A training that an earlier, killed process finished is used and not repeated.

    Parameters
    ----------
    number, reason
        Generation, and why it is trained.
    warm_start
        Begin from the models of the last generation.
    final
        No label need be new, and none gets more weight for being so.
    attempt
        Counts the trainings of the whole generation: the caller raises it when it rejects the models, to get others.
    on_event
        Called with "training" and "training_rejected".
    on_model
        Called with the index and the file of a model as soon as it is there, before it is copied to its place.
    sleep
        Called between two looks at the workers.

    Raises
    ------
    LearningError
        There is no new label, or a model could not be trained; everything stored stays usable.
    """
    settings_hash = config.settings_hashes
    unseen = ledger.labels(settings_hash, untrained=True)
    n_labels = ledger.count_labels(settings_hash)
    if not n_labels or not (unseen or final):
        raise LearningError(f"generation {number} has no new label to train on; label frames first")
    old = old_systems(run, number, lambda g: ledger.labels(settings_hash, trained_in=g), config.type_map)
    new = new_systems(run, number, unseen, config.type_map) if unseen else ()
    complete_weights([Path(system) for system in (*old, *new)])
    if final:
        old, new = (*old, *new), ()
    previous = ledger.latest_generation()
    ensemble = _Ensemble(
        executor, run, config, attempt=attempt, patience=patience, on_event=on_event, on_model=on_model
    )
    for index in range(config.models):
        last = previous.models[index].warm_start if warm_start and previous else None
        job = TrainingJob(
            generation=number,
            index=index,
            seed=training_seed(config.seed, number, index, attempt, 0),
            type_map=config.type_map,
            old_systems=old,
            new_systems=new,
            warm_start=None if last is None else str(run.path / last),
        )
        ensemble.start(job)
    records = ensemble.finish(sleep)
    generation = Generation(number=number, models=records, type_map=config.type_map, n_labels=n_labels, reason=reason)
    return TrainedGeneration(generation, tuple(stored.number for stored in unseen))


def publish_generation(
    ledger: Ledger,
    run: RunFolder,
    trained: TrainedGeneration,
    *,
    force_rmse_before: float | None = None,
    force_rmse_after: float | None = None,
) -> Generation:
    """Record a generation, with the force RMSE (eV/Å) on its new labels before and after, and link its models.

    The ledger comes first: where a kill falls between, the links follow at the next start (``link_generation``).
    """
    generation = replace(trained.generation, force_rmse_before=force_rmse_before, force_rmse_after=force_rmse_after)
    ledger.add_generation(generation, trained.label_numbers)
    link_generation(run, generation)
    return generation


def training_seed(seed: int, generation: int, index: int, attempt: int, rejected: int) -> int:
    """Return the seed of one training: different for each model, generation and repetition, the same at each start."""
    state = np.random.SeedSequence([seed, generation, index, attempt, rejected]).generate_state(1)
    return int(state[0] % 2**31)


class _Ensemble:
    """The trainings of one generation that are under way, with the rule for rejected ones."""

    def __init__(
        self,
        executor: Executor,
        run: RunFolder,
        config: BaseConfig,
        *,
        attempt: int,
        patience: int,
        on_event: OnEvent | None,
        on_model: OnModel | None,
    ) -> None:
        self._executor, self._run, self._config = executor, run, config
        self._attempt, self._patience = attempt, patience
        self._on_event, self._on_model = on_event, on_model
        self._open: dict[str, tuple[TrainingJob, int]] = {}
        self._records: dict[int, ModelRecord] = {}

    def start(self, job: TrainingJob, rejected: int = 0) -> None:
        """Train a model, unless an earlier process already did."""
        done = _finished_result(self._memo(job), job)
        if done is not None:
            self._accept(job, done)
            return
        task = Task(
            id=f"g{job.generation:03d}-model_{job.index}-{self._attempt}-{rejected}",
            service=self._config.trainer.service,
            service_settings=self._config.trainer.service_settings(),
            method="train",
            payload=job.to_json(),
            folder=self._run.training_of(job.generation, job.index),
            timeout=self._config.trainer.timeout,
            retries=self._config.trainer.retries,
            growth=self._config.trainer.timeout_growth,
            keep_folder=True,
        )
        self._open[task.id] = (job, rejected)
        self._executor.submit(task)

    def finish(self, sleep: Sleep) -> tuple[ModelRecord, ...]:
        """Wait for all models; return their records in order."""
        while self._open:
            outcomes = self._executor.poll()
            for outcome in outcomes:
                self._judge(outcome)
            if self._open and not outcomes:
                sleep()
        return tuple(self._records[index] for index in sorted(self._records))

    def _judge(self, outcome: Outcome) -> None:
        job, rejected = self._open.pop(outcome.task.id)
        result = None if outcome.value is None else TrainingResult.from_json(outcome.value)
        cause = _cause_of_rejection(outcome, result)
        if cause is None and result is not None:
            _write_memo(self._memo(job), job, result)
            self._accept(job, result)
            return
        self._tell("training_rejected", generation=job.generation, index=job.index, cause=cause)
        if rejected >= self._patience:
            self._executor.cancel("another model of the generation could not be trained")
            raise LearningError(
                f"model {job.index} of generation {job.generation} could not be trained in {rejected + 1} attempts: "
                f"{cause}; see {outcome.task.folder}. Labels and earlier generations are stored. Change the trainer's "
                "settings (steps, learning rate, loss prefactors) in a new run folder, or run the same command again"
            )
        seed = training_seed(self._config.seed, job.generation, job.index, self._attempt, rejected + 1)
        self.start(replace(job, seed=seed, warm_start=None), rejected + 1)

    def _accept(self, job: TrainingJob, result: TrainingResult) -> None:
        if self._on_model is not None:
            self._on_model(job.index, Path(result.model))
        path, sha256 = keep_model(self._run, job.generation, job.index, Path(result.model))
        self._records[job.index] = ModelRecord(
            path=path,
            sha256=sha256,
            warm_start=_relative(result.warm_start, self._run.path),
            curve=result.curve,
            seconds=result.seconds,
            steps=result.steps,
        )
        rmse = result.curve[-1][1] if result.curve else None
        seconds = sum(result.seconds.values())
        self._tell(
            "training",
            generation=job.generation,
            index=job.index,
            seconds=seconds,
            steps=result.steps,
            rmse=rmse,
            model=path,
        )

    def _tell(self, kind: str, **data: Any) -> None:
        if self._on_event is not None:
            self._on_event(kind, data)

    def _memo(self, job: TrainingJob) -> Path:
        return self._run.training_of(job.generation, job.index).with_suffix(".json")


def _cause_of_rejection(outcome: Outcome, result: TrainingResult | None) -> str | None:
    """Return why a training cannot be used, None if it can."""
    if result is None:
        return outcome.error or "the worker gave no cause"
    if any(not math.isfinite(value) for row in result.curve for value in row):
        return "its learning curve has numbers that are not finite"
    return None


def _write_memo(path: Path, job: TrainingJob, result: TrainingResult) -> None:
    """Note a finished training beside its folder, so that a restart does not repeat it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"job": job.to_json(), "result": result.to_json()}))
    os.replace(fresh, path)


def _finished_result(path: Path, job: TrainingJob) -> TrainingResult | None:
    """Return the result of the same job if an earlier process finished it and its model is still there."""
    try:
        memo = json.loads(path.read_text())
        same = TrainingJob.from_json(memo["job"]) == job
        result = TrainingResult.from_json(memo["result"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return result if same and Path(result.model).is_file() else None


def _relative(path: str | None, folder: Path) -> str | None:
    """Return a path relative to the run folder where it lies inside, so that the folder may be moved."""
    if path is None or not Path(path).is_relative_to(folder):
        return path
    return str(Path(path).relative_to(folder))
