"""How good models become with how many labels: this project, frames at random, and rounds from scratch as in DP-GEN.

    python benchmarks/label_efficiency.py --folder DIR [--seeds 0 1 2 3 4] [--methods campaign random offline] [--write]
    python benchmarks/label_efficiency.py --folder DIR --seeds 0 --methods dpgen --dpgen /path/to/bin/dpgen [--write]

All begin from the same structures, have the same trainer, the same reference (an embedded-atom potential) and the same
conditions of MD, and take at most BATCH labels at a time. The error is that of the forces on frames of MD with the
reference itself. Each method and seed has a file of its own in DIR, and what is there is not run again: the command
can be ended and repeated at any time. --write puts table and picture of what is there into the documentation.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from ase import Atoms
from ase.io import read, write
from dpgen_itself import Rounds, run_dpgen
from dpgen_itself import errors as dpgen_errors

from lammps_dpgen.config import CampaignConfig, load_config
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.frame import LabelledFrame
from lammps_dpgen.labeling.lammps_library import potential_folders
from lammps_dpgen.labelled_data import read_labelled
from lammps_dpgen.learning.dpgen_files import read_dump
from lammps_dpgen.learning.dpgen_rules import DpgenRules, decide_iteration
from lammps_dpgen.learning.ensembles import force_rmse
from lammps_dpgen.learning.generations import publish_generation, train_generation
from lammps_dpgen.learning.labels import label_frames
from lammps_dpgen.learning.workers import label_executor, training_executor
from lammps_dpgen.sampling.starts import write_start
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.structures.sources import frames_of_sources

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "scaling.md"
PICTURE = HERE.parent / "docs" / "pictures" / "label-efficiency.svg"
BEGIN, END = "<!-- results: written by label_efficiency.py --write -->\n", "<!-- end of label efficiency -->\n"
BIN = Path(sys.executable).parent

METHODS = {
    "campaign": "lammps-dpgen",
    "random": "random frames",
    "offline": "rounds from scratch, as DP-GEN",
    "dpgen": "DP-GEN 0.14 itself",
}
#: Those that need nothing but this package.
OURS = ("campaign", "random", "offline")
#: Labels of a round, rounds after generation 0, trajectories of a round; steps of a trajectory and between two looks.
BATCH, ROUNDS, TRAJECTORIES = 8, 5, 6
STEPS, EVERY = 400, 10
TEMPERATURES = (300, 600, 900)
TRUST = {"lo": 0.05, "hi": 0.25}
#: Frames of the test at each temperature, and MD steps of 2 fs between them.
TESTS, APART = 20, 200
POTENTIAL = "eam/alloy", "* * Al_zhou.eam.alloy Al"


def configuration(seed: int) -> dict[str, Any]:
    """Return what all methods share: al-quick with one stage."""
    structure = {"generator": "prototype", "element": "Al", "a": 4.05, "repeat": [2, 2, 2], "scale": [0.98, 1.0, 1.02]}
    labeler = {"pair_style": POTENTIAL[0], "pair_coeff": [POTENTIAL[1]], "elements": ["Al"]}
    nets = {"rcut": 5.5, "sel": [90], "neuron": [8, 16], "fitting_neuron": [30, 30], "numb_steps": 600}
    stage = {"name": "al", "trajectories": TRAJECTORIES, "ensemble": "nvt", "temperatures": list(TEMPERATURES)}
    return {
        "run_folder": "run",
        "type_map": ["Al"],
        "models": 4,
        "seed": 100 + seed,
        "labeler": {"name": "lammps", "settings": labeler},
        "trainer": {"name": "deepmd", "settings": nets | {"warm_start": {"training_reuse_numb_steps": 400}}},
        "structures": [structure | {"name": "fcc", "perturb": {"displacement": 0.05, "cell": 1}, "number": 3}],
        "every": EVERY,
        "trust": TRUST,
        "selection": {"batch": BATCH},
        "converged": {"accurate": 1.0},
        "max_generations": ROUNDS,
        "stages": [stage | {"time": STEPS * 0.002, "timestep": 2}],
    }


# ---- the three methods -----------------------------------------------------------------------------------------------


def campaign(folder: Path, seed: int) -> None:
    """Run a campaign."""
    run_command(folder, configuration(seed))


def at_random(folder: Path, seed: int) -> None:
    """Run a campaign that doubts every frame of each round alike, and draws the batch from all of them."""
    change = {
        "trust": {"lo": 1e-9, "hi": 1e9},
        "every": 5 * EVERY,
        "walkers": {"overlap": False, "candidates": STEPS},
        "selection": {"batch": BATCH, "method": "random"},
    }
    run_command(folder, {**configuration(seed), **change})


def run_command(folder: Path, config: dict[str, Any]) -> None:
    """Run a campaign to its end with two walkers, or go on with it."""
    (folder / "campaign.yaml").write_text(yaml.safe_dump(config))
    command = [BIN / "mpirun", "-n", "2", BIN / "lammps-dpgen", "run", "campaign.yaml"]
    with (folder / "log.txt").open("a") as log:
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=True)


def offline(folder: Path, seed: int) -> None:
    """Do rounds as DP-GEN: whole trajectories, a draw from all candidates, labels, models from scratch on all data."""
    config = bootstrapped(folder, seed)
    run = RunFolder(config.run_folder)
    with (
        Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger,
        label_executor(config, run) as labels,
        training_executor(config, run) as trainings,
    ):
        while (number := len(ledger.generations())) <= ROUNDS:
            frames = [stored.frame for stored in ledger.frames("selected")] or explored(config, run, number, seed)
            ledger.add_frames(frames)
            label_frames(labels, ledger, frames, config.labeler, run.labels)
            if not ledger.labels(untrained=True):
                return  # nothing was doubted: DP-GEN has converged
            trained = train_generation(
                trainings, ledger, run, config, number=number, reason="round", warm_start=False, patience=3
            )
            publish_generation(ledger, run, trained)


def bootstrapped(folder: Path, seed: int) -> CampaignConfig:
    """Make generation 0 without a campaign."""
    (folder / "campaign.yaml").write_text(yaml.safe_dump(configuration(seed)))
    keys = ("models", "seed", "structures", "run_folder", "type_map", "labeler", "trainer")
    (folder / "boot.yaml").write_text(yaml.safe_dump({key: configuration(seed)[key] for key in keys}))
    with (folder / "log.txt").open("a") as log:
        command = [BIN / "lammps-dpgen", "bootstrap", "boot.yaml"]
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=True)
    return load_config(folder / "campaign.yaml", CampaignConfig)


def dpgen(folder: Path, seed: int, program: Path) -> None:
    """Let DP-GEN itself go on from generation 0."""
    config = bootstrapped(folder, seed)
    (starts,) = frames_of_sources(config.structures, config.seed, config.type_map)
    rounds = Rounds(ROUNDS, TRAJECTORIES, TEMPERATURES, STEPS, EVERY, BATCH, TRUST)
    run_dpgen(folder, program, starts, config.models, config.type_map, rounds)


def explored(config: CampaignConfig, run: RunFolder, number: int, seed: int) -> list[Any]:
    """Run the trajectories of a round from the start structures, and draw labels by DP-GEN's rules."""
    (starts,) = frames_of_sources(config.structures, config.seed, config.type_map)
    rng = np.random.default_rng([seed, number])
    folder = run.path.parent / f"iter.{number:06d}"
    for index in range(TRAJECTORIES):
        task = folder / f"task.000.{index:06d}"
        (task / "traj").mkdir(parents=True, exist_ok=True)
        write_start(starts[int(rng.integers(len(starts)))], config.type_map, task / "conf.lmp")
        models = " ".join(str(run.model_link(model)) for model in range(config.models))
        pair = f"pair_style deepmd {models} out_freq {EVERY} out_file model_devi.out\npair_coeff * * Al"
        dump = f"dump 1 all custom {EVERY} traj/*.lammpstrj id type x y z"
        md(task, pair, TEMPERATURES[index % len(TEMPERATURES)], int(rng.integers(1, 900_000)), dump, STEPS)
    rules = DpgenRules(f_trust_lo=TRUST["lo"], f_trust_hi=TRUST["hi"], task_max=BATCH)
    decisions = decide_iteration(folder, rules, random.Random(seed * 1000 + number), config.type_map)
    looks = [look for decision in decisions.values() for look in decision.chosen]
    return [read_dump(folder / look.task / "traj" / f"{look.step}.lammpstrj", config.type_map) for look in looks]


