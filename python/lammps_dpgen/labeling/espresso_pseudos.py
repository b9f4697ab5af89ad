"""Pseudopotential files of Quantum ESPRESSO: where they lie, what their headers say, and what identifies them."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ase.units import Rydberg

from lammps_dpgen.errors import ConfigError, MissingPartError
from lammps_dpgen.labeling.files import file_digest

#: Suffixes of the formats that pw.x reads, without regard to capitals.
SUFFIXES = (".upf", ".gth", ".psml", ".xml", ".rrkj3", ".vdb", ".van", ".pz-mt")
#: One name for a functional that headers write in several ways; the words are Quantum ESPRESSO's own.
FUNCTIONALS: Mapping[str, str] = {
    "SLA PW PBE PBE": "PBE",
    "SLA PW PBX PBC": "PBE",
    "SLA PW PSX PSC": "PBESOL",
    "SLA PW RPB PBC": "REVPBE",
    "SLA PW RPBE PBE": "REVPBE",
    "SLA PZ NOGX NOGC": "PZ",
    "SLA PZ": "PZ",
    "LDA": "PZ",
    "SLA PW NOGX NOGC": "PW",
    "SLA PW": "PW",
    "B88 P86": "BP",
    "SLA LYP B88 BLYP": "BLYP",
    "PBEX PBEC": "PBE",
}


@dataclass(frozen=True)
class Header:
    """What a pseudopotential says about itself; what it does not say is "" or 0.

    Attributes
    ----------
    element
        Chemical symbol.
    functional
        By the name that `functional_name` gives.
    valence
        Number of electrons.
    augmented
        Whether it is ultrasoft or PAW, whose density needs more than four times the cut-off.
    cutoff, density_cutoff
        Recommended cut-offs in eV.
    """

    element: str = ""
    functional: str = ""
    valence: float = 0.0
    augmented: bool = False
    cutoff: float = 0.0
    density_cutoff: float = 0.0


def functional_name(words: str) -> str:
    """Return one name for the ways in which Quantum ESPRESSO's files write a functional."""
    plain = " ".join(re.split(r"[\s+\-]+", words.strip().upper()))
    return FUNCTIONALS.get(plain, plain)


def pseudo_folders(own: str | None) -> list[Path]:
    """Return the folders to look in: the user's own, or else those of Quantum ESPRESSO's and of ASE's settings.

    Raises
    ------
    MissingPartError
        None is given, or none exists.
    """
    named = {"pseudo_folder": own}
    if own is None:
        named = {"ESPRESSO_PSEUDO": os.environ.get("ESPRESSO_PSEUDO"), "ASE's pseudo_dir": _ase()}
    given = {word: Path(text).expanduser() for word, text in named.items() if text}
    folders = [path for path in given.values() if path.is_dir()]
    if folders:
        return folders
    if given:
        found = ", ".join(f"{word} ({path})" for word, path in given.items())
        raise MissingPartError(
            f"labeler espresso: the folder of pseudopotentials does not exist: {found}; correct its path"
        )
    raise MissingPartError(
        "labeler espresso: no folder of pseudopotentials is known. Give 'pseudo_folder', or set ESPRESSO_PSEUDO "
        "(environment), or pseudo_dir in the section [espresso] of ASE's configuration file. It holds files such as "
        "Al.pbe-n-kjpaw_psl.1.0.0.UPF"
    )


def find_pseudo(element: str, name: str | None, own: str | None) -> Path:
    """Return the pseudopotential file of an element: the named one, or the only one whose name begins with the symbol.

    Raises
    ------
    MissingPartError
        There is no folder, no such file, or several to choose from: with where it was looked for and what is there.
    """
    folders = pseudo_folders(own)
    where = ", ".join(map(str, folders))
    fitting = sorted({path for folder in folders for path in _of_element(folder, element)})
    if name is not None:
        for path in [Path(name)] if Path(name).is_absolute() else [folder / name for folder in folders]:
            if path.is_file():
                return path.absolute()
        there = f" (of {element} there are {', '.join(path.name for path in fitting)})" if fitting else ""
        raise MissingPartError(
            f"labeler espresso: no pseudopotential {name!r} in {where}{there}; add it, or name another file in "
            "'pseudopotentials'"
        )
    if len(fitting) == 1:
        return fitting[0].absolute()
    if not fitting:
        raise MissingPartError(
            f"labeler espresso: no pseudopotential of {element} in {where}: no file {element}.* or {element}_* with a "
            f"suffix that pw.x reads ({', '.join(SUFFIXES[:3])} ...); add one, or name it in 'pseudopotentials'"
        )
    raise MissingPartError(
        f"labeler espresso: {where} has {len(fitting)} pseudopotentials of {element} "
        f"({', '.join(path.name for path in fitting)}); name the one to take in 'pseudopotentials'"
    )


