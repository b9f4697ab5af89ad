"""What a trajectory of a liquid says: diffusion, viscosity, and what a small cell makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.units import kB

from lammps_dpgen.frame import FloatArray

#: Of the periodic images of a cubic cell: Yeh and Hummer, DOI 10.1021/jp0477147.
CUBIC = 2.837297

#: 1 eV ps/Å³ in mPa s.
VISCOSITY_UNIT = 160.21766208

#: 1 Å²/ps in 1e-9 m²/s.
DIFFUSION_UNIT = 10.0

#: Share of the variance of blocks that a straight line must explain to count as a drift.
TREND = 0.6

#: The slope of the mean square displacement is taken between these shares of a block.
FIT = (0.1, 0.5)


@dataclass(frozen=True)
class Measured:
    """A mean with its standard error.

    Attributes
    ----------
    blocks
        The values of consecutive blocks, where it comes from some.
    """

    value: float
    error: float
    blocks: tuple[float, ...] = ()

    @property
    def drift(self) -> float:
        """Change from the first block to the last along a straight line, over the mean; 0 where it is lost in noise."""
        if len(self.blocks) < 3:
            return 0.0
        numbers = np.arange(len(self.blocks))
        slope = np.polyfit(numbers, self.blocks, 1)[0]
        explained = np.corrcoef(numbers, self.blocks)[0, 1] ** 2
        return float(slope * numbers[-1] / self.value) if explained > TREND else 0.0


def mean_square_displacement(positions: FloatArray, n_lags: int) -> FloatArray:
    """Return the mean square displacement (Å²) after 0, 1, ... `n_lags` - 1 samples, over all origins and atoms.

    Parameters
    ----------
    positions
        ``[n_samples, n_atoms, 3]`` unwrapped, Å, without the drift of the centre of mass.
    """
    means = [0.0]
    for lag in range(1, n_lags):
        means.append(float(np.mean(np.sum((positions[lag:] - positions[:-lag]) ** 2, axis=2))))
    return np.array(means)


def diffusion(positions: FloatArray, interval: float, n_blocks: int) -> Measured:
    """Return the diffusion coefficient in Å²/ps: a sixth of the slope of the mean square displacement.

    Parameters
    ----------
    positions
        ``[n_samples, n_atoms, 3]`` unwrapped, Å.
    interval
        Time between samples, ps.
    n_blocks
        Blocks of the trajectory, each with a slope of its own; their spread gives the error.
    """
    centered = positions - positions.mean(axis=1, keepdims=True)
    slopes = []
    for block in np.array_split(centered, n_blocks):
        first, last = (max(2, round(share * len(block))) for share in FIT)
        msd = mean_square_displacement(block, max(first + 2, last))
        times = interval * np.arange(len(msd))
        slopes.append(np.polyfit(times[first:], msd[first:], 1)[0] / 6.0)
    return _of_blocks(np.array(slopes))


def viscosity(
    stresses: FloatArray, interval: float, volume: float, temperature: float, time: float, n_blocks: int
) -> Measured:
    """Return the shear viscosity in eV ps/Å³, by Green and Kubo.

    The volume over kT, times the integral of the autocorrelation up to `time` (ps), over five components of the
    deviator: xy, xz, yz, (xx - yy)/2, (yy - zz)/2. Their means are zero in a liquid and are not subtracted.

    Parameters
    ----------
    stresses
        ``[n_samples, 6]``, xx, yy, zz, xy, xz, yz in eV/Å³.
    """
    xx, yy, zz, xy, xz, yz = stresses.T
    shears = np.array([xy, xz, yz, (xx - yy) / 2.0, (yy - zz) / 2.0])
    n_lags = max(2, round(time / interval))
    values = []
    for block in np.array_split(shears, n_blocks, axis=1):
        correlation = autocorrelation(block, min(n_lags, block.shape[1] // 2))
        values.append(volume / (kB * temperature) * np.trapezoid(correlation, dx=interval))
    return _of_blocks(np.array(values))


def autocorrelation(series: FloatArray, n_lags: int) -> FloatArray:
    """Return the autocorrelation at lags 0 ... `n_lags` - 1, averaged over the rows of ``[n_series, n_samples]``."""
    n_samples = series.shape[1]
    spectrum = np.fft.rfft(series, n=2 * n_samples, axis=1)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :n_lags]
    return np.asarray((correlation / (n_samples - np.arange(n_lags))).mean(axis=0), dtype=np.float64)


def size_correction(temperature: float, volume: float, eta: Measured) -> Measured:
    """Return what a periodic cube lacks of the diffusion coefficient of the infinite liquid, Å²/ps.

    2.837297 kT / (6 pi eta L), L the cube root of the volume (Å³), eta in eV ps/Å³.
    """
    length = float(np.cbrt(volume))
    value = CUBIC * kB * temperature / (6.0 * np.pi * eta.value * length)
    return Measured(value, abs(value * eta.error / eta.value))


def _of_blocks(values: FloatArray) -> Measured:
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return Measured(float(values.mean()), error, tuple(float(value) for value in values))
