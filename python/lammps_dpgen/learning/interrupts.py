"""What ends a run from outside: Ctrl-C, SIGTERM and ``lammps-dpgen stop``, all in the same way.

Python cannot raise anything through LAMMPS' C++ loop, so during MD the wish waits for the next look.
"""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.store.stop_request import stop_requested, withdraw_stop

#: Seconds between two looks for a stop file.
LOOK_INTERVAL = 1.0

_CAUSES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interrupts:
    """Turns each wish to end into one KeyboardInterrupt, raised at once or, in MD, by :meth:`check`.

    Attributes
    ----------
    cause
        Who wished it: "Ctrl-C", "SIGTERM" or "lammps-dpgen stop"; empty while nobody has.
    """

    def __init__(self) -> None:
        self.cause = ""
        self._at_once, self._raised = True, False

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take the signals inside; they are raised at once except in :meth:`noted`."""
        if threading.current_thread() is not threading.main_thread():  # Python gives signals to the main thread only
            yield
            return
        before = {number: signal.signal(number, self._note) for number in _CAUSES}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def watched(self, run: RunFolder) -> Iterator[None]:
        """Look for a stop file inside, once a second, in a thread; this process holds the lock of the run.

        Signals have to be taken, see :meth:`taken`. What earlier jobs were asked is removed.
        """
        owner = run.lock_owner()
        withdraw_stop(run)
        ended = threading.Event()

        def watch(token: str) -> None:
            while not ended.wait(LOOK_INTERVAL):
                if stop_requested(run, token):
                    withdraw_stop(run)
                    self.cause = self.cause or "lammps-dpgen stop"
                    _thread.interrupt_main(signal.SIGTERM)
                    return

        thread = threading.Thread(target=watch, args=("" if owner is None else owner.token,), name="stop", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Only note a wish inside, for :meth:`check`."""
        before, self._at_once = self._at_once, False
        try:
            yield
        finally:
            self._at_once = before

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise a wish at once inside, also within :meth:`noted`: labels and trainings take long."""
        self.check()
        before, self._at_once = self._at_once, True
        try:
            yield
        finally:
            self._at_once = before

    def check(self) -> None:
        """Raise KeyboardInterrupt if there has been a wish."""
        if self.cause:
            raise KeyboardInterrupt(self.cause)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.cause = self.cause or _CAUSES[signal.Signals(number)]
        if self._at_once and not self._raised:  # launchers send a signal twice; what is being closed then is let be
            self._raised = True
            raise KeyboardInterrupt(self.cause)