def read_header(path: Path) -> Header:
    """Return what the header of a pseudopotential file says; a format without a header that is known says nothing.

    Raises
    ------
    ConfigError
        The file cannot be read, is empty, or of a format for which pw.x has no right stress.
    """
    if path.suffix.lower() == ".gth":
        # Seen with pw.x 6.7, against finite differences of its own energy and the same potential in the UPF format.
        raise ConfigError(
            f"labeler espresso: {path} is in ABINIT's format; energy and forces of pw.x are right with it, but not the "
            "stress, by some kbar. Take a UPF file; a script beside the example of this labeler writes one from CP2K's "
            "parameters of the same potential"
        )
    stat = path.stat()
    return _header(path, stat.st_mtime_ns, stat.st_size)


def pseudo_hash(path: Path) -> str:
    """Return the SHA-256 of a pseudopotential's content."""
    return file_digest(path)


@lru_cache(maxsize=256)
def _header(path: Path, modified: int, size: int) -> Header:
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise ConfigError(f"labeler espresso: pseudopotential {path} cannot be read: {error}") from error
    if not text.strip():
        raise ConfigError(f"labeler espresso: pseudopotential {path} is empty")
    try:
        if match := re.search(r"<PP_HEADER\b([^>]*?)/?>", text, re.DOTALL):
            attributes = dict(re.findall(r"(\w+)\s*=\s*[\"']([^\"']*)[\"']", match[1]))
            return _upf_2(attributes) if attributes else _upf_1(text[match.end() :])
    except (ValueError, IndexError, KeyError) as error:
        raise ConfigError(
            f"labeler espresso: the header of pseudopotential {path} cannot be read ({type(error).__name__}: {error}); "
            "is the file complete?"
        ) from error
    return Header()


def _upf_2(attributes: Mapping[str, str]) -> Header:
    kind = attributes.get("pseudo_type", "").strip().upper()
    return Header(
        element=attributes["element"].strip(),
        functional=functional_name(attributes.get("functional", "")),
        valence=_number(attributes["z_valence"]),
        augmented=kind in ("US", "USPP", "PAW"),
        cutoff=_number(attributes.get("wfc_cutoff", "0")) * Rydberg,
        density_cutoff=_number(attributes.get("rho_cutoff", "0")) * Rydberg,
    )


def _upf_1(text: str) -> Header:
    """Read the header of a UPF file of version 1: a value and its name on each line."""
    lines = [line.strip() for line in text.split("</PP_HEADER>")[0].splitlines() if line.strip()]
    named = {word: line for line in lines for word in _UPF_1_NAMES if word in line}
    cutoffs = named.get("Suggested cutoff", "0 0").split()
    functional = named["Exchange-Correlation"].split("Exchange-Correlation")[0].split()
    return Header(
        element=named["Element"].split()[0],
        functional=functional_name(" ".join(functional[:4])),
        valence=_number(named["Z valence"].split()[0]),
        augmented=any(line.split()[0] in ("US", "PAW") for line in lines),
        cutoff=_number(cutoffs[0]) * Rydberg,
        density_cutoff=_number(cutoffs[1]) * Rydberg,
    )


_UPF_1_NAMES = ("Element", "Exchange-Correlation", "Z valence", "Suggested cutoff")


def _number(text: str) -> float:
    """Read a number as Fortran writes it, with D for the exponent too."""
    return float(text.strip().upper().replace("D", "E"))


def _of_element(folder: Path, element: str) -> Iterator[Path]:
    """Yield the files of a folder whose names begin with the symbol, such as Al.pbe-n.UPF or al_pbe_v1.upf."""
    for path in folder.iterdir():
        first = re.split(r"[._-]", path.name)[0]
        if first.lower() == element.lower() and path.name.lower().endswith(SUFFIXES) and path.is_file():
            yield path


def _ase() -> str | None:
    from ase.config import cfg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the configuration file's taste
        if "espresso" not in cfg.parser:
            return None
        folder = cfg.parser["espresso"].get("pseudo_dir")
    return None if folder is None else str(folder)
