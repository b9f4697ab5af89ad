"""``lammps-dpgen bootstrap``: initial structures are labelled and generation 0 is trained."""

from __future__ import annotations

import os
from pathlib import Path

from lammps_dpgen.cli.parallel import SIZE_VARIABLES
from lammps_dpgen.config import BootstrapConfig, load_config
from lammps_dpgen.errors import ConfigError


def run_bootstrap(config: Path) -> None:
    """Make generation 0; labels and trainings run in worker processes, so one rank is all it takes."""
    if any(os.environ.get(name, "1") not in ("", "1") for name in SIZE_VARIABLES):
        raise ConfigError(
            "bootstrap starts its own worker processes; run it without mpirun: lammps-dpgen bootstrap ..."
        )
    settings = load_config(config, BootstrapConfig)
    from lammps_dpgen.learning.bootstrap import bootstrap
    from lammps_dpgen.monitor.view import open_view

    view = open_view(f"bootstrap {config.name}")
    try:
        generation = bootstrap(settings, progress=view)
    finally:
        view.close()
    models = settings.run_folder / "models"
    print(
        f"generation {generation.number}: {len(generation.models)} models of {generation.n_labels} labels in {models}"
    )
