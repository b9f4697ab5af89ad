"""Writes al.yaml, mg.yaml and al-mg.yaml from the schedules in tables/: one stage per row.

    python make_campaigns.py [--trust LO HI]

The numbers of trajectories decide which structures a row begins from; README.md says what is inferred.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
#: Scales of the structures in the inputs that DP-GEN publishes.
SCALE = "[0.96, 0.98, 1.0, 1.02, 1.04, 1.06]"
#: Supercells with the 32, 16, 16 and 8 atoms of Table S4.
CELLS = {"fcc": "[2, 2, 2]", "hcp": "[2, 2, 2]", "diamond": "[2, 1, 1]", "sc": "[2, 2, 2]"}
CRYSTALS = {"FCC": "fcc", "HCP": "hcp", "DIA": "diamond", "SC": "sc"}
#: Displacements of the halves (Å): 44 of them.
DISPLACEMENTS = "{start: 0.2, stop: 8.8, step: 0.2}"
PLANES = {
    "fcc": {"100": "[1, 0, 0]", "110": "[1, 1, 0]", "111": "[1, 1, 1]"},
    "hcp": {"0001": "[0, 0, 0, 1]", "10-10": "[1, 0, -1, 0]", "11-20": "[1, 1, -2, 0]"},
}


@dataclass(frozen=True)
class System:
    """One of the paper's three systems.

    Attributes
    ----------
    table
        Name of the schedule.
    copies
        Perturbed copies of each bulk structure and scale in the sets a, b, ... of its trajectories.
    thickness
        Height (Å) of the surface cells, such that they have the numbers of atoms of Table S4.
    n_sets
        Sets of perturbed surface structures.
    """

    name: str
    elements: tuple[str, ...]
    table: str
    copies: dict[str, int]
    thickness: dict[str, float]
    n_sets: int

    @property
    def of(self) -> str:
        """The generators' settings for the elements."""
        if len(self.elements) == 1:
            return f"element: {self.elements[0]}"
        return f"all_compositions: {{elements: [{', '.join(self.elements)}], mixed_only: true}}"


PURE = {"a": 10, "b": 20, "c": 20, "d": 50}
SYSTEMS = (
    System(
        "al", ("Al",), "s1_al", PURE, {"100": 10, "110": 10, "111": 7, "0001": 10, "10-10": 13, "11-20": 11}, n_sets=3
    ),
    System(
        "mg", ("Mg",), "s2_mg", PURE, {"100": 10, "110": 14, "111": 7, "0001": 11, "10-10": 15, "11-20": 15}, n_sets=3
    ),
    System(
        "al-mg",
        ("Al", "Mg"),
        "s3_al_mg",
        {"a": 1, "b": 2, "c": 2, "d": 4},
        {"100": 10, "110": 14, "111": 7, "0001": 11, "10-10": 14, "11-20": 14.5},
        n_sets=1,
    ),
)


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of a schedule."""
    lines = (HERE / "tables" / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(lines[1:]))


def structures(system: System) -> Iterator[str]:
    """Yield the sources of structures."""
    yield "  # Generation 0: small cells; their perturbation stands in for the ab initio MD of the published inputs."
    for crystal in ("fcc", "hcp", "diamond"):
        yield (
            f"  - {{name: init-{crystal}, generator: prototype, {system.of}, crystal: {crystal}, scale: {SCALE}, "
            "perturb: {displacement: 0.05, cell: 3}, number: 4}"
        )
    yield "  # Bulk: each set of perturbed copies belongs to one of the four rows of a temperature."
    for crystal, repeat in CELLS.items():
        for letter, copies in system.copies.items():
            yield (
                f"  - {{name: {crystal}-{letter}, generator: prototype, {system.of}, crystal: {crystal}, "
                f"repeat: {repeat}, scale: {SCALE}, perturb: {{displacement: 0.01, cell: 3}}, number: {copies}}}"
            )
    yield "  # Surfaces: two halves of the crystal, moved apart."
    for crystal, planes in PLANES.items():
        for plane, miller in planes.items():
            wide = ", repeat: [2, 1]" if plane == "0001" else ""
            for letter in "abc"[: system.n_sets]:
                yield (
                    f'  - {{name: "{crystal}({plane})-{letter}", generator: halves, {system.of}, crystal: {crystal}, '
                    f"miller: {miller}, thickness: {system.thickness[plane]:g}{wide}, scale: {SCALE}, "
                    f"displacements: {DISPLACEMENTS}, perturb: {{displacement: 0.01, cell: 3}}}}"
                )


def stages(system: System, rows: list[dict[str, str]]) -> Iterator[str]:
    """Yield a stage for each row; the rows of a temperature take the sets a, b, ... in turn."""
    before, place = ("", "", ""), 0
    for row in rows:
        block = (row["crystals"], row["ensemble"], row["T_K"])
        place, before = (place + 1 if block == before else 0), block
        surface = row["crystals"].endswith("(surf.)")
        if surface:
            crystal = CRYSTALS[row["crystals"].removesuffix("(surf.)")]
            letter = "abc"[min(place, system.n_sets - 1)]
            names = [f'"{crystal}({plane})-{letter}"' for plane in PLANES[crystal]]
            kind = f"{crystal}-surfaces"
        else:
            letter = "abcd"[place]
            names = [f"{CRYSTALS[name]}-{letter}" for name in row["crystals"].split("+")]
            kind = "-".join(CRYSTALS[name] for name in row["crystals"].split("+"))
        ensemble, pressure = row["ensemble"].lower(), ", pressures: 1" if row["ensemble"] == "NPT" else ""
        yield (
            f"  - {{name: {int(row['iter']):02d}-{kind}-{ensemble}-{row['T_K']}K, structures: [{', '.join(names)}], "
            f"trajectories: {row['n_md']}, ensemble: {ensemble}, temperatures: {row['T_K']}{pressure}, "
            f"time: {row['length_ps']} ps, timestep: 2 fs}}"
        )


def most_labels(rows: list[dict[str, str]]) -> int:
    """Return the largest number of labels of an iteration that a table gives, at 500 frames per ps, in hundreds."""
    numbers = (int(row["n_md"]) * float(row["length_ps"]) * 500 * float(row["labeled_permille"]) / 1000 for row in rows)
    return 100 * math.ceil(max(numbers) / 100)


def campaign(system: System, trust: tuple[float, float]) -> str:
    """Return the campaign of a system."""
    rows = read_table(system.table)
    source = f"Table {system.table.split('_')[0].upper()} (Phys. Rev. Materials 3, 023804)"
    potcars = ", ".join(f"{element}: {element}" for element in system.elements)
    return f"""\
