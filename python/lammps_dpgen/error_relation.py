"""How the model deviation relates to the true force error: a robust regression with a scatter between generations.

The model, for label i that the models of generation g judged (deviation d, largest force error of an atom e, eV/Å)::

    ln e_i = a + b (ln d_i - ln d0) + u_g + eps_i,    u_g ~ N(0, between^2),   eps_i ~ N(0, scatter^2)

`d0` is the centre of the data. Models of one generation share their offset u_g: a training moves all of them, and by
how much the ensemble understates the error changes with it. A window is for models that are still to be trained, so
the scatter between generations counts for it as the one within does. See docs/trust-window.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from lammps_dpgen.frame import FloatArray

#: What is assumed before there are data: error proportional to deviation (exponent and its standard deviation) ...
PRIOR_EXPONENT = (1.0, 0.3)
#: ... and this scatter between generations (of ln error), with the weight of so many generations.
PRIOR_BETWEEN = (0.3, 3.0)
#: Residuals above so many standard deviations count as if they were there: outliers do not move the fit (Huber,
#: proposal 2, doi:10.1214/aoms/1177703732).
CLIP = 2.0
#: Mean of the squared residuals that are clipped so, for normal ones of variance 1.
_CONSISTENCY = float((2 * norm.cdf(CLIP) - 1) - 2 * CLIP * norm.pdf(CLIP) + 2 * CLIP**2 * norm.sf(CLIP))
#: Degrees of freedom within the generations that a fit needs.
LEAST_FREEDOM = 5
#: Labels older than so many half-lives are left out: together they would hardly count.
HORIZON = 6
#: Least variance of ln(error): forces are not computed better than to a part in a thousand.
_LEAST_VARIANCE = 1e-6


@dataclass(frozen=True)
class ErrorRelation:
    """The relation of deviation to true error; errors and deviations in eV/Å, scatters of the natural logarithm.

    Attributes
    ----------
    centre
        Deviation in the middle of the data (geometric mean).
    factor
        Typical (median) error over deviation, at `centre`; above 1 the ensemble understates the error.
    exponent, exponent_error
        The typical error grows with this power of the deviation; its standard deviation.
    scatter
        Standard deviation of ln(error) among frames of one generation with the same deviation.
    between
        Standard deviation of the offset of ln(error) between generations.
    offset_error
        Standard deviation of ln(factor).
    freedom
        Degrees of freedom of the scatters together.
    n_labels, n_generations
        That the fit used.
    """

    centre: float
    factor: float
    exponent: float
    exponent_error: float
    scatter: float
    between: float
    offset_error: float
    freedom: float
    n_labels: int
    n_generations: int

    def typical(self, deviation: FloatArray | float) -> FloatArray:
        """Return the median error at a deviation."""
        return np.asarray(self.factor * self.centre * (np.asarray(deviation) / self.centre) ** self.exponent)

    def quantile(self, deviation: FloatArray | float, confidence: float) -> FloatArray:
        """Return the error that a frame of the next generation stays below with this probability."""
        x = np.log(np.asarray(deviation) / self.centre)
        width = np.sqrt(self._variance + (self.exponent_error * x) ** 2)
        return np.asarray(self.typical(deviation) * np.exp(self._student(confidence) * width))

    def deviation_at(self, error: float, confidence: float = 0.5) -> float | None:
        """Return the deviation up to which a frame's error stays below `error` with this probability (at least 0.5).

        The solution of ``quantile(deviation, confidence) == error``; None where the data leave it open whether the
        error rises with the deviation at all.
        """
        z, b = self._student(confidence), self.exponent
        rise = b**2 - (z * self.exponent_error) ** 2
        if b <= 0 or rise <= 0:
            return None
        height = np.log(error / (self.factor * self.centre))
        root = np.sqrt(self._variance * rise + (self.exponent_error * height) ** 2)
        return float(self.centre * np.exp((b * height - z * root) / rise))

    @property
    def scatter_factor(self) -> float:
        """The scatter within a generation as a factor of one standard deviation."""
        return float(np.exp(self.scatter))

    @property
    def between_factor(self) -> float:
        """The scatter between generations as a factor of one standard deviation."""
        return float(np.exp(self.between))

    @property
    def _variance(self) -> float:
        return self.scatter**2 + self.between**2 + self.offset_error**2

    def _student(self, confidence: float) -> float:
        return float(t.ppf(confidence, self.freedom))


def usable(deviation: FloatArray, error: FloatArray) -> NDArray[np.bool_]:
    """Return which labels have a deviation and an error that a logarithm can be taken of."""
    return np.asarray(np.isfinite(deviation) & np.isfinite(error) & (deviation > 0) & (error > 0))


def fit_relation(
    deviation: FloatArray, error: FloatArray, generation: NDArray[np.int64], *, half_life: float = 5.0
) -> ErrorRelation | None:
    """Fit the relation; labels that are chosen by their deviation, as candidates are, do not bias it.

    Parameters
    ----------
    deviation, error
        ``[n_labels]``, deviation when the frame was taken and largest force error of the same models, eV/Å.
    generation
        ``[n_labels]``, number of these models.
    half_life
        Labels that are so many generations older than the newest count half; above `HORIZON` half-lives not at all.

    Returns
    -------
    ErrorRelation or None
        None where there are too few labels to tell the scatter.
    """
    if not len(deviation):
        return None
    age = generation.max() - generation
    known = usable(deviation, error) & (age <= HORIZON * half_life)
    numbers, group = np.unique(generation[known], return_inverse=True)
    n, freedom_within = int(known.sum()), int(known.sum()) - len(numbers) - 1
    if freedom_within < LEAST_FREEDOM:
        return None
    weight = 0.5 ** (age[known] / half_life)
    x, y = np.log(deviation[known]), np.log(error[known])
    centre = float(np.average(x, weights=weight))
    within = _fit_within(x - centre, y, group, weight)
    recent = 0.5 ** ((numbers.max() - numbers) / half_life)
    offsets = _fit_offsets(within.offsets, within.variance / np.bincount(group), recent)
    total = within.variance + offsets.variance
    return ErrorRelation(
        centre=float(np.exp(centre)),
        factor=float(np.exp(offsets.mean - centre)),
        exponent=within.slope,
        exponent_error=float(np.sqrt(within.slope_variance)),
        scatter=float(np.sqrt(within.variance)),
        between=float(np.sqrt(offsets.variance)),
        offset_error=float(np.sqrt(offsets.mean_variance)),
        freedom=float(total**2 / (within.variance**2 / freedom_within + offsets.variance**2 / offsets.freedom)),
        n_labels=n,
        n_generations=len(numbers),
    )


class _Within(NamedTuple):
    slope: float
    slope_variance: float
    offsets: FloatArray
    variance: float


def _fit_within(x: FloatArray, y: FloatArray, group: NDArray[np.int64], weight: FloatArray) -> _Within:
    """Fit parallel lines, one per generation: their offsets cannot be mistaken for a slope then."""
    freedom = len(x) - group.max() - 2
    prior, prior_variance = PRIOR_EXPONENT[0], PRIOR_EXPONENT[1] ** 2
    trust, variance = np.ones(len(x)), 0.0
    for _ in range(100):
        share = weight * trust
        mean_x, mean_y = (np.bincount(group, share * v) / np.bincount(group, share) for v in (x, y))
        inner_x, inner_y = x - mean_x[group], y - mean_y[group]
        s_xx, s_xy = float((share * inner_x**2).sum()), float((share * inner_x * inner_y).sum())
        noise = variance or float(np.average((inner_y - prior * inner_x) ** 2, weights=share))
        slope = (s_xy * prior_variance + prior * noise) / (s_xx * prior_variance + noise)
        residual = np.abs(inner_y - slope * inner_x)
        old = variance or (1.4826 * float(np.median(residual))) ** 2
        clipped = np.minimum(residual**2, CLIP**2 * old)
        variance = max(_LEAST_VARIANCE, float(np.average(clipped, weights=weight)) / _CONSISTENCY * len(x) / freedom)
        trust = np.minimum(1.0, CLIP * np.sqrt(variance) / np.maximum(residual, 1e-12))
        if abs(variance - old) < 1e-6 * variance:
            break
    slope_variance = variance * prior_variance / (s_xx * prior_variance + variance)
    return _Within(slope, slope_variance, mean_y - slope * mean_x, variance)


class _Offsets(NamedTuple):
    mean: float
    mean_variance: float
    variance: float
    freedom: float


def _fit_offsets(offsets: FloatArray, own: FloatArray, recent: FloatArray) -> _Offsets:
    """Return mean and scatter of the generations' offsets; `own` is the variance that each has from its few labels."""
    prior, prior_number = PRIOR_BETWEEN[0] ** 2, PRIOR_BETWEEN[1]
    share = recent / (prior + own)
    mean = float(np.average(offsets, weights=share))
    number = float(share.sum() ** 2 / (share**2).sum())
    squares = float(np.average((offsets - mean) ** 2, weights=share)) * number
    excess = max(0.0, squares - max(0.0, number - 1) * float(np.average(own, weights=share)))
    freedom = prior_number + number - 1
    variance = (prior_number * prior + excess) / freedom
    return _Offsets(mean, (variance + float(np.average(own, weights=share))) / number, variance, freedom)
