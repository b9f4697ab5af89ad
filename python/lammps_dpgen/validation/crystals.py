"""Crystals from what a configuration says, and the reference phases of elements."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import ase.io
import numpy as np
from ase import Atoms

from lammps_dpgen.config.validation import CrystalSection
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.structures.lattice import CRYSTALS, conventional_cell, lattice, own_crystal
from lammps_dpgen.validation.crystal import Crystal


def crystal_of(section: CrystalSection) -> Crystal:
    """Return the crystal that a section describes.

    Raises
    ------
    ConfigError
        The file holds no crystal, or the element has no prototype of its own.
    """
    if section.file is not None:
        return Crystal(section.name, _scaled(read_cell(section.file), section.volume), "", section.relax)
    if section.element is None:
        raise ConfigError(f"crystal {section.name}: neither element nor file")
    kind = section.crystal or own_crystal(section.element)
    if kind is None:
        raise ConfigError(
            f"crystal {section.name}: {section.element} has none of the prototypes in nature; give crystal, one of "
            f"{', '.join(CRYSTALS)}, or a file"
        )
    atoms = conventional_cell(lattice(kind, {section.element: 1.0}, section.a, section.c), section.element)
    return Crystal(section.name, _scaled(atoms, section.volume), kind, section.relax)


def element_crystal(element: str) -> Crystal:
    """Return the reference phase of an element: its own prototype with ASE's lattice constants, named as the element.

    Raises
    ------
    ConfigError
        The element has no prototype of its own.
    """
    if own_crystal(element) is None:
        raise ConfigError(
            f"no reference phase for {element}: it has none of {', '.join(CRYSTALS)} in nature; add a crystal named "
            f"{element} under crystals, from a file"
        )
    return crystal_of(CrystalSection(name=element, element=element))


def read_cell(path: object) -> Atoms:
    """Return the structure in a file.

    Raises
    ------
    ConfigError
        It cannot be read, or is not periodic along all three vectors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            atoms = ase.io.read(path)
    except Exception as error:
        raise ConfigError(f"{path}: cannot be read as a structure: {type(error).__name__}: {error}") from error
    if not isinstance(atoms, Atoms) or abs(np.linalg.det(atoms.cell.array)) < 1e-6:
        raise ConfigError(f"{path}: a crystal has three cell vectors; give a structure with a cell")
    return Atoms(atoms.get_chemical_symbols(), positions=atoms.positions, cell=atoms.cell, pbc=True)


def _scaled(atoms: Atoms, volume: float | None) -> Atoms:
    """Return the atoms with this volume per atom, the shape of the cell as it is."""
    if volume is not None:
        factor = float(np.cbrt(volume * len(atoms) / atoms.get_volume()))
        atoms.set_cell(atoms.cell.array * factor, scale_atoms=True)
    return atoms


def reference_phases(elements: Iterable[str], crystals: Sequence[Crystal]) -> dict[str, Crystal]:
    """Return the reference phase of each element: the first crystal of it alone among `crystals`, or its own prototype.

    Raises
    ------
    ConfigError
        An element has neither.
    """
    phases = {}
    for element in elements:
        own = [crystal for crystal in crystals if crystal.elements == (element,)]
        phases[element] = own[0] if own else element_crystal(element)
    return phases
