"""Pictures of the trajectory: deviation and temperature over the steps, classes of the looks per generation."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lammps_dpgen.ensemble import CLASSES
from lammps_dpgen.frame import FloatArray
from lammps_dpgen.report.looks import Looks, envelope
from lammps_dpgen.report.pictures.style import BLUE, CLASS_COLOURS, GREY, ORANGE, PINK, RED, canvas, grouped, plain_log
from lammps_dpgen.report.record import RunRecord

#: Looks that are drawn one by one; of more, only the least and the greatest of each bin.
EACH = 1500
N_BINS = 900
#: Vertical marks of one kind that a picture bears; more become a line of ticks.
MOST_MARKS = 40


def deviation(record: RunRecord, looks: Looks) -> Figure:
    """Draw the deviation against the trust window, with pauses, rollbacks and swaps, and the temperature below."""
    has_temperature = bool(np.isfinite(looks.temperature).any())
    heights = [3, 1] if has_temperature else [1]
    figure, grid = canvas(len(heights), 1, 5.2 if has_temperature else 3.8, sharex=True, height_ratios=heights)
    top = grid[0, 0]
    top.set_yscale("log")
    _curve(top, looks)
    _window(top, record)
    _bad(top, looks)
    _leave_out_rounding(top, record, looks)
    _marks(top, record, looks)
    top.set_ylabel("max_devi_f  (eV/Å)")
    plain_log(top.yaxis)
    figure.legend(loc="outside upper left", ncols=7, handlelength=1.4, columnspacing=1.1)
    if has_temperature:
        _temperature(grid[1, 0], looks)
    grid[-1, 0].set_xlabel("MD steps made")
    grid[-1, 0].xaxis.set_major_formatter(grouped)
    top.set_xlim(looks.done[0], max(looks.done[-1], looks.done[0] + 1))
    return figure


def _positive(looks: Looks) -> FloatArray:
    return np.where(np.isfinite(looks.max_devi_f) & (looks.max_devi_f > 0), looks.max_devi_f, np.nan)


def _curve(axes: Axes, looks: Looks) -> None:
    values = _positive(looks)
    if len(looks) <= EACH:
        axes.plot(looks.done, values, lw=0.8, color=BLUE, label="deviation")
        return
    x, low, high = envelope(looks.done, values, N_BINS)
    axes.fill_between(x, low, high, color=BLUE, alpha=0.45, lw=0, label="deviation")
    axes.plot(x, high, lw=0.5, color=BLUE)


def _window(axes: Axes, record: RunRecord) -> None:
    if record.window is None:
        return
    lo, hi = record.window
    axes.axhspan(lo, hi, color=ORANGE, alpha=0.16, lw=0, label=f"trust window {lo:g} to {hi:g}")
    axes.axhline(lo, color=ORANGE, lw=0.9)
    axes.axhline(hi, color=RED, lw=0.9)


def _bad(axes: Axes, looks: Looks) -> None:
    bad = ~np.isfinite(looks.max_devi_f)
    if bad.any():
        at = looks.done[bad][:: max(1, int(bad.sum()) // 200)]
        axes.plot(at, [0.98] * len(at), "x", color=RED, ms=5, transform=axes.get_xaxis_transform(), label="not finite")


def _leave_out_rounding(axes: Axes, record: RunRecord, looks: Looks) -> None:
    """Cut the axis below all but the lowest hundredth: an ideal crystal's deviation is rounding, 1e-15 eV/Å."""
    values = _positive(looks)
    if np.isfinite(values).sum() < 2:
        return
    lowest = float(np.nanpercentile(values, 1))
    axes.set_ylim(bottom=0.7 * (lowest if record.window is None else min(lowest, record.window[0])))


def _marks(axes: Axes, record: RunRecord, looks: Looks) -> None:
    """Mark the events: a triangle on the upper edge for each, and a faint line where they are few."""
    kinds = {"pause": ("v", GREY, 0.98), "rollback": ("<", RED, 0.93), "swap": ("^", PINK, 0.03)}
    events = [event for event in record.of_kind(*kinds) if event.step >= 0]
    places = looks.place(event.step for event in events)
    for kind, (marker, colour, height) in kinds.items():
        at = [x for x, event in zip(places, events, strict=True) if event.kind == kind and math.isfinite(x)]
        if not at:
            continue
        axes.plot(
            at,
            [height] * len(at),
            marker,
            color=colour,
            ms=5,
            mew=0,
            transform=axes.get_xaxis_transform(),
            label=f"{kind} ({len(at)})",
            clip_on=False,
        )
        if kind == "swap" and len(at) <= MOST_MARKS:
            for x in at:
                axes.axvline(x, color=colour, lw=0.6, alpha=0.6, zorder=0.5)
    _discarded(axes, record, looks)


def _discarded(axes: Axes, record: RunRecord, looks: Looks) -> None:
    """Shade what a rollback threw away."""
    rollbacks = [event for event in record.of_kind("rollback") if event.step >= 0 and "to_step" in event.data]
    ends = looks.place(event.step for event in rollbacks)
    label = "thrown away"
    for event, end in zip(rollbacks, ends, strict=True):
        length = event.step - int(event.data["to_step"])
        if math.isfinite(end) and length > 0:
            axes.axvspan(end - length, end, color=RED, alpha=0.10, lw=0, label=label)
            label = "_"


def _temperature(axes: Axes, looks: Looks) -> None:
    if len(looks) <= EACH:
        axes.plot(looks.done, looks.temperature, lw=0.8, color=GREY)
    else:
        x, low, high = envelope(looks.done, looks.temperature, N_BINS)
        axes.fill_between(x, low, high, color=GREY, alpha=0.5, lw=0)
        axes.plot(x, (low + high) / 2, lw=0.8, color=GREY)
    axes.set_ylabel("temperature  (K)")


def shares(looks: Looks) -> Figure:
    """Draw which share of the looks of each generation was accurate, candidate and failed."""
    counts = looks.counts_by_generation()
    generations = list(counts)
    table = np.array([counts[g] for g in generations], dtype=np.float64)
    totals = table.sum(axis=1)
    figure, grid = canvas(1, 1, 3.0)
    axes = grid[0, 0]
    bottom = np.zeros(len(generations))
    x = np.arange(len(generations))
    for i, (name, colour) in enumerate(zip(CLASSES, CLASS_COLOURS, strict=True)):
        height = 100 * table[:, i] / totals
        hatch = ("", "//", "xx")[i]
        axes.bar(x, height, 0.8, bottom, color=colour, label=name, hatch=hatch, edgecolor="white", linewidth=0)
        bottom += height
    xlabel = "generation of the models"
    if len(generations) <= 16:
        xlabel += "  (above the bars: number of looks)"
        for i, total in enumerate(totals):
            axes.annotate(grouped(total), (i, 100), ha="center", va="bottom", fontsize=7, color=GREY)
    every = max(1, math.ceil(len(generations) / 25))
    axes.set_xticks(x[::every], [str(g) for g in generations[::every]])
    axes.set(xlabel=xlabel, ylabel="share of looks  (%)")
    axes.set_ylim(0, 107)
    axes.set_xlim(-0.6, max(len(generations) - 0.4, 3.4))
    axes.grid(axis="x", visible=False)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3)
    return figure
