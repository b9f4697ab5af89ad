"""What a trainer is. Third parties register theirs in the entry point group ``lammps_dpgen.trainers``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import ConfigDict
from typing_extensions import Self

from lammps_dpgen.part import PartSettings


class TrainerSettings(PartSettings):
    """Base class of a trainer's settings; a run folder belongs to one hash of them."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    @property
    def model_suffix(self) -> str:
        """Suffix of the model files, by which DeePMD-kit knows the backend; scripts name models by links with it."""
        return ".pb"

    def one_step(self) -> Self | None:
        """Return the same settings for a single training step, or None where the trainer cannot be that short.

        The model is as large and as fast as a trained one, so that MD can be timed before anything is paid.
        """
        return None


@dataclass(frozen=True)
class TrainingJob:
    """One model of one generation to train; plain data, so that it can travel to a worker process or a cluster job.

    Attributes
    ----------
    generation, index
        Generation number from 0, and model index from 0.
    seed
        Decides initial weights and the order of batches; differs between models and generations.
    type_map
        Elements of the model, in order.
    old_systems, new_systems
        deepmd/npy folders of the data of earlier generations and of the data that is new in this one.
    warm_start
        What `TrainingResult.warm_start` of the model with the same index said last time, or None: from scratch.
    """

    generation: int
    index: int
    seed: int
    type_map: tuple[str, ...]
    old_systems: tuple[str, ...]
    new_systems: tuple[str, ...]
    warm_start: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TrainingJob:
        """Inverse of :meth:`to_json`."""
        values = dict(data)
        for key in ("type_map", "old_systems", "new_systems"):
            values[key] = tuple(values[key])
        return cls(**values)


@dataclass(frozen=True)
class TrainingResult:
    """What a training gave.

    Attributes
    ----------
    model
        Frozen (and compressed, where asked) model file that LAMMPS loads.
    warm_start
        File or prefix from which the next training of this model can start, or None.
    curve
        Learning curve, one row per print: step, force RMSE on the training batch (eV/Å), energy RMSE per atom (eV),
        learning rate.
    seconds
        Wall time by part: start, loop, freeze, compress.
    """

    model: str
    warm_start: str | None
    curve: list[tuple[int, float, float, float]]
    steps: int
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> TrainingResult:
        """Inverse of :meth:`to_json`."""
        values = dict(data)
        values["curve"] = [(int(r[0]), float(r[1]), float(r[2]), float(r[3])) for r in values["curve"]]
        return cls(**values)


class Trainer(Protocol):
    """Trains one model of the ensemble at a time, in a worker process of its own.

    A trainer is made once per worker from its settings and trains many models one after another, so that the start-up
    of its framework is paid once.
    """

    #: Name in the configuration and in the ledger.
    name: ClassVar[str]
    #: Class of its settings.
    Settings: ClassVar[type[TrainerSettings]]

    def __init__(self, settings: TrainerSettings) -> None: ...

    def check(self, type_map: list[str]) -> None:
        """Refuse settings that cannot work before anything is trained (raises ConfigError)."""
        ...

    def train(self, job: TrainingJob, folder: Path) -> TrainingResult:
        """Train, freeze and compress one model in `folder` (empty, its own).

        Raises
        ------
        TrainingError
            Diverged (NaN), or the framework failed: its own message, in one line, and the log file to read.
        """
        ...
