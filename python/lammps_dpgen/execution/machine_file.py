"""Reads a machine.json of DP-GEN's: how dpdispatcher submits the jobs of a step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lammps_dpgen.errors import ConfigError

#: Contexts whose jobs see the files of this machine under the same path; tasks name files by their path.
CONTEXTS = ("local", "lazylocal")


@dataclass(frozen=True)
class MachineSection:
    """``machine`` and ``resources`` of one step, as dpdispatcher takes them."""

    machine: dict[str, Any]
    resources: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @property
    def cores(self) -> int:
        """Cores of a node that a job gets."""
        return max(1, int(self.resources.get("cpu_per_node", 1)))


def read_machine_file(path: Path, step: str) -> MachineSection | None:
    """Return the section of a step, ``fp`` or ``train``; None where the file has none.

    A file that has ``machine`` and ``resources`` themselves, as dpdispatcher's own examples, is for labels.

    Raises
    ------
    ConfigError
        The file cannot be read, is not in DP-GEN's present form, or submits from another machine.
    """
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as a machine.json: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected an object with the sections train and fp, got a {type(data).__name__}")
    section = data.get(step)
    if section is None and step == "fp" and "machine" in data and "resources" in data:
        section = data
    if section is None:
        return None
    if isinstance(section, list):
        section = section[0] if section else {}
    found = [section.get(key) if isinstance(section, Mapping) else None for key in ("machine", "resources")]
    if not all(isinstance(part, Mapping) for part in found):
        raise ConfigError(
            f"{path}: section {step} needs the objects 'machine' and 'resources', as DP-GEN's files have them since "
            "api_version 1.0"
        )
    machine, resources = (dict(part) for part in found if part is not None)
    context = str(machine.get("context_type", "")).lower().removesuffix("context")
    if context not in CONTEXTS:
        raise ConfigError(
            f"{path}: context_type of {step}.machine is {machine.get('context_type')!r}; allowed: LocalContext and "
            "LazyLocalContext, since labels and trainings read files by their path. Run lammps-dpgen on the cluster's "
            "login node or in a job of its own"
        )
    return MachineSection(machine, resources)
