"""How DP-GEN trains, as the trainer ``deepmd``."""

from __future__ import annotations

import copy
from typing import Any

from lammps_dpgen.convert.account import Account, Keys

_OWN_WAY = "the campaign does it in its own way; nothing to do"
_REUSE = (
    "training_reuse_old_ratio",
    "training_reuse_start_lr",
    "training_reuse_start_pref_e",
    "training_reuse_start_pref_f",
)

_LEFT = {
    "training_iter0_model_path": "checkpoints cannot begin a campaign; give frozen models with initial_models",
    "training_init_frozen_model": "to go on from frozen models, name them in initial_models: they are generation 0",
    "training_finetune_model": "generation 0 is trained from scratch, or given with initial_models",
    "model_devi_activation_func": "models of an ensemble differ by their seeds only",
    "srtab_file_path": "write model.use_srtab, with an absolute path, into trainer.settings.input",
    "one_h5": f"data are deepmd/npy folders; {_OWN_WAY}",
    "dp_train_skip_neighbor_stat": f"neighbours are counted where 'sel' asks for it, and once; {_OWN_WAY}",
}

#: Keys of a training input that are set anew for each training.
_SET_EACH_TIME = "set for each training"


def trainer(param: Keys, account: Account) -> dict[str, Any]:
    """Return the section ``trainer``."""
    settings: dict[str, Any] = {}
    backend = param.get("train_backend", "tensorflow")
    if backend in ("tensorflow", "pytorch"):
        if param.carried("train_backend", "trainer.settings.backend") is not None:
            settings["backend"] = backend
    else:
        param.left(
            "train_backend", f"{backend!r}: the trainer 'deepmd' has tensorflow and pytorch; tensorflow is taken"
        )
    usual = {"tensorflow": "pb", "pytorch": "pth"}.get(backend)
    if param.get("model_format", usual) == usual:
        param.carried("model_format", "trainer.settings.backend", "it follows from the backend")
    else:
        param.left("model_format", "models are .pb (tensorflow) or .pth (pytorch)")
    if param.changed("mlp_engine", "trainer.name", "the trainer is deepmd") not in (None, "dp"):
        param.left("mlp_engine", "the trainer is deepmd")
    param.left_all(_LEFT)
    content = param.get("default_training_param")
    if isinstance(content, list):
        param.changed("default_training_param", "trainer.settings.input", "all models have the first one's input")
        content = content[0]
    else:
        param.carried("default_training_param", "trainer.settings.input")
    if isinstance(content, dict):
        settings["input"] = training_input(content, account)
        settings["input"]["training"].setdefault("training_data", {})["batch_size"] = _batch_size(param, content)
    settings["warm_start"] = _warm_start(param)
    if param.carried("dp_compress", "trainer.settings.compress"):
        settings["compress"] = True
    return {"name": "deepmd", "settings": settings}


def training_input(given: dict[str, Any], account: Account) -> dict[str, Any]:
    """Return a training input with the keys of DeePMD-kit 2 and 3, without what is set for each training."""
    content: dict[str, Any] = _without_comments(copy.deepcopy(given))
    training = Keys(content.get("training", {}), account, "default_training_param.training.")
    content["training"] = section = dict(content.get("training", {}))
    for key in ("disp_file", "disp_freq", "save_freq", "save_ckpt", "seed", "set_prefix", "systems", "numb_test"):
        if key in section:
            training.left(key, _SET_EACH_TIME)
            del section[key]
    if "stop_batch" in section:
        training.changed("stop_batch", "trainer.settings.input.training.numb_steps", "its name since DeePMD-kit 2")
        section["numb_steps"] = section.pop("stop_batch")
    data = section.get("training_data")
    if isinstance(data, dict):
        section["training_data"] = {
            key: data[key] for key in data if key not in ("systems", "set_prefix", "batch_size")
        }
    section.pop("batch_size", None)
    _stop_rate(content, section, account)
    for part in ("descriptor", "fitting_net", "type_embedding"):
        if isinstance(content.get("model", {}).get(part), dict):
            content["model"][part].pop("seed", None)
    return content


def _stop_rate(content: dict[str, Any], training: dict[str, Any], account: Account) -> None:
    """Replace the decay rate of DeePMD-kit 1 by the last learning rate that it leads to."""
    rate = content.get("learning_rate")
    if not isinstance(rate, dict) or "decay_rate" not in rate or "stop_lr" in rate:
        return
    keys = Keys(rate, account, "default_training_param.learning_rate.")
    keys.changed("decay_rate", "trainer.settings.input.learning_rate.stop_lr", "the rate that it leads to")
    decay = rate.pop("decay_rate")
    stairs = float(training.get("numb_steps", 1)) / float(rate.get("decay_steps", 5000))
    rate["stop_lr"] = float(f"{rate.get('start_lr', 1e-3) * decay**stairs:.6g}")


def _batch_size(param: Keys, content: dict[str, Any]) -> int | str:
    """Return the batch size of all systems; DP-GEN has one for each."""
    sizes = []
    target = "trainer.settings.input.training.training_data.batch_size"
    for key in ("init_batch_size", "sys_batch_size"):
        value = param.get(key)
        sizes += value if isinstance(value, list) else [value] * (value is not None)
    remark = "one size for all data: DP-GEN's where it has one only, else auto (frames of 32 atoms or more)"
    for key in ("init_batch_size", "sys_batch_size"):
        param.changed(key, target, remark)
    training = content.get("training", {})
    own = training.get("training_data", {}).get("batch_size", training.get("batch_size"))
    if isinstance(own, str) and own.startswith("mixed"):
        return "auto"
    alike = {str(size) for size in sizes}
    return sizes[0] if len(alike) == 1 else "auto"


def _warm_start(param: Keys) -> dict[str, Any]:
    """Return the section ``warm_start``: what DP-GEN calls reuse."""
    place = "trainer.settings.warm_start."
    settings: dict[str, Any] = {"training_reuse_iter": None}
    begin = param.carried("training_reuse_iter", f"{place}training_reuse_iter")
    own_weights = param.carried("training_init_model", f"{place}training_init_model")
    if begin is not None:
        settings = {"training_reuse_iter": max(1, int(begin)), "training_init_model": True}
    elif own_weights:
        # Without reuse DP-GEN continues the weights but prefers no data: shares by numbers of frames.
        settings = {"training_reuse_iter": 1, "training_init_model": True, "training_reuse_old_ratio": "auto:1"}
    steps = param.first("training_reuse_numb_steps", "training_reuse_stop_batch")
    values = {key: param.carried(key, f"{place}{key}") for key in _REUSE}
    values["training_reuse_numb_steps"] = param.carried(steps, f"{place}training_reuse_numb_steps")
    if begin is not None:
        settings.update({key: value for key, value in values.items() if value is not None})
    return settings


def _without_comments(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_comments(inner) for key, inner in value.items() if not key.startswith("_")}
    return value
