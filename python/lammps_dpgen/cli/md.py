"""``lammps-dpgen md``: a LAMMPS script that learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lammps_dpgen.cli.parallel import run_on_ranks
from lammps_dpgen.errors import ConfigError

if TYPE_CHECKING:
    from mpi4py import MPI


def run_md(script: Path, config: Path, variables: Mapping[str, list[str]], *, debug: bool) -> int:
    """Read the configuration on each rank and run the script; return the exit code."""

    def work(world: MPI.Comm) -> int:
        from lammps_dpgen.config import LearnConfig, load_config

        if not script.is_file():
            raise ConfigError(f"{script}: no such file; give the path of a LAMMPS input script")
        settings = load_config(config, LearnConfig)
        from lammps_dpgen.learning.controller import learn

        return learn(script, settings, dict(variables), world)

    return run_on_ranks(work, debug=debug)
