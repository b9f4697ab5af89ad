"""Pictures of a campaign: convergence over the rounds, a few trajectories, what the walkers did with their time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lammps_dpgen.ensemble import CLASSES
from lammps_dpgen.frame import FloatArray
from lammps_dpgen.report.campaign import WALKER_PARTS, CampaignRecord, Sample
from lammps_dpgen.report.looks import envelope
from lammps_dpgen.report.pictures.style import (
    BLUE,
    CLASS_COLOURS,
    GREY,
    ORANGE,
    PART_COLOURS,
    PINK,
    RED,
    SKY,
    canvas,
    grouped,
    plain_log,
)
from lammps_dpgen.store.records import RoundFigures

#: Walkers that have a bar of their own; of more, the shares are drawn in order.
MOST_WALKERS = 32
#: Looks of a sampled trajectory that are drawn one by one.
EACH = 400
N_BINS = 200
_WALKER_COLOURS = {
    **PART_COLOURS,
    **{"learning": ORANGE, "start": SKY, "deviation": "#8fb9d8", "pause": "#7a6fac", "waiting": "#c5c9d0"},
}
_SHADES = ("#f3f4f6", "#ffffff")


def convergence(campaign: CampaignRecord) -> Figure | None:
    """Draw the classes of the looks of each round, stage after stage, and what is not accurate on a log axis."""
    rounds = [one for one in campaign.rounds if one.accurate + one.candidate + one.failed]
    if not rounds:
        return None
    figure, grid = canvas(2, 1, 5.2, sharex=True, height_ratios=[1, 1])
    counts = np.array([(one.accurate, one.candidate, one.failed) for one in rounds], dtype=np.float64)
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    top, low = grid[0, 0], grid[1, 0]
    bottom, x = np.zeros(len(rounds)), np.arange(len(rounds))
    for i, (name, colour) in enumerate(zip(CLASSES, CLASS_COLOURS, strict=True)):
        hatch = ("", "//", "xx")[i]
        top.bar(x, shares[:, i], 0.8, bottom, color=colour, label=name, hatch=hatch, edgecolor="white", linewidth=0)
        bottom += shares[:, i]
    top.set(ylabel="share of looks  (%)", ylim=(0, 100))
    top.grid(axis="x", visible=False)
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    _left_over(low, rounds, shares)
    for axes in (top, low):
        _stages(axes, rounds, named=axes is top)
    every = max(1, math.ceil(len(rounds) / 40))
    low.set_xticks(x[::every], [str(one.round) for one in rounds[::every]])
    low.set_xlabel("round of the stage")
    low.set_xlim(-0.6, max(len(rounds) - 0.4, 3.4))
    return figure


def _left_over(axes: Axes, rounds: Sequence[RoundFigures], shares: FloatArray) -> None:
    """Draw candidates and failures as points; none at all lies on the lower edge."""
    some = shares[:, 1:][shares[:, 1:] > 0]
    floor = 10 ** math.floor(math.log10(some.min())) / 2 if some.size else 0.05
    x = np.arange(len(rounds))
    for i, marker in ((1, "o"), (2, "X")):
        there = shares[:, i] > 0
        axes.plot(x[there], shares[there, i], marker, color=CLASS_COLOURS[i], ms=6, mew=0, clip_on=False)
    none = x[(shares[:, 1:] == 0).all(axis=1)]
    axes.plot(none, [floor] * len(none), "o", ms=6, mfc="white", mec=CLASS_COLOURS[0], clip_on=False)
    begun = [i for i in range(len(rounds)) if i == 0 or rounds[i].stage != rounds[i - 1].stage]
    for first, end in zip(begun, [*begun[1:], len(rounds)], strict=True):
        values = np.maximum(shares[first:end, 1] + shares[first:end, 2], floor)
        axes.plot(x[first:end], values, color=GREY, lw=0.9, zorder=1)
    axes.set_yscale("log")
    axes.set_ylim(floor, 130)
    plain_log(axes.yaxis)
    axes.set_ylabel("not accurate  (%)")


def _stages(axes: Axes, rounds: Sequence[RoundFigures], *, named: bool) -> None:
    """Shade the stages by turns and name them."""
    begun = [i for i in range(len(rounds)) if i == 0 or rounds[i].stage != rounds[i - 1].stage]
    for number, (first, end) in enumerate(zip(begun, [*begun[1:], len(rounds)], strict=True)):
        axes.axvspan(first - 0.5, end - 0.5, color=_SHADES[number % 2], lw=0, zorder=-1)
        if not named:
            continue
        name = rounds[first].stage
        room = max(6, int((end - first) / len(rounds) * 110))
        axes.annotate(
            name if len(name) <= room else f"{name[: room - 1]}…",
            (first - 0.4, 1.0),
            (0, 3),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            va="bottom",
            fontsize=8,
            fontweight="bold",
            color="#374151",
        )


def samples(campaign: CampaignRecord, window: tuple[float, float] | None) -> Figure | None:
    """Draw the deviation of a few trajectories, one small panel each, all on one scale.

    `window` (eV/Å) is that of stages that do not tell theirs.
    """
    chosen = campaign.samples
    if not chosen:
        return None
    columns = min(2, len(chosen))
    n_rows = math.ceil(len(chosen) / columns)
    figure, grid = canvas(n_rows, columns, 0.6 + 1.45 * n_rows, sharey=True)
    for axes, sample in zip(grid.flat, chosen, strict=False):
        _sample(axes, sample, campaign.window_of(sample.trajectory.stage) or window)
    for axes in grid.flat[len(chosen) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel("eV/Å")
    for axes in grid.flat[max(0, len(chosen) - columns) : len(chosen)]:
        axes.set_xlabel("MD step")
    seen = [deviation[deviation > 0] for one in chosen for _, deviation in one.parts]
    lowest = [np.percentile(deviation, 1) for deviation in seen if deviation.size]
    edges = [*lowest, *([] if window is None else [window[0]])]
    if edges:
        grid[0, 0].set_ylim(bottom=0.7 * min(edges))
    return figure


def _sample(axes: Axes, sample: Sample, window: tuple[float, float] | None) -> None:
    axes.set_yscale("log")
    total = sum(len(step) for step, _ in sample.parts)
    for number, (step, deviation) in enumerate(sample.parts):
        values = np.where(np.isfinite(deviation) & (deviation > 0), deviation, np.nan)
        if number:
            axes.axvline(step[0], color=PINK, lw=0.7, zorder=0.5)
        if total <= EACH:
            axes.plot(step, values, lw=0.8, color=BLUE)
            continue
        x = np.maximum.accumulate(step).astype(np.int64)
        at, low, high = envelope(x, values, max(2, round(N_BINS * len(step) / total)))
        axes.fill_between(at, low, high, color=BLUE, alpha=0.45, lw=0)
        axes.plot(at, high, lw=0.5, color=BLUE)
    if window is not None:
        axes.axhspan(*window, color=ORANGE, alpha=0.16, lw=0)
        axes.axhline(window[0], color=ORANGE, lw=0.9)
        axes.axhline(window[1], color=RED, lw=0.9)
    one = sample.trajectory
    words = [one.structure] + ([f"{one.conditions['temperature']:g} K"] if "temperature" in one.conditions else [])
    title = f"{one.number}  {one.stage} / {one.round}  {', '.join(words)}"
    axes.set_title(title if len(title) <= 52 else f"{title[:51]}…", fontsize=8, pad=3)
    axes.xaxis.set_major_formatter(grouped)
    plain_log(axes.yaxis)


def walkers(seconds: FloatArray) -> Figure | None:
    """Draw which share of its time each walker spent with what; of many walkers, the shares in order.

    Parameters
    ----------
    seconds
        ``[n_walkers, len(WALKER_PARTS)]``.
    """
    total = seconds.sum(axis=1)
    known = total > 0
    if not known.any():
        return None
    shares = 100 * seconds[known] / total[known, None]
    means = 100 * seconds.sum(axis=0) / seconds.sum()
    labels = [f"{part.replace('md', 'MD')} {mean:.1f} %" for part, mean in zip(WALKER_PARTS, means, strict=True)]
    colours = [_WALKER_COLOURS[part] for part in WALKER_PARTS]
    if len(shares) > MOST_WALKERS:
        return _distribution(shares, labels, colours)
    figure, grid = canvas(1, 1, 1.1 + 0.22 * len(shares))
    axes, left, y = grid[0, 0], np.zeros(len(shares)), np.arange(len(shares))
    for i, (label, colour) in enumerate(zip(labels, colours, strict=True)):
        axes.barh(y, shares[:, i], 0.72, left, color=colour, label=label, linewidth=0)
        left += shares[:, i]
    axes.set_yticks(y, [f"walker {number}" for number in np.flatnonzero(known)])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="share of the walker's time  (%)", xlim=(0, 100))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(labels), columnspacing=1.2, handlelength=1.2)
    return figure


def _distribution(shares: FloatArray, labels: list[str], colours: list[str]) -> Figure:
    """Draw the walkers side by side, those with the most MD first, thinned to what a picture can show."""
    order = np.argsort(-shares[:, 0], kind="stable")
    thin = order[np.unique(np.linspace(0, len(order) - 1, min(len(order), 400)).round().astype(int))]
    figure, grid = canvas(1, 1, 2.8)
    axes = grid[0, 0]
    x = np.linspace(0, len(order), len(thin))
    axes.stackplot(x, shares[thin].T, labels=labels, colors=colours, linewidth=0)
    axes.set(xlabel="walkers, those with the most MD first", ylabel="share of their time  (%)")
    axes.set(xlim=(0, len(order)), ylim=(0, 100))
    axes.xaxis.set_major_formatter(grouped)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(labels), columnspacing=1.2, handlelength=1.2)
    return figure
