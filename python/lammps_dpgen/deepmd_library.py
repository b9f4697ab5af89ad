"""Finds DeePMD-kit's C library and the framework libraries under it without importing any of them into Python.

Importing TensorFlow takes seconds; the core needs the C library alone. Its backends are opened by name (``dlopen``) and
need libraries that lie in other packages, where the dynamic linker does not look. Loading these by path first lets the
linker take them from memory.
"""

from __future__ import annotations

import configparser
import ctypes
import importlib.metadata
import importlib.util
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lammps_dpgen.errors import InstallationError


@dataclass(frozen=True)
class Backend:
    """A framework that DeePMD-kit can run models with.

    Attributes
    ----------
    name
        As DeePMD-kit calls it.
    package
        Python package that brings it.
    plugin
        Library of DeePMD-kit that opens it.
    suffixes
        Of its model files.
    libraries
        Files of the package to load beforehand, in order.
    version_key
        Where DeePMD-kit notes the version of the framework that it was built for.
    """

    name: str
    package: str
    plugin: str
    suffixes: tuple[str, ...]
    libraries: tuple[str, ...]
    version_key: str

    @property
    def folder(self) -> Path | None:
        """Folder of the package, None if it is not installed."""
        return _package_folder(self.package)


_TENSORFLOW = ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2")

BACKENDS = (
    Backend("tensorflow", "tensorflow", "libdeepmd_backend_tf.so", (".pb",), _TENSORFLOW, "tf_version"),
    Backend("pytorch", "torch", "libdeepmd_backend_pt.so", (".pth",), ("lib/libtorch.so",), "pt_version"),
    Backend("jax", "tensorflow", "libdeepmd_backend_jax.so", (".savedmodel",), _TENSORFLOW, "tf_version"),
)


@dataclass(frozen=True)
class DeepmdInstallation:
    """Where DeePMD-kit is: `library` is libdeepmd_c.so, `version` of the Python package."""

    library: Path
    version: str

    def backends(self) -> list[Backend]:
        """Return the backends that can run here: DeePMD-kit has the plugin, its framework is there in that version."""
        return [backend for backend in self._installed() if self._misfit(backend) is None]

    def misfits(self) -> list[str]:
        """Return what is wrong with frameworks that are installed in another version than DeePMD-kit was built for."""
        return [misfit for misfit in map(self._misfit, self._installed()) if misfit is not None]

    def _installed(self) -> list[Backend]:
        return [b for b in BACKENDS if (self.library.parent / b.plugin).is_file() and b.folder is not None]

    def _misfit(self, backend: Backend) -> str | None:
        built_for = self._built_for().get(backend.version_key)
        if not built_for:
            return None
        found = _version(backend.package)
        if found is None or found.split(".")[:2] == built_for.split(".")[:2]:
            return None
        return (
            f"DeePMD-kit {self.version} was built for {backend.package} {built_for}, {found} is installed; "
            f"pip install {backend.package}=={built_for}"
        )

    def _built_for(self) -> Mapping[str, str]:
        """Return the versions of the frameworks, as DeePMD-kit notes them when it is built."""
        notes = configparser.ConfigParser()
        notes.read(self.library.parent / "run_config.ini", encoding="utf-8")
        return dict(notes["CONFIG"]) if notes.has_section("CONFIG") else {}


def find_deepmd() -> DeepmdInstallation:
    """Return the installed DeePMD-kit.

    Raises
    ------
    InstallationError
        There is none in this Python environment, or it has no C library.
    """
    folder = _package_folder("deepmd")
    if folder is None:
        raise InstallationError("DeePMD-kit is not installed in this environment; pip install 'deepmd-kit[cpu,lmp]'")
    library = folder / "lib" / "libdeepmd_c.so"
    if not library.is_file():
        raise InstallationError(f"DeePMD-kit in {folder} has no {library.name}; pip install 'deepmd-kit[cpu,lmp]'")
    return DeepmdInstallation(library, importlib.metadata.version("deepmd-kit"))


def preload_frameworks(models: Iterable[Path]) -> list[str]:
    """Load the framework libraries that these model files need; return where the core looks for the C library.

    Files of other kinds than DeePMD-kit's need none. A framework that is not installed is left out: DeePMD-kit then
    says so itself when it opens the model.
    """
    suffixes = {model.suffix for model in models}
    wanted = [backend for backend in BACKENDS if suffixes & set(backend.suffixes)]
    if not wanted:
        return []
    installation = find_deepmd()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for backend in wanted:
        for name in backend.libraries if backend.folder else ():
            library = Path(str(backend.folder)) / name
            try:
                ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
            except OSError as error:
                raise InstallationError(
                    f"the {backend.name} library {library} cannot be loaded: {error}; reinstall {backend.package}"
                ) from error
    return [str(installation.library)]


def _version(package: str) -> str | None:
    """Return the version of a framework, under whichever name its package goes; None where it goes under another."""
    for name in (package, f"{package}-cpu"):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _package_folder(name: str) -> Path | None:
    """Return the folder of an installed package; it is not imported."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])
