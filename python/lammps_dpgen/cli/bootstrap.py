"""``lammps-dpgen bootstrap``: initial structures are labelled and generation 0 is trained."""

from __future__ import annotations

from pathlib import Path

from lammps_dpgen.cli.parallel import refuse_launcher
from lammps_dpgen.config import BootstrapConfig, load_config


def run_bootstrap(config: Path) -> None:
    """Make generation 0; labels and trainings run in worker processes, so one rank is all it takes."""
    refuse_launcher("bootstrap")
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
