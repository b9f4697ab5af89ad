"""Agreement between ranks without burning cores: those that wait sleep, so that labels and trainings get them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")

#: Seconds between two looks of a waiting rank.
NAP = 0.01


def on_root(comm: MPI.Comm, work: Callable[[], T]) -> T:
    """Run `work` on rank 0 while the others sleep; its result goes to all ranks, and so does its exception.

    Collective. The result must be picklable by mpi4py; it never leaves the job.
    """
    outcome: tuple[bool, object] = (True, None)
    if comm.rank == 0:
        try:
            outcome = (True, work())
        except Exception as error:
            outcome = (False, error)
    wait_asleep(comm)
    good, value = comm.bcast(outcome, root=0)
    if good:
        return value  # type: ignore[no-any-return]
    raise value


def wait_asleep(comm: MPI.Comm) -> None:
    """Wait for all ranks without keeping a core busy. Collective."""
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(NAP)
