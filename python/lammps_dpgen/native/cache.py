"""Where converted models are kept: one file per model, named by the SHA-256 of the model file that it came from."""

from __future__ import annotations

import os
from pathlib import Path

#: Set to a folder, it is the cache; the core looks at it too.
VARIABLE = "DPGEN_NATIVE_CACHE"


def cache_folder() -> Path:
    """Return ``$DPGEN_NATIVE_CACHE``, else the user's cache folder as the XDG specification says; it may not exist."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "lammps-dpgen" / "native"


def cached_file(model_hash: str) -> Path:
    """Return the path of the converted model of a model file with this SHA-256 (hexadecimal); it may not exist."""
    return cache_folder() / f"{model_hash}.dpgen-native"
