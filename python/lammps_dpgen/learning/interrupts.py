"""What ends a run from outside: signals, ``lammps-dpgen stop`` and the end of the job around it, all in the same way.

Python cannot raise anything through LAMMPS' C++ loop, so during MD the wish waits for the next look.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from types import FrameType

from lammps_dpgen.errors import GoOnLater
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.store.stop_request import stop_requested, withdraw_stop

#: Seconds between two looks for a stop file and at the clock.
LOOK_INTERVAL = 1.0
#: Seconds that a clean end gets before the job around the run ends, where the configuration does not say.
MARGIN = 120.0
#: Seconds since 1970 at which the job ends: Slurm sets it from version 23.02 on, a script may.
END_OF_JOB = "SLURM_JOB_END_TIME"

_CAUSES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGUSR1: "SIGUSR1"}


class Interrupts:
    """Turns each wish to end into one KeyboardInterrupt, raised at once or, in MD, by :meth:`check`.

    Attributes
    ----------
    cause
        Who wished it: "Ctrl-C", "SIGTERM", "SIGUSR1", "lammps-dpgen stop" or the end of the job; empty while nobody
        has.
    goes_on
        The run is to be started again, and ends with :class:`GoOnLater`: SIGUSR1 and the end of the job say so.
    """

    def __init__(self) -> None:
        self.cause, self.goes_on = "", False
        self._at_once, self._raised = True, False

    def wish(self, cause: str, *, goes_on: bool) -> None:
        """Note who wishes that the run end; the first one counts."""
        if not self.cause:
            self.cause, self.goes_on = cause, goes_on

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
    def watched(self, run: RunFolder, margin: float = MARGIN) -> Iterator[None]:
        """Look for a stop file and at the clock inside, once a second, in a thread; this process holds the run's lock.

        Signals have to be taken, see :meth:`taken`. What earlier jobs were asked is removed.

        Parameters
        ----------
        margin
            Seconds that a clean end gets before the job ends.
        """
        owner = run.lock_owner()
        withdraw_stop(run)
        ended = threading.Event()
        last_moment = latest_end(os.environ, margin)

        def watch(token: str) -> None:
            while not ended.wait(LOOK_INTERVAL):
                if stop_requested(run, token):
                    withdraw_stop(run)
                    self.wish("lammps-dpgen stop", goes_on=False)
                    _thread.interrupt_main(signal.SIGTERM)
                    return
                if last_moment is not None and time.time() > last_moment:
                    end = datetime.fromtimestamp(float(os.environ[END_OF_JOB])).astimezone()
                    self.wish(f"the end of the job at {end:%H:%M:%S %Z}", goes_on=True)
                    _thread.interrupt_main(signal.SIGUSR1)
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
        """Raise KeyboardInterrupt, or GoOnLater, if there has been a wish."""
        if self.cause:
            raise self._interrupt()

    def _interrupt(self) -> KeyboardInterrupt:
        return GoOnLater(self.cause) if self.goes_on else KeyboardInterrupt(self.cause)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.wish(_CAUSES[signal.Signals(number)], goes_on=number == signal.SIGUSR1)
        if self._at_once and not self._raised:  # launchers send a signal twice; what is being closed then is let be
            self._raised = True
            raise self._interrupt()


def latest_end(environment: Mapping[str, str], margin: float) -> float | None:
    """Return when a run has to begin to end (seconds since 1970), None where nothing is known of the end of its job.

    An end that is over is that of another job. `margin` (seconds) is cut to a quarter of the time that there is, so
    that no job ends before it has begun.
    """
    text, now = environment.get(END_OF_JOB, ""), time.time()
    if not text.isdigit() or float(text) <= now:
        return None
    return float(text) - min(margin, (float(text) - now) / 4)
