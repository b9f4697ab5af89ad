"""The stages and walkers of a campaign as rows of ``lammps-dpgen status``."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from lammps_dpgen.monitor.campaign_content import stage_from, walkers_from
from lammps_dpgen.monitor.campaign_lines import percent
from lammps_dpgen.monitor.campaign_panel import stage_rows, walker_rows, words_of
from lammps_dpgen.monitor.campaign_state import CampaignProgress
from lammps_dpgen.monitor.state import counted, grouped
from lammps_dpgen.monitor.status import RunStatus

#: Characters of a row.
_WIDTH = 100
#: Stages that have ended and still have a row; earlier ones are counted.
_SHOWN = 12


def campaign_rows(status: RunStatus) -> list[tuple[str, Text]]:
    """Return the rows as (name, text): stages that have ended, the one that is going on, and the walkers."""
    stage = stage_from(status.stage)
    ended = [one for one in status.stages if stage is None or status.state != "running" or one["name"] != stage.name]
    rows = [("stages", Text(f"{len(ended) - _SHOWN} earlier ones", "dim"))] if len(ended) > _SHOWN else []
    rows += [("stage", _stage(one)) for one in ended[-_SHOWN:]]
    if stage is not None and status.state == "running":
        rows += stage_rows(stage, _WIDTH, ascii_only=False)
        rows += _walkers(status, CampaignProgress(stage=stage))
    return rows


def _walkers(status: RunStatus, campaign: CampaignProgress) -> list[tuple[str, Text]]:
    campaign.walkers = walkers_from(status.walkers)
    rows = walker_rows(campaign, _WIDTH, ascii_only=False, most=len(campaign.walkers))
    counts = status.walkers or {}
    if counts.get("number", 0) > len(campaign.walkers):
        doing = ", ".join(f"{grouped(number)} {what}" for what, number in counts.get("doing", {}).items() if number)
        rows.append(("", Text(f"of {grouped(counts['number'])}: {doing}", "dim")))
    return rows


def _stage(stage: dict[str, Any]) -> Text:
    words, colour = {"converged": ("converged", "green"), "ended": ("ended", "yellow")}.get(stage["state"], ("", ""))
    text = Text.assemble((stage["name"], "bold"), (f"  {words}" if words else "", colour))
    share = stage["accurate_share"]
    looks = sum(stage["looks"].values())
    if share is None and looks:
        share = stage["looks"]["accurate"] / looks
    figures = [counted(stage["rounds"], "round"), ", ".join(words for words, _ in words_of(stage["trajectories"]))]
    figures.append("no looks" if share is None else f"accurate {percent(share)}")
    if stage["generations"] is not None:
        figures.append(counted(stage["generations"], "generation"))
    text.append(f"  {'; '.join(one for one in figures if one)}")
    return text + Text(f"  {stage['reason']}" if stage["state"] == "ended" else "", "dim")
