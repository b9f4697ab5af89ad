"""The trust window that follows the measured errors: its settings."""

from __future__ import annotations

from pydantic import Field

from lammps_dpgen.config.base import Section


class TrustAuto(Section):
    """A trust window that follows the measured relation of deviation to true force error."""

    target: float = Field(gt=0.0)
    """Largest force error of an atom that is acceptable in a frame that is trusted (eV/Å). It must lie above what the
    models can reach with their size and training; see the page on the trust window."""
    confidence: float = Field(default=0.9, gt=0.5, lt=1.0)
    """Chance that the error of a frame with a deviation of ``lo`` is below the target. Below ``lo`` it is higher."""
    failed: float = Field(default=2.0, gt=1.0)
    """``hi`` is the deviation at which the typical error is this many times the target."""
    labels: int = Field(default=24, ge=10)
    """Labels with a measured error that the window waits for before it moves; they must come from two generations."""
    half_life: float = Field(default=5.0, gt=0.0)
    """Labels that are so many generations old count half."""
    change: float = Field(default=2.0, gt=1.0)
    """Largest factor by which a new generation may move ``lo`` and ``hi``."""
    lowest: float = Field(default=0.01, gt=0.0)
    """``lo`` never falls below this (eV/Å): well-trained models still differ by some meV/Å."""
