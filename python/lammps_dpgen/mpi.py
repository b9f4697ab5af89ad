"""Agreement between ranks without burning cores: those that wait sleep, so that labels and trainings get them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")

#: Seconds between two looks of a waiting rank.
NAP = 0.01
#: The same for rank 0, which only waits for the others to wake up when its work is done.
SHORT_NAP = 0.0005
#: Of the messages of a :class:`Line`; nobody else uses it.
TAG = 1703


def on_root(comm: MPI.Comm, work: Callable[[], T], meanwhile: Callable[[], None] | None = None) -> T:
    """Run `work` on rank 0 while the others sleep; its result goes to all ranks, and so does its exception.

    Collective. The result must be picklable by mpi4py; it never leaves the job.

    Parameters
    ----------
    meanwhile
        Called between two naps of a waiting rank; what it raises is raised there at the end, when no rank waits for
        another any more.
    """
    outcome: tuple[bool, object] = (True, None)
    if comm.rank == 0:
        meanwhile = None
        try:
            outcome = (True, work())
        except BaseException as error:  # an interrupt as well: the others wait for an answer
            outcome = (False, error)
    raised = _sleep_until_all_are_here(comm, meanwhile)
    good, value = comm.bcast(outcome, root=0)
    if not good:
        raise value
    if raised is not None:
        raise raised
    return value  # type: ignore[no-any-return]


def _sleep_until_all_are_here(comm: MPI.Comm, meanwhile: Callable[[], None] | None) -> BaseException | None:
    """Return what was raised in the wait, an interrupt as well: it is ended in any case, so that ranks stay in step."""
    request = comm.Ibarrier()
    raised: BaseException | None = None
    while True:
        try:
            while not request.Test():
                if meanwhile is not None and raised is None:
                    meanwhile()
                time.sleep(NAP if comm.rank else SHORT_NAP)
            return raised
        except BaseException as error:
            raised = raised or error


class Line:
    """Rank 0 can tell the others something while they wait for it.

    A message is heard within a nap. One that is sent at the very end may be lost.
    """

    def __init__(self, comm: MPI.Comm) -> None:
        self._comm = comm
        self._sent: list[MPI.Request] = []

    def on_root(self, work: Callable[[], T], hear: Callable[[Any], None]) -> T:
        """As :func:`on_root`; the waiting ranks call `hear` with each message."""
        try:
            return on_root(self._comm, work, lambda: self._listen(hear))
        finally:
            self._listen(lambda message: None)

    def tell(self, message: object) -> None:
        """On rank 0, within `work`: send a small message to all others."""
        self._sent = [request for request in self._sent if not request.Test()]
        self._sent += [self._comm.isend(message, rank, TAG) for rank in range(1, self._comm.size)]

    def _listen(self, hear: Callable[[Any], None]) -> None:
        while self._comm.rank and self._comm.iprobe(source=0, tag=TAG):
            hear(self._comm.recv(source=0, tag=TAG))
