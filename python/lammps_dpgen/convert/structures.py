"""DP-GEN's systems, as sources of structures."""

from __future__ import annotations

import glob
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lammps_dpgen.convert.account import Keys

#: ASE's name for dpdata's formats of structures.
_FORMATS = {
    "vasp/poscar": "vasp",
    "vasp/contcar": "vasp",
    "poscar": "vasp",
    "contcar": "vasp",
    "lammps/lmp": "lammps-data",
    "lmp": "lammps-data",
    "lammps/dump": "lammps-dump-text",
    "vasp/outcar": "vasp-out",
    "vasp/xml": "vasp-xml",
    "gromacs/gro": "gromacs",
    "xyz": "extxyz",
}

_LEFT = {
    "shuffle_poscar": "random sites are a setting of the source, such as composition: {Al: 0.5, Mg: 0.5}",
    "model_devi_nopbc": "cells are periodic; give clusters a cell with vacuum (key 'vacuum' of a source)",
}


@dataclass(frozen=True)
class Systems:
    """The systems of a DP-GEN input.

    Attributes
    ----------
    files
        Files of each system, patterns included, as the campaign is to name them.
    counts
        How many structures each system has; None where no file is here.
    file_format
        ASE's name of the format, None where ASE has to find out.
    """

    files: list[list[str]]
    counts: list[int | None]
    file_format: str | None

    def name(self, number: int) -> str:
        """Return the name of the source that a system becomes."""
        return f"sys-{number:03d}"

    def sources(self, used: Collection[int]) -> list[dict[str, Any]]:
        """Return the section ``structures`` for the systems that are explored."""
        sources = []
        for number in sorted(used):
            source: dict[str, Any] = {"name": self.name(number), "generator": "file", "files": self.files[number]}
            sources.append({**source, "format": self.file_format} if self.file_format else source)
        return sources


def systems(param: Keys, folder: Path) -> Systems:
    """Return the systems; relative files are meant from `folder`."""
    prefix = param.carried("sys_configs_prefix", "structures[].files")
    nested = param.carried("sys_configs", "structures[].files") or []
    dpdata_format = param.get("sys_format", "vasp/poscar")
    known = _FORMATS.get(dpdata_format)
    if known:
        param.carried("sys_format", "structures[].format", f"ASE's name is {known}")
    else:
        param.left("sys_format", f"{dpdata_format!r}: ASE finds out itself; convert the files where it cannot")
    for key, remark in _LEFT.items():
        if param.get(key):
            param.left(key, remark)
        else:
            param.carried(key, "structures", "off here too")
    files = [[_joined(prefix, name) for name in _listed(system)] for system in nested]
    return Systems(files, [_number(names, folder) for names in files], known)


def imports(param: Keys) -> list[str]:
    """Return the labelled data that DP-GEN starts with."""
    prefix = param.changed("init_data_prefix", "lammps-dpgen import", "a command, before the campaign starts")
    names = param.changed("init_data_sys", "lammps-dpgen import", "a command, before the campaign starts") or []
    return [_joined(prefix, name) for name in names]


def _joined(prefix: Any, name: str) -> str:
    return str(Path(prefix) / name) if prefix else str(name)


def _listed(system: Any) -> list[str]:
    return [system] if isinstance(system, str) else [str(name) for name in system]


def _number(patterns: list[str], folder: Path) -> int | None:
    """Return the number of files that DP-GEN finds, None where there are none."""
    return sum(len(glob.glob(str(folder / pattern))) for pattern in patterns) or None
