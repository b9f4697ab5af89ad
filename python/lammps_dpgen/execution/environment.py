"""The environment of worker processes: no trace of the MPI job around them, and a stated number of threads.

A program that starts under ``mpirun`` or ``srun`` tells its children through environment variables that they are ranks
of the job. A DFT code or a training started by a worker would believe it, and hang or abort in ``MPI_Init``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from lammps_dpgen.execution.devices import give_back

#: Variables, by how they begin, that make a child process believe that it is a rank of its parent's MPI job.
MPI_PREFIXES = (
    "PMI_", "PMI2_", "PMIX_", "HYDI_", "HYDRA_", "MPIR_", "MPI_LOCAL",  # MPICH, Intel MPI
    "OMPI_", "OPAL_", "ORTE_", "PRTE_", "PRTEMCA_",  # Open MPI
    "MV2_COMM_WORLD_", "MVP_COMM_WORLD_",  # MVAPICH
    "PALS_", "ALPS_APP_", "FLUX_TASK_", "GMPI_",  # Cray and others
    "SLURM_STEP", "SLURM_SRUN_", "SLURM_PMI", "SLURM_MPI_", "SLURM_LAUNCH_", "SLURM_UMASK",  # a step of srun
)  # fmt: skip
MPI_NAMES = (
    "PMI_RANK", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_GTIDS", "SLURM_TASK_PID", "SLURM_NTASKS",
    "SLURM_NPROCS", "SLURM_CPU_BIND", "SLURM_DISTRIBUTION",
)  # fmt: skip
#: Begin like the above, but are the user's permission and no sign of a job.
KEPT_PREFIXES = ("OMPI_ALLOW_",)

#: Thread pools that are set to the number of threads of a task.
THREAD_NAMES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "DP_INTRA_OP_PARALLELISM_THREADS",
)

#: Quiet and repeatable TensorFlow: errors only, and no oneDNN kernels whose rounding depends on the machine.
TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}


#: What stands for a secret in a text, and what is one: values under such names, and logins in addresses.
HIDDEN = "(left out)"
SECRET_NAME = re.compile(r"password|passwd|secret|token|api_?key|access_?key|credential|private_?key", re.IGNORECASE)
LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
#: Shorter values are no secrets, and would be found everywhere.
_SHORTEST_SECRET = 6


def clean_environment(threads: int, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for a child process that is no rank of an MPI job.

    Variables of the job's allocation (``SLURM_JOB_ID``, node lists) stay, so that a child may start ``srun`` or
    ``mpirun`` itself.

    Parameters
    ----------
    threads
        Threads of each pool (OpenMP, OpenBLAS, MKL, TensorFlow within an operation). Operations of TensorFlow run
        side by side on at most two.
    base
        Environment to start from; that of this process by default.
    """
    environment = {
        name: value for name, value in (os.environ if base is None else base).items() if not _marks_a_rank(name)
    }
    give_back(environment)
    environment.update(dict.fromkeys(THREAD_NAMES, str(threads)))
    environment["DP_INTER_OP_PARALLELISM_THREADS"] = str(min(threads, 2))
    environment.update(TENSORFLOW)
    return environment


def without_secrets(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a text without the values of variables whose names say that they are secrets, and without logins.

    What a program says about its failure is kept for long, and read by many.

    Parameters
    ----------
    environment
        That of this process by default.
    """
    for name, value in (os.environ if environment is None else environment).items():
        if len(value) >= _SHORTEST_SECRET and SECRET_NAME.search(name):
            text = text.replace(value, HIDDEN)
    return LOGIN.sub("", text)


def _marks_a_rank(name: str) -> bool:
    if name.startswith(KEPT_PREFIXES):
        return False
    return name in MPI_NAMES or name.startswith(MPI_PREFIXES)


def available_cores() -> int:
    """Return how many cores this process may use: its affinity where the system has one, else all cores."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
