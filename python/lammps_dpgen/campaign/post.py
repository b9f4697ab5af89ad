"""The post between the leaders of the walkers and the controller, over MPI.

Nothing blocks: letters are sent as they come and looked for now and then, so that whoever waits sleeps. The controller
is a thread of the leader on rank 0; MPI has to allow several threads.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mpi4py import MPI

from lammps_dpgen.campaign.messages import Finish, ToController, ToWalker
from lammps_dpgen.errors import InstallationError

if TYPE_CHECKING:
    from collections.abc import Iterator

_UP, _DOWN = 1, 2

#: Seconds between two looks for letters.
_NAP = 0.01


def check_threads() -> None:
    """Refuse an MPI library whose threads may not call it.

    Raises
    ------
    InstallationError
        It does not provide MPI_THREAD_MULTIPLE.
    """
    if MPI.Query_thread() < MPI.THREAD_MULTIPLE:
        raise InstallationError(
            "a campaign needs an MPI that several threads of a process may call (MPI_THREAD_MULTIPLE); this one "
            f"({MPI.Get_library_version().splitlines()[0]}) does not allow it, or mpi4py was told not to ask for it "
            "(MPI4PY_RC_THREAD_LEVEL, mpi4py.rc.thread_level)"
        )


class _Sender:
    """Sends without waiting; what is under way is kept until it has arrived."""

    def __init__(self, comm: MPI.Comm, tag: int) -> None:
        self._comm, self._tag = comm, tag
        self._open: list[MPI.Request] = []

    def send(self, letter: Any, to: int) -> None:
        self._open = [request for request in self._open if not request.Test()]
        self._open.append(self._comm.isend(letter, dest=to, tag=self._tag))

    @property
    def all_arrived(self) -> bool:
        self._open = [request for request in self._open if not request.Test()]
        return not self._open


class LeaderPost:
    """The post of one walker's leader.

    Parameters
    ----------
    leaders
        Communicator of all leaders; the controller is at its rank 0, and the walker's number is the rank in it.
    """

    def __init__(self, leaders: MPI.Comm) -> None:
        self._leaders = leaders
        self._sender = _Sender(leaders, _UP)
        self.walker = leaders.rank

    def send(self, letter: ToController) -> None:
        """Send a letter to the controller."""
        self._sender.send(letter, 0)

    def receive(self) -> ToWalker | None:
        """Return the next letter of the controller, None if there is none yet."""
        letter = self._leaders.improbe(source=0, tag=_DOWN)
        return None if letter is None else letter.recv()

    @property
    def all_arrived(self) -> bool:
        """Whether all letters that were sent have been read."""
        return self._sender.all_arrived


class ControllerPost:
    """The post of the controller."""

    def __init__(self, leaders: MPI.Comm) -> None:
        self._leaders = leaders
        self._sender = _Sender(leaders, _DOWN)
        self.n_walkers: int = leaders.size

    def send(self, letter: ToWalker, walker: int) -> None:
        """Send a letter to a walker."""
        self._sender.send(letter, walker)

    def receive(self) -> Iterator[ToController]:
        """Return the letters that have come, in order of arrival."""
        while (letter := self._leaders.improbe(source=MPI.ANY_SOURCE, tag=_UP)) is not None:
            yield letter.recv()

    @property
    def all_arrived(self) -> bool:
        """Whether all letters that were sent have been read."""
        return self._sender.all_arrived


def dismiss_all(post: ControllerPost) -> None:
    """Let all walkers finish that wait for their first trajectory: the campaign could not begin."""
    for walker in range(post.n_walkers):
        post.send(Finish(), walker)
    n_ready = 0
    while n_ready < post.n_walkers or not post.all_arrived:
        n_ready += len(list(post.receive()))
        time.sleep(_NAP)
