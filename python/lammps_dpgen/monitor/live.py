"""The live view: one compact panel that is redrawn a few times a second."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from rich.box import ROUNDED
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lammps_dpgen.monitor.campaign_state import StageProgress, WalkerProgress
from lammps_dpgen.monitor.panel import rows
from lammps_dpgen.monitor.state import Clock, Progress, Totals

#: Seconds between two redraws; a redraw costs some milliseconds.
REFRESH = 0.2
#: Lines of a campaign's panel that are no walkers: frame, rows, messages.
OTHER_LINES = 14


class LiveView:
    """A panel on a terminal.

    There is no thread behind it: it is drawn from within the calls, so that it never competes with MD for the core
    that LAMMPS uses.

    Parameters
    ----------
    stream
        The terminal.
    title
        Title of the panel.
    clock
        Monotonic clock in seconds.
    width, height
        Size in characters; asked from the terminal when None.
    """

    def __init__(
        self,
        stream: TextIO,
        title: str = "lammps-dpgen",
        clock: Clock = time.monotonic,
        width: int | None = None,
        height: int | None = None,
    ) -> None:
        self.state = Progress(clock)
        self._stream, self._title, self._size = stream, title, (width, height)
        self._console = Console(file=stream, force_terminal=True, width=width, height=height, highlight=False)
        own = stream is sys.stdout
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=own,
            redirect_stderr=own,
            vertical_overflow="crop",
        )
        self._drawn = -math.inf
        self._closed = False
        self._live.start()
        self._draw()

    def phase(self, name: str, detail: str = "") -> None:
        """Show that a phase has begun."""
        if self.state.enter(name, detail):
            self._draw()

    def md(self, step: int, last_step: int, temperature: float, max_devi_f: float, window: tuple[float, float]) -> None:
        """Show a look at the deviation."""
        self.state.look(step, last_step, temperature, max_devi_f, window)
        self.tick()

    def labels(self, done: int, total: int, failed: int) -> None:
        """Show how far labelling is."""
        self.state.label(done, total, failed)
        self.tick()

    def training(self, generation: int, model: int, step: int, steps: int, force_rmse: float) -> None:
        """Show how far the training of one model is."""
        self.state.train(generation, model, step, steps, force_rmse)
        self.tick()

    def stage(self, stage: StageProgress) -> None:
        """Show how far the stage is."""
        self.state.stage(stage)
        self.tick()

    def walkers(self, walkers: Sequence[WalkerProgress]) -> None:
        """Show what the walkers do."""
        self.state.walkers(walkers)
        self.tick()

    def message(self, text: str) -> None:
        """Show a message; the last three stay."""
        self.state.say(text)
        self.tick()

    def totals(self, totals: Totals) -> None:
        """Show the counts and the limits."""
        self.state.count(totals)
        self.tick()

    def tick(self) -> None:
        """Redraw when the picture is old enough."""
        if not self._closed and self.state.clock() - self._drawn >= REFRESH:
            self._draw()

    def close(self) -> None:
        """Draw the last state and give the terminal back."""
        if self._closed:
            return
        self._draw()
        self._closed = True
        self._live.stop()
        if self._stream is not sys.stdout:
            self._stream.close()

    def _draw(self) -> None:
        self._drawn = self.state.clock()
        self.state.advance()
        if self._size == (None, None):
            self._follow_terminal()
        self._live.update(self.panel(), refresh=True)

    def _follow_terminal(self) -> None:
        """Take the size of the terminal written to: rich asks the standard streams, which under mpirun are pipes."""
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return
        if size.columns > 0 and size.lines > 0 and self._console.size != (size.columns, size.lines):
            self._console.size = (size.columns, size.lines)

    def panel(self) -> Panel:
        """Return what is drawn now."""
        width = min(self._console.width, 110)
        inner = max(12, width - 4)
        table = Table.grid(padding=(0, 1))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(no_wrap=True, overflow="crop")
        ascii_only = self._console.options.ascii_only
        room = max(1, self._console.height - OTHER_LINES)
        for name, text in rows(self.state, inner - 11, ascii_only, room):
            table.add_row(name.ljust(10), text)
        title = Text(self._title, style="bold")
        title.truncate(max(4, width - 8), overflow="ellipsis")
        return Panel(table, title=title, title_align="left", width=width, box=ROUNDED, border_style="dim")
