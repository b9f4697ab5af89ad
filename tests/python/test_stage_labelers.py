"""Stages of a campaign whose labeler has settings of its own: what is allowed, and who labels what."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_config_campaign import MINIMAL, changed, write
from test_learning_steps import ScriptedExecutor

from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.config.load import load_config
from lammps_dpgen.errors import ConfigError, LearningError
from lammps_dpgen.execution.base import Task
from lammps_dpgen.frame import Frame, FrameOrigin, Label
from lammps_dpgen.learning.checks import refuse_foreign_labels
from lammps_dpgen.learning.data_folder import write_data_folder
from lammps_dpgen.learning.dataset import new_systems
from lammps_dpgen.learning.label_batches import LabelBatches
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

GPAW_LIKE = {"name": "ase", "settings": {"calculator": "ase.calculators.emt:EMT", "arguments": {"asap_cutoff": False}}}
STAGES = [
    MINIMAL["stages"][0],
    {"name": "hot", "trajectories": 2, "temperatures": 900, "time": 1, "labeler": {"arguments": {"asap_cutoff": True}}},
]


def campaign(folder: Path, *changes: tuple[Any, ...]) -> CampaignConfig:
    data = changed(("labeler", GPAW_LIKE), ("stages", copy.deepcopy(STAGES)), *changes)
    return load_config(write(folder, data), CampaignConfig)


def test_other_settings_are_refused_unless_the_stage_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"stage 'hot' would have other settings.*mixed_labels: \[hot\]"):
        campaign(tmp_path)
    config = campaign(tmp_path, ("mixed_labels", ["hot"]))
    assert config.labeler_of("warm") == config.labeler_of("") == config.labeler
    own = config.labeler_of("hot")
    assert own.settings["arguments"] == {"asap_cutoff": True}
    assert own.settings["calculator"] == config.labeler.settings["calculator"]
    assert own.timeout == config.labeler.timeout
    assert config.labelers == (config.labeler, own)
    assert config.settings_hashes == {config.labeler.settings_hash, own.settings_hash}


def test_settings_that_decide_nothing_need_no_name(tmp_path: Path) -> None:
    """Such as the time-saving trial of the labeler ase, which is no part of its settings hash."""
    stages = [STAGES[0], {**STAGES[1], "labeler": {"trial": False}}]
    config = campaign(tmp_path, ("stages", stages))
    assert len(config.labelers) == 2
    assert len(config.settings_hashes) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("mixed_labels", ["cold"])], "cold"),
        ([("mixed_labels", ["hot"]), ("stages", 1, "labeler", {"no_such": 1})], r"labeler of stage 'hot': .*no_such"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, changes: list[tuple[Any, ...]], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        campaign(tmp_path, *changes)


def test_plain_campaigns_have_one_labeler(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, changed()), CampaignConfig)
    assert config.labelers == (config.labeler,)


def frame(number: int, stage: str) -> Frame:
    positions = np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 0.01 * number]])
    return Frame(("Al", "Al"), positions, 4.0 * np.eye(3), origin=FrameOrigin("md", stage=stage, step=number))


class TestLabels:
    @pytest.fixture
    def config(self, tmp_path: Path) -> CampaignConfig:
        return campaign(tmp_path, ("mixed_labels", ["hot"]))

    def test_each_frame_goes_to_the_labeler_of_its_stage(self, config: CampaignConfig, tmp_path: Path) -> None:
        """Also after a restart, since the frame knows its stage; and all of them make one data set."""
        by_settings = {str(one.service_settings()): one.settings_hash for one in config.labelers}

        def answer(task: Task) -> dict[str, Any]:
            settings_hash = by_settings[str(task.service_settings)]
            return Label(-1.0, np.zeros((2, 3)), np.eye(3), "hand", settings_hash, 0.5).to_json()

        run = RunFolder(config.run_folder).create()
        frames = [frame(0, "warm"), frame(1, "hot"), replace(frame(2, ""), origin=FrameOrigin("bootstrap"))]
        with Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger:
            ledger.add_frames(frames)
            batches = LabelBatches(ScriptedExecutor(answer), ledger, config, run.labels, lambda result, of_batch: None)
            batches.label(frames, lambda: None)
            batches.label_rest(lambda: None)
            plain, own = config.labeler.settings_hash, config.labeler_of("hot").settings_hash
            assert ledger.labels_by_settings() == {plain: 2, own: 1}
            assert {one.frame.origin.stage for one in ledger.labels(own)} == {"hot"}
            assert ledger.count_labels(config.settings_hashes) == len(ledger.labels(config.settings_hashes)) == 3
            assert len(ledger.label_numbers(config.settings_hashes)) == 3
            assert len(ledger.labelled_frames(config.settings_hashes)) == 3
            labels = ledger.labels(config.settings_hashes, untrained=True)
            (system,) = new_systems(run, 0, labels, config.type_map)
            assert len(np.load(Path(system) / "set.000" / "energy.npy")) == 3

            refuse_foreign_labels(ledger, config)
            without = campaign(tmp_path, ("stages", STAGES[:1]))
            with pytest.raises(LearningError, match=rf"1 of {own[:12]}; it has {plain[:12]}.*Restore it"):
                refuse_foreign_labels(ledger, without)
        with pytest.raises(ConfigError, match="labels of different settings"):
            write_data_folder(tmp_path / "refused", labels, ["Al"], run="run")
        about = write_data_folder(tmp_path / "mixed", labels, ["Al"], run="run", mixed=["hot"])
        assert own in about["settings_hash"]
        assert plain in about["settings_hash"]
