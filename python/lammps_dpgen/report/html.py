"""``report.html``: the whole run on one page that needs nothing but itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from lammps_dpgen import __version__
from lammps_dpgen.monitor.campaign_lines import percent
from lammps_dpgen.monitor.state import grouped
from lammps_dpgen.report.calibration import Calibration, Fit, audit, calibrate, fit
from lammps_dpgen.report.campaign_tables import condition_tables, stage_rows
from lammps_dpgen.report.costs import GenerationCost, measured_seconds, wall_by_generation
from lammps_dpgen.report.pictures import campaign, labels, training, trajectory, trust, validation
from lammps_dpgen.report.pictures.style import SETTINGS, data_uri
from lammps_dpgen.report.record import RunRecord, read_run
from lammps_dpgen.report.selections import selections_text
from lammps_dpgen.report.summary import extra_rows, summarise, write_summary
from lammps_dpgen.store.run_folder import RunFolder, write_whole

#: Rows of the tables of failures; more are only counted.
MOST_FAILURES = 50
#: Newest generations that have a row; the others are only counted.
MOST_GENERATIONS = 200


@dataclass(frozen=True)
class Picture:
    """A picture of the page: its title, its ``data:`` address, and how to read it."""

    title: str
    source: str
    caption: str


def build(run_folder: Path) -> Path:
    """Write ``report.html`` and ``summary.json`` of a run folder, running, finished or killed.

    Parameters
    ----------
    run_folder
        Folder that ``lammps-dpgen md`` or ``bootstrap`` wrote.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    StoreError
        There is no run in the folder, a file in it cannot be understood, or the report cannot be written.
    """
    run = RunFolder(run_folder)
    record = read_run(run.path)
    summary = summarise(record)
    write_summary(summary, run.summary)
    write_whole(run.report, render(record, summary))
    return run.report


def render(record: RunRecord, summary: dict[str, Any]) -> str:
    """Return the page."""
    # Of a campaign the time between two events belongs to no single walker; its walkers have measured it themselves.
    per_generation = [] if record.campaign is not None else wall_by_generation(record.events)
    environment = Environment(
        loader=PackageLoader("lammps_dpgen.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        figure=_figure, count=_count, seconds=_seconds, percent=percent, selections=selections_text
    )
    relation = fit(record.labels, record.of_kind("trust"))
    with mpl.rc_context(SETTINGS):
        pictures = _pictures(record, per_generation, relation)
    times = [event.time for event in record.events]
    return environment.get_template("report.html.j2").render(
        name=record.folder.resolve().name,
        version=__version__,
        record=record,
        summary=summary,
        extra_rows=extra_rows(summary),
        pictures=pictures,
        calibration=_calibration(record, None if relation is None else relation.target),
        fit=relation,
        trust=record.of_kind("trust")[-1:],
        audit=None if record.window is None else audit(record.labels, record.window),
        costs=per_generation[-MOST_GENERATIONS:],
        generation_rows=_generation_rows(record, per_generation)[-MOST_GENERATIONS:],
        most=MOST_FAILURES,
        failures=record.failures[:MOST_FAILURES],
        rejected=record.of_kind("training_rejected"),
        set_aside=[] if record.campaign is not None else record.of_kind("set_aside"),
        campaign=record.campaign,
        validation=record.validation,
        stage_rows=[] if record.campaign is None else stage_rows(record.campaign),
        condition_tables=[] if record.campaign is None else condition_tables(record.campaign),
        began=min(times) if times else None,
        ended=None if record.newest is None else record.newest.time,
        finished=record.newest is not None and record.newest.kind == "end",
    )


def _calibration(record: RunRecord, target: float | None) -> Calibration | None:
    if record.window is None:
        return None
    counts = calibrate(record.labels, record.window, target)
    return counts if counts.judged else None


def _generation_rows(record: RunRecord, costs: list[GenerationCost]) -> list[dict[str, Any]]:
    wall = {cost.generation: cost for cost in costs}
    shares = {} if record.looks is None else record.looks.counts_by_generation()
    rows = []
    for generation in record.generations:
        new = int((record.labels.trained_in == generation.number).sum())
        rows.append(
            {
                "generation": generation,
                "new": new,
                "looks": shares.get(generation.number, (0, 0, 0)),
                "wall": wall.get(generation.number),
                "training": sum(sum(model.seconds.values()) for model in generation.models),
            }
        )
    return rows


def _pictures(record: RunRecord, costs: list[GenerationCost], relation: Fit | None) -> dict[str, Picture]:
    """Draw what there is something to draw of."""
    looks, parity, found, windows = record.looks, record.parity, record.campaign, record.of_kind("trust")
    makers: list[tuple[str, str, str, Callable[[], Figure | None]]] = []
    if found is not None:
        window = record.window
        makers += [
            ("convergence", "Convergence, round by round", _CONVERGENCE, lambda: campaign.convergence(found)),
            ("samples", "A few trajectories", _SAMPLES, lambda: campaign.samples(found, window)),
            ("walkers", "What the walkers did", _WALKERS, lambda: campaign.walkers(found.walkers)),
        ]
    elif looks is not None:
        makers += [
            ("deviation", "Deviation over the run", _DEVIATION, lambda: trajectory.deviation(record, looks)),
            ("shares", "How the looks of each generation ended", _SHARES, lambda: trajectory.shares(looks)),
        ]
    makers += [
        ("error", "Was the deviation right?", _ERROR, lambda: labels.error_of_labels(record, relation)),
        ("trust", "The window that follows the errors", _TRUST, lambda: trust.window(record.labels, windows)),
    ]
    if parity is not None and parity.forces_ref.size:
        caption = f"{_PARITY} Frames: {parity.what}."
        makers.append(("parity", "Forces and energies, before and after", caption, lambda: labels.parity(parity)))
    if (validated := record.validation) is not None:
        makers.append(("approach", "Properties as labels are added", _APPROACH, lambda: validation.approach(validated)))
    makers += [
        ("training", "Training", _TRAINING, lambda: training.curves(record.generations)),
        ("cost", "Where the time went", _COST, lambda: training.costs(measured_seconds(record.events), costs)),
    ]
    pictures = {}
    for name, title, caption, maker in makers:
        figure = maker()
        if figure is not None:
            pictures[name] = Picture(title, data_uri(figure), caption)
    return pictures


_CONVERGENCE = (
    "Above: how the looks of each round ended, one stage after another. Below, on a logarithmic axis, the shares of "
    "candidates (circles) and failures (crosses); a hollow mark on the lower edge: all were accurate. A stage "
    "has converged when its last trajectories have the wanted accurate share and no failure."
)
_SAMPLES = (
    "The largest deviation of the forces over the steps of a few trajectories, spread evenly over the campaign, all on "
    "one scale; the band is the trust window of the stage; at pink lines the trajectory was resumed. Above each: its "
    "number, stage / round, structure, temperature. The others stand in the folder trajectories, files model_devi.out, "
    "model_devi.2.out ... (one more for each time that it was resumed)."
)
_WALKERS = (
    "The share of its time that each walker spent in MD, in the deviation of the models, waiting while labels and "
    "trainings were under way (learning), in starting LAMMPS, in pauses (decisions, rollbacks, swaps), and otherwise "
    "waiting. In the legend: all walkers together, of the sessions that came to their end."
)
_DEVIATION = (
    "The largest deviation of the forces at each look, on a logarithmic axis. Below the band the models agree and are "
    "trusted, in it the frame is a candidate for a label, above it the frame has failed. Triangles mark pauses, "
    "rollbacks and the swap to new models. A run that learns well needs fewer pauses as it goes on."
)
_SHARES = (
    "Share of accurate, candidate and failed looks while each generation drove the MD. Under harder conditions "
    "(a rising temperature) a later generation may look worse than an earlier one and still be better."
)
_ERROR = (
    "Each point is a label: the deviation for which the frame was taken, and the largest force error that the same "
    "models turned out to have, before they were trained on it. Points above the dashed line: the deviation "
    "understates the error. Left of lo lie only frames that were labelled for another reason, such as an audit, so "
    "misses are counted only as far as accurate frames were audited. Blue: the typical error at a deviation, fitted to "
    "all labels, newer ones with more weight; pink: what most errors of a further generation stay below; thin where "
    "there are no data."
)
_TRUST = (
    "Above: lo and hi of the trust window that each generation got, so that the error of trusted frames stays below "
    "the target. Below: true force error over deviation of the labels that each generation judged, the median and the "
    "range of the middle 80 %. Above 1 the models understate their error; where it jumps between generations, the "
    "window has to be narrower."
)
_PARITY = (
    "Predicted against reference; on the dashed line they are equal. Both panels of a row have the same scale. Where "
    "points are many, the colour tells how many lie together: yellow few, dark blue many."
)
_APPROACH = (
    "Each property of the validated generations against the number of labels that they were trained on. Dashed: what "
    "it is compared with, in the band of its tolerance. A property has arrived where the line stays in the band. Where "
    "there are very many, only the first of each part are drawn."
)
_TRAINING = (
    "Above: force error on the training batches, each model in its colour, generations one after another. Below: error "
    "on the labels that were new in each generation, before the models had seen them and after."
)
_COST = (
    "First bar: what the sessions measured themselves. Other bars: wall time from the times of the events, for the MD "
    "that a generation drove and the labels, training and swap that ended it."
)


def _figure(value: float | None, digits: int = 4) -> str:
    """Return a number with `digits` decimals, or a dash."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def _count(value: int | None) -> str:
    """Return a count in groups of three digits, or a dash."""
    return "–" if value is None else grouped(value, "\u202f")


def _seconds(value: float | None) -> str:
    """Return seconds, with one decimal where they are few."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.1f}" if value < 100 else _count(round(value))
