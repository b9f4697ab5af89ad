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
        except BaseException as error:  # an interrupt as well: the others wait for an answer
            outcome = (False, error)
    interrupted = _sleep_until_all_are_here(comm)
    good, value = comm.bcast(outcome, root=0)
    if not good:
        raise value
    if interrupted:
        raise KeyboardInterrupt
    return value  # type: ignore[no-any-return]


def _sleep_until_all_are_here(comm: MPI.Comm) -> bool:
    """Tell whether the user interrupted the wait: it is ended in any case, so that ranks stay in step."""
    request = comm.Ibarrier()
    interrupted = False
    while True:
        try:
            while not request.Test():
                time.sleep(NAP)
            return interrupted
        except KeyboardInterrupt:
            interrupted = True
