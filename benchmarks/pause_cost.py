"""Program behind ``run.py``: what the pauses of a real learning run cost beyond labels and training.

    mpirun -n 1 python pause_cost.py '{"pauses": 5}'

A 256-atom cell of aluminium, driven by model 1 of an ensemble of four and watched at each step, labelled by an
embedded-atom potential, trained for a few steps. Every frame is a candidate, so that the run pauses every few steps.
What is timed is the real run, as ``lammps-dpgen md`` does it; parts of it are wrapped with clocks.

A pause lasts from the last look before it to the first look of the next step after it, less the usual time between two
looks. The time until all labels, and until all models, have come back from the workers is taken off. What is left:

- ``store``: stop LAMMPS, take over and select frames, write the ledger and the journal;
- ``judge``: compare new models with the new labels, as far as that is not done while others are trained;
- ``swap``: give the new models to the pair style and to the fix, assert which ones they are;
- ``resume``: set LAMMPS up again and run the first step, with the first evaluation of the new pair style;
- ``check``: compare the energy of LAMMPS with that of model 1.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpi4py import MPI

SCRIPT = """
units metal
atom_style atomic
lattice fcc 4.05
region box block 0 4 0 4 0 4
create_box 1 box
create_atoms 1 box
mass 1 26.9815
pair_style deepmd ${{dpgen_models}}/0.pb
pair_coeff * * Al
velocity all create 300 4711
timestep 0.001
fix nve all nve
fix dp all dpgen 1 ${{dpgen_models}}/0.pb ${{dpgen_models}}/1.pb ${{dpgen_models}}/2.pb ${{dpgen_models}}/3.pb &
    types Al trust 1e-8 1e4 stop candidates 4 frames none
thermo 10
run {steps}
"""

CONFIG: dict[str, Any] = {
    "run_folder": "run",
    "fix": "dp",
    "type_map": ["Al"],
    "models": 4,
    "structures": [
        {
            "generator": "prototype",
            "element": "Al",
            "a": 4.05,
            "repeat": [2, 2, 2],
            "perturb": {"displacement": 0.1, "cell": 2.0},
            "number": 6,
        }
    ],
    "labeler": {
        "name": "lammps",
        "settings": {"pair_style": "eam/alloy", "pair_coeff": ["* * Al_zhou.eam.alloy Al"], "elements": ["Al"]},
    },
    "trainer": {
        "name": "deepmd",
        "settings": {"numb_steps": 300, "sel": [80], "warm_start": {"training_reuse_numb_steps": 60}, "compress": True},
    },
    "selection": {"batch": 2, "max_atoms": 300, "near_duplicate": 0.0},
}


class Clocks:
    """Wall time spent in functions, by a name; nested ones count for themselves and for what is around them."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def wrap(self, owner: Any, attribute: str, name: str) -> None:
        """Replace a function or method by itself with a clock."""
        original: Callable[..., Any] = getattr(owner, attribute)

        @functools.wraps(original)
        def timed(*args: Any, **keywords: Any) -> Any:
            begin = time.perf_counter()
            try:
                return original(*args, **keywords)
            finally:
                self.seconds[name] += time.perf_counter() - begin

        setattr(owner, attribute, timed)


class Looks:
    """Notes when each look comes, and finds the pauses among them."""

    def __init__(self, clocks: Clocks) -> None:
        self.clocks = clocks
        self.rows: list[tuple[int, float, Counter[str]]] = []

    def note(self, step: int) -> None:
        self.rows.append((step, time.perf_counter(), Counter(self.clocks.seconds)))

    def pauses(self) -> list[dict[str, float]]:
        """Return the seconds of each pause that learnt, by part."""
        pairs = list(zip(self.rows, self.rows[1:], strict=False))
        usual = statistics.median(b[1] - a[1] for a, b in pairs if b[0] == a[0] + 1)
        found = []
        for before, again, after in zip(self.rows, self.rows[1:], self.rows[2:], strict=False):
            spent = Counter(after[2])
            spent.subtract(before[2])
            if again[0] != before[0] or not spent["training"]:
                continue
            outside = spent["labels"] + spent["training"]
            total = after[1] - before[1] - usual - outside
            in_hook = spent["pause"] - outside
            parts = {"store": in_hook - spent["judge"] - spent["swap"]}
            parts |= {name: spent[name] for name in ("judge", "swap", "check")}
            parts["resume"] = total - in_hook - parts["check"]
            found.append({"total": total, **parts})
        return found


def instrument() -> Looks:
    """Put clocks into the learning run."""
    from lammps_dpgen.learning import learner, training_rounds
    from lammps_dpgen.learning.session import LammpsSession
    from lammps_dpgen.learning.walker import Walker

    clocks = Clocks()
    clocks.wrap(learner.LabelBatches, "label", "labels")
    clocks.wrap(training_rounds, "train_generation", "training")
    clocks.wrap(learner.Judge, "verdict", "judge")
    clocks.wrap(LammpsSession, "swap_models", "swap")
    clocks.wrap(Walker, "_check_driver", "check")
    clocks.wrap(Walker, "_on_pause", "pause")
    looks = Looks(clocks)
    hear = Walker._on_look

    def on_look(walker: Walker, look: Any) -> None:
        hear(walker, look)
        looks.note(look.step)

    Walker._on_look = on_look  # type: ignore[method-assign]
    # Trainings this short do not always help; a pause costs the same.
    training_rounds.improved = lambda before, after: True
    return looks


def main() -> None:
    """Run and print one JSON line per pause."""
    task = json.loads(sys.argv[1])
    comm = MPI.COMM_WORLD
    from lammps_dpgen.config import LearnConfig
    from lammps_dpgen.learning import controller

    with tempfile.TemporaryDirectory(prefix="dpgen-bench-") as own:
        folder = comm.bcast(own)
        os.chdir(folder)
        config = LearnConfig.model_validate({**CONFIG, "run_folder": f"{folder}/run"})
        script = Path("in.pauses")
        if comm.rank == 0:
            # Four candidates fill a pause; the frame at which a run is taken up again is one.
            script.write_text(SCRIPT.format(steps=3 * task["pauses"] + 2))
        comm.Barrier()
        looks = instrument()
        controller.learn(script.resolve(), config, {}, comm)
        comm.Barrier()
        os.chdir("/")
    if comm.rank == 0:
        for pause in looks.pauses():
            print(json.dumps(pause), flush=True)


if __name__ == "__main__":
    main()
