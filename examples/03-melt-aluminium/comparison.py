"""The same net trained on frames that were drawn at random from the reference's own trajectory."""

from __future__ import annotations

import time
from pathlib import Path

from reference import draw

from lammps_dpgen.config import LearnConfig
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.execution.base import Task
from lammps_dpgen.execution.environment import available_cores
from lammps_dpgen.execution.local import LocalExecutor
from lammps_dpgen.frame import LabelledFrame
from lammps_dpgen.learning.ensembles import force_rmse
from lammps_dpgen.training.base import TrainingJob, TrainingResult
from lammps_dpgen.training.data import write_systems
from lammps_dpgen.training.service import SERVICE


def train_on_random_labels(
    config: LearnConfig, folder: Path, pool: list[LabelledFrame], number: int, steps: int, seeds: tuple[int, ...]
) -> list[Path]:
    """Train one model for each seed on `number` frames of the pool, for `steps` steps from scratch; return the files.

    Net, loss and learning rates are those of the configuration; only the number of steps differs.
    """
    trainer = {"name": config.trainer.name, "settings": {**config.trainer.settings, "numb_steps": steps}}
    with LocalExecutor(min(len(seeds), available_cores()), 1, name="comparison") as executor:
        for seed in seeds:
            data = folder / f"data_{number}_{seed}"
            data.mkdir(parents=True, exist_ok=True)
            systems = write_systems(draw(pool, number, seed), data, list(config.type_map))
            job = TrainingJob(0, seed, seed, config.type_map, (), tuple(str(s) for s in systems))
            work = folder / f"model_{number}_{seed}"
            executor.submit(
                Task(f"{number}-{seed}", SERVICE, trainer, "train", job.to_json(), work, timeout=3600, keep_folder=True)
            )
        models = []
        while executor.open_tasks or len(models) < len(seeds):
            for outcome in executor.poll():
                if outcome.value is None:
                    raise SystemExit(f"training on random labels failed: {outcome.error}")
                models.append(Path(TrainingResult.from_json(outcome.value).model))
            time.sleep(0.1)
    return sorted(models)


def rmse_of(models: list[Path], frames: list[LabelledFrame]) -> float:
    """Force RMSE (eV/Å) over all models and frames."""
    return force_rmse(Ensemble(models), frames)