# The published exploration of {"-".join(system.elements)}: a stage per row of {source}.
# Made by make_campaigns.py; README.md says what is the paper's, what is of DP-GEN's published inputs, what is inferred.
run_folder: run-{system.name}
type_map: [{", ".join(system.elements)}]
models: 4
seed: 1

labeler:                           # the protocol of the paper is the default of this labeler
  name: vasp
  threads: 16                      # cores of one label
  timeout: 6h
  retries: 1
  settings:
    command: mpirun -n 16 vasp_std # how VASP starts on your machine; POTCARs: PMG_VASP_PSP_DIR or VASP_PP_PATH
    potcars: {{{potcars}}}

trainer:
  name: deepmd
  timeout: 3d
  settings:
    rcut: 9.0
    rcut_smth: 2.0
    neuron: [25, 50, 100]
    axis_neuron: 12
    fitting_neuron: [240, 240, 240]
    numb_steps: 400000
    start_lr: 0.002
    stop_lr: 7.0e-8
    limit_pref_e: 2
    start_pref_v: 0.0
    limit_pref_v: 0.0
    compress: true                 # not in the paper: MD and deviation are faster
    warm_start: {{training_reuse_iter: null}}   # each generation from scratch

final_training:
  settings: {{numb_steps: 12800000}}

trust: {{lo: {trust[0]:g}, hi: {trust[1]:g}}}
every: 10                          # a look every 20 fs
walkers: {{overlap: false, candidates: 20}}
selection:
  batch: {most_labels(rows)}                       # the most that the table gives for one iteration
  method: random                   # as DP-GEN
  box: {{max_aspect: 20}}            # the surface cells are long and thin
converged: {{accurate: 0.9999}}
max_generations: 1                 # the paper trains once per row

initial_structures: [init-fcc, init-hcp, init-diamond]
structures:
{chr(10).join(structures(system))}

stages:
{chr(10).join(stages(system, rows))}
"""


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trust", nargs=2, type=float, default=(0.05, 0.15), metavar=("LO", "HI"), help="eV/Å")
    trust = tuple(parser.parse_args().trust)
    for system in SYSTEMS:
        (HERE / f"{system.name}.yaml").write_text(campaign(system, trust), encoding="utf-8")


if __name__ == "__main__":
    main()
