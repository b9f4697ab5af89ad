"""What the controller tells the person in front of the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lammps_dpgen.monitor.campaign_state import StageProgress, WalkerProgress
from lammps_dpgen.monitor.lines import LineView
from lammps_dpgen.monitor.live import LiveView
from lammps_dpgen.monitor.state import Totals
from lammps_dpgen.monitor.terminal import find_terminal

#: Names of the phases of a learning run or campaign.
PHASES = ("bootstrap", "MD", "labels", "training", "swap", "done")


class View(Protocol):
    """Progress of a learning run or campaign, which rank 0 alone has.

    Every call costs microseconds and may come at any rate.
    """

    def phase(self, name: str, detail: str = "") -> None:
        """Say what begins now: one of `PHASES`, with a few words about it."""
        ...

    def md(self, step: int, last_step: int, temperature: float, max_devi_f: float, window: tuple[float, float]) -> None:
        """Report a look: MD step, last step of this ``run`` command, temperature in K, deviation and window in eV/Å."""
        ...

    def labels(self, done: int, total: int, failed: int) -> None:
        """Report the labels of this pause: `done` are in the store, `failed` are given up, out of `total`."""
        ...

    def training(self, generation: int, model: int, step: int, steps: int, force_rmse: float) -> None:
        """Report the training of one model: `step` of `steps`, force RMSE of its batch in eV/Å (NaN: not known)."""
        ...

    def stage(self, stage: StageProgress) -> None:
        """Report how far the stage of a campaign is; never called by a learning run."""
        ...

    def walkers(self, walkers: Sequence[WalkerProgress]) -> None:
        """Report what the walkers of a campaign do, in order; never called by a learning run.

        The sequence is kept and read when something is drawn, so the caller may pass one list and change its items.
        """
        ...

    def message(self, text: str) -> None:
        """Show a line of text, with the time of day."""
        ...

    def totals(self, totals: Totals) -> None:
        """Report the counts of the whole run and its limits, if any."""
        ...

    def tick(self) -> None:
        """Let the clock move while the controller waits; call it as often as convenient."""
        ...

    def close(self) -> None:
        """Leave the terminal as it should be; a second call does nothing harmful."""
        ...


def open_view(title: str = "lammps-dpgen") -> View:
    """Return a live view when a person watches a terminal, plain log lines otherwise.

    Parameters
    ----------
    title
        What runs: the name of the input script or the run folder.
    """
    terminal = find_terminal()
    return LineView() if terminal is None else LiveView(terminal, title)
