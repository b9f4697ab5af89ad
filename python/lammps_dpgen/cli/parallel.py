"""One program on several MPI ranks: wrong launchers are found, and an error on one rank ends all of them."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lammps_dpgen.cli.main import exit_code, how_it_ended
from lammps_dpgen.errors import ConfigError, DpgenError, InstallationError

if TYPE_CHECKING:
    from mpi4py import MPI

#: Variables in which launchers tell each process how many there are.
SIZE_VARIABLES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "PALS_SIZE", "SLURM_STEP_NUM_TASKS")

#: Variables in which launchers tell each process its number.
RANK_VARIABLES = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "PALS_RANKID", "SLURM_PROCID")

#: Seconds within which an error that concerns all ranks has reached all of them.
AGREEMENT_TIME = 5.0


def check_job(size: int, library: str, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse ranks that do not form one job: each would do all of the work, and write the same files.

    Parameters
    ----------
    size
        Size of the MPI world that this process sees.
    library
        Name and version of the MPI library in use.

    Raises
    ------
    InstallationError
        The launcher started several processes, but each is alone in its world.
    """
    if size > 1:
        return
    name, started = launched(environment)
    if started > 1:
        raise InstallationError(
            f"the launcher started {started} processes ({name}), but each is alone in its MPI world. "
            f"{cure(name, started, library)}"
        )


def refuse_launcher(command: str) -> None:
    """Refuse to run a command that starts its own worker processes under a launcher of several.

    Raises
    ------
    ConfigError
        There are several processes: each would do all of the work.
    """
    if launched(os.environ)[1] > 1:
        raise ConfigError(
            f"{command} starts its own worker processes; run it without mpirun: lammps-dpgen {command} ..."
        )


def launched(environment: Mapping[str, str]) -> tuple[str, int]:
    """Return how many processes the launcher started, 1 without one, and the variable that says so."""
    found = ((name, environment.get(name, "")) for name in SIZE_VARIABLES)
    return max(((name, int(text)) for name, text in found if text.isdigit()), key=lambda item: item[1], default=("", 1))


def cure(variable: str, number: int, library: str) -> str:
    """Return what to do where `number` processes, told by a variable of their launcher, are alone in their worlds."""
    own = f"{own_mpirun()} -n {number} lammps-dpgen ..."
    if variable.startswith("SLURM"):
        return (
            f"srun must offer a PMI that the MPI in use speaks ({library}): start them with 'srun --mpi=pmi2 "
            f"lammps-dpgen ...' ('srun --mpi=list' shows what this Slurm has), or within the job with {own}"
        )
    other = f"The launcher belongs to another MPI than the one in use, {library}, which LAMMPS was built with"
    return f"{other}. Start them with {own}"


def own_mpirun() -> str:
    """Return the ``mpirun`` that belongs to this Python environment, or what to install."""
    path = Path(sys.executable).parent / "mpirun"
    return str(path) if path.is_file() else "the mpirun of that MPI ('pip install mpich' brings one here)"


def run_on_ranks(work: Callable[[MPI.Comm], int], *, debug: bool) -> int:
    """Run `work` on all ranks of the world and return its exit code; no rank is left hanging by an error of another.

    An error that all ranks raise is told once, by rank 0. An error on some ranks is told by each of them, with its
    rank, and the job is aborted.
    """
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    try:
        check_job(world.size, " ".join(MPI.Get_library_version().split("\n")[0].strip("\0").split()))
        return work(world)
    except BaseException as error:
        everywhere = _all_ranks_arrive(world)
        if not everywhere or world.rank == 0:
            place = f" (rank {world.rank})" if world.size > 1 and not everywhere else ""
            _tell(error, place, debug)
        code = exit_code(error)
        if not everywhere:
            sys.stderr.flush()
            world.Abort(code)
        return code


def _all_ranks_arrive(world: MPI.Comm) -> bool:
    """Tell whether all ranks come here, and not only this one."""
    if world.size == 1:
        return True
    request = world.Ibarrier()
    deadline = time.monotonic() + AGREEMENT_TIME
    while not request.Test():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def _tell(error: BaseException, place: str, debug: bool) -> None:
    if isinstance(error, KeyboardInterrupt):
        print(f"lammps-dpgen{place}: {how_it_ended(error)}", file=sys.stderr)
    elif isinstance(error, DpgenError) and not debug:
        print(f"lammps-dpgen{place}: {error}", file=sys.stderr)
    else:
        print(f"lammps-dpgen{place}:", file=sys.stderr)
        traceback.print_exception(error)
