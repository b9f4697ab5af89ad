"""Pictures of a validation, from the plain data that properties return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lammps_dpgen.config.validation import GENERATION
from lammps_dpgen.report.pictures.style import GREY, MODEL_COLOURS, SETTINGS, canvas, data_uri, density
from lammps_dpgen.validation.base import Chart, Series
from lammps_dpgen.validation.comparison import Table
from lammps_dpgen.validation.references import Reference

#: Shapes that tell the series of one potential apart, whose colour is the potential's.
_LINES = ("-", "--", ":", "-.")
_MARKS = ("o", "s", "^", "D", "v", "P")

#: Bars beside each other before their words are turned.
_MANY_BARS = 8

#: Points of a line that are marked.
_FEW_ON_LINE = 12

#: Points of a parity picture that are drawn large.
_FEW = 100

#: Rows of one quantity that deserve a parity picture.
_FEWEST_PARITY = 8


def draw(charts: Mapping[str, Chart], colours: Mapping[str, str]) -> str:
    """Return a picture of the same chart of several potentials as a ``data:`` address.

    Parameters
    ----------
    charts
        By the name of the potential, or of the references.
    colours
        By the same names.
    """
    first = next(iter(charts.values()))
    with mpl.rc_context(SETTINGS):
        if first.kind == "parity":
            figure = _parity(charts, colours)
        elif first.kind == "bars":
            figure = _bars(charts, colours)
        else:
            figure = _lines(charts, colours)
        return data_uri(figure)


def colours_of(names: Sequence[str], base: str | None) -> dict[str, str]:
    """Return a colour for each name; grey for what the others are compared with."""
    others = [name for name in names if name != base]
    found = {name: MODEL_COLOURS[i % (len(MODEL_COLOURS) - 1)] for i, name in enumerate(others)}
    return {**found, **({base: GREY} if base in names and base is not None else {})}


def reference_bars(chart: Chart, references: Mapping[str, Mapping[tuple[str, str], Reference]]) -> dict[str, Chart]:
    """Return bars of the references that know the keys of a chart, by the name of the references."""
    if chart.kind != "bars" or not chart.keys:
        return {}
    found = {}
    for name, known in references.items():
        values = [known[key].value if key in known else None for key in chart.keys]
        if any(value is not None for value in values):
            found[name] = replace(chart, series=(Series("", chart.series[0].x, values),))
    return found


def parity_charts(tables: Sequence[Table], base: str | None) -> list[dict[str, Chart]]:
    """Return, for each part and unit with many compared rows, charts of the values against those compared with."""
    found = []
    for table in tables:
        for quantity in dict.fromkeys(line.quantity for line in table.lines):
            lines = [line for line in table.lines if line.quantity == quantity and line.base is not None]
            if len(lines) < _FEWEST_PARITY:
                continue
            charts = {}
            for name in dict.fromkeys(name for line in lines for name in line.cells if name != base):
                pairs = [(line.base, line.cells[name].row.value) for line in lines if name in line.cells]
                points = Series("", [x for x, _ in pairs if x is not None], [y for x, y in pairs if x is not None])
                unit = lines[0].unit
                charts[name] = Chart(
                    id=f"parity-{table.part}-{quantity}",
                    part=table.part,
                    title=f"{quantity} against {base}",
                    caption="On the dashed line both are equal.",
                    x_label=f"{base} ({unit})" if unit else str(base),
                    y_label=f"{quantity} ({unit})" if unit else quantity,
                    kind="parity",
                    series=(points,),
                )
            if charts:
                found.append(charts)
    return found


def approach_charts(tables: Sequence[Table], names: Sequence[str], base: str | None) -> list[dict[str, Chart]]:
    """Return how the generations of each run approach what they are compared with, part by part."""
    runs: dict[str, dict[int, str]] = {}
    for name in names:
        match = GENERATION.fullmatch(name)
        if match:
            runs.setdefault(match[1], {})[int(match[2])] = name
    found = []
    for run, generations in runs.items():
        series = []
        for table in tables:
            means = [_mean_difference(table, name) for name in generations.values()]
            if any(mean is not None for mean in means):
                series.append(Series(table.part, list(generations), means))
        if len(generations) > 1 and series:
            caption = (
                f"Root mean square of the differences from {base}, relative to its values, of all rows of a part that "
                "could be computed."
            )
            axis = ("generation", "relative difference (%)")
            title = f"How the generations of {run} approach {base}"
            found.append({run: Chart(f"approach-{run}", "Generations", title, caption, *axis, "lines", tuple(series))})
    return found


def _mean_difference(table: Table, name: str) -> float | None:
    """Return the root mean square relative difference of a potential in a table, in percent."""
    relative = [
        cell.difference / line.base
        for line in table.lines
        if line.base and (cell := line.cells.get(name)) is not None and cell.difference is not None
    ]
    return 100.0 * float(np.sqrt(np.mean(np.square(relative)))) if relative else None


def _label(name: str, series: Series, alone: bool) -> str:
    return name if alone or not series.name else f"{name}, {series.name}"


def _axes_words(axes: Axes, chart: Chart) -> None:
    axes.set_xlabel(chart.x_label)
    axes.set_ylabel(chart.y_label)
    if chart.zero_line:
        axes.axhline(0.0, color=GREY, lw=0.8)
    if chart.ticks:
        positions, labels = zip(*chart.ticks, strict=True)
        axes.set_xticks(list(positions), list(labels))
        axes.grid(False, axis="y")
        axes.set_xlim(min(positions), max(positions))


def _lines(charts: Mapping[str, Chart], colours: Mapping[str, str]) -> Figure:
    figure, grid = canvas(1, 1, 3.8)
    axes: Axes = grid[0, 0]
    several = len(charts) > 1
    for name, chart in charts.items():
        kinds = list(dict.fromkeys(series.name for series in chart.series))
        told: set[str] = set()
        for series in chart.series:
            number = kinds.index(series.name)
            colour = colours[name] if several or len(kinds) == 1 else MODEL_COLOURS[number % len(MODEL_COLOURS)]
            label = _label(name, series, len(kinds) == 1) if several or len(kinds) == 1 else series.name
            look: dict[str, Any] = {"color": colour, "label": "_" if label in told else label}
            told.add(label)
            y = np.array([np.nan if value is None else value for value in series.y], dtype=np.float64)
            if series.style == "points" or len(series.x) <= _FEW_ON_LINE:
                joined = "" if series.style == "points" else "-"
                look |= {"marker": _MARKS[number % len(_MARKS)], "ms": 3.5, "ls": joined}
            else:
                dashed = series.style == "dashed"
                look |= {"ls": "--" if dashed else _LINES[number % len(_LINES)] if several else "-", "lw": 1.4}
            if series.error:
                axes.errorbar(series.x, y, yerr=series.error, capsize=2, **look)
            else:
                axes.plot(series.x, y, **look)
    first = next(iter(charts.values()))
    _axes_words(axes, first)
    if not first.ticks and all(isinstance(x, int) for series in first.series for x in series.x):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _bars(charts: Mapping[str, Chart], colours: Mapping[str, str]) -> Figure:
    words = list(dict.fromkeys(str(x) for chart in charts.values() for s in chart.series for x in s.x))
    groups = [(name, series, len(chart.series)) for name, chart in charts.items() for series in chart.series]
    figure, grid = canvas(1, 1, 3.6)
    axes: Axes = grid[0, 0]
    width = 0.8 / len(groups)
    for number, (name, series, count) in enumerate(groups):
        places = np.array([words.index(str(x)) for x in series.x], dtype=np.float64) - 0.4 + width * (number + 0.5)
        heights = [np.nan if value is None else value for value in series.y]
        order = list(dict.fromkeys(s.name for s in charts[name].series)).index(series.name)
        look: dict[str, Any] = {"color": colours[name], "alpha": 1.0 if order == 0 else 0.45}
        axes.bar(places, heights, width, label=_label(name, series, count == 1), **look)
        if series.error:
            axes.errorbar(places, heights, yerr=series.error, fmt="none", ecolor="black", capsize=2)
    many = len(words) > _MANY_BARS
    _axes_words(axes, next(iter(charts.values())))
    axes.set_xticks(range(len(words)), words, rotation=60 if many else 0, ha="right" if many else "center")
    axes.grid(False, axis="x")
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4)
    return figure


def _parity(charts: Mapping[str, Chart], colours: Mapping[str, str]) -> Figure:
    figure, grid = canvas(1, len(charts), min(8.6 / len(charts), 4.2))
    values = [v for chart in charts.values() for s in chart.series for v in [*s.x, *s.y] if isinstance(v, (int, float))]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    room = 0.04 * (high - low) or 1.0
    for axes, (name, chart) in zip(grid[0], charts.items(), strict=True):
        axes.plot([low - room, high + room], [low - room, high + room], "--", color=GREY, lw=0.9)
        for number, series in enumerate(chart.series):
            pairs = [(x, y) for x, y in zip(series.x, series.y, strict=True) if y is not None]
            x, y = np.array([p[0] for p in pairs], dtype=np.float64), np.array([p[1] for p in pairs], dtype=np.float64)
            one = len(chart.series) == 1
            colour = colours[name] if one else MODEL_COLOURS[number % len(MODEL_COLOURS)]
            if len(x) <= _FEW:
                axes.plot(x, y, "o", ms=5, alpha=0.8, color=colour)
            else:
                density(axes, x, y, colour)
            if not one:
                axes.plot([], [], "o", color=MODEL_COLOURS[number % len(MODEL_COLOURS)], label=series.name)
        if len(chart.series) > 1:
            axes.legend(loc="upper left")
        axes.set_title(name)
        axes.set_aspect("equal")
        axes.set_xlim(low - room, high + room)
        axes.set_ylim(low - room, high + room)
        _axes_words(axes, chart)
    return figure
