"""GPAW itself and the files of its setups (PAW data sets), found the way GPAW finds them.

GPAW is imported in workers only, whose environment has no trace of MPI: in a rank of an MPI job it would end the job.
Who has to know about it elsewhere asks a process of its own, which is this module run as a script.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from lammps_dpgen.errors import ConfigError, MissingPartError
from lammps_dpgen.execution.environment import clean_environment

#: Seconds for one question; Python packages may take a while on a cold disk.
_TIMEOUT = 120.0

#: GPAW's name of an element's ordinary data set.
PAW = "paw"
#: GPAW's names of what is no PAW data set in a file.
NOT_PAW = frozenset({"ae", "ah", "ghost", "hgh", "hgh.sc", "sg15"})

INSTALL = (
    "install it with 'pip install gpaw', which compiles it and needs libxc and a BLAS (Debian: apt-get install "
    "libxc-dev libopenblas-dev libfftw3-dev), or with 'conda install -c conda-forge gpaw'; see the page of the labeler "
    "gpaw"
)


def import_gpaw() -> Any:
    """Return the module ``gpaw``.

    Raises
    ------
    MissingPartError
        It is not there, or its compiled part cannot be loaded.
    """
    try:
        importlib.import_module("gpaw.cgpaw")
        return importlib.import_module("gpaw")
    except ImportError as error:
        raise MissingPartError(f"labeler gpaw: GPAW cannot be imported ({error}); {INSTALL}") from error


def setup_file_name(element: str, setup: str, xc: str) -> str:
    """Return the name of the file that GPAW reads for an element, such as ``Mg.2.PBE``.

    Raises
    ------
    ConfigError
        GPAW is not there, or does not know the functional.
    """
    import_gpaw()
    name = setup.split(":")[0] or PAW
    try:
        functional = importlib.import_module("gpaw.xc").XC(xc).get_setup_name()
    except Exception as error:  # GPAW and libxc raise all kinds of errors for a name that they do not know
        raise ConfigError(
            f"labeler gpaw: GPAW does not know the functional xc = {xc!r} ({type(error).__name__}: {error}); write one "
            "such as PBE, RPBE or LDA"
        ) from error
    return f"{element}.{functional}" if name == PAW else f"{element}.{name}.{functional}"


@lru_cache(maxsize=256)
def setup_hash(element: str, setup: str, xc: str) -> str:
    """Return the SHA-256 of the content of an element's setup, compressed or not.

    Raises
    ------
    ConfigError
        It is not where GPAW looks for setups, or GPAW is not there.
    """
    file = setup_file_name(element, setup, xc)
    try:
        _, content = importlib.import_module("gpaw.setup_data").search_for_file(file)
    except (OSError, RuntimeError) as error:
        folders = ", ".join(map(str, import_gpaw().setup_paths)) or "no folder"
        raise ConfigError(
            f"labeler gpaw: no setup {file} for {element} (looked into {folders}); correct 'setups' or 'xc', install "
            "the package gpaw-data, or name a folder with setups in GPAW_SETUP_PATH"
        ) from error
    return hashlib.sha256(content).hexdigest()


def ask_setup_hashes(setups: Mapping[str, str], xc: str) -> dict[str, str]:
    """Return what `setup_hash` says of each element, without GPAW in this process.

    Raises
    ------
    ConfigError
        As `setup_hash`; also where GPAW does not survive its import.
    """
    if not setups:
        return {}
    hashes: dict[str, str] = json.loads(_ask(json.dumps({"setups": dict(setups), "xc": xc})))
    return hashes


def missing_gpaw() -> str:
    """Return what to do where GPAW cannot be imported, "" where it can."""
    try:
        _ask(json.dumps({"setups": {}, "xc": ""}))
    except ConfigError as error:
        return str(error)
    return ""


@lru_cache(maxsize=64)
def _ask(request: str) -> str:
    command = [sys.executable, "-m", "lammps_dpgen.labeling.gpaw_setups", request]
    try:
        answer = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=clean_environment(1),
            timeout=_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"labeler gpaw: GPAW could not be asked for its setups: {error}") from error
    if answer.returncode != 0:
        said = answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"]
        message = said[-1] if said[-1].startswith("labeler gpaw") else f"labeler gpaw: {said[-1]}; {INSTALL}"
        raise MissingPartError(message) if INSTALL in message else ConfigError(message)
    return answer.stdout


def main() -> int:
    """Answer one question, given as the only argument, in JSON."""
    request = json.loads(sys.argv[1])
    try:
        import_gpaw()
        hashes = {name: setup_hash(name, setup, request["xc"]) for name, setup in request["setups"].items()}
    except ConfigError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 1
    print(json.dumps(hashes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
