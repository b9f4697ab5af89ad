"""Deviation against true error: how often the deviation was right about a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from lammps_dpgen.error_relation import ErrorRelation, fit_relation, usable
from lammps_dpgen.frame import FloatArray
from lammps_dpgen.report.label_arrays import LabelArrays
from lammps_dpgen.store.records import Event

#: Of the line above the labels where no target was given.
CONFIDENCE = 0.9


@dataclass(frozen=True)
class Calibration:
    """Judged labels by what the deviation said and what was true.

    The error of a label is the largest force error of an atom, as the deviation is the largest of an atom. It is large
    from `bound` on: from the target of ``trust: auto``, and from lo of a window that was given.

    Attributes
    ----------
    hits
        Deviation at or above lo, error large: rightly doubted.
    misses
        Deviation below lo, error large: wrongly trusted.
    false_alarms
        Deviation at or above lo, error not large: labelled for nothing.
    trusted
        Neither: rightly trusted.
    bad_misses
        Misses whose error is even at or above `bad`: hi, or twice the target.
    above_twice_bad
        Labels with a force error above 2 `bad`, whatever the deviation.
    bound, bad
        eV/Å.
    """

    hits: int
    misses: int
    false_alarms: int
    trusted: int
    bad_misses: int
    above_twice_bad: int
    bound: float
    bad: float

    @property
    def judged(self) -> int:
        """Number of labels that have both figures."""
        return self.hits + self.misses + self.false_alarms + self.trusted


@dataclass(frozen=True)
class AuditResult:
    """What the labels of randomly drawn accurate frames say about the frames that were trusted.

    Attributes
    ----------
    audited
        Accurate frames with a label and a force error of the models that trusted them.
    misses
        Those of them with a force error above `hi`: failures that the deviation did not see.
    low, high
        95 % confidence interval of the miss rate (Clopper and Pearson, doi:10.1093/biomet/26.4.404).
    """

    audited: int
    misses: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """Share of misses."""
        return self.misses / self.audited


def audit(labels: LabelArrays, window: tuple[float, float]) -> AuditResult | None:
    """Count the failures among the audited accurate frames, with the trust window in eV/Å; None without an audit."""
    errors = labels.force_error_max[labels.audited & np.isfinite(labels.force_error_max)]
    return audit_errors(errors, window[1]) if errors.size else None


def audit_errors(errors: FloatArray, hi: float) -> AuditResult:
    """Count the failures among the largest force errors (eV/Å, at least one) of audited frames."""
    misses = int((errors > hi).sum())
    interval = binomtest(misses, errors.size).proportion_ci(0.95, method="exact")
    return AuditResult(errors.size, misses, float(interval.low), float(interval.high))


@dataclass(frozen=True)
class Fit:
    """The relation of deviation to error in the labels, and what a window was made of it.

    Attributes
    ----------
    confidence
        Chance of an error below the upper line.
    above
        Share of the labels of the fit with an error above that line; about 1 - `confidence` where the fit is right.
    target
        Error (eV/Å) that ``trust: auto`` was to keep; None: the window is a given one.
    """

    relation: ErrorRelation
    confidence: float
    above: float
    target: float | None


def fit(labels: LabelArrays, trust_events: Sequence[Event]) -> Fit | None:
    """Fit the relation of deviation to error as the last event ``trust`` did, or with usual settings without one."""
    last = trust_events[-1].data if trust_events else {}
    settings = {"half_life": float(last["half_life"])} if "half_life" in last else {}
    relation = fit_relation(labels.max_devi_f, labels.force_error_max, labels.generation_judged, **settings)
    if relation is None:
        return None
    known = usable(labels.max_devi_f, labels.force_error_max)
    confidence, target = float(last.get("confidence", CONFIDENCE)), last.get("target")
    line = relation.quantile(labels.max_devi_f[known], confidence)
    above = float((labels.force_error_max[known] > line).mean())
    return Fit(relation, confidence, above, None if target is None else float(target))


def judged(labels: LabelArrays) -> NDArray[np.bool_]:
    """Return which labels have a deviation and a force error."""
    return np.asarray(np.isfinite(labels.max_devi_f) & np.isfinite(labels.force_error_max))


def calibrate(labels: LabelArrays, window: tuple[float, float], target: float | None = None) -> Calibration:
    """Count the labels by deviation and error, with the trust window and the target of ``trust: auto`` in eV/Å."""
    bound, bad = window if target is None else (target, 2 * target)
    known = judged(labels)
    doubted = labels.max_devi_f[known] >= window[0]
    error = labels.force_error_max[known]
    wrong = error >= bound
    return Calibration(
        hits=int((doubted & wrong).sum()),
        misses=int((~doubted & wrong).sum()),
        false_alarms=int((doubted & ~wrong).sum()),
        trusted=int((~doubted & ~wrong).sum()),
        bad_misses=int((~doubted & (error >= bad)).sum()),
        above_twice_bad=int((error > 2 * bad).sum()),
        bound=bound,
        bad=bad,
    )
