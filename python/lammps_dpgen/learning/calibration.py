"""``trust: auto``: the window of the deviation that keeps the true force error below a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from lammps_dpgen.config.trust import TrustAuto
from lammps_dpgen.error_relation import HORIZON, ErrorRelation, fit_relation
from lammps_dpgen.frame import FloatArray
from lammps_dpgen.store.records import LabelFigures

#: Generations whose labels must be there: the first says nothing about how much the next ones differ from it.
LEAST_GENERATIONS = 2
#: A window that would move by less than this factor stays.
CALM = 1.1
#: hi is at least so many times lo.
LEAST_RATIO = 1.5


class TrustCalibration:
    """Follows the relation of deviation to error, one update per generation.

    Parameters
    ----------
    settings
        Target and caution.
    start
        lo and hi (eV/Å) that hold until there are enough labels; when a campaign is continued, the last ones.
    """

    def __init__(self, settings: TrustAuto, start: tuple[float, float]) -> None:
        self._settings = settings
        self._window = start
        self._relation: ErrorRelation | None = None
        self._reason = "start"
        self._generation = 0

    @property
    def window(self) -> tuple[float, float]:
        """Lo and hi in eV/Å."""
        return self._window

    @property
    def relation(self) -> ErrorRelation | None:
        """The relation that the last update found; None where the labels did not tell any."""
        return self._relation

    def oldest(self, generation: int) -> int:
        """Return the oldest generation whose labels count when `generation` is the newest that was judged."""
        return max(0, math.floor(generation - HORIZON * self._settings.half_life))

    def update(self, labels: Sequence[LabelFigures]) -> tuple[float, float]:
        """Fit the relation to all labels so far and return the window for the next generation, (lo, hi) in eV/Å.

        Labels without deviation or error, such as those of the bootstrap, do not count, nor do those whose deviation
        is that of other models than their error.
        """
        judged = [label for label in labels if label.is_judged]
        deviation = np.array([label.max_devi_f for label in judged], dtype=np.float64)
        error = np.array([label.force_error_max for label in judged], dtype=np.float64)
        generation = np.array([label.generation_judged for label in judged], dtype=np.int64)
        self._generation = int(generation.max(initial=-1)) + 1
        self._relation = fit_relation(deviation, error, generation, half_life=self._settings.half_life)
        self._window, self._reason = self._choose(deviation)
        return self._window

    def figures(self) -> dict[str, Any]:
        """Return the figures of the event ``trust``, for ledger, journal and report."""
        settings, relation = self._settings, self._relation
        figures = {
            "lo": self._window[0],
            "hi": self._window[1],
            "trust": list(self._window),
            "target": settings.target,
            "confidence": settings.confidence,
            "half_life": settings.half_life,
            "generation": self._generation,  # the first one that the window is for
            "reason": self._reason,
            "n": 0,
        }
        if relation is not None:
            figures |= {
                "n": relation.n_labels,
                "n_generations": relation.n_generations,
                "factor": relation.factor,
                "centre": relation.centre,
                "exponent": relation.exponent,
                "exponent_error": relation.exponent_error,
                "scatter": relation.scatter,
                "between": relation.between,
            }
        return figures

    def _choose(self, deviation: FloatArray) -> tuple[tuple[float, float], str]:
        """Return the next window and why it is that."""
        settings, relation, old = self._settings, self._relation, self._window
        n, n_generations = (0, 0) if relation is None else (relation.n_labels, relation.n_generations)
        if relation is None or n < settings.labels or n_generations < LEAST_GENERATIONS:
            wanted = f"{settings.labels} labels of {LEAST_GENERATIONS} generations"
            return old, f"stays: {n} labels of {n_generations} generations tell, waits for {wanted}"
        lo = relation.deviation_at(settings.target, settings.confidence)
        hi = relation.deviation_at(settings.failed * settings.target)
        if lo is None or hi is None:
            exponent = f"{relation.exponent:.2f} ± {relation.exponent_error:.2f}"
            return old, f"stays: the labels leave open whether the error rises with the deviation (exponent {exponent})"
        bounded, limits = self._bounded((lo, hi), float(deviation.max()))
        if max(abs(math.log(new / before)) for new, before in zip(bounded, old, strict=True)) < math.log(CALM):
            return old, f"stays: it would move by less than {CALM:g} times"
        return bounded, f"follows {n} labels" + (f"; {', '.join(limits)}" if limits else "")

    def _bounded(self, wanted: tuple[float, float], measured: float) -> tuple[tuple[float, float], list[str]]:
        """Return a window near the wanted one that is neither a leap nor far from what was measured, and what held it.

        `measured` is the largest deviation of a label.
        """
        settings, limits = self._settings, []
        lo, hi = min(wanted[0], measured), min(wanted[1], settings.change * measured)
        if (lo, hi) != wanted:
            limits.append(f"no label has a deviation above {measured:.3g} eV/Å")
        steps = [
            min(max(value, before / settings.change), before * settings.change)
            for value, before in zip((lo, hi), self._window, strict=True)
        ]
        if steps != [lo, hi]:
            limits.append(f"at most {settings.change:g} times per generation")
        lo, hi = steps
        if lo < settings.lowest:
            lo = settings.lowest
            limits.append(f"lowest is {settings.lowest:g} eV/Å")
        return (lo, max(hi, LEAST_RATIO * lo)), limits
