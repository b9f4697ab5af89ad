"""A view that also keeps ``status.json`` up to date, for ``lammps-dpgen status`` in another terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any

from lammps_dpgen.errors import StoreError
from lammps_dpgen.monitor.campaign_content import campaign_content
from lammps_dpgen.monitor.campaign_state import StageProgress, WalkerProgress
from lammps_dpgen.monitor.state import Clock, Progress, Totals
from lammps_dpgen.monitor.view import View
from lammps_dpgen.store.run_folder import RunFolder

#: Seconds between two writings; a writing costs a fraction of a millisecond on a local disk.
INTERVAL = 1.0


class RecordingView:
    """Passes everything on to another view, and writes it to the run folder now and then.

    Parameters
    ----------
    view
        What a person sees.
    run
        Whose ``status.json`` is written. A disk that refuses it ends no run: the ledger is what counts.
    title
        What runs: the name of the input script or of the configuration.
    clock
        Monotonic clock in seconds.
    """

    def __init__(self, view: View, run: RunFolder, title: str, clock: Clock = time.monotonic) -> None:
        self._view, self._run, self._title = view, run, title
        self._state = Progress(clock)
        self._written = -math.inf

    def phase(self, name: str, detail: str = "") -> None:
        """Pass on a phase; it is written at once."""
        self._view.phase(name, detail)
        if self._state.enter(name, detail):
            self._write()

    def md(self, step: int, last_step: int, temperature: float, max_devi_f: float, window: tuple[float, float]) -> None:
        """Pass on a look."""
        self._view.md(step, last_step, temperature, max_devi_f, window)
        self._state.look(step, last_step, temperature, max_devi_f, window)
        self._write_when_due()

    def labels(self, done: int, total: int, failed: int) -> None:
        """Pass on how far labelling is."""
        self._view.labels(done, total, failed)
        self._state.label(done, total, failed)
        self._write_when_due()

    def training(self, generation: int, model: int, step: int, steps: int, force_rmse: float) -> None:
        """Pass on how far the training of one model is."""
        self._view.training(generation, model, step, steps, force_rmse)
        self._state.train(generation, model, step, steps, force_rmse)
        self._write_when_due()

    def stage(self, stage: StageProgress) -> None:
        """Pass on how far the stage is."""
        self._view.stage(stage)
        self._state.stage(stage)
        self._write_when_due()

    def walkers(self, walkers: Sequence[WalkerProgress]) -> None:
        """Pass on what the walkers do."""
        self._view.walkers(walkers)
        self._state.walkers(walkers)
        self._write_when_due()

    def message(self, text: str) -> None:
        """Pass on a message."""
        self._view.message(text)
        self._state.say(text)
        self._write_when_due()

    def totals(self, totals: Totals) -> None:
        """Pass on the counts."""
        self._view.totals(totals)
        self._state.count(totals)
        self._write_when_due()

    def reached(self, step: int) -> None:
        """Note where LAMMPS stands between two looks (MD step); -1: nowhere yet."""
        self._state.step = max(step, 0) or self._state.step

    def tick(self) -> None:
        """Let the clock move."""
        self._view.tick()
        self._write_when_due()

    def close(self) -> None:
        """Write the last state and close the view."""
        self._write()
        self._view.close()

    def _write_when_due(self) -> None:
        if self._state.clock() - self._written >= INTERVAL:
            self._write()

    def _write(self) -> None:
        self._written = self._state.clock()
        self._state.advance()
        with suppress(StoreError):
            self._run.write_status(_content(self._state, self._title))


def _content(state: Progress, title: str) -> dict[str, Any]:
    totals, training, looked = state.totals, None, state.first_step >= 0
    if state.models:
        models = [{"index": index, **vars(state.models[index])} for index in sorted(state.models)]
        training = {"generation": state.training_generation, "models": models}
    return {
        "time": datetime.now(timezone.utc),
        "title": title,
        "phase": state.phase,
        "detail": state.detail,
        "phase_seconds": state.in_phase,
        "elapsed": state.elapsed,
        "step": state.step if looked or state.step > 0 else None,
        "last_step": state.last_step if looked else None,
        "temperature": state.temperature,
        "max_devi_f": state.deviation if looked else None,
        "window": state.window,
        "labels_of_pause": vars(state.labels),
        "training": training,
        "generation": totals.generation,
        "labels": totals.n_labels,
        "pauses": totals.pauses,
        "rollbacks": totals.rollbacks,
        "limits": {
            "labels": totals.max_labels,
            "generations": totals.max_generations,
            "wall_time": totals.wall_limit,
        },
        "time_left": state.time_left(),
        **campaign_content(state.campaign),
        "messages": [{"time": stamp, "text": text} for stamp, text in state.messages],
    }
