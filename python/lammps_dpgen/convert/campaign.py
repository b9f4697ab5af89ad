"""A DP-GEN input as a campaign: the sections of campaign.yaml, the account of all keys, and what is left to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lammps_dpgen.convert.account import Account, Keys
from lammps_dpgen.convert.labels import labeler, selection
from lammps_dpgen.convert.machine import fp_machine
from lammps_dpgen.convert.stages import Script, stages
from lammps_dpgen.convert.structures import imports, systems
from lammps_dpgen.convert.template import adapted
from lammps_dpgen.convert.training import trainer
from lammps_dpgen.errors import ConfigError

_REQUIRED: Mapping[str, type | tuple[type, ...]] = {
    "type_map": list,
    "sys_configs": list,
    "model_devi_jobs": list,
    "default_training_param": (dict, list),
    "model_devi_dt": (int, float),
    "model_devi_f_trust_lo": (int, float, list, dict),
    "model_devi_f_trust_hi": (int, float, list, dict),
    "fp_style": str,
}


@dataclass(frozen=True)
class Conversion:
    """What a DP-GEN input became.

    Attributes
    ----------
    sections
        Content of campaign.yaml, in the order of the file.
    account
        What became of every key.
    imports
        Labelled data that DP-GEN starts with, for ``lammps-dpgen import``.
    todo
        What the user has to complete.
    scripts
        LAMMPS scripts that belong beside campaign.yaml, by file name.
    """

    sections: dict[str, Any]
    account: Account
    imports: list[str]
    todo: list[str]
    scripts: dict[str, str]


#: What to do where DP-GEN reached its cluster through the network.
_REMOTE = (
    "labels run where the campaign runs. For jobs of a scheduler begin the campaign on the cluster, and add 'engine: "
    "dpdispatcher' with a machine.json whose context_type is LocalContext, or 'engine: parsl'; see docs/execution.md"
)


def convert(
    param: Mapping[str, Any], machine: Mapping[str, Any] | None, folder: Path, machine_file: str = "machine.json"
) -> Conversion:
    """Return a campaign that explores, labels and trains as a DP-GEN input says.

    Parameters
    ----------
    param, machine
        Content of param.json and machine.json.
    folder
        Where relative paths in them are meant from.
    machine_file
        Path of machine.json, as the campaign shall name it.

    Raises
    ------
    ConfigError
        A key without which there is no campaign is missing or of the wrong kind.
    """
    _check(param)
    account = Account()
    keys = Keys(param, account)
    computer = fp_machine(machine, account)
    sections: dict[str, Any] = {"run_folder": "run"}
    sections["type_map"] = keys.carried("type_map", "type_map")
    sections["models"] = keys.carried("numb_models", "models") or 4
    sections["labeler"], todo = labeler(keys, computer.command, computer.threads, folder)
    sections["trainer"] = trainer(keys, account)
    if computer.jobs:
        sections["execution"] = {"engine": "dpdispatcher", "machine": machine_file}
    elif computer.remote:
        todo.append(f"execution: {_REMOTE}")
    known_systems = systems(keys, folder)
    labelled = imports(keys)
    explored, used = stages(keys, param, known_systems, account)
    sections["structures"] = known_systems.sources(used)
    if labelled:
        sections["initial_structures"] = []
    sections["selection"], converged = selection(keys)
    if converged:
        sections["converged"] = converged
    sections["stages"] = explored
    missing = [known_systems.name(number) for number in sorted(used) if known_systems.counts[number] is None]
    if missing:
        todo.append(f"structures, trajectories: no files found for {_shortened(missing)}; counted as one per pattern")
    scripts, absent = _scripts(explored, folder)
    keys.unknown("no key of DP-GEN 0.14 that this converter knows")
    return Conversion(sections, account, labelled, todo + absent, scripts)


def read_input(path: Path) -> dict[str, Any]:
    """Return the content of a DP-GEN input, JSON or YAML.

    Raises
    ------
    ConfigError
        It cannot be read, or holds no keys.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else json.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give DP-GEN's param.json") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as a DP-GEN input: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} holds no keys and values; give DP-GEN's param.json")
    return content


def _scripts(stages: list[dict[str, Any]], folder: Path) -> tuple[dict[str, str], list[str]]:
    """Name adapted scripts in the stages; return them by file name, and what is missing."""
    scripts: dict[str, str] = {}
    absent = []
    for stage in stages:
        script = stage.get("file")
        if not isinstance(script, Script):
            continue
        path = folder / script.path
        if path.is_file():
            text = adapted(path.read_text(encoding="utf-8"), script.variables)
            same = [name for name, other in scripts.items() if other == text]
            stage["file"] = same[0] if same else f"{path.stem}.{stage['name']}.lammps"
            scripts[stage["file"]] = text
        else:
            stage["file"] = script.path
            absent.append(f"stages: the template {script.path} is not here; convert again where it is, or adapt it")
    return scripts, absent


def _check(param: Mapping[str, Any]) -> None:
    if param.get("model_devi_engine") not in (None, "lammps"):
        raise ConfigError(
            f"model_devi_engine is {param['model_devi_engine']!r}: lammps-dpgen explores with LAMMPS, so nothing of "
            "this input can be converted. A search of your own can be a sampler"
        )
    missing = [key for key in _REQUIRED if key not in param]
    if missing:
        raise ConfigError(
            f"the input lacks {', '.join(missing)}; DP-GEN's 'run' needs them too. Is it another's input?"
        )
    for key, kinds in _REQUIRED.items():
        if not isinstance(param[key], kinds):
            raise ConfigError(f"{key} is {param[key]!r}, which DP-GEN does not take; correct the input")


def _shortened(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 6 else f"{names[0]} to {names[-1]}"
