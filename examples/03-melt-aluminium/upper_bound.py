"""How good the same net gets with five times as many labels, drawn at random from the reference's own heating.

    python examples/03-melt-aluminium/upper_bound.py [--folder runs/demo]

Takes the number of labels and the steps of the final training from a finished demo, and writes upper_bound.json beside
itself. It takes minutes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from comparison import rmse_of, train_on_random_labels
from reference import HERE, reference_frames
from run import HELD_OUT_SEED, HOLD, POOL_SEED, RAMP, SEEDS

from lammps_dpgen.config import LearnConfig, load_config
from lammps_dpgen.noise import silence_exit
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

FACTOR = 5


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / "runs" / "demo")
    run = RunFolder(parser.parse_args().folder)
    config = load_config(run.path / "learn.yaml", LearnConfig)
    with Ledger.open(run.ledger, config_hash=None) as ledger:
        steps = ledger.generations()[-1].models[0].steps
        number = FACTOR * ledger.counts().labels
    held_out = reference_frames(config, seed=HELD_OUT_SEED, every=100, ramp=RAMP, hold=HOLD)
    pool = reference_frames(config, seed=POOL_SEED, every=10, ramp=RAMP, hold=HOLD)
    models = train_on_random_labels(config, run.path / "upper_bound", pool, number, steps, SEEDS)
    result = {"force_rmse": rmse_of(models, held_out), "labels": number, "steps": steps, "models": len(models)}
    (HERE / "upper_bound.json").write_text(json.dumps(result, indent=1) + "\n")
    print(result)
    silence_exit()


if __name__ == "__main__":
    main()
