"""What ``lammps-dpgen doctor`` looks at: one function per part of the installation."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from lammps_dpgen import __version__, registry
from lammps_dpgen.cli.finding import Finding, last_line, run_clean
from lammps_dpgen.cli.findings_mpi import launcher, mpi, mpi_of_lammps, others
from lammps_dpgen.deepmd_library import BACKENDS, find_deepmd
from lammps_dpgen.errors import DpgenError
from lammps_dpgen.execution.environment import available_cores

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def examine() -> list[Finding]:
    """Look at every part of the installation; a look that fails is a finding too."""
    findings: list[Finding] = []
    for look in (_python, _compiled, _deepmd, mpi, others, launcher, _lammps, _parts, _potentials, _cores):
        findings += _safely(look)
    return findings


def _safely(look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    part = look.__name__.strip("_")
    try:
        return list(look())
    except DpgenError as error:
        return [Finding(part, "not usable", "problem", str(error))]
    except Exception as error:  # an installation can be broken in any way
        return [Finding(part, f"{type(error).__name__}: {error}", "problem", f"reinstall the package behind '{part}'")]


def _python() -> Iterator[Finding]:
    yield Finding("Python", f"{platform.python_version()} ({sys.executable})")
    yield Finding("lammps-dpgen", f"{__version__} ({Path(__file__).parents[1]})")


def _compiled() -> Iterator[Finding]:
    """Look at the compiled part."""
    if importlib.util.find_spec("lammps_dpgen._core") is None:
        yield Finding("compiled core", "missing", "problem", "install the package with 'pip install .'")
        return
    from lammps_dpgen import _core

    info = _core.build_info()
    yield Finding("compiled core", f"{info['version']}, compiler {info['compiler']}")
    yield Finding("compiled features", ", ".join(info["features"]))


def _deepmd() -> Iterator[Finding]:
    """Look at DeePMD-kit and its backends."""
    installation = find_deepmd()
    yield Finding("DeePMD-kit", f"{installation.version} ({installation.library})")
    usable = [backend.name for backend in installation.backends()]
    if usable:
        yield Finding("DeePMD backends", ", ".join(usable))
    else:
        known = ", ".join(sorted({backend.package for backend in BACKENDS}))
        advice = f"install one of {known}: pip install 'deepmd-kit[cpu,lmp]'"
        yield Finding("DeePMD backends", "none can run", "problem", advice)
    for misfit in installation.misfits():
        wrong, advice = misfit.split("; ")
        yield Finding("DeePMD backends", wrong, "warning", advice)


def _lammps() -> Iterator[Finding]:
    """Look at LAMMPS as a user starts it: version, MPI, and whether it knows the fix."""
    executable = Path(sys.executable).parent / "lmp"
    if not executable.is_file():
        advice = "pip install 'deepmd-kit[cpu,lmp]' mpi4py"
        yield Finding("LAMMPS", "no 'lmp' in this environment", "problem", advice)
        return
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "in.doctor"
        script.write_text("info communication\ninfo styles fix\n")
        result = run_clean([str(executable), "-in", str(script), "-log", "none"])
    match = re.search(r"^LAMMPS \((.+)\)", result.stdout, re.MULTILINE)
    if match is None:
        advice = f"run '{executable} -h' and mend what it says"
        yield Finding("LAMMPS", last_line(result.stderr) or "does not start", "problem", advice)
        return
    version = match.group(1)
    yield Finding("LAMMPS", f"{version} ({executable})")
    yield from _built_for(version)
    yield from mpi_of_lammps(result.stdout)
    yield _fix_in_lammps(result.stdout)


def _fix_in_lammps(output: str) -> Finding:
    """Look for the fix in LAMMPS' list of fix styles, and for what LAMMPS said about the plugin."""
    if "dpgen" in output.partition("Fix styles:")[2].split():
        return Finding("fix dpgen", "known to LAMMPS without a 'plugin load' line")
    said = next((line for line in output.splitlines() if "dpgenplugin" in line), "LAMMPS found no plugin of it")
    return Finding("fix dpgen", f"not known to LAMMPS: {said}", "problem", "reinstall the package with 'pip install .'")


def _built_for(running: str) -> Iterator[Finding]:
    from lammps_dpgen import _core

    built = str(_core.build_info()["lammps_version"])
    if lammps_date(built) == lammps_date(running):
        yield Finding("plugin built for LAMMPS", built)
    else:
        advice = "rebuild lammps-dpgen in this environment: pip install --force-reinstall --no-deps lammps-dpgen"
        yield Finding("plugin built for LAMMPS", f"{built}, but {running} is running", "problem", advice)


def _parts() -> Iterator[Finding]:
    """Look at labelers, trainers and structure generators: each must be importable."""
    for group, singular in registry.WORDS.items():
        word, usable = "properties" if singular == "property" else f"{singular}s", []
        for name in registry.registered(group):
            try:
                part = registry.load(group, name)
            except DpgenError as error:
                yield Finding(word, name, "problem", f"{error}; mend or uninstall the package that brings it")
                continue
            # A part may need a program that nobody else does; without it, nothing else is worse.
            missing = part.missing() if hasattr(part, "missing") else ""
            if missing:
                yield Finding(word, f"{name} cannot be used", "ok", f"if you want it: {missing}")
            else:
                usable.append(name)
        if usable:
            yield Finding(word, ", ".join(usable))
        else:
            yield Finding(word, "none", "problem", "reinstall lammps-dpgen with 'pip install .'")


def _potentials() -> Iterator[Finding]:
    """Look for the potential files that LAMMPS brings."""
    from lammps_dpgen.labeling.lammps_library import potential_folders

    folders = potential_folders()
    if folders:
        yield Finding("potentials", ", ".join(str(folder) for folder in folders))
    else:
        advice = "name a folder with potential files in LAMMPS_POTENTIALS if labels come from LAMMPS"
        yield Finding("potentials", "no folder", "warning", advice)


def _cores() -> Iterator[Finding]:
    usable, total = available_cores(), os.cpu_count() or 1
    if usable == total:
        yield Finding("cores", str(usable))
    else:
        advice = "labels and trainings get these; bind ranks less tightly if there should be more"
        yield Finding("cores", f"{usable} of {total}", "ok", advice)


def lammps_date(version: str) -> tuple[int, int, int] | None:
    """Return year, month and day of a LAMMPS version such as "22 Jul 2025", "22Jul2025" or "20250722"."""
    match = re.search(r"(\d{1,2}) ?([A-Z][a-z]{2})[a-z]* ?(\d{4})", version)
    if match and match.group(2) in _MONTHS:
        return int(match.group(3)), _MONTHS.index(match.group(2)) + 1, int(match.group(1))
    match = re.search(r"\b(\d{4})(\d{2})(\d{2})\b", version)
    return None if match is None else (int(match.group(1)), int(match.group(2)), int(match.group(3)))
