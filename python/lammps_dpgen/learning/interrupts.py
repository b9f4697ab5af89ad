"""Ctrl-C in a learning run: Python cannot raise it through LAMMPS' C++ loop, so it waits for the next look."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Notes Ctrl-C while it is active, for :meth:`check` to raise where all is in order."""

    def __init__(self) -> None:
        self._pending = self._at_once = False

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note Ctrl-C inside instead of raising it at any moment."""
        if threading.current_thread() is not threading.main_thread():  # Python gives signals to the main thread only
            yield
            return
        before = signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Raise Ctrl-C at once inside: labels and trainings take long."""
        self.check()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C has been noted."""
        if self._pending:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._pending = True
        if self._at_once:
            raise KeyboardInterrupt
