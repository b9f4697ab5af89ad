"""Pictures of the labels: deviation against true error, parity of forces and energies."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.report.calibration import Fit, calibrate, judged
from lammps_dpgen.report.label_arrays import LabelArrays
from lammps_dpgen.report.pictures.style import BLACK, BLUE, GREY, MANY, ORANGE, PINK, RED, canvas, density, plain_log
from lammps_dpgen.report.record import Parity, RunRecord, rms


def error_of_labels(record: RunRecord, fit: Fit | None) -> Figure | None:
    """Draw the largest force error of each label against the deviation that chose it; None without judged labels."""
    labels = record.labels
    known = judged(labels) & (labels.max_devi_f > 0) & (labels.force_error_max > 0)
    if not known.any():
        return None
    x, y = labels.max_devi_f[known], labels.force_error_max[known]
    figure, grid = canvas(1, 1, 5.0)
    axes = grid[0, 0]
    axes.set(xscale="log", yscale="log")
    _points(axes, figure, labels, known)
    bounds = record.window or (float(x.min()), float(x.max()))
    left, right = min(x.min(), *bounds) / 1.3, max(x.max(), *bounds) * 1.3
    low, high = min(y.min() / 1.3, left), max(y.max() * 1.3, right)
    axes.plot([low, high], [low, high], color=GREY, lw=1, ls="--", label="error = deviation")
    axes.set(xlim=(left, right), ylim=(low, high))
    plain_log(axes.xaxis, axes.yaxis)
    _quarters(axes, record, None if fit is None else fit.target)
    if fit is not None:
        _fit(axes, fit, float(x.min()), float(x.max()))
    axes.set(xlabel="max_devi_f when the frame was taken  (eV/Å)", ylabel="largest force error of an atom  (eV/Å)")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3)
    return figure


def _fit(axes: Axes, fit: Fit, first: float, last: float) -> None:
    """Draw the typical error and the one that few labels exceed: over the data, and thin where they are continued."""
    names: tuple[str | None, str | None] = ("typical error", f"{100 * fit.confidence:g} % of the errors are below")
    for ends, width in (((first, last), 1.6), (axes.get_xlim(), 0.6)):
        deviation = np.geomspace(*ends, 100)
        axes.plot(deviation, fit.relation.typical(deviation), color=BLUE, lw=width, label=names[0])
        axes.plot(deviation, fit.relation.quantile(deviation, fit.confidence), color=PINK, lw=width, label=names[1])
        names = (None, None)


def _points(axes: Axes, figure: Figure, labels: LabelArrays, known: NDArray[np.bool_]) -> None:
    """Draw one point per label in the colour of the generation that judged it, or a map of counts."""
    x, y = labels.max_devi_f[known], labels.force_error_max[known]
    if len(x) > MANY:
        density(axes, x, y, BLUE, log=True)
        return
    generations = labels.generation_judged[known]
    numbers = np.unique(generations)
    bounds = np.arange(numbers.min(), numbers.max() + 2) - 0.5
    shades = LinearSegmentedColormap.from_list("generations", colormaps["viridis"](np.linspace(0.0, 0.88, 64)))
    norm = BoundaryNorm(bounds, 256)
    dots = axes.scatter(x, y, c=generations, s=16, cmap=shades, norm=norm, linewidths=0, alpha=0.85)
    if len(numbers) > 1:
        step = max(1, len(bounds) // 8)
        ticks = np.arange(numbers.min(), numbers.max() + 1, step)
        figure.colorbar(dots, ax=axes, ticks=ticks, label="generation that judged", pad=0.01, aspect=35)


def _quarters(axes: Axes, record: RunRecord, target: float | None) -> None:
    if record.window is None:
        return
    counts = calibrate(record.labels, record.window, target)
    for name, bound, error, colour in zip(
        ("lo", "hi"), record.window, (counts.bound, counts.bad), (ORANGE, RED), strict=True
    ):
        axes.axvline(bound, color=colour, lw=1, label=f"{name} = {bound:.3g}")
        if target is None:
            axes.axhline(error, color=colour, lw=1)
    if target is not None:
        axes.axhline(target, color=BLACK, lw=1, ls=":", label=f"target = {target:g}")
    corners = {
        (0.01, 0.985, "left", "top"): f"missed: {counts.misses}",
        (0.99, 0.985, "right", "top"): f"rightly doubted: {counts.hits}",
        (0.99, 0.015, "right", "bottom"): f"false alarm: {counts.false_alarms}",
        (0.01, 0.015, "left", "bottom"): f"rightly trusted: {counts.trusted}",
    }
    for (x, y, horizontal, vertical), text in corners.items():
        axes.text(
            x,
            y,
            text,
            transform=axes.transAxes,
            ha=horizontal,
            va=vertical,
            fontsize=8,
            fontweight="bold",
            color="#374151",
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5},
        )


def parity(record: Parity) -> Figure:
    """Draw predicted against reference forces and energies, before and after."""
    figure, grid = canvas(2, 2, 7.6)
    pairs = [
        ("force component  (eV/Å)", record.forces_ref, record.forces_first, record.forces_last, "eV/Å", 1.0),
        ("energy  (eV/atom)", record.energy_ref, record.energy_first, record.energy_last, "meV/atom", 1000.0),
    ]
    for row, (name, reference, first, last, unit, factor) in enumerate(pairs):
        for column, (when, predicted) in enumerate((("before", first), ("after", last))):
            axes = grid[row, column]
            _parity_panel(axes, reference, predicted)
            error = factor * rms(predicted - reference)
            axes.set_title(f"{when}: RMSE {error:.3g} {unit}")
            axes.set(xlabel=f"reference {name}", ylabel=f"predicted {name}")
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.yaxis.set_major_locator(MaxNLocator(5))
        _same_range(grid[row, 0], grid[row, 1])
    return figure


def _parity_panel(axes: Axes, reference: FloatArray, predicted: FloatArray) -> None:
    finite = np.isfinite(reference) & np.isfinite(predicted)
    if finite.any():
        density(axes, reference[finite], predicted[finite], BLUE)
    axes.set_aspect("equal", adjustable="box")


def _same_range(*panels: Axes) -> None:
    """Give panels the same square range and its diagonal, so that before and after are compared at one scale."""
    boxes = [panel.dataLim for panel in panels]
    low = min(min(box.x0, box.y0) for box in boxes)
    high = max(max(box.x1, box.y1) for box in boxes)
    if not (np.isfinite(low) and np.isfinite(high)):
        return
    margin = 0.04 * ((high - low) or 1.0)
    ends = (low - margin, high + margin)
    for panel in panels:
        panel.set(xlim=ends, ylim=ends)
        panel.plot(ends, ends, color=GREY, lw=0.9, ls="--")
