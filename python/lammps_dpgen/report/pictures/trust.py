"""Picture of a trust window that follows the errors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lammps_dpgen.report.calibration import judged
from lammps_dpgen.report.label_arrays import LabelArrays
from lammps_dpgen.report.pictures.style import BLUE, GREY, ORANGE, RED, canvas, plain_log
from lammps_dpgen.store.records import Event


def window(labels: LabelArrays, events: Sequence[Event]) -> Figure | None:
    """Draw the window by generation above how much each generation understated its errors; None without a window."""
    known = [event.data for event in events if {"lo", "hi", "generation"} <= event.data.keys()]
    if not known:
        return None
    figure, grid = canvas(2, 1, 5.0, sharex=True)
    _bounds(grid[0, 0], known)
    _understatement(grid[1, 0], labels)
    grid[1, 0].set(xlabel="generation")
    grid[1, 0].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _bounds(axes: Axes, windows: Sequence[dict[str, float]]) -> None:
    generation = [data["generation"] for data in windows]
    ends = [*generation, generation[-1] + 1]
    lo, hi = ([*(data[key] for data in windows), windows[-1][key]] for key in ("lo", "hi"))
    axes.fill_between(ends, lo, hi, step="post", color=ORANGE, alpha=0.15, lw=0)
    axes.step(ends, hi, where="post", color=RED, label="hi")
    axes.step(ends, lo, where="post", color=ORANGE, label="lo")
    axes.set(yscale="log", ylabel="trust window  (eV/Å)")
    plain_log(axes.yaxis)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)


def _understatement(axes: Axes, labels: LabelArrays) -> None:
    known = judged(labels) & (labels.max_devi_f > 0) & (labels.force_error_max > 0)
    ratio = labels.force_error_max[known] / labels.max_devi_f[known]
    generation = labels.generation_judged[known]
    for number in np.unique(generation):
        low, middle, high = np.quantile(ratio[generation == number], [0.1, 0.5, 0.9])
        axes.plot([number, number], [low, high], color=BLUE, lw=1)
        axes.plot([number], [middle], "o", color=BLUE, ms=4)
    axes.axhline(1.0, color=GREY, lw=1, ls="--")
    axes.set(yscale="log", ylabel="error / deviation")
    plain_log(axes.yaxis)
