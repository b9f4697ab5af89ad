"""The stages of a campaign as its ledger tells them, for ``status`` and for the report."""

from __future__ import annotations

from typing import Any

from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import TrajectoryState

#: What an event ``stage_end`` says about its stage.
_FIGURES = ("accurate_share", "n_failed", "n_trajectories", "generations")
_LEFT: tuple[TrajectoryState, ...] = ("waiting", "running", "parked")


def read_stages(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the stages that have begun, in order; none of a learning run.

    Returns
    -------
    list of dict
        name; state: "running", "converged" or "ended" (at a limit); reason in words; rounds; trajectories by state,
        of all rounds; left: those that need more work in the rounds planned so far; looks by class; window: trust
        window in eV/Å, None where it is not known; and what was found at the end of the stage, None before:
        accurate_share (0 to 1), n_failed, n_trajectories, generations.
    """
    stages: dict[str, dict[str, Any]] = {}
    for figures in ledger.round_figures():
        stage = stages.setdefault(figures.stage, _fresh(figures.stage))
        stage["rounds"] += 1
        _add(stage["trajectories"], figures.trajectories)
        _add(stage["looks"], {name: getattr(figures, name) for name in ("accurate", "candidate", "failed")})
        stage["left"] += sum(figures.trajectories[state] for state in _LEFT)
    for event in ledger.events("stage"):
        name, trust = str(event.data.get("stage", "")), event.data.get("trust")
        stage = stages.setdefault(name, _fresh(name))
        stage["window"] = [float(edge) for edge in trust] if isinstance(trust, list) and len(trust) == 2 else None
    for event in ledger.events("stage_end"):
        name = str(event.data.get("stage", ""))
        stage = stages.setdefault(name, _fresh(name))
        stage["state"] = "converged" if event.data.get("converged") else "ended"
        stage["reason"] = str(event.data.get("reason", ""))
        stage.update({name: event.data.get(name) for name in _FIGURES})
    return list(stages.values())


def _fresh(name: str) -> dict[str, Any]:
    begun = {"name": name, "state": "running", "reason": "", "rounds": 0, "trajectories": {}, "left": 0, "looks": {}}
    return {**begun, "window": None, **dict.fromkeys(_FIGURES)}


def _add(total: dict[str, int], more: Any) -> None:
    for name, number in more.items():
        total[name] = total.get(name, 0) + number
