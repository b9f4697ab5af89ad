"""``lammps-dpgen import``: labels that are there already, as the start of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from lammps_dpgen.cli.parallel import refuse_launcher
from lammps_dpgen.config import CampaignConfig, LearnConfig, load_config
from lammps_dpgen.config.base import Section
from lammps_dpgen.config.learning import LearningConfig
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.labelled_data import read_labelled
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.monitor.journal import Journal
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder


def run_import(folder: Path, config: Path, sources: Sequence[Path], *, same_settings: bool) -> None:
    """Put labelled frames of files into the ledger of a run, and say how many were new.

    Parameters
    ----------
    sources
        Files that ASE reads, with energies and forces; deepmd/npy systems, plain or mixed, or folders of them.
    same_settings
        The user says that the labels were computed with the labeler's settings. Without it only labels that
        carry the hash of these settings are taken.

    Raises
    ------
    ConfigError
        Nothing that can be read, frames without energy or forces, elements outside the type map, or labels that
        are not known to belong to the labeler's settings. Nothing is imported then.
    StoreError
        The run folder is in use, cannot be written, or belongs to another configuration.
    """
    refuse_launcher("import")
    settings = _configuration(config)
    if RunFolder(folder).path.resolve() != settings.run_folder.resolve():
        raise ConfigError(
            f"{config} is the configuration of {settings.run_folder}, not of {folder}; name its run folder"
        )
    wanted = settings.labeler.settings_hash
    found = [one for source in sources for one in _labelled(source, settings, wanted, same_settings)]
    run = RunFolder(folder).create()
    with (
        run.lock(),
        Ledger.open(run.ledger, config_hash=settings.config_hash()) as ledger,
        Journal(run.journal) as journal,
    ):
        # Labelled the moment after; a kill in between leaves nothing that a run would pay labels for.
        hashes = ledger.add_frames((frame for frame, _ in found), "dropped", "its import was not finished")
        pairs = zip(hashes, (label for _, label in found), strict=True)
        n_new = ledger.record_labels(pairs)
        names = [source.name for source in sources]
        Logbook(ledger, journal).write("import", files=names, n_labels=n_new, n_known=len(found) - n_new)
    print(f"{n_new} labelled frames imported into {folder}, {len(found) - n_new} were known already")


class _Kind(Section):
    """What tells the file of a campaign from that of a learning run."""

    model_config = ConfigDict(extra="ignore")

    stages: Any = None


def _configuration(path: Path) -> LearningConfig:
    """Return the configuration of a campaign or of a learning run, whichever the file is."""
    campaign = load_config(path, _Kind).stages is not None
    return load_config(path, CampaignConfig) if campaign else load_config(path, LearnConfig)


def _labelled(source: Path, config: LearningConfig, wanted: str, same_settings: bool) -> Iterator[tuple[Frame, Label]]:
    """Return the frames of a file or folder with their labels, which get the hash of the wanted settings."""
    try:
        for one in read_labelled(source, config.type_map):
            label = one.labelled.label
            _check_settings(one.place, label.settings_hash, wanted, same_settings)
            yield one.labelled.frame, replace(label, settings_hash=wanted)
    except ConfigError as error:
        raise ConfigError(f"{error}. Nothing is imported") from error


def _check_settings(place: str, own: str, wanted: str, same_settings: bool) -> None:
    if own == wanted or (same_settings and not own):
        return
    if own:
        raise ConfigError(
            f"{place} was labelled with other settings (hash {own[:12]}) than those of the configuration's labeler "
            f"({wanted[:12]}); a dataset that mixes settings is a mistake: label the frames anew with "
            "'lammps-dpgen label'"
        )
    raise ConfigError(
        f"{place} does not say with which settings it was labelled, and a dataset that mixes settings is a mistake. If "
        "program, functional, potentials, cutoffs and k-points are those of the configuration's labeler, say so with "
        "--same-settings; if not, label the frames anew with 'lammps-dpgen label'"
    )
