"""The run in numbers: ``summary.json`` and one screen of text."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from lammps_dpgen.errors import StoreError
from lammps_dpgen.monitor.campaign_lines import percent
from lammps_dpgen.monitor.state import counted, grouped
from lammps_dpgen.report.calibration import audit
from lammps_dpgen.report.campaign_tables import campaign_summary
from lammps_dpgen.report.costs import measured_seconds, sessions
from lammps_dpgen.report.record import RunRecord, rms
from lammps_dpgen.report.selections import selections, selections_text
from lammps_dpgen.store.records import Event
from lammps_dpgen.store.run_folder import RunFolder, write_whole
from lammps_dpgen.strict_json import plain

#: Keys that every summary has; anything else in it came from ``summary_extra.json``.
OWN_KEYS = (
    "labels",
    "generations",
    "pauses",
    "rollbacks",
    "force_rmse_first",
    "force_rmse_last",
    "force_rmse_random",
    "force_rmse_basis",
    "failed_last_fifth",
    "audit",
    "selections",
    "seconds",
    "failed_labels",
    "md_steps",
    "sessions",
    "sessions_killed_or_running",
)
#: Keys that the summary of a campaign has beyond these.
CAMPAIGN_KEYS = ("stages", "trajectories", "walkers", "validation")
#: What the force errors were measured on where nothing better is there: two sets of frames, so that no ratio has a
#: meaning.
NEW_LABELS = "labels of the first and of the last pause, before they were trained on: different frames"
#: Share of the MD steps, at the end, in which failed looks are counted.
LATE = 0.2
#: Stages of a campaign that the one screen of text names.
MOST_STAGES = 8


def summarise(record: RunRecord) -> dict[str, Any]:
    """Return the headline figures of a run.

    Returns
    -------
    dict
        labels, generations, pauses, rollbacks; force_rmse_first, force_rmse_last, force_rmse_random (eV/Å, None:
        unknown) and force_rmse_basis, which says on what they were measured; failed_last_fifth: looks that failed in
        the last 20 % of the MD steps; audit: accurate frames that were audited, how many of them have a force error
        above hi (misses), their rate and its 95 % interval (low, high), None without an audit; selections: counts of
        the offered frames by what became of them, None without a selection; seconds by part
        (None: no session came to its end); sessions, and how many of them were killed; md_steps; what
        ``summary_extra.json`` adds beyond these. Of a campaign also stages, trajectories by state, and walkers;
        validation: of each validated generation the values within tolerance and all that can be compared.
    """
    looks = record.looks
    n_sessions, unfinished = sessions(record.events)
    first, last, basis = _force_rmse(record)
    own = {
        "labels": record.counts.labels,
        "generations": record.counts.generations,
        "pauses": record.kinds.get("pause", 0) - sum(_at_the_end(event) for event in record.of_kind("pause")),
        "rollbacks": record.kinds.get("rollback", 0),
        "force_rmse_first": first,
        "force_rmse_last": last,
        "force_rmse_random": record.extra.get("force_rmse_random"),
        "force_rmse_basis": basis,
        "failed_last_fifth": None if looks is None else looks.failed_in_last(LATE),
        "audit": _audit(record),
        "selections": selections(record.events),
        "seconds": measured_seconds(record.events),
        "failed_labels": record.counts.failures,
        "md_steps": None if looks is None else int(looks.done[-1] - looks.done[0]),
        "sessions": n_sessions,
        "sessions_killed_or_running": unfinished,
    }
    if record.campaign is not None:
        own |= campaign_summary(record.campaign)
    if record.validation is not None:
        own["validation"] = record.validation.summary()
    added = {key: value for key, value in record.extra.items() if key not in own}
    return {**own, **added}


def _at_the_end(event: Event) -> bool:
    """Tell whether a pause only took what was held when the script was over."""
    return bool(event.data.get("reason") == "end")


def _audit(record: RunRecord) -> dict[str, float] | None:
    result = None if record.window is None else audit(record.labels, record.window)
    return None if result is None else {**vars(result), "rate": result.rate}


def _force_rmse(record: RunRecord) -> tuple[float | None, float | None, str]:
    """Return the force error of the first and the last models, and on what it was measured: the best that is there."""
    extra = record.extra
    if extra.get("force_rmse_first") is not None and extra.get("force_rmse_last") is not None:
        basis = str(extra.get("force_rmse_basis", "held-out frames"))
        return float(extra["force_rmse_first"]), float(extra["force_rmse_last"]), basis
    if record.parity is not None:
        parity = record.parity
        first, last = (rms(predicted - parity.forces_ref) for predicted in (parity.forces_first, parity.forces_last))
        if math.isfinite(first) and math.isfinite(last):
            return first, last, parity.what
    before = [g.force_rmse_before for g in record.generations if g.force_rmse_before is not None]
    return (before[0], before[-1], NEW_LABELS) if before else (None, None, "unknown")


def write_summary(summary: dict[str, Any], path: Path) -> None:
    """Write ``summary.json``, whole or not at all."""
    write_whole(path, json.dumps(plain(summary), indent=2, ensure_ascii=False) + "\n")


def read_summary(run_folder: Path) -> dict[str, Any]:
    """Read ``summary.json`` of a run folder.

    Raises
    ------
    StoreError
        There is none yet.
    """
    path = RunFolder(run_folder).summary
    if not path.exists():
        raise StoreError(f"{path} is missing; 'lammps-dpgen report {run_folder}' writes it")
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def print_summary(run_folder: Path, console: Console | None = None) -> None:
    """Print the summary of a run folder on one screen."""
    console = console or Console()
    summary = read_summary(run_folder)
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    for name, text in summary_rows(summary):
        table.add_row(name, text)
    report = RunFolder(run_folder).report
    if report.exists():
        table.add_row("report", str(report))
    title = f"{'campaign' if 'stages' in summary else 'learning run'} {run_folder}"
    console.print(Panel(table, title=title, title_align="left", border_style="dim", expand=False))


def summary_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines of the text summary as (name, text)."""
    stops = f"{counted(summary['pauses'], 'pause')}, {counted(summary['rollbacks'], 'rollback')}"
    rows = [
        ("labels", f"{summary['labels']}" + (f", {n} failed" if (n := summary.get("failed_labels")) else "")),
        ("generations", f"{summary['generations']}  ({stops})"),
        ("force RMSE", _rmse_text(summary)),
        *(_campaign_rows(summary) if "stages" in summary else _md_rows(summary)),
        ("seconds", _seconds_text(summary["seconds"])),
    ]
    if (checked := summary.get("audit")) is not None:
        rate, low, high = (100 * checked[key] for key in ("rate", "low", "high"))
        text = f"{checked['misses']} of {checked['audited']} accurate frames with an error above hi"
        rows.insert(-1, ("audit", f"{text}: {rate:.1f} % (95 %: {low:.1f} to {high:.1f} %)"))
    if (counts := summary.get("selections")) is not None:
        rows.insert(1, ("selection", selections_text(counts)))
    if summary.get("sessions", 1) > 1:
        rows.append(("sessions", f"{summary['sessions']}, {summary['sessions_killed_or_running']} without an end"))
    return rows + extra_rows(summary)


