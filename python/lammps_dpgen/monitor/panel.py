"""The rows of the live view: what is drawn, as a function of the state."""

from __future__ import annotations

import math

from rich.text import Text

from lammps_dpgen.monitor.campaign_panel import COLOURS, N_WALKERS, stage_rows, walker_rows
from lammps_dpgen.monitor.state import Progress, Totals, deviation_class, duration, grouped

BLOCKS, BLOCKS_ASCII = "▁▂▃▄▅▆▇█", "_.-~=+*#"
#: The scale of deviations reaches from lo / SPAN to hi * SPAN, logarithmic.
SPAN = 3.0


def rows(
    state: Progress, width: int, ascii_only: bool = False, most_walkers: int = N_WALKERS
) -> list[tuple[str, Text]]:
    """Return the rows as (name, text), each text at most `width` characters wide.

    A campaign has its stage, its trajectories and its walkers (a line for each of `most_walkers`) where a learning run
    has the looks of its one trajectory.
    """
    campaign = state.campaign
    out = [("phase", _phase(state))]
    if campaign is None:
        out += [
            ("step", _step(state, width, ascii_only)),
            ("deviation", _deviation(state, width, ascii_only)),
            ("looks", _looks(state, width, ascii_only)),
        ]
    elif campaign.stage is not None:
        out += stage_rows(campaign.stage, width, ascii_only)
    out += [
        ("labels", _labels(state, width, ascii_only)),
        ("training", _training(state, width, ascii_only)),
        ("so far", _counts(state.totals)),
        ("time", _time(state)),
    ]
    if campaign is not None:
        out += walker_rows(campaign, width, ascii_only, most_walkers)
    out += [(stamp, Text(text)) for stamp, text in state.messages]
    for _, text in out:
        text.truncate(width, overflow="ellipsis")
    return out


def bar(share: float, width: int, style: str, ascii_only: bool = False) -> Text:
    """Return a bar that is filled to `share` (0 to 1)."""
    full = round(min(1.0, max(0.0, share)) * width)
    on, off = ("#", "-") if ascii_only else ("━", "─")
    return Text(on * full, style) + Text(off * (width - full), "dim")


def _phase(state: Progress) -> Text:
    text = Text.assemble((state.phase, "bold cyan"), f" for {duration(state.in_phase)}")
    return text + Text(f"  {state.detail}", "dim") if state.detail else text


def _step(state: Progress, width: int, ascii_only: bool) -> Text:
    if state.first_step < 0:
        return Text("no MD yet", "dim")
    text = Text(f" {grouped(state.step)} / {grouped(state.last_step)}")
    if math.isfinite(state.temperature):
        text.append(f"  {state.temperature:.0f} K")
    share = state.step / state.last_step if state.last_step > 0 else 0.0
    return bar(share, max(4, min(40, width - len(text))), "cyan", ascii_only) + text


def _position(deviation: float, window: tuple[float, float]) -> float:
    """Return where a deviation lies on the scale, 0 to 1."""
    lo, hi = window
    if not math.isfinite(deviation):
        return 1.0
    if not (0 < lo <= hi) or deviation <= 0:
        return 0.0
    return min(1.0, max(0.0, math.log(deviation * SPAN / lo) / math.log(hi / lo * SPAN**2)))


def _deviation(state: Progress, width: int, ascii_only: bool) -> Text:
    if state.first_step < 0:
        return Text("-", "dim")
    kind = deviation_class(state.deviation, state.window)
    words = Text.assemble((f" {state.deviation:.3f} eV/Å {kind}", COLOURS[kind]))
    lo, hi = state.window
    words.append(f"  window {lo:g} to {hi:g}", "dim")
    size = max(6, min(24, width - len(words)))
    cells = Text()
    marks = {round(_position(edge, state.window) * (size - 1)) for edge in (lo, hi) if math.isfinite(edge)}
    full = round(_position(state.deviation, state.window) * size)
    on, edge_mark, off = ("#", "|", ".") if ascii_only else ("█", "│", "·")
    for i in range(size):
        if i in marks:
            cells.append(edge_mark, "bold")
        else:
            cells.append(on if i < full else off, COLOURS[kind] if i < full else "dim")
    return cells + words


def _looks(state: Progress, width: int, ascii_only: bool) -> Text:
    blocks = BLOCKS_ASCII if ascii_only else BLOCKS
    text = Text()
    for deviation in list(state.looks)[-width:]:
        height = min(len(blocks) - 1, int(_position(deviation, state.window) * len(blocks)))
        text.append(blocks[height], COLOURS[deviation_class(deviation, state.window)])
    return text if text.plain else Text("-", "dim")


def _labels(state: Progress, width: int, ascii_only: bool) -> Text:
    labels = state.labels
    if labels.total <= 0:
        return Text("-", "dim")
    text = Text(f" {labels.done} / {labels.total}")
    if labels.failed:
        text.append(f"  {labels.failed} failed", "bold red")
    share = (labels.done + labels.failed) / labels.total
    return bar(share, max(4, min(40, width - len(text))), "magenta", ascii_only) + text


def _training(state: Progress, width: int, ascii_only: bool) -> Text:
    """Draw one small bar per model with its force RMSE, or one for all where they do not fit."""
    if not state.models:
        return Text("-", "dim")
    models = [state.models[i] for i in sorted(state.models)]
    head = Text(f"g{state.training_generation:03d} ")
    room = (width - len(head)) // len(models) - 8
    if room >= 3:
        for model in models:
            rmse = f"{model.force_rmse:.3f}" if math.isfinite(model.force_rmse) else "  -  "
            head += bar(model.step / max(1, model.steps), min(10, room), "blue", ascii_only) + Text(f" {rmse}  ")
        return head
    done = sum(model.step for model in models) / max(1, sum(model.steps for model in models))
    known = [model.force_rmse for model in models if math.isfinite(model.force_rmse)]
    worst = Text(f" {len(models)} models" + (f" rmse {max(known):.3f}" if known else ""))
    return head + bar(done, max(4, min(20, width - len(head) - len(worst))), "blue", ascii_only) + worst


def _counts(totals: Totals) -> Text:
    def limited(value: int, limit: int | None) -> str:
        return grouped(value) if limit is None else f"{grouped(value)}/{grouped(limit)}"

    generation = "-" if totals.generation < 0 else limited(totals.generation, totals.max_generations)
    text = Text.assemble(("generation ", "dim"), (generation, "bold"), ("  labels ", "dim"))
    text.append(limited(totals.n_labels, totals.max_labels), "bold")
    return text + Text.assemble(
        ("  pauses ", "dim"), str(totals.pauses), ("  rollbacks ", "dim"), str(totals.rollbacks)
    )


def _time(state: Progress) -> Text:
    text, of = Text(f"{duration(state.elapsed)} elapsed"), "" if state.campaign is None else " of this round"
    left = state.time_left()
    if left is not None and state.phase != "done":
        least, most = (duration(seconds) for seconds in left)
        text.append(f"  left{of} {least}" + ("" if least == most else f" (no pause) to {most}"))
    if state.totals.wall_limit is not None:
        text.append(f"  limit in {duration(state.totals.wall_limit - state.elapsed)}", "dim")
    return text
