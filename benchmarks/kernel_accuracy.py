"""How far the native kernel is from DeePMD-kit, by kind of frame: ``python benchmarks/kernel_accuracy.py MODEL ...``.

The models of one call are an ensemble. Printed are, per kind of frame and setting of the kernel, the largest difference
of a force component and of max_devi_f (eV/Å) and of the energy (eV/atom), as a table in Markdown. The frames are made
here from the models' elements, apart from those of ``tests/data`` for hot ones. ``lammps-dpgen kernel-test`` does the
same for a user's own frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.io import read

from lammps_dpgen.cli.kernel_test import compare
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.frame import Frame
from lammps_dpgen.native.convert import convert_apart

DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
#: Settings of the kernel: what is printed, precision and tolerance (eV/Å).
SETTINGS = (("double", "double", 1e-6), ("double, tolerance 1e-8", "double", 1e-8), ("single", "single", 1e-6))


def mixed(atoms: Atoms, elements: tuple[str, ...], rng: np.random.Generator) -> Atoms:
    """Return a copy with elements in random places."""
    copy = atoms.copy()
    copy.symbols = rng.choice(elements, len(copy))
    return copy


def frames(elements: tuple[str, ...]) -> Iterator[tuple[str, list[Atoms]]]:
    """Yield kinds of frames."""
    rng = np.random.default_rng(7)
    crystal = bulk("Al", "fcc", a=4.05, cubic=True).repeat(2)
    alone = Atoms(elements[:1], positions=[[1.0, 2.0, 3.0]], cell=[25.0] * 3, pbc=True)
    shaken = []
    for spread in (0.02, 0.1, 0.2):
        copy = crystal.copy()
        copy.rattle(spread, rng=rng)
        shaken.append(copy)
    yield "crystals of one element", [crystal, *shaken]
    yield "alloys", [mixed(atoms, elements, rng) for atoms in shaken]
    hot = [atoms for name in ("al", "almg") for atoms in read(DATA / name / "held_out.extxyz", ":")]
    yield "hot, 100 to 2,500 K", [atoms for atoms in hot if set(atoms.symbols) <= set(elements)]
    slabs = [mixed(atoms, elements, rng) for atoms in shaken]
    for slab in slabs:
        slab.center(vacuum=7.0, axis=2)
    yield "surfaces", slabs
    close = []
    for distance in (1.5, 1.7, 1.9):
        atoms = mixed(shaken[1], elements, rng)
        atoms.positions[0] = atoms.positions[1] + distance * np.array([0.6, 0.8, 0.0])
        close.append(atoms)
    yield "close contacts, 1.5 to 1.9 Å", close
    dimer = Atoms([elements[0], elements[-1]], positions=[[1.0, 2.0, 3.0], [2.2, 3.5, 4.0]], cell=[25.0] * 3, pbc=True)
    yield "isolated atoms and a dimer", [alone, dimer]
    small = bulk("Al", "fcc", a=4.05)
    yield "cells of 1 and 4 atoms", [small, mixed(bulk("Al", "fcc", a=4.1, cubic=True), elements, rng)]
    dense = mixed(bulk("Al", "fcc", a=3.3, cubic=True).repeat(2), elements, rng)
    dense.rattle(0.05, rng=rng)
    yield "dense, more neighbours than sel", [dense]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path)
    models = parser.parse_args().models
    convert_apart(models)
    reference = Ensemble(models, min_models=1, kernel="deepmd")
    natives = [
        Ensemble(models, min_models=1, kernel="native", precision=precision, tolerance=tolerance)
        for _, precision, tolerance in SETTINGS
    ]
    print("| frames | " + " | ".join(f"{name}: forces | max_devi_f | energy" for name, _, _ in SETTINGS) + " |")
    print("|---" * (1 + 3 * len(SETTINGS)) + "|")
    for kind, atoms in frames(reference.type_map):
        listed = [Frame.from_ase(one) for one in atoms]
        found = [compare(native, reference, listed) for native in natives]
        cells = [f"{one.force:.0e} | {one.deviation:.0e} | {one.energy:.0e}" for one in found]
        print(f"| {kind} | " + " | ".join(cells) + " |", flush=True)
    for native in natives:
        print(native.kernel)


if __name__ == "__main__":
    main()
