"""What the tests of ``lammps-dpgen run`` share: a tiny campaign, and ways to read its run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from learning_runs import BASE, STRUCTURES, Work, work_with_generation_0

from conftest import BIN, Run, launcher, start
from lammps_dpgen.store.records import TrajectoryRecord

#: Candidates all the way: every trajectory has something to learn, and none fails.
ALWAYS = {"lo": 0.02, "hi": 9.0}
#: Nothing is doubted.
NEVER = {"lo": 8.0, "hi": 9.0}

MD: dict[str, Any] = {"ensemble": "nvt", "temperatures": [900, 1400], "time": "0.12 ps", "timestep": "2 fs"}


def stage(name: str, **change: Any) -> dict[str, Any]:
    """Return a stage of four short trajectories."""
    return {"name": name, "trajectories": 4, **MD, **change}


CAMPAIGN: dict[str, Any] = {
    **BASE,
    "structures": [{**STRUCTURES[0], "name": "fcc"}],
    "selection": {"batch": 4},
    "every": 5,
    "trust": ALWAYS,
    "walkers": {"candidates": 3},
    "max_generations": 1,
    "training_patience": 3,
    "stages": [stage("only")],
}


@dataclass(frozen=True)
class Campaign(Work):
    """A folder with ``campaign.yaml`` and the run folder ``run`` in it."""

    def configure(self, **change: Any) -> None:
        """Write ``campaign.yaml``."""
        (self.folder / "campaign.yaml").write_text(yaml.safe_dump({**CAMPAIGN, **change}))

    def command(self, ranks: int = 1) -> list[str]:
        prefix = launcher(ranks) if ranks > 1 else []
        return [*prefix, str(BIN / "lammps-dpgen"), "run", "campaign.yaml"]

    def go(self, ranks: int = 2, *, timeout: float = 300.0, check: bool = True) -> Run:
        """Run ``lammps-dpgen run``."""
        return start(self.command(ranks), self.folder, self.env, timeout, check)

    def trajectories(self) -> list[TrajectoryRecord]:
        """Return the trajectories of the ledger."""
        with self.ledger() as ledger:
            return ledger.trajectories()

    def all(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of a kind."""
        return [event for event in self.journal() if event["kind"] == kind]


def campaign_with_generation_0(source: Path, folder: Path, env: dict[str, str]) -> Campaign:
    """Return a campaign that goes on from a copy of generation 0."""
    work_with_generation_0(source, folder, env)
    campaign = Campaign(folder, dict(env))
    campaign.configure()
    return campaign
