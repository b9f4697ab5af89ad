"""Settings of the DeePMD-kit trainer: the reference page of ``trainer.settings`` in a configuration."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from lammps_dpgen.part import config_folder
from lammps_dpgen.training.base import TrainerSettings


def read_input(source: Any, info: ValidationInfo) -> Any:
    """Return the content of a training input file, JSON or YAML; a content that was given itself stays.

    A relative file name is meant from the folder of the configuration file.
    """
    if not isinstance(source, (str, Path)):
        return source
    path = config_folder(info) / Path(source).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"the DeePMD-kit input '{path}' cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"the DeePMD-kit input '{path}' holds no mapping; give an input of DeePMD-kit 2 or 3")
    return content


#: Content of a DeePMD-kit training input; in a configuration also the name of the file.
InputContent = Annotated[
    dict[str, Any],
    BeforeValidator(read_input),
    WithJsonSchema({"anyOf": [{"type": "string", "minLength": 1}, {"type": "object"}]}),
]


class ReuseSettings(BaseModel):
    """How a training that starts from the last generation's model differs from one from scratch.

    The names and meanings are DP-GEN's; the defaults suit the short, frequent trainings of a learning run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    training_reuse_iter: int | None = Field(default=1, ge=1)
    """First generation that is trained with these settings; null: every generation is trained from scratch, on old and
    new data alike."""
    training_init_model: bool = True
    """Start from the weights of the same model of the last generation; false: from new weights, but with the weighting,
    steps, learning rate and prefactors below."""
    training_reuse_old_ratio: float | str = "auto"
    """Share of training batches taken from the data of earlier generations: a number between 0 and 1, or ``auto:x``,
    which is n_old / (n_old + x n_new) with the numbers of frames; ``auto`` is ``auto:10``."""
    training_reuse_numb_steps: int | None = Field(default=None, ge=1)
    """Steps; null: as many as from scratch."""
    training_reuse_start_lr: float | None = Field(default=None, gt=0.0)
    """First learning rate; null: as from scratch."""
    training_reuse_start_pref_e: float | None = Field(default=None, ge=0.0)
    """First prefactor of the energy; null: as from scratch."""
    training_reuse_start_pref_f: float | None = Field(default=None, ge=0.0)
    """First prefactor of the forces; null: as from scratch."""

    @field_validator("training_reuse_old_ratio")
    @classmethod
    def _check_ratio(cls, value: float | str) -> float | str:
        if isinstance(value, str):
            if not re.fullmatch(r"auto(:\d+(\.\d*)?)?", value):
                raise ValueError(
                    f"got '{value}'; allowed are a number from 0 to 1, 'auto', and 'auto:x' with a number x"
                )
        elif not 0.0 <= value <= 1.0:
            raise ValueError(f"got {value}; a share of the batches lies between 0 and 1")
        return value


