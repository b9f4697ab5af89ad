"""Pictures of the validation: each property against the number of labels, with what it is compared with."""

from __future__ import annotations

from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lammps_dpgen.report.pictures.style import BLUE, GREEN, GREY, canvas
from lammps_dpgen.report.validation import Approach, ValidationRecord

COLUMNS = 5
#: Panels of one part of the validation, and of the whole picture.
MOST_OF_PART, MOST_PANELS = 15, 60
#: Inches.
_PANEL, _ROOM = 1.35, 0.3


def shown(found: ValidationRecord) -> list[Approach]:
    """Return the quantities that have a panel."""
    counts: dict[str, int] = {}
    chosen: list[Approach] = []
    for one in found.approaches:
        counts[one.part] = counts.get(one.part, 0) + 1
        if counts[one.part] <= MOST_OF_PART and len(chosen) < MOST_PANELS:
            chosen.append(one)
    return chosen


def approach(found: ValidationRecord) -> Figure | None:
    """Draw how each property approaches the reference as labels are added."""
    chosen = shown(found)
    if not chosen:
        return None
    rows = ceil(len(chosen) / COLUMNS)
    figure, grid = canvas(rows, COLUMNS, _PANEL * rows + _ROOM)
    for number, axes in enumerate(grid.flat):
        if number < len(chosen):
            _panel(axes, found, chosen[number])
        else:
            axes.set_axis_off()
    figure.supxlabel("labels", fontsize=9, color=GREY)
    return figure


def _panel(axes: Axes, found: ValidationRecord, one: Approach) -> None:
    """Draw one quantity: the reference with its tolerance, the values of the generations."""
    labels = np.array(found.labels, dtype=np.float64)
    values = np.array([np.nan if value is None else value for value in one.values], dtype=np.float64)
    errors = np.array([0.0 if error is None else error for error in one.errors], dtype=np.float64)
    axes.axhspan(one.target - one.tolerance, one.target + one.tolerance, color=GREEN, alpha=0.15, lw=0)
    axes.axhline(one.target, color=GREY, ls="--", lw=1.0)
    axes.plot(labels, values, "-o", color=BLUE, ms=3, lw=1.1)
    if errors.any():
        axes.errorbar(labels, values, yerr=errors, fmt="none", ecolor=BLUE, capsize=2, lw=0.9)
    unit = f" ({one.unit})" if one.unit else ""
    axes.set_title(f"{one.subject} {one.quantity}{unit}", fontsize=7, fontweight="normal")
    axes.tick_params(labelsize=6.5, pad=1)
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.margins(y=0.15)
    room = 0.08 * float(np.ptp(labels)) or 1.0
    axes.set_xlim(labels.min() - room, labels.max() + room)  # the same where values are missing