def _md_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("MD steps", _count(summary["md_steps"])),
        ("failed looks", f"{_count(summary['failed_last_fifth'])} in the last 20 % of the steps"),
    ]


def _campaign_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    stages = [
        f"{stage['name']}: {stage['state']}"
        + ("" if stage["accurate_share"] is None else f", accurate {percent(stage['accurate_share'])}")
        for stage in summary["stages"]
    ]
    if len(stages) > MOST_STAGES:
        stages = [f"{len(stages) - MOST_STAGES} earlier ones", *stages[-MOST_STAGES:]]
    states = (f"{grouped(n)} {state.replace('_', ' ')}" for state, n in summary["trajectories"].items() if n)
    return [("stages", "\n".join(stages)), ("trajectories", ", ".join(states))]


def extra_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the plain figures that ``summary_extra.json`` added, as (name, text)."""
    return [
        (key.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else str(value))
        for key, value in summary.items()
        if key not in OWN_KEYS + CAMPAIGN_KEYS and isinstance(value, (bool, int, float, str))
    ]


def _count(value: int | None) -> str:
    return "?" if value is None else grouped(value)


def _rmse_text(summary: dict[str, Any]) -> str:
    first, last, random = (summary[f"force_rmse_{which}"] for which in ("first", "last", "random"))
    if first is None or last is None:
        return "unknown"
    text = f"{first:.4f} -> {last:.4f} eV/Å"
    if last > 0 and summary["force_rmse_basis"] != NEW_LABELS:
        text += f"  ({first / last:.1f} times better)" if first >= last else f"  ({last / first:.1f} times worse)"
    if random is not None:
        text += f"\n{random:.4f} with as many random labels"
    return f"{text}\non {summary['force_rmse_basis']}"


def _seconds_text(seconds: dict[str, float | None]) -> str:
    known = {part: value for part, value in seconds.items() if value is not None}
    if not known:
        return "unknown: no session came to its end"
    parts = ", ".join(f"{part} {value:.0f}" for part, value in known.items())
    return f"{sum(known.values()):.0f}  ({parts})"
