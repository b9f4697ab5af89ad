"""An ensemble of models in Python: energies, forces and virials of a frame, and how far the models are apart.

The figures come from the same C++ core as those of ``fix dpgen``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lammps_dpgen.deepmd_library import preload_frameworks
from lammps_dpgen.errors import ModelError, StructureError
from lammps_dpgen.frame import FloatArray, Frame
from lammps_dpgen.noise import quiet_loading

if TYPE_CHECKING:
    from lammps_dpgen import _core

#: What a frame can be, by its deviation and the trust window.
CLASSES = ("accurate", "candidate", "failed")


@dataclass(frozen=True)
class EnsemblePrediction:
    """What each model says about a frame.

    Attributes
    ----------
    energies
        ``[n_models]`` in eV.
    forces
        ``[n_models, n_atoms, 3]`` in eV/Å.
    virials
        ``[n_models, 3, 3]`` in eV, DeePMD's sign: -stress x volume.
    """

    energies: FloatArray
    forces: FloatArray
    virials: FloatArray

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.forces.shape[1])

    @property
    def energy_deviation(self) -> float:
        """Standard deviation over the models of the energy per atom, in eV."""
        return float(np.std(self.energies)) / max(1, self.n_atoms)


@dataclass(frozen=True)
class ModelDeviation:
    """How far the models of an ensemble are apart on a frame (Eq. 1 of arXiv:1810.11890, population spread).

    Attributes
    ----------
    max_v, min_v, avg_v
        Of the virial, eV/atom, over its nine components; avg is the root mean square.
    max_f, min_f, avg_f
        Of the forces, eV/Å, over the atoms. A relative deviation has no unit.
    spread
        ``[n_atoms]``, the force spread of each atom.
    """

    max_v: float
    min_v: float
    avg_v: float
    max_f: float
    min_f: float
    avg_f: float
    spread: FloatArray


class Ensemble:
    """Models that were trained together, loaded once.

    Parameters
    ----------
    paths
        Model files.
    min_models
        Fewest models; a single one has no deviation, but can be joined to others.
    device
        GPU that they run on, where there are any.
    kernel
        What evaluates the models: "deepmd", "native" (the core's own kernel, for DeepPot-SE models that were converted
        by a learning run or :func:`lammps_dpgen.native.convert.convert`; an error where it cannot be used) or "auto"
        (the native one where it can be used, else DeePMD-kit).
    precision
        Of the native kernel: "double" or "single".
    self_test
        Hold the native kernel beside DeePMD-kit on a frame of its own before it is used; False: somebody has done so.
    tolerance
        eV/Å: what forces may be off because the native kernel leaves out what hardly counts; None: 1e-6.

    Raises
    ------
    ModelError
        A file is missing or no model, or the models differ in elements or cut-off.
    InstallationError
        DeePMD-kit or its backend for these files is missing.
    """

    def __init__(
        self,
        paths: Sequence[Path | str],
        min_models: int = 2,
        device: int = 0,
        kernel: str = "auto",
        precision: str = "double",
        self_test: bool = True,
        tolerance: float | None = None,
    ) -> None:
        from lammps_dpgen import _core

        files = [Path(path) for path in paths]
        with quiet_loading():
            hints = preload_frameworks(files)
            names = [str(path) for path in files]
            chosen = {} if tolerance is None else {"tolerance": tolerance}
            core = _core.load_ensemble(names, hints, device, min_models, kernel, precision, self_test, **chosen)
        self._hold(core)

    @classmethod
    def joined(cls, parts: Sequence[Ensemble]) -> Ensemble:
        """Return all models of several ensembles as one; none is loaded again.

        Raises
        ------
        ModelError
            They differ in elements or cut-off.
        """
        from lammps_dpgen import _core

        ensemble = cls.__new__(cls)
        ensemble._hold(_core.join_ensembles([part.core for part in parts]))
        ensemble._known = parts[0]._known
        return ensemble

    def _hold(self, core: _core.Ensemble) -> None:
        #: The compiled ensemble, which the LAMMPS plugin in this process can share.
        self.core = core
        self.paths = tuple(Path(path) for path in core.paths)
        #: Å, the same for all models.
        self.cutoff: float = core.cutoff
        #: Elements, the same for all models, in order.
        self.type_map: tuple[str, ...] = tuple(core.type_map)
        #: SHA-256 of the model files, in order.
        self.hashes: tuple[str, ...] = tuple(core.hashes)
        #: Which code evaluates the models, and why.
        self.kernel: str = core.kernel
        #: Whether that is the native kernel.
        self.is_native: bool = core.together
        self._known: tuple[Frame, EnsemblePrediction] | None = None

    @property
    def tolerance(self) -> float:
        """eV/Å: how far forces may be from DeePMD-kit's."""
        return self.core.tolerance

    @property
    def n_models(self) -> int:
        """Number of models."""
        return len(self.paths)

    def predict(self, frame: Frame, n_models: int | None = None) -> EnsemblePrediction:
        """Evaluate the first `n_models` models on a frame, by default all.

        Raises
        ------
        ModelError
            The models do not know an element of the frame, or failed.
        StructureError
            The frame is periodic along some of its cell vectors only.
        """
        cell = frame.cell if all(frame.pbc) else None
        if cell is None and any(frame.pbc):
            raise StructureError(
                f"a frame of {frame.formula} is periodic along {sum(frame.pbc)} of its 3 cell vectors; models take "
                "frames that are periodic along all of them or none: put vacuum into the cell, or drop it"
            )
        energies, forces, virials = self.core.evaluate(self._species(frame), frame.positions, cell, n_models)
        return EnsemblePrediction(np.asarray(energies), np.asarray(forces), np.asarray(virials))

    def predict_first(self, frame: Frame) -> EnsemblePrediction:
        """Evaluate model 1 on a frame; asked again for exactly the same atoms and cell, it gives the same answer."""
        if self._known is None or not _same_atoms(self._known[0], frame):
            self._known = frame, self.predict(frame, n_models=1)
        return self._known[1]

    def _species(self, frame: Frame) -> NDArray[np.int32]:
        unknown = sorted(set(frame.species) - set(self.type_map))
        if unknown:
            raise ModelError(
                f"the models do not know {', '.join(unknown)} (a frame of {frame.formula}); they know "
                f"{', '.join(self.type_map)}"
            )
        index = {element: number for number, element in enumerate(self.type_map)}
        return np.array([index[element] for element in frame.species], dtype=np.int32)


def _same_atoms(one: Frame, other: Frame) -> bool:
    return (
        one.species == other.species
        and one.pbc == other.pbc
        and np.array_equal(one.cell, other.cell)
        and np.array_equal(one.positions, other.positions)
    )


def deviation(
    prediction: EnsemblePrediction, *, relative: float | None = None, relative_v: float | None = None
) -> ModelDeviation:
    """Return the model deviation of a prediction.

    Parameters
    ----------
    relative, relative_v
        Level eps of the relative deviation of forces (eV/Å) and virial (eV/atom), as in DeePMD-kit's pair style: the
        spread is divided by the magnitude of the mean plus eps. None: absolute.
    """
    from lammps_dpgen import _core

    figures, spread = _core.deviation(prediction.forces, prediction.virials, relative=relative, relative_v=relative_v)
    return ModelDeviation(
        max_v=figures.max_v,
        min_v=figures.min_v,
        avg_v=figures.avg_v,
        max_f=figures.max_f,
        min_f=figures.min_f,
        avg_f=figures.avg_f,
        spread=np.asarray(spread),
    )
