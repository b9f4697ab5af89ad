"""One look for all pictures: colours that colour-blind readers tell apart (Okabe and Ito), few lines, no box."""

from __future__ import annotations

import base64
import io
import warnings
from typing import Any, Literal

import matplotlib as mpl

mpl.use("Agg", force=False)

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

BLUE, SKY, GREEN, ORANGE, RED, PINK, GREY = "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#6b7280"
BLACK = "#111827"
#: Accurate, candidate, failed.
CLASS_COLOURS = (GREEN, ORANGE, RED)
MODEL_COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, RED, "#8c6d00", GREY)
PART_COLOURS = {
    "md": BLUE,
    "deviation": SKY,
    "labels": PINK,
    "training": ORANGE,
    "swap": GREEN,
    "other": "#c5c9d0",
}
#: Above this many points a scatter plot becomes a map of counts.
MANY = 2500
WIDTH = 8.6

SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelcolor": "#374151",
    "axes.edgecolor": "#9ca3af",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.6,
    "xtick.color": "#4b5563",
    "ytick.color": "#4b5563",
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "lammps-dpgen",
    "savefig.dpi": 160,
}

#: 12000 as 12 000.
grouped = FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", " "))


def canvas(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, Any]:
    """Return a figure of the report's width and its axes, ``[rows, columns]``; `height` in inches."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def plain_log(*axes: Axis) -> None:
    """Label logarithmic axes with plain numbers: 0.05, 0.1, 0.2."""
    for axis in axes:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def data_uri(figure: Figure) -> str:
    """Return the figure as a ``data:`` address that an ``img`` element shows without any other file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # glyphs or layouts that cannot be had are no matter of the run
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "lammps-dpgen"})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def density(axes: Axes, x: Any, y: Any, colour: str, log: bool = False) -> None:
    """Draw points, or a map of their counts where they are many."""
    if len(x) <= MANY:
        axes.plot(x, y, "o", ms=3, mew=0, alpha=0.55, color=colour, rasterized=len(x) > MANY // 4)
        return
    scale: Literal["log", "linear"] = "log" if log else "linear"
    look: dict[str, Any] = {"gridsize": 90, "bins": "log", "mincnt": 1, "cmap": "cividis_r", "linewidths": 0}
    axes.hexbin(x, y, xscale=scale, yscale=scale, rasterized=True, **look)
