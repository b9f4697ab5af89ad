"""Builds the DeePMD-kit input of one training from the settings and the job."""

from __future__ import annotations

import copy
import json
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lammps_dpgen.errors import ConfigError, TrainingError
from lammps_dpgen.training.base import TrainingJob
from lammps_dpgen.training.data import has_weights, read_system
from lammps_dpgen.training.deepmd_settings import DeepmdSettings, ReuseSettings
from lammps_dpgen.training.neighbors import NeighborStatistics, count_neighbors, selected_neighbors

#: Prefix of checkpoint files.
CHECKPOINT = "model.ckpt"
LEARNING_CURVE = "lcurve.out"

Input = dict[str, Any]

log = logging.getLogger(__name__)


def is_continued(settings: DeepmdSettings, job: TrainingJob) -> bool:
    """Return whether the job is trained with the reuse settings."""
    first = settings.warm_start.training_reuse_iter
    return first is not None and job.generation >= first and job.warm_start is not None


def training_input(settings: DeepmdSettings, job: TrainingJob) -> Input:
    """Return the complete input of a training from scratch or of a continued one.

    Raises
    ------
    ConfigError
        The user's input does not fit the type map, or lacks a part that has to be set.
    TrainingError
        A data folder cannot be read.
    """
    content = default_input(settings, job) if settings.input is None else users_input(settings.input, job.type_map)
    _set_seeds(content, job.seed)
    training = content["training"]
    training["training_data"]["systems"] = [str(Path(path).absolute()) for path in (*job.old_systems, *job.new_systems)]
    if is_continued(settings, job):
        _set_reuse(content, settings.warm_start, job)
    if any(has_weights(Path(system)) for system in training["training_data"]["systems"]):
        _weigh_forces(content["loss"])
    steps = training.get("numb_steps")
    if not isinstance(steps, int) or steps < 1:
        raise ConfigError(f"training.numb_steps of the DeePMD-kit input is {steps!r}; give a positive number of steps")
    training["disp_freq"] = _divisor(steps, settings.disp_freq)
    # One checkpoint, at the end: never at a multiple, which DeePMD-kit looks at only where it prints a line.
    training["save_freq"] = steps + 1
    training["save_ckpt"] = CHECKPOINT
    training["disp_file"] = LEARNING_CURVE
    training["max_ckpt_keep"] = 1
    return content


def default_input(settings: DeepmdSettings, job: TrainingJob) -> Input:
    """Return the input that the shortcut keys describe: a `se_e2_a` energy model."""
    descriptor = {
        "type": "se_e2_a",
        "rcut": settings.rcut,
        "rcut_smth": settings.rcut_smth,
        "sel": _sel(settings, job),
        "neuron": list(settings.neuron),
        "axis_neuron": settings.axis_neuron,
        "type_one_side": True,
        "precision": settings.precision,
    }
    fitting = {"neuron": list(settings.fitting_neuron), "precision": settings.precision}
    prefactors = ("start_pref_e", "limit_pref_e", "start_pref_f", "limit_pref_f", "start_pref_v", "limit_pref_v")
    return {
        "model": {"type_map": list(job.type_map), "descriptor": descriptor, "fitting_net": fitting},
        "learning_rate": {
            "type": "exp",
            "start_lr": settings.start_lr,
            "stop_lr": settings.stop_lr,
            "decay_steps": _stair(settings.numb_steps),
        },
        "loss": {"type": "ener", **{name: getattr(settings, name) for name in prefactors}},
        "training": {"training_data": {"batch_size": settings.batch_size}, "numb_steps": settings.numb_steps},
    }


def users_input(given: Input, type_map: Sequence[str]) -> Input:
    """Return a copy of the user's own input, with its type map set and without what belongs to another data set.

    Raises
    ------
    ConfigError
        It is no DeePMD-kit 2 or 3 input, or names other elements.
    """
    content = copy.deepcopy(given)
    missing = [
        part for part in ("model", "learning_rate", "loss", "training") if not isinstance(content.get(part), dict)
    ]
    if missing or not isinstance(content["model"].get("descriptor"), dict):
        what = ", ".join(missing) or "model.descriptor"
        raise ConfigError(f"the DeePMD-kit input lacks {what}; give an input of DeePMD-kit 2 or 3")
    own = content["model"].get("type_map")
    if own is not None and list(own) != list(type_map):
        raise ConfigError(
            f"the DeePMD-kit input has type_map {' '.join(own)}, the run has {' '.join(type_map)}; "
            "leave type_map out of the input, or make them equal"
        )
    content["model"]["type_map"] = list(type_map)
    training = content["training"]
    # Data of the input's own, and weights for it, mean nothing for the data of a learning run.
    for key in ("validation_data", "stat_file", "systems", "numb_epoch"):
        training.pop(key, None)
    data = training.setdefault("training_data", {})
    for key in ("systems", "sys_probs", "auto_prob"):
        data.pop(key, None)
    data.setdefault("batch_size", training.pop("batch_size", "auto"))
    return content


def explicit_sel(content: Input) -> bool:
    """Return whether the model says how many neighbours it holds, so that DeePMD-kit need not count."""
    descriptor = content["model"]["descriptor"]
    parts = descriptor.get("list", [descriptor])
    return all(not isinstance(part.get("sel", "auto"), str) for part in parts)


def cutoff(content: Input) -> float:
    """Return the largest cut-off of the model's descriptor in Å."""
    descriptor = content["model"]["descriptor"]
    return max(float(part.get("rcut", 6.0)) for part in descriptor.get("list", [descriptor]))


def old_ratio(reuse: ReuseSettings, n_old: int, n_new: int) -> float:
    """Return the share of training batches that come from old data, by numbers of frames."""
    value = reuse.training_reuse_old_ratio
    if not isinstance(value, str):
        return value
    weight = float(value.partition(":")[2] or 10.0)
    return n_old / (n_old + weight * n_new)


