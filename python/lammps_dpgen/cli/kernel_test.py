"""``lammps-dpgen kernel-test``: the native kernel beside DeePMD-kit, on a user's own models and frames."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lammps_dpgen.cli.devi import read_frames
from lammps_dpgen.ensemble import Ensemble, EnsemblePrediction, deviation
from lammps_dpgen.errors import ConfigError, ModelError
from lammps_dpgen.frame import Frame
from lammps_dpgen.native.convert import convert_apart

#: eV/Å: what forces and deviations may be apart, per precision; energies (eV/atom) as much, virials ten times that.
LIMITS = {"double": 1e-6, "single": 1e-5}


@dataclass
class Comparison:
    """How far the native kernel is from DeePMD-kit on frames.

    Attributes
    ----------
    force, deviation
        Largest difference of a force component and of max_devi_f, eV/Å.
    energy, virial
        Largest difference of the energy and of a component of the virial, eV/atom.
    seconds
        Processor time of the native kernel and of DeePMD-kit.
    """

    n_frames: int = 0
    force: float = 0.0
    deviation: float = 0.0
    energy: float = 0.0
    virial: float = 0.0
    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def passes(self, limit: float) -> bool:
        """Whether forces, deviations and energies are within `limit`, and virials within ten times that; NaN is not."""
        return all(value <= limit for value in (self.force, self.deviation, self.energy, self.virial / 10))

    def add(self, native: EnsemblePrediction, reference: EnsemblePrediction) -> None:
        """Take the predictions for one frame into account."""
        n_atoms = max(1, reference.n_atoms)
        self.n_frames += 1
        self.force = _larger(self.force, native.forces - reference.forces)
        self.energy = _larger(self.energy, (native.energies - reference.energies) / n_atoms)
        self.virial = _larger(self.virial, (native.virials - reference.virials) / n_atoms)
        spread = deviation(native).max_f - deviation(reference).max_f
        self.deviation = _larger(self.deviation, np.array([spread]))


def _larger(largest: float, differences: np.ndarray) -> float:
    return float(np.maximum(largest, np.abs(differences).max(initial=0.0)))  # NaN wins


def run_kernel_test(models: Sequence[Path], source: Path) -> int:
    """Convert the models, compare both precisions with DeePMD-kit on all frames, and print what came out.

    Returns
    -------
    int
        0 if both precisions pass, else 1.

    Raises
    ------
    ConfigError
        No frames, or frames that cannot be read.
    ModelError
        DeePMD-kit cannot load the models, or they do not know an element.
    """
    frames = list(read_frames(source))
    if not frames:
        raise ConfigError(f"{source} has no frames")
    reference = Ensemble(models, min_models=1, kernel="deepmd")
    try:
        convert_apart(models)
        natives = {name: Ensemble(models, min_models=1, kernel="native", precision=name) for name in LIMITS}
    except ModelError as error:
        print(f"the native kernel cannot be used, DeePMD-kit evaluates these models: {error}")
        return 1
    print(
        f"{len(models)} models, {len(frames)} frames of {min(f.n_atoms for f in frames)} to "
        f"{max(f.n_atoms for f in frames)} atoms; largest differences from DeePMD-kit"
    )
    print(f"{'precision':10s}{'forces':>11s}{'max_devi_f':>12s}{'energy':>11s}{'virial':>11s}{'time':>8s}")
    print(f"{'':10s}{'eV/Å':>11s}{'eV/Å':>12s}{'eV/atom':>11s}{'eV/atom':>11s}{'ratio':>8s}")
    failed = 0
    single_nets = natives["double"].tolerance > LIMITS["single"]
    for name, native in natives.items():
        limit = native.tolerance if single_nets else LIMITS[name]
        found = compare(native, reference, frames)
        ratio = found.seconds[0] / max(found.seconds[1], 1e-9)
        verdict = "" if found.passes(limit) else f"  too far apart (allowed: {limit:g} eV/Å)"
        print(
            f"{name:10s}{found.force:11.1e}{found.deviation:12.1e}{found.energy:11.1e}{found.virial:11.1e}"
            f"{ratio:8.3f}{verdict}"
        )
        failed += not found.passes(limit)
    for native in natives.values():
        print(native.kernel)
    return int(failed > 0)


def compare(native: Ensemble, reference: Ensemble, frames: Sequence[Frame]) -> Comparison:
    """Evaluate frames (one or more) with two ensembles of the same models."""
    found = Comparison()
    for ensemble in (native, reference):
        ensemble.predict(frames[0])  # TensorFlow prepares itself at the first frame
    for frame in frames:
        predictions = []
        for number, ensemble in enumerate((native, reference)):
            begin = time.process_time()
            predictions.append(ensemble.predict(frame))
            found.seconds[number] += time.process_time() - begin
        found.add(*predictions)
    return found
