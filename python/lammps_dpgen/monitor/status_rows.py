"""The state of a run as rows of text, for a terminal or a file."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rich.text import Text

from lammps_dpgen.monitor.campaign_panel import COLOURS
from lammps_dpgen.monitor.campaign_rows import campaign_rows
from lammps_dpgen.monitor.state import counted, duration, grouped
from lammps_dpgen.monitor.status import RunStatus

_STATE_COLOURS = {"running": "bold green", "finished": "green", "failed": "bold red", "killed": "bold red"}
#: What an event says is cut here.
_LONGEST = 100


def status_rows(status: RunStatus) -> list[tuple[str, Text]]:
    """Return the rows as (name, text)."""
    rows = [("state", Text.assemble((status.state, _STATE_COLOURS.get(status.state, "bold")), f"  {status.about}"))]
    if status.phase:
        rows.append(("phase", Text(f"{status.phase}  {status.detail}".strip())))
    if status.stages or status.stage is not None:
        rows += campaign_rows(status)
    else:
        rows += [("step", _step(status)), ("deviation", _deviation(status))]
    rows.append(("labels", _labels(status)))
    if status.training is not None:
        rows.append(("training", _training(status.training)))
    rows += [("so far", _so_far(status)), ("time", _time(status)), ("lock", _lock(status))]
    rows += [("note", Text(note, "yellow")) for note in status.notes]
    rows += [("message", Text(f"{one['time']}  {one['text']}")) for one in status.messages]
    rows += [("event", _event(one)) for one in status.events]
    return rows


def _step(status: RunStatus) -> Text:
    if status.step is None:
        return Text("no MD yet", "dim")
    last = "" if status.last_step is None else f" / {grouped(status.last_step)}"
    kelvin = "" if status.temperature is None else f"  {status.temperature:.0f} K"
    return Text(f"{grouped(status.step)}{last}{kelvin}")


def _deviation(status: RunStatus) -> Text:
    if status.frame_class is None:
        return Text("-", "dim")
    figure = "not finite" if status.max_devi_f is None else f"{status.max_devi_f:.4f} eV/Å"
    text = Text.assemble((f"{figure}  {status.frame_class}", COLOURS.get(status.frame_class, "")))
    if status.window is not None and None not in status.window:
        text.append(f"  window {status.window[0]:g} to {status.window[1]:g}", "dim")
    return text


def _labels(status: RunStatus) -> Text:
    if not status.labels:
        return Text("unknown", "dim")
    counts = status.labels
    limit = status.limits.get("labels")
    most = "" if limit is None else f" of at most {limit:.0f}"
    text = Text(f"{grouped(counts['done'])} done{most}, {counts['failed']} failed, {counts['waiting']} waiting")
    if status.labels_of_pause is not None and status.labels_of_pause["total"]:
        pause = status.labels_of_pause
        text.append(f"  (now {pause['done'] + pause['failed']} of {pause['total']})")
    return text


def _training(training: dict[str, Any]) -> Text:
    models = "  ".join(f"{one['index']}: {one['step']}/{one['steps']}" for one in training["models"])
    return Text(f"generation {training['generation']}  {models}")


def _so_far(status: RunStatus) -> Text:
    generation = "no generation" if status.generation is None else f"generation {status.generation}"
    counts = [(status.pauses, "pause"), (status.rollbacks, "rollback"), (status.starts, "start")]
    return Text(", ".join([generation, *(counted(number, word) for number, word in counts if number is not None)]))


def _time(status: RunStatus) -> Text:
    if status.elapsed is None:
        return Text("-", "dim")
    text = Text(f"{duration(status.elapsed)} in this start")
    if status.state == "running":
        left = status.time_left
        words = "unknown" if left is None else duration(left[0])
        if left is not None and duration(left[1]) != words:
            words += f" (no pause) to {duration(left[1])}"
        text.append(f", left of this round {words}" if status.stage is not None else f", left {words}")
    return text


def _lock(status: RunStatus) -> Text:
    if status.lock is None:
        return Text("nobody works in the folder")
    alive = {"running": "alive", "killed": "gone", "silent": "on another machine, not known"}[status.lock["activity"]]
    age = status.lock["heartbeat_age"]
    seen = "" if age is None else f", heartbeat {age:.0f} s ago"
    return Text(f"process {status.lock['pid']} on {status.lock['host']}: {alive}{seen}")


def _event(event: dict[str, Any]) -> Text:
    try:
        stamp = datetime.fromisoformat(event["time"]).astimezone().strftime("%H:%M:%S")
    except (KeyError, TypeError, ValueError):
        stamp = "        "
    known = ((name, value) for name, value in event.items() if name not in ("time", "kind"))
    words = (f"{name} {_short(value)}" for name, value in known if isinstance(value, (str, int, float)) and value != "")
    return Text(f"{stamp}  {event['kind']}  {', '.join(words)}"[:_LONGEST].rstrip())


def _short(value: str | int | float) -> str:
    if isinstance(value, str):
        return value[:8] if len(value) == 64 else value
    return f"{value:.4g}" if isinstance(value, float) else str(value)
