"""The ensemble of a generation as the controller uses it: errors against labels, and predictions for a single frame."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lammps_dpgen.config.learning import LearningConfig
from lammps_dpgen.ensemble import Ensemble, EnsemblePrediction
from lammps_dpgen.frame import FloatArray, Frame, LabelledFrame
from lammps_dpgen.geometry import closest_contact
from lammps_dpgen.native.convert import provide
from lammps_dpgen.store.records import Generation
from lammps_dpgen.store.run_folder import RunFolder


@dataclass(frozen=True)
class FrameError:
    """Error of model 1, the one that drives the MD, on a labelled frame.

    Attributes
    ----------
    force_rmse
        Root mean square over the force components, eV/Å.
    force_error_max
        Largest length of the force error of an atom, eV/Å: what the largest model deviation stands for.
    energy_error_per_atom
        eV.
    """

    force_rmse: float
    force_error_max: float
    energy_error_per_atom: float


def open_ensemble(run: RunFolder, generation: Generation, kernel: str = "auto") -> Ensemble:
    """Load the models of a generation from their own files, not through the links; see :class:`Ensemble` for `kernel`.

    For "auto" models of which the native kernel knows nothing are converted first, which takes seconds, once.
    """
    files = [run.path / model.path for model in generation.models]
    if kernel == "auto":
        provide(files)
    return Ensemble(files, kernel=kernel)


def frame_error(ensemble: Ensemble, labelled: LabelledFrame) -> FrameError:
    """Compare model 1 with a label, on the atoms whose forces are learnt."""
    prediction = ensemble.predict(labelled.frame, n_models=1)
    difference = _learnt(labelled.frame, prediction.forces[0] - labelled.label.forces)
    return FrameError(
        force_rmse=float(np.sqrt(np.mean(difference**2))),
        force_error_max=float(np.linalg.norm(difference, axis=1).max()),
        energy_error_per_atom=float(prediction.energies[0] - labelled.label.energy) / labelled.frame.n_atoms,
    )


def force_rmse(ensemble: Ensemble, labelled: Sequence[LabelledFrame]) -> float:
    """Force RMSE over all components that are learnt of all frames, mean square over the models; eV/Å."""
    return rmse_of((ensemble.predict(item.frame) for item in labelled), labelled)


def rmse_of(predictions: Iterable[EnsemblePrediction], labelled: Sequence[LabelledFrame]) -> float:
    """Return what :func:`force_rmse` does, of what models have said about these frames."""
    square, count = 0.0, 0
    for prediction, item in zip(predictions, labelled, strict=True):
        difference = _learnt(item.frame, prediction.forces - item.label.forces)
        square += float(np.sum(difference**2))
        count += difference.size
    return float(np.sqrt(square / count)) if count else float("nan")


def _learnt(frame: Frame, per_atom: FloatArray) -> FloatArray:
    """Return the values of ``[..., n_atoms, 3]`` for the atoms whose forces are learnt."""
    return per_atom if frame.learnt is None else per_atom[..., frame.learnt, :]


def root_mean_square(errors: Sequence[float]) -> float:
    """Return the RMSE over several models from that of each."""
    return float(np.sqrt(np.mean(np.square(errors))))


def largest_force(ensemble: Ensemble, frame: Frame) -> float:
    """Largest length of the models' mean force on an atom, eV/Å; Inf where it is not finite."""
    mean = ensemble.predict(frame).forces.mean(axis=0)
    largest = float(np.linalg.norm(mean, axis=1).max())
    return largest if np.isfinite(largest) else float("inf")


def beyond_sanity(ensemble: Ensemble, frame: Frame, config: LearningConfig) -> str:
    """Return why a failed frame is not worth a label; empty if it is."""
    limits = config.safe_points.sanity
    contact = closest_contact(frame, limits.min_distance or config.selection.min_distance)
    if contact is not None:
        return contact.describe(frame)
    force = largest_force(ensemble, frame)
    return f"a force of {force:.1f} eV/Å" if force > limits.max_force else ""


def jump(old: Ensemble | None, new: Ensemble, frame: Frame) -> tuple[float, float]:
    """How far model 1 moved on a frame: energy per atom (eV), largest force change (eV/Å); NaN without an old one."""
    if old is None:
        return float("nan"), float("nan")
    before, after = (models.predict_first(frame) for models in (old, new))
    energy = float(after.energies[0] - before.energies[0]) / frame.n_atoms
    return energy, float(np.linalg.norm(after.forces[0] - before.forces[0], axis=1).max())
