"""A run takes over the labels of others: which ones, once, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lammps_dpgen.config import CampaignConfig
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame, FrameOrigin, Label
from lammps_dpgen.learning.continuation import check_continuation, take_over_labels
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.monitor.journal import Journal
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

N_LABELS = 3


def configuration(folder: Path, elements: list[str], **change: Any) -> CampaignConfig:
    labeler = {"pair_style": "lj/cut 6.0", "pair_coeff": ["* * 0.01 2.5"], "elements": elements}
    structure = {"name": "start", "generator": "prototype", "element": elements[0]}
    content = {
        "run_folder": "new",
        "type_map": elements,
        "labeler": {"name": "lammps", "settings": labeler},
        "trainer": {"name": "deepmd"},
        "structures": [structure],
        "stages": [{"name": "only", "trajectories": 1, "temperatures": 300, "time": "1 ps"}],
        **change,
    }
    return CampaignConfig.model_validate(content, context={"folder": folder})


def old_run(folder: Path) -> str:
    """Make a run of aluminium with labels; return the hash of their settings."""
    config = configuration(folder, ["Al"])
    run = RunFolder(folder / "old").create()
    cell = np.diag([4.0, 4.0, 4.0])
    with Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger:
        for number in range(N_LABELS):
            origin = FrameOrigin("md", "candidate", "hot", "fcc", trajectory=7, generation=2)
            frame = Frame(("Al",), np.full((1, 3), 0.1 * number), cell, (True, True, True), origin=origin)
            (frame_hash,) = ledger.add_frames([frame])
            label = Label(-3.0 - number, np.zeros((1, 3)), None, "lammps", config.labeler.settings_hash, 1.0)
            ledger.record_label(frame_hash, label)
    return config.labeler.settings_hash


def test_labels_are_taken_over_once_and_get_the_new_settings(tmp_path: Path) -> None:
    old_hash = old_run(tmp_path)
    config = configuration(tmp_path, ["Mg", "Al"], continue_from={"runs": ["old"], "same_settings": True})
    assert config.labeler.settings_hash != old_hash
    assert check_continuation(config) == N_LABELS
    run = RunFolder(config.run_folder).create()
    with Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger, Journal(run.journal) as journal:
        logbook = Logbook(ledger, journal)
        assert [take_over_labels(ledger, logbook, config) for _ in range(2)] == [N_LABELS, 0]
        labels = ledger.labels(config.labeler.settings_hash, untrained=True)
        assert [label.label.energy for label in labels] == [-3.0, -4.0, -5.0]
        origin = labels[0].frame.origin
        assert (origin.source, origin.structure, origin.stage, origin.trajectory) == ("import", "fcc", "", -1)
        assert ledger.counts().frames == {**ledger.counts().frames, "labelled": N_LABELS, "selected": 0}
        assert [event.data["n_labels"] for event in ledger.events("import")] == [N_LABELS]


@pytest.mark.parametrize(
    ("elements", "section", "message"),
    [
        (["Al", "Mg"], {"runs": ["old"]}, "same_settings: true"),
        (["Mg"], {"runs": ["old"], "same_settings": True}, "has labels with Al, but type_map is"),
        (["Al", "Mg"], {"runs": ["nowhere"], "same_settings": True}, "is no run folder"),
        (["Al", "Mg"], {"runs": ["new"], "same_settings": True}, "is the run folder itself"),
    ],
)
def test_what_cannot_be_taken_over(tmp_path: Path, elements: list[str], section: dict[str, Any], message: str) -> None:
    old_run(tmp_path)
    with pytest.raises(ConfigError, match=message):
        check_continuation(configuration(tmp_path, elements, continue_from=section))


def test_models_and_labels_of_others_exclude_each_other(tmp_path: Path) -> None:
    models = [str(tmp_path / f"{number}.pb") for number in range(4)]
    with pytest.raises(ValueError, match="initial_models and continue_from exclude each other"):
        configuration(tmp_path, ["Al"], initial_models=models, continue_from={"runs": ["old"]})
