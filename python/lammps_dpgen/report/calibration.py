"""Deviation against true error: how often the deviation was right about a label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.report.label_arrays import LabelArrays


@dataclass(frozen=True)
class Calibration:
    """Judged labels by what the deviation said and what was true; a force error counts as large from `lo` (eV/Å) on.

    The error of a label is the largest force error of an atom, as the deviation is the largest of an atom.

    Attributes
    ----------
    hits
        Deviation and error both at or above `lo`: rightly doubted.
    misses
        Deviation below `lo`, error at or above it: wrongly trusted.
    false_alarms
        Deviation at or above `lo`, error below it: labelled for nothing.
    trusted
        Both below `lo`: rightly trusted.
    bad_misses
        Misses whose error is even at or above `hi`.
    above_twice_hi
        Labels with a force error above 2 `hi`, whatever the deviation.
    """

    hits: int
    misses: int
    false_alarms: int
    trusted: int
    bad_misses: int
    above_twice_hi: int

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


def judged(labels: LabelArrays) -> NDArray[np.bool_]:
    """Return which labels have a deviation and a force error."""
    return np.asarray(np.isfinite(labels.max_devi_f) & np.isfinite(labels.force_error_max))


def calibrate(labels: LabelArrays, window: tuple[float, float]) -> Calibration:
    """Count the labels in the four quarters around `lo` of the trust window (eV/Å)."""
    lo, hi = window
    known = judged(labels)
    doubted = labels.max_devi_f[known] >= lo
    error = labels.force_error_max[known]
    wrong = error >= lo
    return Calibration(
        hits=int((doubted & wrong).sum()),
        misses=int((~doubted & wrong).sum()),
        false_alarms=int((doubted & ~wrong).sum()),
        trusted=int((~doubted & ~wrong).sum()),
        bad_misses=int((~doubted & (error >= hi)).sum()),
        above_twice_hi=int((error > 2 * hi).sum()),
    )