def _set_reuse(content: Input, reuse: ReuseSettings, job: TrainingJob) -> None:
    """Apply DP-GEN's reuse settings: weight of old and new data, steps, learning rate, prefactors."""
    n_old, n_all = len(job.old_systems), len(job.old_systems) + len(job.new_systems)
    training = content["training"]
    if 0 < n_old < n_all:
        ratio = old_ratio(reuse, _n_frames(job.old_systems), _n_frames(job.new_systems))
        weights = f"prob_sys_size; 0:{n_old}:{ratio:.6f}; {n_old}:{n_all}:{1.0 - ratio:.6f}"
        training["training_data"]["auto_prob"] = weights
    if reuse.training_reuse_numb_steps is not None:
        training["numb_steps"] = reuse.training_reuse_numb_steps
        if "decay_steps" in content["learning_rate"]:
            content["learning_rate"]["decay_steps"] = _stair(reuse.training_reuse_numb_steps)
    for part, key, value in (
        ("learning_rate", "start_lr", reuse.training_reuse_start_lr),
        ("loss", "start_pref_e", reuse.training_reuse_start_pref_e),
        ("loss", "start_pref_f", reuse.training_reuse_start_pref_f),
    ):
        if value is not None:
            content[part][key] = value


def _weigh_forces(loss: dict[str, Any]) -> None:
    """Let the prefactors of the forces stand for weighted forces: with a weight of 1 for all atoms, the same loss.

    Raises
    ------
    ConfigError
        The loss is none that DeePMD-kit can weigh by atom.
    """
    unfit = [key for key in ("relative_f", "use_huber") if loss.get(key)]
    if loss.get("type", "ener") != "ener" or unfit:
        raise ConfigError(
            f"the loss of the DeePMD-kit input ({', '.join([loss.get('type', 'ener'), *unfit])}) cannot weigh forces "
            "by atom, which cells cut out of larger frames need; take the loss 'ener' without these, or no 'extract'"
        )
    for when, default in (("start", 1000.0), ("limit", 1.0)):
        loss[f"{when}_pref_pf"] = loss.get(f"{when}_pref_f", default)
        loss[f"{when}_pref_f"] = 0.0


def _sel(settings: DeepmdSettings, job: TrainingJob) -> list[int]:
    """Return `sel`; a continued training keeps that of its predecessor, whose weights belong to it."""
    statistics = count_neighbors([*job.old_systems, *job.new_systems], settings.rcut)
    if settings.sel != "auto":
        if len(settings.sel) != len(job.type_map):
            raise ConfigError(
                f"sel has {len(settings.sel)} numbers, the type map has {len(job.type_map)} elements "
                f"({' '.join(job.type_map)}); give one per element, or 'auto'"
            )
        for element, number in _beyond(statistics, settings.sel, job.type_map).items():
            log.warning("an atom has %d neighbours of %s; sel %s drops the farthest", number, element, settings.sel)
        return list(settings.sel)
    earlier = None if job.warm_start is None else Path(job.warm_start).parent / "input.json"
    if earlier is None or not earlier.is_file():
        return selected_neighbors(statistics, job.type_map, settings.sel_margin)
    kept: list[int] = json.loads(earlier.read_text())["model"]["descriptor"]["sel"]
    beyond = _beyond(statistics, kept, job.type_map)
    if beyond:
        raise TrainingError(
            f"an atom of the new data has more neighbours within {settings.rcut} Å ({beyond}) than the model of the "
            f"last generation holds (sel {kept}); it has to be trained from scratch"
        )
    return kept


def _beyond(statistics: NeighborStatistics, sel: Sequence[int], type_map: Sequence[str]) -> dict[str, int]:
    """Return the elements, with the numbers counted, of which an atom has more neighbours than `sel`."""
    counted = {element: statistics.largest.get(element, 0) for element in type_map}
    return {element: counted[element] for element, held in zip(type_map, sel, strict=True) if counted[element] > held}


def _set_seeds(content: Input, seed: int) -> None:
    """Give each random part of the training a seed of its own, all of them from the job's."""
    state = [int(word) for word in np.random.SeedSequence(seed).generate_state(8) % 2**31]
    descriptor = content["model"]["descriptor"]
    for index, part in enumerate(descriptor.get("list", [descriptor])):
        part["seed"] = (state[0] + index) % 2**31
    for part, value in (("type_embedding", state[1]), ("fitting_net", state[2])):
        if isinstance(content["model"].get(part), dict):
            content["model"][part]["seed"] = value
    content["training"]["seed"] = state[3]


def _n_frames(systems: Sequence[str]) -> int:
    return sum(len(read_system(Path(path)).positions) for path in systems)


def _divisor(steps: int, wanted: int) -> int:
    """Return the largest divisor of `steps` up to `wanted`, so that the curve ends with the last step.

    Where that would be far more lines than wanted, the wanted number is kept and the curve ends before the last step.
    """
    best = max(value for value in range(1, min(wanted, steps) + 1) if steps % value == 0)
    return best if best * 4 >= min(wanted, steps) else min(wanted, steps)


def _stair(steps: int) -> int:
    """Return the length of a stair of the learning rate: a hundredth of the training."""
    return max(1, math.ceil(steps / 100))


def check_input(content: Input) -> None:
    """Let DeePMD-kit itself check an input, without loading a backend.

    Raises
    ------
    ConfigError
        DeePMD-kit's own message.
    """
    from deepmd.utils.argcheck import normalize

    try:
        normalize(copy.deepcopy(content))
    except Exception as error:
        raise ConfigError(f"DeePMD-kit refuses the training input: {' '.join(str(error).split())}") from error
