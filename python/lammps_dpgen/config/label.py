"""The file of ``lammps-dpgen label``: a labeler, and where it runs. A file of a learning run holds that too."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import ValidationInfo, field_validator, model_validator

from lammps_dpgen.config.base import Section
from lammps_dpgen.config.bootstrap import BootstrapConfig, are_elements
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.config.execution import ExecutionSettings, refuse_short_walltime
from lammps_dpgen.config.extract import ExtractSettings
from lammps_dpgen.config.learn import LearnConfig
from lammps_dpgen.config.parts import LabelerSection


class LabelConfig(Section):
    """The part of a configuration that labels need; in the files of runs the rest is not looked at."""

    type_map: tuple[str, ...] = ()
    """Elements that frames may have, and their order in deepmd/npy systems. Default: the elements of the frames."""
    labeler: LabelerSection
    """The reference method."""
    execution: ExecutionSettings = ExecutionSettings()
    """Where labels run."""
    extract: ExtractSettings | None = None
    """Cut cells out of frames above ``extract.max_atoms`` (200), around the atoms with the highest ``force_spread`` in
    the file. Default: frames are labelled as they are."""

    _elements = field_validator("type_map", mode="before")(are_elements)

    @field_validator("execution")
    @classmethod
    def _walltime_suffices(cls, execution: ExecutionSettings, info: ValidationInfo) -> ExecutionSettings:
        if "labeler" in info.data:
            refuse_short_walltime(execution.labels, info.data["labeler"].timeout, "labels")
        return execution

    @model_validator(mode="before")
    @classmethod
    def _only_this_part(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        files = (LearnConfig, BootstrapConfig, CampaignConfig)
        others = {key for file in files for key in file.model_fields} - set(cls.model_fields)
        return {key: value for key, value in data.items() if key not in others}

    def config_hash(self) -> str:
        """SHA-256 of what decides the labels: the ledger of a label folder belongs to one such hash."""
        deciding = ["label", self.labeler.name, self.labeler.settings_hash]
        return hashlib.sha256(json.dumps(deciding).encode()).hexdigest()
