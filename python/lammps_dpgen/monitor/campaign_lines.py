"""A campaign in plain lines: what has changed, and how far it is."""

from __future__ import annotations

import math

from lammps_dpgen.monitor.campaign_state import CampaignProgress, StageProgress
from lammps_dpgen.monitor.state import grouped


def beginning(stage: StageProgress) -> str:
    """Return the line for the beginning of a round of a stage."""
    total = stage.n_trajectories
    trajectories = "1 trajectory" if total == 1 else f"{grouped(total)} trajectories"
    return f"stage {stage.number}/{stage.n_stages} {stage.name}, round {stage.round}: {trajectories}"


def summary(campaign: CampaignProgress) -> str:
    """Return where a campaign is, on one line."""
    stage = campaign.stage
    if stage is None:
        return "no stage yet"
    walkers = ", ".join(f"{grouped(number)} {doing}" for doing, number in campaign.doing().items() if number)
    return (
        f"stage {stage.number}/{stage.n_stages} {stage.name}, round {stage.round}: "
        f"{grouped(stage.ended)} of {grouped(stage.n_trajectories)} trajectories ended{accuracy(stage)}, "
        f"walkers: {walkers or 'none'}, pool {grouped(stage.pool)}"
    )


def accuracy(stage: StageProgress) -> str:
    """Return the accurate share as it is and as it is wanted, with a comma before it; nothing where there is none."""
    if not math.isfinite(stage.accurate_share):
        return ""
    return f", accurate {percent(stage.accurate_share)} ({percent(stage.wanted_share)} wanted)"


def percent(share: float) -> str:
    """Return a share (0 to 1) in per cent; less than all is never shown as 100 %, and more than none never as 0 %."""
    if not math.isfinite(share):
        return "?"
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    if share < 0.0005:
        return "< 0.1 %"
    return f"{min(99.9, 100 * share):.{1 if share < 0.1 or share > 0.9 else 0}f} %"
