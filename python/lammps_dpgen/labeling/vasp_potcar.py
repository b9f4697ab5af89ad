"""POTCAR files: where they lie, by functional and symbol, and what identifies them. Their content is never shown."""

from __future__ import annotations

import gzip
import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from lammps_dpgen.errors import ConfigError, MissingPartError

#: Folder names of each functional: as pymatgen lays them out, and as VASP delivers them and ASE expects them.
FOLDERS: Mapping[str, tuple[str, ...]] = {
    "PBE": ("POT_GGA_PAW_PBE", "potpaw_PBE"),
    "PBE_52": ("POT_GGA_PAW_PBE_52", "POTPAW_PBE_52", "potpaw_PBE.52"),
    "PBE_54": ("POT_GGA_PAW_PBE_54", "POTPAW_PBE_54", "potpaw_PBE.54"),
    "PBE_64": ("POT_PAW_PBE_64", "potpaw_PBE.64"),
    "LDA": ("POT_LDA_PAW", "potpaw_LDA", "potpaw"),
    "LDA_52": ("POT_LDA_PAW_52", "POTPAW_LDA_52", "potpaw_LDA.52"),
    "LDA_54": ("POT_LDA_PAW_54", "POTPAW_LDA_54", "potpaw_LDA.54"),
    "LDA_64": ("POT_LDA_PAW_64", "potpaw_LDA.64"),
    "PW91": ("POT_GGA_PAW_PW91", "potpaw_GGA"),
}
#: What a POTCAR of a functional says under LEXCH.
EXCHANGE = {"PBE": "PE", "LDA": "CA", "PW91": "91"}


def potcar_folders(own: str | None) -> list[Path]:
    """Return the folders to look in: the user's own, or else those of pymatgen's and of ASE's settings.

    Raises
    ------
    MissingPartError
        None is given, or none exists.
    """
    named = {"potcar_folder": own}
    if own is None:
        named = {"pymatgen's PMG_VASP_PSP_DIR": _pymatgen(), "ASE's VASP_PP_PATH": _ase()}
    given = {word: Path(text).expanduser() for word, text in named.items() if text}
    folders = [path for path in given.values() if path.is_dir()]
    if folders:
        return folders
    if given:
        found = ", ".join(f"{word} ({path})" for word, path in given.items())
        raise MissingPartError(f"labeler vasp: the POTCAR folder does not exist: {found}; correct its path")
    raise MissingPartError(
        "labeler vasp: no POTCAR folder is known. Give 'potcar_folder', or set PMG_VASP_PSP_DIR (environment or "
        "~/.config/.pmgrc.yaml, as for pymatgen) or VASP_PP_PATH (environment, as for ASE). It holds one folder per "
        "functional, such as potpaw_PBE with Al/POTCAR in it"
    )


def find_potcar(symbol: str, functional: str, own: str | None) -> Path:
    """Return the POTCAR file of a symbol such as ``Mg_pv``.

    Raises
    ------
    MissingPartError
        There is no folder, none of the functional, or no such POTCAR: with where it was looked for and what is there.
    """
    roots = potcar_folders(own)
    kinds = [root / name for root in roots for name in FOLDERS[functional] if (root / name).is_dir()]
    if not kinds:
        known = {name for names in FOLDERS.values() for name in names}
        there = sorted(name for name in known if any((root / name).is_dir() for root in roots))
        raise MissingPartError(
            f"labeler vasp: no POTCARs of functional {functional} in {_listed(roots)}: it has no folder "
            f"{' or '.join(FOLDERS[functional])} (but {', '.join(there) or 'none of any functional'}); correct "
            "'functional' or 'potcar_folder'"
        )
    for kind in kinds:
        for path in (kind / symbol / "POTCAR", kind / f"POTCAR.{symbol}"):
            for candidate in (path, path.with_name(path.name + ".gz")):
                if candidate.is_file():
                    return candidate
    element = symbol.split("_")[0]
    near = sorted({name for kind in kinds for name in _symbols(kind) if name.split("_")[0] == element})
    hint = f" (of {element} there are {', '.join(near)})" if near else ""
    raise MissingPartError(
        f"labeler vasp: no POTCAR {symbol!r} of functional {functional} in {_listed(kinds)}{hint}; add it, or name "
        "another one in 'potcars'"
    )


def _listed(paths: list[Path]) -> str:
    return ", ".join(map(str, paths))


def potcar_text(path: Path) -> str:
    """Return the content of a POTCAR, which may be compressed.

    Raises
    ------
    ConfigError
        It cannot be read.
    """
    return _content(path).decode("latin-1")


def potcar_hash(path: Path) -> str:
    """Return the SHA-256 of a POTCAR's content, compressed or not."""
    stat = path.stat()
    return _digest(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=256)
def _digest(path: Path, modified: int, size: int) -> str:
    return hashlib.sha256(_content(path)).hexdigest()


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except (OSError, EOFError) as error:
        raise ConfigError(f"labeler vasp: POTCAR {path} cannot be read: {error}") from error


def _symbols(folder: Path) -> Iterator[str]:
    for path in folder.iterdir():
        name = path.name.removesuffix(".gz")
        if name.startswith("POTCAR."):
            yield name.removeprefix("POTCAR.")
        elif (path / "POTCAR").is_file() or (path / "POTCAR.gz").is_file():
            yield path.name


def _pymatgen() -> str | None:
    if "PMG_VASP_PSP_DIR" in os.environ:
        return os.environ["PMG_VASP_PSP_DIR"]
    from pymatgen.core import SETTINGS

    folder = SETTINGS.get("PMG_VASP_PSP_DIR")
    return None if folder is None else str(folder)


def _ase() -> str | None:
    from ase.config import cfg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a file is preferred to the environment
        folder = cfg.get("VASP_PP_PATH")
    return None if folder is None else str(folder)
