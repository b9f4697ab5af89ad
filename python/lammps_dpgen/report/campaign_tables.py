"""The tables of a campaign: stages, and within each its structures and temperatures."""

from __future__ import annotations

import math
from typing import Any

from lammps_dpgen.monitor.campaign_lines import percent
from lammps_dpgen.report.campaign import CampaignRecord
from lammps_dpgen.store.records import TrajectoryFigures

#: Rows of one stage's table, and of all stages together; more are only counted.
MOST_OF_STAGE = 100
MOST_ROWS = 1500
#: The tables of the stages are shown open where they have no more rows than this together.
OPEN_ROWS = 60
_STAGE = ("name", "state", "reason", "rounds", "trajectories", "left", "looks", "accurate_share", "n_failed")
_KEPT = (*_STAGE, "n_trajectories", "generations", "labels", "force_rmse", "seconds", "window")


def stage_rows(campaign: CampaignRecord) -> list[dict[str, Any]]:
    """Return one row per stage: what `read_stages` says, with shares, labels, honest error and audit."""
    rows = []
    for stage in campaign.stages:
        figures = [one for one in campaign.figures if one.stage == stage["name"]]
        share, n_failed = stage["accurate_share"], stage["n_failed"]
        last = [one for one in campaign.rounds if one.stage == stage["name"]][-1:]
        looks = sum(one.accurate + one.candidate + one.failed for one in last)
        if share is None and looks:
            share = last[0].accurate / looks
        rows.append(
            {
                **stage,
                "share": "–" if share is None else percent(share),
                "failed": sum(one.failed for one in last) if n_failed is None else n_failed,
                "labels": sum(one.labels for one in figures),
                "force_rmse": _rmse(figures),
                "seconds": sum(one.seconds for one in figures),
                "audit": campaign.audits.get(stage["name"]),
            }
        )
    return rows


def condition_tables(campaign: CampaignRecord) -> list[dict[str, Any]]:
    """Return for each stage its rows by structure and temperature; the least accurate ones where they are too many."""
    tables, room = [], MOST_ROWS
    for stage in campaign.stages:
        rows = [_condition(one) for one in campaign.figures if one.stage == stage["name"]]
        worst = sorted(range(len(rows)), key=lambda i: -rows[i]["doubt"])[: min(MOST_OF_STAGE, room)]
        shown = [rows[i] for i in sorted(worst)]
        room -= len(shown)
        is_open = len(campaign.figures) <= OPEN_ROWS
        tables.append({"name": stage["name"], "rows": shown, "n_rows": len(rows), "open": is_open})
    return tables


def _condition(one: TrajectoryFigures) -> dict[str, Any]:
    looks = one.accurate + one.candidate + one.failed
    counts = (one.accurate, one.candidate, one.failed)
    return {
        "figures": one,
        "trajectories": sum(one.trajectories.values()),
        "looks": looks,
        "shares": [count / looks for count in counts] if looks else None,
        "doubt": (one.candidate + 10 * one.failed) / looks if looks else 0.0,
    }


def _rmse(figures: list[TrajectoryFigures]) -> float | None:
    """Return the root mean square over all judged labels of the groups (eV/Å); None without any."""
    judged = [(one.judged, one.force_rmse) for one in figures if one.force_rmse is not None]
    total = sum(number for number, _ in judged)
    return math.sqrt(sum(number * error**2 for number, error in judged) / total) if total else None


def campaign_summary(campaign: CampaignRecord) -> dict[str, Any]:
    """Return what ``summary.json`` says of a campaign beyond a learning run."""
    stages = []
    for row in stage_rows(campaign):
        audit = row["audit"]
        conditions = [one for one in campaign.figures if one.stage == row["name"]]
        stages.append(
            {
                **{name: row[name] for name in _KEPT},
                "audit": None if audit is None else {**vars(audit), "rate": audit.rate},
                "conditions": [{**one._asdict(), "trajectories": dict(one.trajectories)} for one in conditions],
            }
        )
    return {
        "stages": stages,
        "trajectories": campaign.trajectories(),
        "walkers": {"number": len(campaign.walkers), "seconds": campaign.walker_seconds()},
    }
