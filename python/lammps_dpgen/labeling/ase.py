"""The labeler ``ase``: any ASE calculator, by import path and arguments."""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any, ClassVar, Literal

import ase
import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from pydantic import Field, JsonValue, ValidationInfo, field_validator

from lammps_dpgen.errors import ConfigError, LabelError
from lammps_dpgen.frame import FloatArray, Frame, Label
from lammps_dpgen.labeling.base import LabelerSettings
from lammps_dpgen.labeling.files import config_folder, file_identity, find_file
from lammps_dpgen.labeling.screening import Result, screened_label, trial_frame


class AseSettings(LabelerSettings):
    """An ASE calculator as the reference.

    Examples
    --------
    >>> AseSettings(calculator="ase.calculators.emt:EMT").stress
    'if_available'
    """

    calculator: str = Field(
        description="Import path of the calculator class, or of a function that returns one: 'package.module:Name'."
    )
    arguments: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Keyword arguments of the calculator, plain data. A text that names a file next to the "
        "configuration file becomes that file's absolute path.",
    )
    stress: Literal["required", "if_available", "no"] = Field(
        default="if_available",
        description="Whether labels carry a virial: required refuses a calculator without stress.",
    )
    trial: bool = Field(
        default=True,
        description="Compute one small frame when the settings are checked; switch it off where that is expensive.",
    )

    @field_validator("calculator")
    @classmethod
    def _import_path(cls, path: str) -> str:
        module, _, name = path.replace(":", ".").rpartition(".")
        if not module or not all(part.isidentifier() for part in [*module.split("."), name]):
            raise ValueError(f"{path!r} is no import path; write it as 'ase.calculators.emt:EMT'")
        return path

    @field_validator("arguments")
    @classmethod
    def _files_of_arguments(cls, arguments: dict[str, JsonValue], info: ValidationInfo) -> dict[str, JsonValue]:
        return {
            key: str(find_file(value, [config_folder(info)]) or value) if isinstance(value, str) else value
            for key, value in arguments.items()
        }

    def hash(self) -> str:
        """SHA-256 of what decides the result: files that arguments name count by content, wherever they lie."""
        data = self.model_dump(mode="json", exclude={"trial"})
        for key, value in self.arguments.items():
            path = find_file(value, []) if isinstance(value, str) else None
            if path:
                data["arguments"][key] = file_identity(path)
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


class AseLabeler:
    """Labels frames with an ASE calculator, made once and used for many frames; a failure throws it away."""

    name: ClassVar[str] = "ase"
    Settings: ClassVar[type[LabelerSettings]] = AseSettings

    def __init__(self, settings: LabelerSettings) -> None:
        if not isinstance(settings, AseSettings):
            raise TypeError(f"AseLabeler needs AseSettings, got {type(settings).__name__}")
        self._settings = settings
        self._settings_hash = settings.hash()
        self._calculator: Any = None

    def check(self, species: list[str]) -> None:
        """Refuse an import path, arguments or elements that cannot work.

        Raises
        ------
        ConfigError
            What could not be imported or made, that the stress is missing, or why the trial frame failed.
        """
        calculator = self._made()
        if self._settings.stress == "required" and not _implements(calculator, "stress"):
            raise ConfigError(
                f"labeler ase: {self._settings.calculator} gives no stress, which 'stress: required' asks for; take "
                "another calculator, or 'stress: if_available' to train without virials"
            )
        if not self._settings.trial:
            return
        try:
            self.label(trial_frame(list(dict.fromkeys(species))), None)
        except LabelError as error:
            raise ConfigError(
                f"labeler ase: {self._settings.calculator} failed on a small frame of {', '.join(species)}: {error}. "
                "Correct its arguments, or switch the test off with 'trial: false' if only this frame is the trouble"
            ) from error

    def label(self, frame: Frame, folder: Path | None) -> Label:
        """Label one frame; calculators that write files do so in `folder`, if one is given.

        Raises
        ------
        LabelError
            The calculator's own error in one line, or a result that is not finite.
        """
        try:
            return screened_label(frame, self._settings_hash, lambda: self._compute(frame, folder))
        except LabelError:
            self._calculator = None
            raise
        except Exception as error:
            self._calculator = None
            text = " ".join(str(error).split()) or "no message"
            raise LabelError(f"{self._settings.calculator}: {type(error).__name__}: {text}") from error

    def _compute(self, frame: Frame, folder: Path | None) -> Result:
        calculator = self._made()
        if hasattr(calculator, "reset"):
            calculator.reset()
        if folder is not None and hasattr(calculator, "directory"):
            calculator.directory = str(folder)
        atoms = frame.to_ase()
        atoms.info.clear()
        atoms.calc = calculator
        with np.errstate(all="ignore"):  # what is not finite is refused later, with the atom's number
            return Result(
                energy=_energy(atoms),
                forces=np.array(atoms.get_forces(apply_constraint=False), dtype=np.float64),
                virial=self._virial(atoms),
                code=f"ase {ase.__version__} {self._settings.calculator}",
            )

    def _virial(self, atoms: Atoms) -> FloatArray | None:
        """Return -stress x volume, or None where there is no cell, no stress, or none is wanted."""
        wanted = self._settings.stress
        if wanted == "no" or not atoms.pbc.any() or atoms.cell.rank < 3:
            return None
        if wanted == "if_available" and not _implements(atoms.calc, "stress"):
            return None
        stress = np.array(atoms.get_stress(voigt=False, apply_constraint=False), dtype=np.float64)
        return -stress * abs(float(np.linalg.det(atoms.cell.array)))

    def _made(self) -> Any:
        """Return the calculator, made at the first call.

        Raises
        ------
        ConfigError
            It cannot be imported or made.
        """
        if self._calculator is not None:
            return self._calculator
        path = self._settings.calculator
        module, _, name = path.replace(":", ".").rpartition(".")
        try:
            factory = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"labeler ase: cannot import calculator {path!r}: {error}. Install the package that has it, or correct "
                "the path; it reads 'package.module:Name'"
            ) from error
        try:
            self._calculator = factory(**self._settings.arguments)
        except Exception as error:
            raise ConfigError(
                f"labeler ase: {path} refused its arguments {self._settings.arguments}: {type(error).__name__}: {error}"
            ) from error
        return self._calculator


def _energy(atoms: Atoms) -> float:
    """Return the energy that the forces are the gradient of: the free energy, where the calculator tells it."""
    try:
        return float(atoms.get_potential_energy(force_consistent=True))
    except PropertyNotImplementedError:
        return float(atoms.get_potential_energy())


def _implements(calculator: Any, quantity: str) -> bool:
    """Tell whether a calculator says that it computes `quantity`."""
    return quantity in getattr(calculator, "implemented_properties", ())
