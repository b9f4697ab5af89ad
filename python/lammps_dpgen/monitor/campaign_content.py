"""A campaign as plain data in ``status.json``, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any, TypeVar

from lammps_dpgen.monitor.campaign_panel import N_WALKERS
from lammps_dpgen.monitor.campaign_state import CampaignProgress, StageProgress, WalkerProgress

_Kind = TypeVar("_Kind", StageProgress, WalkerProgress)


def campaign_content(campaign: CampaignProgress | None) -> dict[str, Any]:
    """Return stage and walkers: the first few one by one, all of them counted; nothing for a learning run."""
    if campaign is None:
        return {}
    return {
        "stage": None if campaign.stage is None else asdict(campaign.stage),
        "walkers": {
            "number": len(campaign.walkers),
            "doing": campaign.doing(),
            "first": [asdict(walker) for walker in campaign.walkers[:N_WALKERS]],
        },
    }


def stage_from(data: Any) -> StageProgress | None:
    """Return the stage that `campaign_content` wrote, None where there is none or it cannot be understood."""
    return _made(StageProgress, data)


def walkers_from(data: Any) -> list[WalkerProgress]:
    """Return the walkers that `campaign_content` wrote one by one."""
    first = data.get("first") if isinstance(data, Mapping) else None
    made = [_made(WalkerProgress, one) for one in first] if isinstance(first, list) else []
    return [walker for walker in made if walker is not None]


def _made(kind: type[_Kind], data: Any) -> _Kind | None:
    if not isinstance(data, Mapping):
        return None
    values = {field.name: _number(data[field.name]) for field in fields(kind) if field.name in data}
    with suppress(TypeError):
        return kind(**values)
    return None


def _number(value: Any) -> Any:
    """Return NaN for the null that it became, and a tuple for a list."""
    if isinstance(value, list):
        return tuple(_number(one) for one in value)
    return math.nan if value is None else value