def md(folder: Path, pair: str, temperature: float, seed: int, dump: str, steps: int) -> None:
    """Run NVT from conf.lmp in a folder."""
    script = f"""
units metal
atom_modify map yes
box tilt large
read_data conf.lmp
{pair}
neighbor 1.0 bin
timestep 0.002
velocity all create {temperature} {seed} mom yes rot no dist gaussian
fix 1 all nvt temp {temperature} {temperature} 0.2
{dump}
run {steps}
"""
    (folder / "in.lammps").write_text(script)
    command = [BIN / "lmp", "-in", "in.lammps", "-screen", "none"]
    environment = {**os.environ, "LAMMPS_POTENTIALS": str(potential_folders()[-1])}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, cwd=folder, env=environment, check=True, **quiet)


# ---- the test --------------------------------------------------------------------------------------------------------


def held_out(folder: Path) -> list[LabelledFrame]:
    """Return frames of MD with the reference, labelled by it; made once."""
    labelled = folder / "test.extxyz"
    if not labelled.exists():
        raw = folder / "test"
        frames: list[Atoms] = []
        (folder / "label.yaml").write_text(yaml.safe_dump({"labeler": configuration(0)["labeler"]}))
        for temperature in TEMPERATURES:
            task = raw / str(temperature)
            task.mkdir(parents=True, exist_ok=True)
            crystal = configuration(0) | {"structures": [configuration(0)["structures"][0] | {"number": 1}]}
            config = CampaignConfig.model_validate(crystal, context={"folder": task})
            start = frames_of_sources(config.structures, 1, config.type_map)[0][1]
            write_start(start, config.type_map, task / "conf.lmp")
            pair = f"pair_style {POTENTIAL[0]}\npair_coeff {POTENTIAL[1]}"
            dump = f"dump 1 all custom {APART} all.lammpstrj id type element x y z\ndump_modify 1 element Al sort id"
            md(task, pair, temperature, 31 * temperature, dump, (TESTS + 5) * APART)
            frames += read(task / "all.lammpstrj", ":", format="lammps-dump-text")[-TESTS:]
        write(raw / "frames.extxyz", [Atoms(f.symbols, f.positions, cell=f.cell, pbc=True) for f in frames])
        words = ["label", "frames.extxyz", "--config", "../label.yaml", "-o", "labelled.extxyz"]
        subprocess.run([BIN / "lammps-dpgen", *words], cwd=raw, check=True)
        os.replace(raw / "labelled.extxyz", labelled)
    return [one.labelled for one in read_labelled(labelled, ["Al"])]


