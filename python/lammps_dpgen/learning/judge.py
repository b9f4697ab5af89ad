"""Judging a generation while it is being trained: each model is loaded and compared with new labels when it arrives.

Loading a model and its first evaluation take longer than many later ones; done while the others are still in training,
that costs the pause nothing, and the fix takes over the very models that were judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.frame import Frame, LabelledFrame
from lammps_dpgen.learning.ensembles import FrameError, force_rmse, frame_error, root_mean_square


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
    """

    def __init__(self, old: Ensemble, labelled: Sequence[LabelledFrame], at_hand: Frame | None = None) -> None:
        self._labelled, self._at_hand = labelled, at_hand
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="judge")
        self._old = self._threads.submit(self._judge_old, old)
        self._errors_told = False
        self._models: dict[int, Future[tuple[Ensemble, float]]] = {}

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
        models = Ensemble.joined([model for model, _ in judged])
        return models, self._old.result()[0], root_mean_square([rmse for _, rmse in judged])

    def _judge_old(self, old: Ensemble) -> tuple[float, list[tuple[LabelledFrame, FrameError]]]:
        judged = force_rmse(old, self._labelled), [(item, frame_error(old, item)) for item in self._labelled]
        if self._at_hand is not None:
            old.predict_first(self._at_hand)
        return judged

    def _judge(self, index: int, path: Path) -> tuple[Ensemble, float]:
        model = Ensemble([path], min_models=1)
        rmse = force_rmse(model, self._labelled)
        if self._at_hand is not None and index == 0:
            model.predict_first(self._at_hand)
        return model, rmse

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *error: object) -> None:
        self._threads.shutdown(cancel_futures=True)