class DeepmdSettings(TrainerSettings):
    """DeePMD-kit: either a full input file (`input`), or a `se_e2_a` model described by the keys below.

    Threads are those of the worker process (``OMP_NUM_THREADS``, ``DP_INTRA_OP_PARALLELISM_THREADS``,
    ``DP_INTER_OP_PARALLELISM_THREADS``); the executor sets them. On one thread a training with the same seed and data
    repeats bit for bit.
    """

    backend: Literal["tensorflow", "pytorch"] = "tensorflow"
    """Backend of DeePMD-kit; PyTorch must be installed for ``pytorch``, which gives ``.pth`` models."""
    input: InputContent | None = None
    """A DeePMD-kit training input of your own, JSON or YAML: file name, or the content itself. A file is read once,
    with the configuration, and counts as if its content stood there. Its type map, systems, seeds and output files are
    set for each training, and the reuse settings act on it; everything else stays. The keys from `rcut` to `batch_size`
    must then be left out."""

    rcut: float = Field(default=6.0, gt=0.0)
    """Cut-off in Å."""
    rcut_smth: float = Field(default=1.5, gt=0.0)
    """From here to the cut-off the descriptor is smoothed to zero, in Å."""
    sel: Literal["auto"] | tuple[int, ...] = "auto"
    """Neighbours that the model holds, per element of the type map. ``auto`` counts them in the data of the first
    training and multiplies by `sel_margin`; later generations keep the number."""
    sel_margin: float = Field(default=1.5, ge=1.0)
    """Factor of ``sel: auto``."""
    neuron: tuple[int, ...] = (10, 20, 40)
    """Layers of the embedding net."""
    axis_neuron: int = Field(default=4, ge=1)
    """Size of the embedding submatrix."""
    fitting_neuron: tuple[int, ...] = (60, 60, 60)
    """Layers of the fitting net."""
    precision: Literal["float64", "float32"] = "float64"
    """Precision of the nets; energies are summed in float64 always."""
    numb_steps: int = Field(default=2000, ge=1)
    """Training steps from scratch."""
    start_lr: float = Field(default=5e-3, gt=0.0)
    """First learning rate."""
    stop_lr: float = Field(default=1e-4, gt=0.0)
    """Last learning rate; it decays exponentially, in a hundred stairs."""
    start_pref_e: float = Field(default=0.02, ge=0.0)
    """First prefactor of the energy in the loss."""
    limit_pref_e: float = Field(default=1.0, ge=0.0)
    """Last prefactor of the energy."""
    start_pref_f: float = Field(default=1000.0, ge=0.0)
    """First prefactor of the forces."""
    limit_pref_f: float = Field(default=1.0, ge=0.0)
    """Last prefactor of the forces."""
    start_pref_v: float = Field(default=0.01, ge=0.0)
    """First prefactor of the virial; frames without a virial do not count in it."""
    limit_pref_v: float = Field(default=0.1, ge=0.0)
    """Last prefactor of the virial."""
    batch_size: int | str = "auto:32"
    """Frames per step; ``auto:n``: as many as hold n atoms or more."""

    warm_start: ReuseSettings = Field(default_factory=ReuseSettings)
    """What changes when a generation continues the last one's training."""
    compress: bool = False
    """Compress the frozen model (TensorFlow, ``dp compress``): MD with large nets is faster, each training costs
    seconds more."""
    compress_step: float = Field(default=0.01, gt=0.0)
    """Step of the compressed model's table."""
    disp_freq: int = Field(default=100, ge=1)
    """Steps between two lines of the learning curve, lowered to a divisor of the number of steps."""

    @property
    def model_suffix(self) -> str:
        """That of the backend."""
        return {"tensorflow": ".pb", "pytorch": ".pth"}[self.backend]

    def one_step(self) -> Self:
        """Set the number of steps to 1."""
        if self.input is None:
            return self.model_copy(update={"numb_steps": 1, "disp_freq": 1})
        training = {**self.input.get("training", {}), "numb_steps": 1}
        return self.model_copy(update={"input": {**self.input, "training": training}})

    @model_validator(mode="after")
    def _check_together(self) -> DeepmdSettings:
        if self.input is not None:
            fields = type(self).model_fields
            given = sorted(name for name in _SHORTCUTS if getattr(self, name) != fields[name].default)
            if given:
                raise ValueError(f"{', '.join(given)} cannot be given beside 'input'; write it into that input")
        if self.rcut_smth >= self.rcut:
            raise ValueError(f"rcut_smth is {self.rcut_smth} and rcut {self.rcut}; rcut_smth must be smaller")
        return self

    @field_validator("batch_size")
    @classmethod
    def _check_batch_size(cls, value: int | str) -> int | str:
        good = value >= 1 if isinstance(value, int) else re.fullmatch(r"auto(:[1-9]\d*)?", value)
        if not good:
            raise ValueError(f"got {value!r}; allowed are a positive number, 'auto', and 'auto:n'")
        return value


#: Keys that describe the model and training and have no meaning beside a full input.
_SHORTCUTS = frozenset(
    {
        "rcut", "rcut_smth", "sel", "sel_margin", "neuron", "axis_neuron", "fitting_neuron", "precision", "numb_steps",
        "start_lr", "stop_lr", "start_pref_e", "limit_pref_e", "start_pref_f", "limit_pref_f", "start_pref_v",
        "limit_pref_v", "batch_size",
    }
)  # fmt: skip
