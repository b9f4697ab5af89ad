"""The view for files and batch jobs: few plain lines, never a flood."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TextIO

from lammps_dpgen.monitor.campaign_lines import beginning, summary
from lammps_dpgen.monitor.campaign_state import StageProgress, WalkerProgress
from lammps_dpgen.monitor.state import Clock, Progress, Totals, counted, duration

#: Between two lines about the same thing lie at least this many seconds ...
SHORTEST = 10.0
#: ... and an MD line also waits for this share of the run ...
SHARE = 0.05
#: ... but no longer than this many seconds.
LONGEST = 60.0


class LineView:
    """Writes one line per change of phase, per message, and now and then one about MD, labels and training.

    Parameters
    ----------
    stream
        Where to write; standard output by default.
    clock
        Monotonic clock in seconds.
    """

    def __init__(self, stream: TextIO | None = None, clock: Clock = time.monotonic) -> None:
        self.state = Progress(clock)
        self._stream = sys.stdout if stream is None else stream
        self._last: dict[str, float] = {}
        self._md_step = 0
        self._round = (0, 0)

    def phase(self, name: str, detail: str = "") -> None:
        """Say that a phase has begun."""
        if self.state.enter(name, detail):
            self._write(f"{name}: {detail}" if detail else name)
            self._last = {name: self._last[name] for name in ("md", "campaign") if name in self._last}

    def md(self, step: int, last_step: int, temperature: float, max_devi_f: float, window: tuple[float, float]) -> None:
        """Note a look; write it when the last MD line is old enough."""
        state = self.state
        state.look(step, last_step, temperature, max_devi_f, window)
        waited = state.clock() - self._last.get("md", -math.inf)
        if waited < SHORTEST:
            return
        if waited < LONGEST and abs(step - self._md_step) < SHARE * max(1, last_step - state.first_step):
            return
        self._last["md"], self._md_step = state.clock(), step
        self._write(
            f"MD step {step}/{last_step}  T {temperature:.0f} K  deviation {max_devi_f:.4f} eV/Å "
            f"(window {window[0]:g} to {window[1]:g}){_left(state)}"
        )

    def labels(self, done: int, total: int, failed: int) -> None:
        """Note how far labelling is."""
        if self.state.label(done, total, failed) and (done + failed >= total or self._due("labels")):
            self._write(f"labels {done}/{total}" + (f", {failed} failed" if failed else ""))

    def training(self, generation: int, model: int, step: int, steps: int, force_rmse: float) -> None:
        """Note how far the training of one model is."""
        moved = self.state.train(generation, model, step, steps, force_rmse)
        if moved and (step >= steps or self._due("training")):
            rmse = f", force RMSE {force_rmse:.4f} eV/Å" if math.isfinite(force_rmse) else ""
            self._write(f"training generation {generation} model {model}: {step}/{steps}{rmse}")

    def stage(self, stage: StageProgress) -> None:
        """Note how far the stage is; there is a line when it begins, and when one of its rounds begins."""
        self.state.stage(stage)
        if stage.n_trajectories and self._round != (stage.number, stage.round):
            self._round = (stage.number, stage.round)
            self._last["campaign"] = self.state.clock()
            self._write(beginning(stage))
        self._summary()

    def walkers(self, walkers: Sequence[WalkerProgress]) -> None:
        """Note what the walkers do; there is a line about all of them once a minute."""
        self.state.walkers(walkers)
        self._summary()

    def message(self, text: str) -> None:
        """Write a message."""
        self.state.say(text)
        self._write(text)

    def totals(self, totals: Totals) -> None:
        """Note the counts; they are written when a new generation begins."""
        if self.state.count(totals) and totals.generation >= 0:
            budget = "" if totals.max_labels is None else f" of at most {totals.max_labels}"
            done = f"{counted(totals.pauses, 'pause')}, {counted(totals.rollbacks, 'rollback')}"
            self._write(f"generation {totals.generation}: {counted(totals.n_labels, 'label')}{budget}, {done}")

    def tick(self) -> None:
        """Write the line about a campaign that is due once a minute; of a learning run nothing."""
        self._summary()

    def close(self) -> None:
        """Say how long it took; the stream stays open."""
        self._write(f"end of the run after {duration(self.state.elapsed)}")

    def _summary(self) -> None:
        campaign = self.state.campaign
        if campaign is None or campaign.stage is None or not campaign.stage.n_trajectories:
            return
        campaign.advance()
        if self.state.clock() - self._last.get("campaign", -math.inf) >= LONGEST:
            self._last["campaign"] = self.state.clock()
            self._write(summary(campaign) + _left(self.state))

    def _due(self, what: str) -> bool:
        now = self.state.clock()
        if now - self._last.get(what, -math.inf) < SHORTEST:
            return False
        self._last[what] = now
        return True

    def _write(self, text: str) -> None:
        line = f"{datetime.now():%H:%M:%S}  {text}\n"
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(line.encode(encoding, "replace").decode(encoding))
        self._stream.flush()


def _left(state: Progress) -> str:
    left = state.time_left()
    if left is None or (state.campaign is None and state.step >= state.last_step):
        return ""
    least, most = (duration(seconds) for seconds in left)
    what = "left" if state.campaign is None else "left of this round"
    return f"  {what} {least}" if least == most else f"  {what} {least} to {most}"
