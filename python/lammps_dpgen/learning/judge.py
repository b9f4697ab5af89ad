"""Judging a generation while it is being trained: each model is loaded and compared with new labels when it arrives.

Loading a model and its first evaluation take longer than many later ones; done while the others are still in training,
that costs the pause nothing, and the fix takes over the very models that were judged.

Where the native kernel is asked for, it is judged as well: on the new frames it has to say what DeePMD-kit has said
there. It evaluates all models together, and is loaded when the last one is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lammps_dpgen.ensemble import Ensemble, EnsemblePrediction
from lammps_dpgen.errors import ModelError
from lammps_dpgen.frame import Frame, LabelledFrame
from lammps_dpgen.learning.ensembles import FrameError, force_rmse, frame_error, rmse_of, root_mean_square

#: Frames on which the native kernel is compared, at most.
COMPARED = 4
#: What its forces (eV/Å) and energies (eV/atom) may differ by from those of DeePMD-kit: far below any trust window, and
#: above what tables of compressed models and nets in single precision are off.
SAME_FORCES, SAME_ENERGY = 1e-4, 1e-5


@dataclass(frozen=True)
class _Judged:
    """A model, its force RMSE, and what it says about the first of the new frames."""

    model: Ensemble
    rmse: float
    said: Sequence[EnsemblePrediction]


class Judge:
    """Compares old and new models with labels that neither has seen in training, or only the new; a context manager.

    Parameters
    ----------
    old
        Models of the last generation; they are left alone by others until :meth:`verdict`.
    labelled
        The new labels.
    at_hand
        What model 1 will be asked about at the swap, old and new: it is evaluated beforehand.
    kernel
        "auto": what :meth:`verdict` returns is evaluated by the native kernel where that agrees; "deepmd": it is not.
    """

    def __init__(
        self, old: Ensemble, labelled: Sequence[LabelledFrame], at_hand: Frame | None = None, kernel: str = "deepmd"
    ) -> None:
        self._labelled, self._at_hand, self._kernel = labelled, at_hand, kernel
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="judge")
        self._old = self._threads.submit(self._judge_old, old)
        self._errors_told = False
        self._models: dict[int, Future[_Judged]] = {}

    def arrived(self, index: int, path: Path) -> None:
        """Begin to load and judge a model; one that is trained anew replaces the earlier one."""
        self._models[index] = self._threads.submit(self._judge, index, path)

    def take_errors(self) -> list[tuple[LabelledFrame, FrameError]]:
        """Return the error of the old model 1 on each new label; nothing when called again."""
        told, self._errors_told = self._errors_told, True
        return [] if told else self._old.result()[1]

    def verdict(self) -> tuple[Ensemble, float, float]:
        """Return all models, and the force RMSE (eV/Å) of the old ones and of these; they can be evaluated at once."""
        judged = [self._models[index].result() for index in sorted(self._models)]
        models = Ensemble.joined([one.model for one in judged])
        if self._kernel == "auto":
            models = self._fastest(models, judged)
        return models, self._old.result()[0], root_mean_square([one.rmse for one in judged])

    def _fastest(self, models: Ensemble, judged: Sequence[_Judged]) -> Ensemble:
        """Return the same models with the native kernel; if it cannot be used, these, which then say why."""
        try:
            native = Ensemble(models.paths, min_models=1, kernel="native", self_test=False)
            said = [native.predict(item.frame) for item in self._labelled[:COMPARED]]
            reason = disagreement(said, [[one.said[k] for one in judged] for k in range(len(said))])
        except ModelError as error:
            reason = str(error)
        if reason:
            models.kernel = f"DeePMD-kit's C API, because {reason}"
            return models
        if self._at_hand is not None:
            native.predict_first(self._at_hand)
        return native

    def _judge_old(self, old: Ensemble) -> tuple[float, list[tuple[LabelledFrame, FrameError]]]:
        judged = force_rmse(old, self._labelled), [(item, frame_error(old, item)) for item in self._labelled]
        if self._at_hand is not None:
            old.predict_first(self._at_hand)
        return judged

    def _judge(self, index: int, path: Path) -> _Judged:
        model = Ensemble([path], min_models=1, kernel="deepmd")
        said = [model.predict(item.frame) for item in self._labelled]
        if self._at_hand is not None and index == 0:
            model.predict_first(self._at_hand)
        return _Judged(model, rmse_of(said, self._labelled), said[:COMPARED])

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(cancel_futures=True)


def disagreement(native: Sequence[EnsemblePrediction], reference: Sequence[Sequence[EnsemblePrediction]]) -> str:
    """Return how the native kernel differs from DeePMD-kit, empty if it does not.

    Parameters
    ----------
    native
        Of all models, one per frame.
    reference
        Per frame one per model.
    """
    forces = energies = 0.0
    for all_models, one_by_one in zip(native, reference, strict=True):
        expected = np.concatenate([one.forces for one in one_by_one])
        energy = np.concatenate([one.energies for one in one_by_one])
        forces = np.maximum(forces, np.abs(all_models.forces - expected).max(initial=0.0))  # NaN wins
        energies = np.maximum(energies, np.abs(all_models.energies - energy).max(initial=0.0) / all_models.n_atoms)
    if forces <= SAME_FORCES and energies <= SAME_ENERGY:
        return ""
    return (
        f"on frames that were labelled the native kernel differs from DeePMD-kit by {forces:.2g} eV/Å and "
        f"{energies:.2g} eV/atom; {SAME_FORCES:g} and {SAME_ENERGY:g} are allowed"
    )
