"""The property ``data``: errors on labelled frames, and whether the ensemble's deviation would have found them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field, ValidationInfo, field_validator
from scipy.stats import spearmanr

from lammps_dpgen.ensemble import Ensemble, deviation
from lammps_dpgen.errors import ConfigError, DpgenError
from lammps_dpgen.frame import FloatArray, Frame
from lammps_dpgen.labelled_data import ReadLabel, read_labelled
from lammps_dpgen.part import config_folder
from lammps_dpgen.validation.base import Chart, Findings, Piece, PropertySettings, Result, Row, Series
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.error_statistics import FrameError, frame_error, groups, missed, summary
from lammps_dpgen.validation.failures import NotFiniteError, UnsuitableError
from lammps_dpgen.validation.potential import Potential

#: Table of the report.
PART = "Data"

#: Units of the summary, and the factor from eV and Å.
UNITS = {"energy": ("meV/atom", 1e3), "force": ("eV/Å", 1.0), "virial": ("meV/atom", 1e3)}

#: Points of a parity picture, at most; forces are thinned out evenly.
MOST_POINTS = 3000

#: Missed frames that are named.
NAMED = 3

_Energies = tuple[float, FloatArray, FloatArray | None, float | None]


class DataErrorsSettings(PropertySettings):
    """Errors of energy, forces and virial on labelled data."""

    only_pieces: ClassVar[frozenset[str]] = frozenset({"files", "small_deviation", "large_error", "temperature_bin"})

    files: tuple[str, ...] = Field(
        min_length=1,
        description="Labelled data: files that ASE reads (extended XYZ ...), OUTCAR, deepmd/npy systems or folders of "
        "them.",
    )
    small_deviation: float = Field(
        default=0.05, gt=0.0, description="eV/Å; below this max_devi_f a frame would have been called accurate."
    )
    large_error: float = Field(
        default=0.15, gt=0.0, description="eV/Å; a force error above this at a small deviation is a missed error."
    )
    temperature_bin: float = Field(default=200.0, gt=0.0, description="K, where the data has many temperatures.")

    @field_validator("files")
    @classmethod
    def _make_absolute(cls, files: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return tuple(str(config_folder(info) / file) for file in files)


class DataErrorsProperty:
    """Predictions minus labels: all frames, by system, by temperature; the deviation of an ensemble beside them."""

    name: ClassVar[str] = "data"
    version: ClassVar[int] = 1
    Settings: ClassVar[type[PropertySettings]] = DataErrorsSettings

    def __init__(self, settings: DataErrorsSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings

    def pieces(self) -> list[Piece]:
        """Return one piece for each file or folder; what is in it decides its name in the store.

        Raises
        ------
        ConfigError
            A file does not exist.
        """
        pieces = []
        for file in dict.fromkeys(self._settings.files):
            path = Path(file)
            if not path.exists():
                raise ConfigError(f"data: {path} does not exist; give labelled frames in 'files'")
            pieces.append(Piece(file, {"file": file, "content": content_hash(path)}))
        return pieces

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Evaluate the potential, or all models of its ensemble, on every frame of a file."""
        judge = _Judge(potential)
        errors: list[dict[str, Any]] = []
        parity: dict[str, list[list[float]]] = {"energy": [], "force": [], "virial": []}
        for read in _labels(piece.payload["file"], potential.elements):
            frame, label = read.labelled.frame, read.labelled.label
            energy, forces, virial, spread = judge.predict(read.place, frame)
            errors.append(frame_error(read.place, frame, label, energy, forces, virial, spread).to_json())
            parity["energy"].append([label.energy / frame.n_atoms, energy / frame.n_atoms])
            parity["force"] += np.stack([label.forces.ravel(), forces.ravel()], axis=1).tolist()
            if virial is not None and label.virial is not None:
                both = np.stack([label.virial.ravel(), virial.ravel()], axis=1) / frame.n_atoms
                parity["virial"] += both.tolist()
        return {"errors": errors, "parity": {name: _thinned(points) for name, points in parity.items()}}

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return the rows of each file and its groups, parity pictures, and deviation against error."""
        rows: list[Row] = []
        charts: list[Chart] = []
        for piece in self.pieces():
            subject, result = Path(piece.name).name, results[piece.name]
            if result.value is None:
                rows.append(Row(PART, subject, "force RMSE", "eV/Å", failure=result.failure))
                continue
            errors = [FrameError(**error) for error in result.value["errors"]]
            rows += _summary_rows(subject, errors)
            for name, group in groups(errors, self._settings.temperature_bin).items():
                rows += _summary_rows(f"{subject} {name}", group)
            rows += self._deviation_rows(subject, errors)
            charts += _parity_charts(subject, result.value["parity"])
            charts += self._deviation_chart(subject, errors)
        return Findings(tuple(rows), tuple(charts))

    def _deviation_rows(self, subject: str, errors: list[FrameError]) -> list[Row]:
        """Return the share of missed errors, and how well the deviation ranks the errors; none for a single model."""
        settings = self._settings
        judged = [error for error in errors if error.deviation is not None]
        if not judged:
            return []
        bad = missed(judged, settings.small_deviation, settings.large_error)
        told = (
            f"max_devi_f below {settings.small_deviation:g} eV/Å and a force error above {settings.large_error:g} eV/Å"
        )
        named = "; ".join(
            f"{error.place}: deviation {error.deviation:.3g}, error {error.force_max:.3g} eV/Å" for error in bad[:NAMED]
        )
        rows = [
            Row(PART, subject, "missed errors", "%", 100.0 * len(bad) / len(judged), definition=told, note=named),
        ]
        deviations, largest = [e.deviation for e in judged], [e.force_max for e in judged]
        if len(set(deviations)) > 2 and len(set(largest)) > 2:
            rank = float(spearmanr(deviations, largest).statistic)
            told = f"Spearman's rank correlation of max_devi_f and the largest force error of {len(judged)} frames"
            rows.append(Row(PART, subject, "deviation-error correlation", "", rank, definition=told))
        return rows

    def _deviation_chart(self, subject: str, errors: list[FrameError]) -> list[Chart]:
        judged = [error for error in errors if error.deviation is not None]
        if not judged:
            return []
        bad = missed(judged, self._settings.small_deviation, self._settings.large_error)
        kinds = (("", [error for error in judged if error not in bad]), ("missed", bad))
        series = tuple(
            Series(name, [float(e.deviation or 0.0) for e in group], [e.force_max for e in group], style="points")
            for name, group in kinds
            if group
        )
        caption = "Largest force error of each frame against the deviation of the ensemble; missed ones lie upper left."
        axes = ("max_devi_f (eV/Å)", "largest force error (eV/Å)")
        title = f"Deviation and error on {subject}"
        return [Chart(f"data-deviation-{subject}", PART, title, caption, *axes, "lines", series)]


class _Judge:
    """Predicts frames with the ensemble of a Deep Potential, or with any other potential."""

    def __init__(self, potential: Potential) -> None:
        self._potential = potential
        files = potential.model_files()
        self._ensemble = Ensemble(files) if len(files) > 1 else None

    def predict(self, place: str, frame: Frame) -> _Energies:
        """Return energy (eV), forces (eV/Å), virial (eV), and max_devi_f (eV/Å) where there is an ensemble."""
        if self._ensemble is not None:
            predicted = self._ensemble.predict(frame)
            spread: float | None = deviation(predicted).max_f
            energy, forces = float(predicted.energies[0]), predicted.forces[0]
            virial: FloatArray | None = predicted.virials[0]
        else:
            static = self._potential.static(frame.to_ase())
            spread, energy, forces = None, static.energy, static.forces
            virial = None if static.known_stress is None else -static.known_stress * frame.volume
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise NotFiniteError(f"{place}: the potential gave numbers that are not finite")
        return energy, forces, virial if all(frame.pbc) else None, spread


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file, or of all files in a folder with their names."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(str(file.relative_to(path)).encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _labels(file: str, elements: Sequence[str]) -> Iterator[ReadLabel]:
    """Yield the frames; what cannot be read or is not for this potential becomes the cause of the row."""
    try:
        yield from read_labelled(Path(file), elements)
    except DpgenError as error:
        raise UnsuitableError(str(error)) from error


def _thinned(points: list[list[float]]) -> list[list[float]]:
    stride = max(1, -(-len(points) // MOST_POINTS))
    return points[::stride]


def _summary_rows(subject: str, errors: list[FrameError]) -> list[Row]:
    n_atoms = sum(error.n_atoms for error in errors)
    told = f"{len(errors)} frames, {n_atoms} atoms"
    rows = []
    for quantity, value in summary(errors).items():
        if value is None:
            continue
        unit, factor = UNITS[quantity.split()[0]]
        note = "after shifts of the elements' energies" if quantity.endswith("shifted") else ""
        rows.append(Row(PART, subject, quantity, unit, value * factor, definition=told, note=note))
    return rows


def _parity_charts(subject: str, parity: Mapping[str, list[list[float]]]) -> list[Chart]:
    words = {"energy": ("Energy", "eV/atom"), "force": ("Force components", "eV/Å"), "virial": ("Virial", "eV/atom")}
    charts = []
    for name, (title, unit) in words.items():
        points = np.array(parity[name], dtype=np.float64).reshape(-1, 2)
        if len(points) == 0:
            continue
        series = (Series("", points[:, 0].tolist(), points[:, 1].tolist(), style="points"),)
        axes = (f"label ({unit})", f"potential ({unit})")
        caption = f"Every point a label of {subject}; at most {MOST_POINTS} are drawn."
        charts.append(Chart(f"data-{name}-{subject}", PART, f"{title}, {subject}", caption, *axes, "parity", series))
    return charts
