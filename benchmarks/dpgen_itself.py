"""DP-GEN itself on the comparison of `label_efficiency.py`: same start, trainer, reference, conditions of MD and batch.

    python benchmarks/label_efficiency.py --folder DIR --methods dpgen --seeds 0 --dpgen /path/to/bin/dpgen [--write]

DP-GEN is installed in an environment of its own (`pip install dpgen==0.14`). It runs with a local shell and its custom
labeler, which is `lammps-dpgen label` with the embedded-atom potential of the others.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
from ase.atoms import Atoms

from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.frame import Frame, LabelledFrame
from lammps_dpgen.labeling.lammps_library import potential_folders
from lammps_dpgen.learning.ensembles import force_rmse

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Rounds:
    """What DP-GEN is asked to do, in the units of its param.json.

    Attributes
    ----------
    number, trajectories
        Rounds, and trajectories of each: one per start structure and temperature.
    temperatures
        In K.
    steps, every
        MD steps of 2 fs of a trajectory, and between two looks.
    batch
        Labels of a round, at most.
    trust
        "lo" and "hi", eV/Å.
    """

    number: int
    trajectories: int
    temperatures: Sequence[float]
    steps: int
    every: int
    batch: int
    trust: Mapping[str, float]


def run_dpgen(
    folder: Path, program: Path, starts: Sequence[Frame], models: int, type_map: Sequence[str], rounds: Rounds
) -> None:
    """Write param.json and machine.json beside the bootstrapped folder `run`, and run DP-GEN, or go on."""
    if not (folder / "param.json").exists():
        write_starts(folder, starts)
        (folder / "param.json").write_text(json.dumps(param(folder, len(starts), models, type_map, rounds), indent=1))
        (folder / "machine.json").write_text(json.dumps(machine(folder), indent=1))
    environment = {**os.environ, "LAMMPS_POTENTIALS": str(potential_folders()[-1])}
    with (folder / "log.txt").open("a") as log:
        command = [program, "run", "param.json", "machine.json"]
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, env=environment, check=True)


def write_starts(folder: Path, starts: Sequence[Frame]) -> None:
    """Write the start structures as POSCAR files."""
    for index, start in enumerate(starts):
        place = folder / "starts" / str(index)
        place.mkdir(parents=True)
        atoms = Atoms(list(start.species), start.positions, cell=start.cell, pbc=True)
        ase.io.write(place / "POSCAR", atoms, format="vasp", direct=True)


def param(folder: Path, n_starts: int, models: int, type_map: Sequence[str], rounds: Rounds) -> dict[str, Any]:
    """Return param.json: the trainings are those of generation 0, without its data."""
    training = json.loads((folder / "run" / "training" / "g000" / "model_0" / "input.json").read_text())
    del training["training"]["training_data"]["systems"]
    per_round = max(1, rounds.trajectories // len(rounds.temperatures))
    groups = [list(range(first, min(first + per_round, n_starts))) for first in range(0, n_starts, per_round)]
    jobs = [
        {
            "sys_idx": [number % len(groups)],
            "temps": list(rounds.temperatures),
            "trj_freq": rounds.every,
            "nsteps": rounds.steps,
            "ensemble": "nvt",
        }
        for number in range(rounds.number)
    ]
    data = sorted((folder / "run" / "data" / "g000").rglob("type.raw"))
    return {
        "type_map": list(type_map),
        "mass_map": "auto",
        "init_data_prefix": str(folder / "run" / "data" / "g000"),
        "init_data_sys": [str(path.parent.relative_to(folder / "run" / "data" / "g000")) for path in data],
        "sys_configs_prefix": str(folder / "starts"),
        "sys_configs": [[f"{index}/POSCAR" for index in group] for group in groups],
        "numb_models": models,
        "default_training_param": training,
        "model_devi_dt": 0.002,
        "model_devi_skip": 0,
        "model_devi_f_trust_lo": rounds.trust["lo"],
        "model_devi_f_trust_hi": rounds.trust["hi"],
        "model_devi_clean_traj": False,
        "model_devi_jobs": jobs,
        "fp_style": "custom",
        "shuffle_poscar": False,
        "fp_task_max": rounds.batch,
        "fp_task_min": 1,
        "fp_params": {
            "input_fn": "frame.poscar",
            "input_fmt": "vasp/poscar",
            "output_fn": "labelled.out",
            "output_fmt": "deepmd/npy",
        },
    }


def machine(folder: Path) -> dict[str, Any]:
    """Return machine.json: everything one after another in a shell of this machine."""
    label = f"{BIN / 'python'} {Path(__file__).resolve()} {folder.parent / 'label.yaml'}"
    return {
        "api_version": "1.0",
        "deepmd_version": "3.2.0",
        "train": stage(folder, str(BIN / "dp")),
        "model_devi": stage(folder, str(BIN / "lmp")),
        "fp": stage(folder, label),
    }


def stage(folder: Path, command: str) -> list[dict[str, Any]]:
    """Return one stage of machine.json."""
    resources = {"number_node": 1, "cpu_per_node": 1, "gpu_per_node": 0, "queue_name": "", "group_size": 100}
    shell = {
        "batch_type": "Shell",
        "context_type": "LocalContext",
        "local_root": "./",
        "remote_root": str(folder / "work"),
    }
    return [{"command": command, "machine": shell, "resources": resources}]


def errors(folder: Path, test: Sequence[LabelledFrame]) -> list[tuple[int, float]]:
    """Return number of labels and force RMSE (eV/Å, mean over the models' squares) of each iteration."""
    found = []
    for iteration in sorted(folder.glob("iter.*")):
        files = sorted(iteration.glob("00.train/graph.*.pb"))
        if files:
            known = folder / "run" / "data" / "g000"
            earlier = [path for path in folder.glob("iter.*") if path.name < iteration.name]
            n_labels = frames_below(known) + sum(frames_below(path / "02.fp") for path in earlier)
            found.append((n_labels, force_rmse(Ensemble(files), test)))
    return found


def frames_below(folder: Path) -> int:
    """Return the number of frames of the deepmd/npy systems in a folder."""
    import numpy as np

    tasks = {path for path in folder.rglob("energy.npy") if not any(part.startswith("task.") for part in path.parts)}
    return sum(len(np.load(path, allow_pickle=False)) for path in tasks)


def label_here(configuration: Path) -> None:
    """Label `frame.poscar` of the current folder, as DP-GEN's custom labeler."""
    shutil.rmtree("label.run", ignore_errors=True)
    command = [BIN / "lammps-dpgen", "label", "frame.poscar", "--config", configuration, "-o", "label.extxyz"]
    subprocess.run([*command, "--deepmd", "systems", "--run-folder", "label.run"], check=True)
    (system,) = Path("systems").rglob("type.raw")
    shutil.copytree(system.parent, "labelled.out", dirs_exist_ok=True)


if __name__ == "__main__":
    label_here(Path(sys.argv[1]))
