"""Files of an exploration by DP-GEN: model_devi.out and dumps of LAMMPS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import FloatArray, Frame


def read_model_devi(path: Path) -> FloatArray:
    """Return the rows of a model_devi.out, step first; of several rows of one step the last counts.

    Raises
    ------
    ConfigError
        There is no such table.
    """
    try:
        table = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read as a model_devi.out: {error}") from error
    if table.size and table.shape[1] < 7:
        raise ConfigError(f"{path} has {table.shape[1]} columns; a model_devi.out has 7 or more")
    last = {row[0]: number for number, row in enumerate(table)}
    return np.asarray(table[sorted(last.values())], dtype=np.float64)


def read_dump(path: Path, type_map: Sequence[str]) -> Frame:
    """Return the frame of a LAMMPS dump file, with its atoms wrapped into the cell as DP-GEN has them.

    Raises
    ------
    ConfigError
        It cannot be read.
    """
    import dpdata

    try:
        system = dpdata.System(str(path), fmt="lammps/dump", type_map=list(type_map)).data
        species = tuple(system["atom_names"][kind] for kind in system["atom_types"])
        return Frame(species, np.array(system["coords"][0]), np.array(system["cells"][0]), (True, True, True))
    except Exception as error:  # dpdata's readers raise whatever their parsing meets
        raise ConfigError(f"{path} cannot be read as a LAMMPS dump: {type(error).__name__}: {error}") from error
