"""New models on the ranks that wait for rank 0: loaded and used once while others are still in training.

Loading a model and its first evaluation take longer than many later ones. Rank 0 has that behind it when it has judged
the models; done by the others at the swap, it would prolong every pause.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.frame import Frame
from lammps_dpgen.mpi import Line
from lammps_dpgen.native.cache import converted_file

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Preload:
    """Models that the waiting ranks of a communicator have at hand; made on all ranks.

    It only saves time: what goes wrong here is left out, and the swap loads the models as it would without.

    Parameters
    ----------
    n_models
        Of an ensemble.
    kernel
        "auto": models that are converted are loaded by the native kernel, when all of them are there; "deepmd": never.
        It is rank 0 that tests the kernel; where it decides otherwise, the fix goes by that on all ranks.
    """

    def __init__(self, comm: MPI.Comm, n_models: int = 0, kernel: str = "deepmd") -> None:
        from mpi4py.MPI import COMM_TYPE_SHARED

        self._line = Line(comm)
        self._n_models, self._kernel = n_models, kernel
        node = comm.Split_type(COMM_TYPE_SHARED)
        self._device = node.rank  # the GPU of this rank, as in fix dpgen
        node.Free()
        self._models: dict[str, Ensemble] = {}
        self._converted: list[Path] = []
        self._native: Ensemble | None = None

    def on_root(self, work: Callable[[], T], frame: Frame | None) -> T:
        """Run `work` on rank 0, as :func:`lammps_dpgen.mpi.on_root`, while the others load what it announces.

        Parameters
        ----------
        frame
            What a loaded model is evaluated on for the first time; None: on nothing.
        """
        self._models.clear()
        self._converted, self._native = [], None
        return self._line.on_root(work, lambda path: self._load(Path(path), frame))

    def announce(self, model: Path) -> None:
        """On rank 0, within `work`: say that a new model is there. Those that are not needed in the end do no harm."""
        self._line.tell(str(model))

    def take(self, hashes: Sequence[str]) -> Ensemble | None:
        """Return the models of the given SHA-256 if this rank has loaded all of them, and forget what it has."""
        native, self._native = self._native, None
        models = [self._models.get(sha256) for sha256 in hashes]
        self._models = {}
        if native is not None and native.hashes == tuple(hashes):
            return native
        found = [model for model in models if model is not None]
        if not found or len(found) < len(models):
            return None
        try:
            return Ensemble.joined(found)
        except Exception as error:
            _log.debug("new models do not fit together: %s", error)
            return None

    def _load(self, path: Path, frame: Frame | None) -> None:
        try:
            if self._kernel == "auto" and converted_file(path) is not None:
                self._load_native(path)
                return
            model = Ensemble([path], min_models=1, device=self._device, kernel="deepmd")
            self._models[model.hashes[0]] = model
            if frame is not None:
                model.predict(frame)
        except Exception as error:
            _log.debug("%s is not loaded ahead: %s", path, error)

    def _load_native(self, path: Path) -> None:
        """Load all models together as soon as they are there; one that is trained anew replaces the earlier one."""
        self._converted = sorted({*self._converted, path}, key=lambda file: (len(str(file)), str(file)))  # by number
        if len(self._converted) == self._n_models:
            self._native = Ensemble(self._converted, min_models=1, kernel="native", self_test=False)
