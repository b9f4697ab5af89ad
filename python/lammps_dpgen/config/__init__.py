"""Configuration files, validated once at the edge (pydantic); inside the package their values are trusted."""

from lammps_dpgen.config.bootstrap import BaseConfig, BootstrapConfig
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.config.learn import LearnConfig
from lammps_dpgen.config.learning import LearningConfig
from lammps_dpgen.config.load import load_config
from lammps_dpgen.config.selection import BoxGuard, SelectionSettings

__all__ = [
    "BaseConfig",
    "BootstrapConfig",
    "BoxGuard",
    "CampaignConfig",
    "LearnConfig",
    "LearningConfig",
    "SelectionSettings",
    "load_config",
]
