"""A run that goes on from the labels of others, whose models may know fewer elements: Al and Mg, then Al-Mg."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lammps_dpgen.config.learning import ContinueFrom, LearningConfig
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame, FrameOrigin, Label
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import StoredLabel
from lammps_dpgen.store.run_folder import RunFolder


def check_continuation(config: LearningConfig) -> int:
    """Return how many labels the runs of ``continue_from`` give.

    Raises
    ------
    ConfigError
        A run is not there, has no labels, has other elements, or its labels are not known to have the labeler's
        settings.
    StoreError
        A ledger cannot be read.
    """
    return sum(1 for _ in _labels_of_others(config))


def take_over_labels(ledger: Ledger, logbook: Logbook, config: LearningConfig) -> int:
    """Put the labels of the runs of ``continue_from`` into the ledger; those that it has already stay as they are.

    Returns
    -------
    int
        How many were new. Errors as of :func:`check_continuation`; nothing is taken then.
    """
    found = list(_labels_of_others(config))
    if not found:
        return 0
    # Labelled the moment after; a kill in between leaves nothing that a run would pay labels for.
    hashes = ledger.add_frames((frame for frame, _ in found), "dropped", "its import was not finished")
    n_new = ledger.record_labels(zip(hashes, (label for _, label in found), strict=True))
    if n_new:
        section = config.continue_from
        names = [] if section is None else [path.name for path in section.runs]
        logbook.write("import", files=names, n_labels=n_new, n_known=len(found) - n_new)
    return n_new


def _labels_of_others(config: LearningConfig) -> Iterator[tuple[Frame, Label]]:
    section = config.continue_from
    for path in () if section is None else section.runs:
        with Ledger.open(_ledger_of(path, config), config_hash=None) as other:
            stored = other.labels()
        if not stored:
            raise ConfigError(f"continue_from: {path} has no labels, so there is nothing to go on from")
        for one in stored:
            _check(one, path, section, config)
            origin = FrameOrigin("import", structure=one.frame.origin.structure)
            known = one.label.settings_hash in config.settings_hashes
            label = one.label if known else replace(one.label, settings_hash=config.labeler.settings_hash)
            yield replace(one.frame, origin=origin), label


def _ledger_of(path: Path, config: LearningConfig) -> Path:
    if path.resolve() == config.run_folder.resolve():
        raise ConfigError(f"continue_from: {path} is the run folder itself; name that of the campaign to go on from")
    ledger = RunFolder(path).ledger
    if not ledger.is_file():
        raise ConfigError(
            f"continue_from: {path} is no run folder: it has no {ledger.name}; for files use 'lammps-dpgen import'"
        )
    return ledger


def _check(stored: StoredLabel, path: Path, section: ContinueFrom | None, config: LearningConfig) -> None:
    foreign = sorted(set(stored.frame.species) - set(config.type_map))
    if foreign:
        raise ConfigError(
            f"continue_from: {path} has labels with {', '.join(foreign)}, but type_map is "
            f"[{', '.join(config.type_map)}]; a type map can only become longer: add them"
        )
    own, wanted = stored.label.settings_hash, config.labeler.settings_hash
    if own not in config.settings_hashes and not (section is not None and section.same_settings):
        raise ConfigError(
            f"continue_from: the labels of {path} have other settings (hash {own[:12]}) than those of the labeler "
            f"({wanted[:12]}), which is so as soon as the labeler names an element more, and a dataset that mixes "
            "functionals, cutoffs or potentials is a mistake. If only elements were added, say so with same_settings: "
            "true; if not, label the frames anew with 'lammps-dpgen label'"
        )