def errors(folder: Path, test: Sequence[LabelledFrame]) -> list[tuple[int, float]]:
    """Return the number of labels and the force RMSE (eV/Å, mean over the models' squares) of each generation."""
    run = RunFolder(folder / "run")
    with Ledger.open(run.ledger, config_hash=None) as ledger:
        generations = ledger.generations()
    found = []
    for generation in generations:
        models = Ensemble([run.path / model.path for model in generation.models])
        found.append((generation.n_labels, force_rmse(models, test)))
    return found


# ---- table and picture -----------------------------------------------------------------------------------------------


def results(folder: Path) -> Iterator[tuple[str, int, list[tuple[int, float]]]]:
    """Yield method, seed and curve of all that was run."""
    for method in METHODS:
        for path in sorted(folder.glob(f"{method}-*.json")):
            found = json.loads(path.read_text())
            yield method, found["seed"], [(int(n), float(error)) for n, error in found["curve"]]


def tell(folder: Path, *, into_docs: bool) -> None:
    """Print the table, and put it with a picture into the documentation."""
    lines = ["| method | seed | force RMSE (eV/Å) at so many labels |", "|---|---:|---|"]
    for method, seed, curve in results(folder):
        points = ", ".join(f"{error:.3f} at {n}" for n, error in curve)
        lines.append(f"| {METHODS[method]} | {seed} | {points} |")
    print("\n".join(lines))
    if into_docs:
        draw(folder)
        before, _, rest = PAGE.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n\n{END}{after}")


def draw(folder: Path) -> None:
    """Draw the curves of all seeds."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "label efficiency"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4.0))
    colours = dict(zip(METHODS, ("#0072b2", "#009e73", "#d55e00", "#56565a"), strict=True))
    named: set[str] = set()
    for method, _, curve in results(folder):
        label = None if method in named else METHODS[method]
        named.add(method)
        axes.semilogy(*zip(*curve, strict=True), "o-", color=colours[method], label=label, alpha=0.8, markersize=4)
    axes.set_xlabel("labels")
    axes.set_ylabel("force RMSE on held-out frames (eV/Å)")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(PICTURE, metadata={"Date": None}, bbox_inches="tight")


def main() -> None:
    """Run what is missing, and say what there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="runs and results; kept")
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(5)))
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), default=list(OURS))
    parser.add_argument("--dpgen", type=Path, help="the program of DP-GEN, for the method dpgen")
    parser.add_argument("--write", action="store_true", help=f"put table and picture into {PAGE.name}")
    asked = parser.parse_args()
    if "dpgen" in asked.methods and asked.dpgen is None:
        parser.error("--methods dpgen needs --dpgen, the path of DP-GEN's program")
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    test = held_out(folder) if asked.seeds else []
    for seed in asked.seeds:
        for method in asked.methods:
            path = folder / f"{method}-{seed}.json"
            if path.exists():
                continue
            mine = folder / f"{method}-{seed}"
            mine.mkdir(exist_ok=True)
            if method == "dpgen":
                dpgen(mine, seed, asked.dpgen)
                curve = dpgen_errors(mine, test)
            else:
                {"campaign": campaign, "random": at_random, "offline": offline}[method](mine, seed)
                curve = errors(mine, test)
            path.write_text(json.dumps({"method": method, "seed": seed, "curve": curve}))
    tell(folder, into_docs=asked.write)


if __name__ == "__main__":
    main()
