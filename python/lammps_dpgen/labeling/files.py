"""Files that a labeler's settings name: found once, and part of the settings' identity by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from lammps_dpgen.part import config_folder as config_folder  # labelers find here all that they need for files


def find_file(name: str, folders: Iterable[Path]) -> Path | None:
    """Return the absolute path of the file `name` in the first of `folders` that has it, or None.

    An absolute name needs no folder.
    """
    candidates = [Path(name)] if Path(name).is_absolute() else [folder / name for folder in folders]
    for path in candidates:
        try:
            if path.is_file():
                return path.resolve()
        except OSError:  # a word too long for a file name, for instance
            continue
    return None


def file_identity(path: Path) -> str:
    """Return ``<file name>:sha256:<digest>``: what a file contributes to a settings hash, wherever it lies."""
    return f"{path.name}:sha256:{file_digest(path)}"


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal digits."""
    stat = path.stat()
    return _digest(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _digest(path: str, modified: int, size: int) -> str:
    """Hash a file again only when its time or size changed."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
