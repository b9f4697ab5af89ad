"""What bulk, defects and surfaces cost in a validation, against ASE's LAMMPSlib calculator with ASE's optimisers.

    python benchmarks/validation_cost.py [--turns 3]

Both compute, for fcc Al with the MEAM potential that comes with LAMMPS, in this process and on one core: the relaxed
crystal, 24 strained cells with relaxed atoms, a vacancy with relaxed volume, and three relaxed surfaces; from the same
structures, to the same residual forces and stress. They take turns: A B, B A, ... Start-up (imports, the first LAMMPS
instance) is not counted. The energies must agree, or the comparison is worth nothing. Times are of the processor, so
that other programs on the machine matter little; the bound is on the ratio of the medians.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk, fcc100, fcc110, fcc111
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS, LBFGS
from ase.units import GPa
from rich.console import Console
from rich.table import Table

from lammps_dpgen.validation.potential import CellFreedom, Potential
from lammps_dpgen.validation.potentials import make_potential

#: The peer may take no less than this many times as long.
LEAST_RATIO = 3.0
#: Residual forces in eV/Å: of the crystal, of everything else; and stress in GPa.
FORCE_CRYSTAL, FORCE, STRESS = 1e-5, 1e-3, 1e-3
SETTINGS: dict[str, Any] = {
    "pair_style": "meam",
    "pair_coeff": ["* * library.meam AlS SiS MgS CuS FeS AlSiMgCuFe.meam AlS MgS"],
    "elements": ["Al", "Mg"],
}

#: Relaxes atoms, and the volume if asked for; returns the energy in eV and the relaxed atoms.
Relax = Callable[[Atoms, bool, float], tuple[float, Atoms]]


def ours() -> Relax:
    potential: Potential = make_potential("MEAM", SETTINGS)

    def relax(atoms: Atoms, volume: bool, force: float) -> tuple[float, Atoms]:
        cell: CellFreedom = "iso" if volume else "fixed"
        found = potential.relax(atoms, cell, force=force, stress=STRESS)
        return found.energy, found.atoms

    return relax


def peer() -> Relax:
    from ase.calculators.lammpslib import LAMMPSlib

    from lammps_dpgen.labeling.lammps import LammpsSettings, interaction_lines

    lines = [line for line in interaction_lines(LammpsSettings(**SETTINGS)) if not line.startswith("mass")]
    calculator = LAMMPSlib(lmpcmds=lines, atom_types={"Al": 1, "Mg": 2}, keep_alive=True, log_file=None)

    def relax(atoms: Atoms, volume: bool, force: float) -> tuple[float, Atoms]:
        work = atoms.copy()
        work.calc = calculator
        target = FrechetCellFilter(work, hydrostatic_strain=True) if volume else work
        # ASE's default for few atoms; the one that its pages recommend for many.
        optimiser = BFGS if len(work) < 20 else LBFGS
        limit = min(force, STRESS * GPa * work.get_volume()) if volume else force
        optimiser(target, logfile=None).run(fmax=limit, steps=2000)
        return float(work.get_potential_energy()), work

    return relax


def part(relax: Relax) -> list[float]:
    """Return all energies of the part, in eV."""
    energy, crystal = relax(bulk("Al", "fcc", a=4.0, cubic=True), True, FORCE_CRYSTAL)
    energies = [energy]
    for strain in strains():
        strained = crystal.copy()
        strained.set_cell(crystal.cell.array @ strain, scale_atoms=True)
        energies.append(relax(strained, False, FORCE)[0])
    a = float(crystal.cell.lengths()[0])
    defect = bulk("Al", "fcc", a=a).repeat(5)
    del defect[0]
    energies.append(relax(defect, True, FORCE)[0])
    for cut, layers in ((fcc111, 12), (fcc100, 14), (fcc110, 20)):
        slab = cut("Al", (1, 1, layers), a=a, vacuum=10.0, periodic=True)
        energies.append(relax(slab, False, FORCE)[0])
    return energies


def strains() -> list[Any]:
    """Return the 24 deformations of the default of ``elastic``."""
    found = []
    for (i, j), amounts in [((k, k), (-0.02, -0.01, 0.01, 0.02)) for k in range(3)] + [
        (pair, (-0.05, -0.025, 0.025, 0.05)) for pair in ((0, 1), (0, 2), (1, 2))
    ]:
        for amount in amounts:
            strain = np.eye(3)
            strain[i, j] += amount
            strain[j, i] = strain[i, j] if i != j else strain[j, i]
            found.append(strain)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    warnings.simplefilter("ignore")
    from mpi4py import MPI  # noqa: F401  (before LAMMPS, which needs its library)

    programs = {"lammps-dpgen": ours(), "LAMMPSlib + ASE": peer()}
    for relax in programs.values():
        relax(bulk("Al", "fcc", a=4.05), False, FORCE)
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    energies: dict[str, list[float]] = {}
    for turn in range(turns):
        for name in list(programs)[:: 1 if turn % 2 == 0 else -1]:
            begin = time.process_time()
            energies[name] = part(programs[name])
            seconds[name].append(time.process_time() - begin)
    worst = float(np.abs(np.subtract(*energies.values())).max())
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    ratio = medians["LAMMPSlib + ASE"] / medians["lammps-dpgen"]
    table = Table("program", "median CPU, s", "all, s", box=None)
    for name, found in seconds.items():
        table.add_row(name, f"{medians[name]:.2f}", ", ".join(f"{x:.2f}" for x in found))
    Console().print(table)
    print(f"ratio {ratio:.1f} (at least {LEAST_RATIO:g}); energies differ by at most {1000 * worst:.3f} meV")
    return 0 if ratio >= LEAST_RATIO and worst < 0.01 else 1


if __name__ == "__main__":
    sys.exit(main())
