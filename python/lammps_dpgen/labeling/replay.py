"""The labeler ``replay``: labels that were computed before, looked up in a dataset. For rehearsals."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, WithJsonSchema, field_validator

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.labeling.base import LabelerSettings
from lammps_dpgen.labeling.files import config_folder, file_identity
from lammps_dpgen.labeling.replay_dataset import Dataset
from lammps_dpgen.labeling.screening import Result, screened_label


class ReplaySettings(LabelerSettings):
    """An existing labelled dataset in the place of a reference method.

    A frame gets the label of the dataset's frame that is the same up to a rotation of the whole, an order of the atoms
    and whole cell vectors. A frame that the dataset does not have gets none, with the cause.
    """

    datasets: Annotated[
        tuple[str, ...],
        WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    ] = Field(
        description="Files that ASE reads, with energies and forces (extended XYZ ...), and folders of deepmd/npy "
        "systems; one text or a list.",
        min_length=1,
    )
    tolerance: float = Field(
        default=1e-3, gt=0.0, le=0.1, description="How far (Å) an atom may be off in a frame that counts as the same."
    )
    seconds: float = Field(
        default=0.0, ge=0.0, description="Time (s) that each label pretends to cost, to rehearse a slow reference."
    )

    @field_validator("datasets", mode="before")
    @classmethod
    def _one_or_several(cls, datasets: Any) -> Any:
        return (datasets,) if isinstance(datasets, str) else datasets

    @field_validator("datasets")
    @classmethod
    def _are_there(cls, datasets: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        paths = [(config_folder(info) / Path(name).expanduser()).absolute() for name in datasets]
        missing = [str(path) for path in paths if not path.exists()]
        if missing:
            raise ValueError(f"{', '.join(missing)}: no such file or folder; name labelled datasets")
        return tuple(map(str, paths))

    def hash(self) -> str:
        """SHA-256 of the tolerance and of the datasets' content, wherever they lie."""
        data = {"tolerance": self.tolerance, "datasets": [_identity(Path(name)) for name in self.datasets]}
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


class ReplayLabeler:
    """Looks labels up; the dataset is read once per worker."""

    name: ClassVar[str] = "replay"
    Settings: ClassVar[type[LabelerSettings]] = ReplaySettings

    def __init__(self, settings: LabelerSettings) -> None:
        if not isinstance(settings, ReplaySettings):
            raise TypeError(f"ReplayLabeler needs ReplaySettings, got {type(settings).__name__}")
        self._settings = settings
        self._settings_hash = settings.hash()
        self._dataset: Dataset | None = None

    def check(self, species: list[str]) -> None:
        """Refuse datasets that cannot be read, and elements that they do not have.

        Raises
        ------
        ConfigError
            Names the file, or the element.
        """
        unknown = sorted(set(species) - self._data.elements)
        if unknown:
            raise ConfigError(
                f"labeler replay: no frame of the dataset has {', '.join(unknown)} (it has "
                f"{', '.join(sorted(self._data.elements))}); name a dataset with these elements"
            )

    def label(self, frame: Frame, folder: Path) -> Label:
        """Look one frame up; nothing is written.

        Raises
        ------
        LabelError
            The dataset does not have it; names the nearest frame that it has.
        """
        return screened_label(frame, self._settings_hash, lambda: self._compute(frame))

    def _compute(self, frame: Frame) -> Result:
        match = self._data.find(frame, self._settings.tolerance)
        time.sleep(self._settings.seconds)
        entry = match.entry
        return Result(
            energy=entry.energy,
            forces=match.vectors(entry.forces),
            virial=None if entry.virial is None else match.tensor(entry.virial),
            code="replay",
        )

    @property
    def _data(self) -> Dataset:
        if self._dataset is None:
            self._dataset = Dataset([Path(name) for name in self._settings.datasets])
        return self._dataset


def _identity(path: Path) -> list[str]:
    """Return what identifies a file, or all files of a folder."""
    if path.is_file():
        return [file_identity(path)]
    return [f"{file.relative_to(path)} {file_identity(file)}" for file in sorted(path.rglob("*")) if file.is_file()]
