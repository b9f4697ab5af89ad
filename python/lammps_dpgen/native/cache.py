"""Where converted models are: one file per model, named by the SHA-256 of the model file that it came from.

A learning run keeps them beside its models, everybody else in a cache. The name tells whose weights they are, so that
those of another model are never taken.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from lammps_dpgen.errors import ModelError
from lammps_dpgen.native.model_file import MAGIC

#: Set to a folder, it is the cache; the core looks at it too.
VARIABLE = "DPGEN_NATIVE_CACHE"
#: Of a converted model, after the hash.
SUFFIX = ".dpgen-native"
#: After that: a text that says why there is no converted model.
REFUSED = "-refused"


def cache_folder() -> Path:
    """Return ``$DPGEN_NATIVE_CACHE``, else the user's cache folder as the XDG specification says; it may not exist."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "lammps-dpgen" / "native"


def cached_file(model_hash: str) -> Path:
    """Return the path of the converted model of a model file with this SHA-256 (hexadecimal); it may not exist."""
    return cache_folder() / f"{model_hash}{SUFFIX}"


def file_beside(model: Path) -> Path:
    """Return where the converted model lies that is kept beside a model file (not beside a link); it may not exist.

    Raises
    ------
    ModelError
        The model file cannot be read.
    """
    real = model.resolve()
    return real.parent / f"{hash_of(real)}{SUFFIX}"


def converted_file(model: Path) -> Path | None:
    """Return the converted model of a model file, beside it or in the cache; None: there is none of this version."""
    beside = file_beside(model)
    cached = cached_file(beside.name.removesuffix(SUFFIX))
    return next((file for file in (beside, cached) if is_current(file)), None)


def is_current(converted: Path) -> bool:
    """Tell whether a file is there and of the form that this version reads."""
    try:
        with converted.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def note_refusal(converted: Path, why: str) -> None:
    """Say, where a converted model would be, why there is none.

    Raises
    ------
    OSError
        It cannot be written.
    """
    converted.parent.mkdir(parents=True, exist_ok=True)
    converted.with_name(converted.name + REFUSED).write_text(" ".join(why.split()) + "\n", encoding="utf-8")


def was_refused(model: Path) -> bool:
    """Tell whether a conversion has been tried and did not come about."""
    beside = file_beside(model)
    cached = cached_file(beside.name.removesuffix(SUFFIX))
    return any(file.with_name(file.name + REFUSED).is_file() for file in (beside, cached))


def copy_beside(source: Path, target: Path) -> None:
    """Copy what is kept beside one model file to beside another one of the same content, as far as there is anything.

    Raises
    ------
    OSError
        It cannot be copied.
    """
    converted = file_beside(source)
    for file in (converted, converted.with_name(converted.name + REFUSED)):
        copy = target.parent / file.name
        if not file.is_file() or copy.is_file():
            continue
        fresh = copy.with_name(copy.name + ".new")
        shutil.copyfile(file, fresh)
        os.replace(fresh, copy)


def hash_of(model: Path) -> str:
    """Return the SHA-256 of a model file.

    Raises
    ------
    ModelError
        It cannot be read.
    """
    try:
        return hashlib.sha256(model.read_bytes()).hexdigest()
    except OSError as error:
        raise ModelError(f"model file '{model}' cannot be read: {error.strerror}") from error
