"""How far trainings are that run in other processes, as far as their folders tell."""

from __future__ import annotations

import json
import time

from lammps_dpgen.errors import TrainingError
from lammps_dpgen.monitor.view import View
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.training.learning_curve import read_learning_curve

#: Seconds between two looks into the folders.
INTERVAL = 1.0


class TrainingProgress:
    """Shows the trainings of one generation, from the learning curves that DeePMD-kit writes while it trains.

    Other trainers leave no such file; then nothing is shown until a training ends.
    """

    def __init__(self, view: View, run: RunFolder, generation: int, n_models: int) -> None:
        self._view, self._run, self._generation, self._n_models = view, run, generation, n_models
        self._last_look = time.monotonic()

    def look(self) -> None:
        """Show what is new; call it as often as convenient."""
        now = time.monotonic()
        if now - self._last_look < INTERVAL:
            return
        self._last_look = now
        for index in range(self._n_models):
            folder = self._run.training_of(self._generation, index)
            try:
                curve = read_learning_curve(folder / "lcurve.out")
                steps = int(json.loads((folder / "input.json").read_text())["training"]["numb_steps"])
            except (TrainingError, OSError, ValueError, KeyError):
                continue  # not begun, or a line is half written
            if curve:
                step, force_rmse, _, _ = curve[-1]
                self._view.training(self._generation, index, step, steps, force_rmse)
