"""``lammps-dpgen run``: a campaign on the ranks of an MPI job."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lammps_dpgen.cli.parallel import refuse_launcher, run_on_ranks

if TYPE_CHECKING:
    from mpi4py import MPI


def run_run(config: Path, *, dry_run: bool, debug: bool) -> int:
    """Carry out a campaign, or only say what it would do; return the exit code."""
    from lammps_dpgen.config import CampaignConfig, load_config

    if dry_run:
        refuse_launcher("run --dry-run")
        from lammps_dpgen.campaign.dry_run import dry_run as say

        say(load_config(config, CampaignConfig))
        return 0

    def work(world: MPI.Comm) -> int:
        settings = load_config(config, CampaignConfig)
        from lammps_dpgen.campaign.job import run_campaign

        return run_campaign(settings, world)

    return run_on_ranks(work, debug=debug)
