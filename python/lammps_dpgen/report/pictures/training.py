"""Pictures of training and cost."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.report.costs import PARTS, GenerationCost
from lammps_dpgen.report.pictures.style import BLUE, GREY, MODEL_COLOURS, PART_COLOURS, RED, canvas, grouped, plain_log
from lammps_dpgen.store.records import Generation

#: Points of a learning curve that are drawn where there are few generations; of many, fewer each.
N_POINTS = 120
FEW = 30


def curves(generations: list[Generation]) -> Figure | None:
    """Draw the learning curves of all generations, one after another, and the error on each generation's new labels."""
    if not any(model.curve for generation in generations for model in generation.models):
        return None
    figure, grid = canvas(2, 1, 5.4, height_ratios=[3, 2])
    _learning_curves(grid[0, 0], generations)
    _before_after(grid[1, 0], generations)
    return figure


def _learning_curves(axes: Axes, generations: list[Generation]) -> None:
    axes.set_yscale("log")
    offset, ticks = 0, []
    lines: dict[int, list[FloatArray]] = defaultdict(list)  # one line per model, broken between generations
    gap = np.full((1, 2), np.nan)
    thin = max(2, N_POINTS * FEW // max(FEW, len(generations)))
    for generation in generations:
        length = 0
        for index, model in enumerate(generation.models):
            if not model.curve:
                continue
            curve = np.array([(row[0], row[1]) for row in model.curve], dtype=np.float64)
            length = max(length, model.steps, int(curve[-1, 0]))
            curve = curve[:: max(1, len(curve) // thin)]
            lines[index] += [curve[curve[:, 1] > 0] + (offset, 0.0), gap]
        ticks.append((offset, generation.number))
        offset += length
    for index, pieces in sorted(lines.items()):
        colour = MODEL_COLOURS[index % len(MODEL_COLOURS)]
        axes.plot(*np.concatenate(pieces).T, lw=0.9, color=colour, alpha=0.85, label=f"model {index}")
    every = max(1, len(ticks) // 20)
    for start, number in ticks[::every]:
        axes.axvline(start, color=GREY, lw=0.6, alpha=0.6)
        axes.annotate(
            f"g{number}",
            (start, 1.0),
            (2, -2),
            xycoords=axes.get_xaxis_transform(),
            textcoords="offset points",
            va="top",
            fontsize=7,
            color=GREY,
        )
    axes.xaxis.set_major_formatter(grouped)
    axes.set(xlabel="training steps, one generation after another", ylabel="force RMSE of the batch  (eV/Å)")
    axes.set_xlim(0, max(offset, 1))
    plain_log(axes.yaxis)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=8, columnspacing=1.2, handlelength=1.4)


def _before_after(axes: Axes, generations: list[Generation]) -> None:
    numbers = np.array([generation.number for generation in generations])
    before = np.array([generation.force_rmse_before or np.nan for generation in generations], dtype=np.float64)
    after = np.array([generation.force_rmse_after or np.nan for generation in generations], dtype=np.float64)
    axes.vlines(numbers, after, before, color="#9ca3af", lw=1)
    axes.plot(numbers, before, "o", color=RED, ms=5, label="before the training")
    axes.plot(numbers, after, "s", color=BLUE, ms=5, label="after it")
    if np.isfinite([*before, *after]).any():
        axes.set_yscale("log")
        plain_log(axes.yaxis)
    axes.set(xlabel="generation", ylabel="force RMSE on the\nnew labels  (eV/Å)")
    axes.set_xlim(numbers.min() - 0.5, max(numbers.max(), numbers.min() + 3) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)


def costs(seconds: dict[str, float | None], per_generation: list[GenerationCost]) -> Figure | None:
    """Draw the measured seconds as one bar, and those of each generation; None when nothing is known."""
    rows = [("all sessions", {part: seconds.get(part) or 0.0 for part in PARTS})]
    rows = [row for row in rows if sum(row[1].values()) > 0]
    names = ("md", "labels", "training", "swap")
    rows += [
        ("before g0" if cost.generation < 0 else f"g{cost.generation}", {name: getattr(cost, name) for name in names})
        for cost in per_generation[:40]
    ]
    if not rows:
        return None
    figure, grid = canvas(1, 1, 1.2 + 0.2 * len(rows))
    axes, seen = grid[0, 0], set()
    for y, (_, parts) in enumerate(rows):
        left = 0.0
        for part, value in parts.items():
            label = "_" if part in seen or value <= 0 else part.replace("md", "MD")
            axes.barh(y, value, 0.7, left, color=PART_COLOURS[part], label=label, linewidth=0)
            seen |= {part} if value > 0 else set()
            left += value
    axes.set_yticks(range(len(rows)), [name for name, _ in rows])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("wall time  (s)")
    axes.xaxis.set_major_formatter(grouped)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=6)
    return figure
