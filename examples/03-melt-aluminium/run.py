"""The demo: aluminium is heated into the melt while its potential learns; then the reference checks the result.

    python examples/03-melt-aluminium/run.py [--folder runs/demo] [--no-random]

Killed and started again it goes on with its labels and newest models. It ends with report.html, summary.json and a
summary on the screen.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from comparison import rmse_of, train_on_random_labels
from reference import HERE, label, read_dump, reference_frames, run_lammps

from lammps_dpgen.config import LearnConfig, load_config
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.frame import LabelledFrame
from lammps_dpgen.learning.ensembles import force_rmse, frame_error, open_ensemble
from lammps_dpgen.noise import divert_library_output, silence_exit
from lammps_dpgen.report import build, print_summary
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

RAMP, HOLD = 6000, 4000
LAST_FIFTH = int(0.8 * (RAMP + HOLD))
TRUST = (0.05, 0.40)  # eV/Å, as in in.melt, fixed before the run
SEEDS = (11, 12, 13)  # draws of random labels
HELD_OUT_SEED, POOL_SEED = 101, 202  # velocities of the reference's own two trajectories
NEAREST_NEIGHBOUR = 2.86  # Å, FCC aluminium


def main() -> None:
    """Run, check, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / "runs" / "demo")
    parser.add_argument("--no-random", action="store_true", help="leave out the comparison with random labels")
    arguments = parser.parse_args()
    run = RunFolder(arguments.folder).create()
    config_file = write_config(run)
    learn(run, config_file)
    config = load_config(config_file, LearnConfig)
    with divert_library_output(run.path / "log.libraries"):
        check(run, config, random=not arguments.no_random)
    print(f"report: {build(run.path)}")
    print_summary(run.path)
    silence_exit()


def write_config(run: RunFolder) -> Path:
    """Put learn.yaml into the run folder, with this folder as its run folder."""
    text = (HERE / "learn.yaml").read_text().replace("../../runs/demo", str(run.path))
    path = run.path / "learn.yaml"
    path.write_text(text)
    return path


def learn(run: RunFolder, config_file: Path) -> None:
    """Run the input script while it learns; files that it writes go to the run folder."""
    command = [str(Path(sys.executable).parent / "lammps-dpgen"), "md", str(HERE / "in.melt"), "--config"]
    variables = ["-var", "ramp", str(RAMP), "-var", "hold", str(HOLD)]
    code = subprocess.run([*command, str(config_file), *variables], cwd=run.path, check=False).returncode
    if code:
        raise SystemExit(code)


def check(run: RunFolder, config: LearnConfig, *, random: bool) -> None:
    """Compare with the reference on frames that it made alone, and write summary_extra.json and parity.npz."""
    print("checking: the reference heats the same cell for a held-out set", flush=True)
    held_out = reference_frames(config, seed=HELD_OUT_SEED, every=100, ramp=RAMP, hold=HOLD)
    with Ledger.open(run.ledger, config_hash=None) as ledger:
        generations = ledger.generations()
        n_labels = ledger.counts().labels
    first, last = (open_ensemble(run, generation) for generation in (generations[0], generations[-1]))
    extra: dict[str, object] = {
        "force_rmse_first": force_rmse(first, held_out),
        "force_rmse_last": force_rmse(last, held_out),
        "force_rmse_basis": f"{len(held_out)} held-out frames of the reference's own heating, solid and liquid",
        "trust_window": f"{TRUST[0]} to {TRUST[1]} eV/Å, fixed before the run",
    }
    store_parity(run, held_out, first, last)
    extra |= check_melt(run) | check_last_fifth(run, config, last)
    if random:
        steps = generations[-1].models[0].steps
        print(f"comparing: {len(SEEDS)} models on {n_labels} random labels, {steps} steps each", flush=True)
        pool = reference_frames(config, seed=POOL_SEED, every=10, ramp=RAMP, hold=HOLD)
        models = train_on_random_labels(config, run.path / "random", pool, n_labels, steps, SEEDS)
        extra["force_rmse_random"] = rmse_of(models, held_out)
    upper = HERE / "upper_bound.json"
    if upper.is_file():
        extra["force_rmse_upper_bound"] = json.loads(upper.read_text())["force_rmse"]
    (run.path / "summary_extra.json").write_text(json.dumps(extra, indent=1) + "\n")


def check_melt(run: RunFolder) -> dict[str, object]:
    """Tell whether the end is a melt: mean square displacement in the hold (Å2), FCC share in the last fifth."""
    frames = read_dump(run.path / "melt.dump", first=RAMP)
    moved = frames[-1].positions - frames[0].positions
    msd = float(np.mean(np.sum((moved - moved.mean(axis=0)) ** 2, axis=1)))
    run_lammps(HERE / "in.structure", run.path, first=LAST_FIFTH)
    shares = np.loadtxt(run.path / "fcc_share.txt", ndmin=2)[:, 1]
    return {
        "msd_in_hold": msd,
        "fcc_share_last_fifth": float(shares.mean()),
        "is_melt": bool(msd > NEAREST_NEIGHBOUR**2 and shares.mean() < 0.1),
    }


def check_last_fifth(run: RunFolder, config: LearnConfig, last: Ensemble) -> dict[str, object]:
    """Label 100 frames of the last fifth for the record: how many have a force error above twice hi?"""
    frames = label(config, read_dump(run.path / "melt.dump", first=LAST_FIFTH)[-100:])
    errors = [frame_error(last, item).force_error_max for item in frames]
    return {
        "last_fifth_frames_labelled": len(errors),
        "last_fifth_errors_above_2hi": int(sum(error > 2 * TRUST[1] for error in errors)),
        "last_fifth_largest_force_error": max(errors),
    }


def store_parity(run: RunFolder, frames: list[LabelledFrame], first: Ensemble, last: Ensemble) -> None:
    """Keep predictions of model 1, before and after, for the report's parity pictures."""

    def predict(ensemble: Ensemble) -> tuple[np.ndarray, np.ndarray]:
        predictions = [ensemble.predict(item.frame) for item in frames]
        forces = np.concatenate([p.forces[0] for p in predictions])
        return forces, np.array([p.energies[0] / p.n_atoms for p in predictions])

    before, after = predict(first), predict(last)
    np.savez_compressed(
        run.path / "parity.npz",
        forces_ref=np.concatenate([item.label.forces for item in frames]),
        energy_ref=np.array([item.label.energy / item.frame.n_atoms for item in frames]),
        forces_first=before[0],
        energy_first=before[1],
        forces_last=after[0],
        energy_last=after[1],
        what="held-out frames of the reference's own heating",
    )


if __name__ == "__main__":
    main()
