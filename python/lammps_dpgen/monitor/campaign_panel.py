"""The rows of the live view that a campaign has beside those of learning: stage, trajectories, walkers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from rich.text import Text

from lammps_dpgen.monitor.campaign_lines import percent
from lammps_dpgen.monitor.campaign_state import CampaignProgress, StageProgress, WalkerProgress
from lammps_dpgen.monitor.state import counted, deviation_class, grouped

#: Walkers that have a line of their own.
N_WALKERS = 8
#: In this many characters a walker's steps are told; in fewer only their share.
WIDE = 75
#: Accurate green, candidate yellow, failed red, as said in words beside them.
COLOURS = {"accurate": "green", "candidate": "yellow", "failed": "bold red"}
#: States of trajectories in the order in which they are drawn, with colour and the marks of the bar.
_STATES: dict[str, tuple[str, str, str]] = {
    "done": ("green", "━", "#"),
    "running": ("cyan", "━", "+"),
    "parked": ("yellow", "━", "="),
    "set_aside": ("bold red", "━", "x"),
    "waiting": ("dim", "─", "-"),
}
_DOING = {"MD": "green", "waiting": "yellow", "idle": "dim"}


def stage_rows(stage: StageProgress, width: int, ascii_only: bool) -> list[tuple[str, Text]]:
    """Return the rows about a stage as (name, text)."""
    of = Text.assemble((f"{stage.number} of {stage.n_stages}", "bold"), f"  {stage.name}  ")
    generations = f"{stage.generations} of at most {counted(stage.max_generations, 'generation')}"
    of.append(f"round {stage.round}, {generations}", "dim")
    return [
        ("stage", of),
        ("runs", _trajectories(stage.trajectories, width, ascii_only)),
        ("accurate", _convergence(stage, width, ascii_only)),
    ]


def walker_rows(campaign: CampaignProgress, width: int, ascii_only: bool, most: int) -> list[tuple[str, Text]]:
    """Return a row for each of the first `most` walkers (8 at most), and one that counts the others."""
    shown = campaign.walkers[: min(N_WALKERS, most)]
    names = max((len(walker.structure) for walker in shown), default=0)
    words = max((len(walker.conditions) for walker in shown), default=0)
    rows = [
        ("walkers" if index == 0 else "", _walker(walker, (min(names, 24), min(words, 20)), width, ascii_only))
        for index, walker in enumerate(shown)
    ]
    rest = campaign.walkers[len(shown) :]
    if rest:
        dots = "..." if ascii_only else "…"
        named = ", ".join(f"{grouped(n)} {doing}" for doing, n in _counts(rest).items() if n)
        rows.append(("" if rows else "walkers", Text(f"{dots} and {grouped(len(rest))} more: {named}", "dim")))
    return rows


def _counts(walkers: Iterable[WalkerProgress]) -> dict[str, int]:
    counts = dict.fromkeys(_DOING, 0)
    for walker in walkers:
        counts[walker.doing] += 1
    return counts


def words_of(states: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return what is said of trajectories by state as (text, colour), those that there are alone."""
    return [
        (f"{grouped(states[state])} {state.replace('_', ' ')}", look[0])
        for state, look in _STATES.items()
        if states.get(state)
    ]


def _trajectories(states: Mapping[str, int], width: int, ascii_only: bool) -> Text:
    words = Text("  ").join([Text(*piece) for piece in words_of(states)])
    total = sum(states.values())
    if total == 0:
        return Text("no trajectories yet", "dim")
    bar, room, begun = Text(), max(4, min(40, width - len(words) - 1)), 0
    for state, (colour, mark, plain) in _STATES.items():
        end = begun + states.get(state, 0)
        cells = round(end / total * room) - round(begun / total * room)
        bar.append((plain if ascii_only else mark) * cells, colour)
        begun = end
    return bar + Text(" ") + words


def _convergence(stage: StageProgress, width: int, ascii_only: bool) -> Text:
    """Draw the accurate share, with the wanted one as a mark."""
    pool = f"  pool {grouped(stage.pool)}"
    if not math.isfinite(stage.accurate_share):
        return Text.assemble(("no looks yet", "dim"), f", {percent(stage.wanted_share)} wanted", (pool, "dim"))
    reached = stage.accurate_share >= stage.wanted_share
    words = Text.assemble(
        (f" {percent(stage.accurate_share)}", "green" if reached else "yellow"),
        f" of looks, {percent(stage.wanted_share)} wanted",
        (pool, "dim"),
    )
    room = max(4, min(40, width - len(words)))
    full, wanted = round(stage.accurate_share * room), min(room - 1, round(stage.wanted_share * room))
    on, edge, off = ("#", "|", "-") if ascii_only else ("━", "│", "─")
    cells = Text()
    for i in range(room):
        if i == wanted:
            cells.append(edge, "bold")
        else:
            cells.append(on if i < full else off, ("green" if reached else "yellow") if i < full else "dim")
    return cells + words


def _walker(walker: WalkerProgress, columns: tuple[int, int], width: int, ascii_only: bool) -> Text:
    names, words = columns
    text = Text.assemble(f"{walker.walker:>3} ", (f"{walker.doing:<8}", _DOING[walker.doing]))
    if walker.trajectory < 0:
        return text
    text.append(f"{walker.structure[:names]:<{names}} {walker.conditions[:words]:<{words}} ")
    step, last = grouped(walker.step), grouped(walker.last_step)
    tail = Text(f" {step:>{len(last)}} / {last}" if width >= WIDE else f" {100 * walker.share:3.0f} %")
    if math.isfinite(walker.max_devi_f):
        kind = deviation_class(walker.max_devi_f, walker.window) if math.isfinite(walker.window[1]) else ""
        tail.append(f"  {walker.max_devi_f:.3f} {kind}", COLOURS.get(kind, ""))
    room = width - len(text) - len(tail)
    if room >= 4:
        size = min(16, room)
        on, off = ("#", "-") if ascii_only else ("━", "─")
        full = round(walker.share * size)
        text += Text(on * full, "cyan") + Text(off * (size - full), "dim")
    return text + tail
