"""The built-in trainer: DeePMD-kit, one model at a time, many models one after another in one process."""

from __future__ import annotations

import importlib.util
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from lammps_dpgen.deepmd_library import find_deepmd
from lammps_dpgen.errors import ConfigError, TrainingError
from lammps_dpgen.training.base import TrainerSettings, TrainingJob, TrainingResult
from lammps_dpgen.training.deepmd_input import (
    LEARNING_CURVE,
    Input,
    check_input,
    cutoff,
    explicit_sel,
    is_continued,
    training_input,
    users_input,
)
from lammps_dpgen.training.deepmd_pytorch import train_pytorch
from lammps_dpgen.training.deepmd_settings import DeepmdSettings
from lammps_dpgen.training.deepmd_tensorflow import Trained, train_tensorflow
from lammps_dpgen.training.learning_curve import read_learning_curve
from lammps_dpgen.training.neighbors import count_neighbors


class DeepmdTrainer:
    """Trains, freezes and compresses Deep Potential models with DeePMD-kit.

    Nothing of DeePMD-kit is loaded before the first training.
    """

    name: ClassVar[str] = "deepmd"
    Settings: ClassVar[type[TrainerSettings]] = DeepmdSettings

    def __init__(self, settings: TrainerSettings) -> None:
        if not isinstance(settings, DeepmdSettings):
            raise ConfigError(f"the trainer 'deepmd' takes DeepmdSettings, got {type(settings).__name__}")
        self._settings = settings

    def check(self, type_map: list[str]) -> None:
        """Refuse a backend that is not installed, and an input that DeePMD-kit does not take.

        Raises
        ------
        ConfigError
            What is wrong and what to do.
        """
        settings = self._settings
        if settings.backend == "pytorch" and importlib.util.find_spec("torch") is None:
            raise ConfigError(
                "backend is 'pytorch', but PyTorch is not installed; run 'pip install \"deepmd-kit[torch]\"' or use "
                "backend 'tensorflow'"
            )
        installation = find_deepmd()
        if all(backend.name != settings.backend for backend in installation.backends()):
            raise ConfigError(
                f"backend '{settings.backend}' cannot run: "
                + ("; ".join(installation.misfits()) or "this DeePMD-kit was built without it")
            )
        if settings.backend == "pytorch" and settings.compress:
            raise ConfigError("compress is for backend 'tensorflow'; set compress to false")
        if settings.sel != "auto" and len(settings.sel) != len(type_map):
            raise ConfigError(
                f"sel has {len(settings.sel)} numbers, the type map has {len(type_map)} elements "
                f"({' '.join(type_map)}); give one per element, or 'auto'"
            )
        if settings.input is not None:
            content = users_input(settings.input, type_map)
            content["training"]["training_data"]["systems"] = ["."]
            check_input(content)

    def train(self, job: TrainingJob, folder: Path) -> TrainingResult:
        """Train, freeze and, where asked, compress one model; see :class:`~lammps_dpgen.training.base.Trainer`.

        The folder keeps ``input.json``, ``lcurve.out``, ``train.log``, the checkpoint and ``model.pb``.

        Raises
        ------
        TrainingError
            The training diverged or DeePMD-kit failed; the message is one line and names the log file.
        ConfigError
            The input does not fit the job.
        """
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if job.warm_start is not None and not is_continued(self._settings, job):
            job = replace(job, warm_start=None)
        content = training_input(self._settings, job)
        (folder / "input.json").write_text(json.dumps(content, indent=2) + "\n")
        trained = self._run(content, job, folder)
        steps = int(content["training"]["numb_steps"])
        curve = read_learning_curve(folder / LEARNING_CURVE)
        _check_curve(curve, folder)
        return TrainingResult(str(trained.model), trained.checkpoint, curve, steps, trained.seconds)

    def _run(self, content: Input, job: TrainingJob, folder: Path) -> Trained:
        """Hand the input to the backend."""
        settings = self._settings
        weights = job.warm_start if settings.warm_start.training_init_model else None
        warm_start = None if weights is None else _existing(weights)
        known = explicit_sel(content)
        steps = int(content["training"]["numb_steps"])
        if settings.backend == "pytorch":
            return train_pytorch(steps, folder, warm_start=warm_start, skip_neighbor_stat=known)
        shortest = count_neighbors([*job.old_systems, *job.new_systems], cutoff(content)).shortest if known else None
        step = settings.compress_step if settings.compress else None
        return train_tensorflow(steps, folder, warm_start=warm_start, shortest=shortest, compress_step=step)


def _existing(warm_start: str) -> str:
    """Return the absolute prefix or file; a model that is gone must not silently become a training from scratch."""
    path = Path(warm_start).absolute()
    if not path.is_file() and not path.with_name(path.name + ".index").is_file():
        raise TrainingError(f"the model '{warm_start}' that the training should start from is gone; train from scratch")
    return str(path)


def _check_curve(curve: list[tuple[int, float, float, float]], folder: Path) -> None:
    """Refuse a diverged training."""
    for step, force_rmse, energy_rmse, _ in curve:
        if not (math.isfinite(force_rmse) and math.isfinite(energy_rmse)):
            raise TrainingError(
                f"the training diverged: at step {step} the force error is {force_rmse} eV/Å and the energy error "
                f"{energy_rmse} eV/atom; lower start_lr, or look for broken labels (log: {folder / 'train.log'})"
            )
