"""Start structures as LAMMPS reads them, and which ones a LAMMPS run can start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.geometry import minkowski_reduce
from ase.io.lammpsdata import write_lammps_data

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame

#: Room in Å around a start that is not periodic; the box follows the atoms from there.
MARGIN = 2.0

#: Cells with less volume per atom than this, Å³, are flat.
SMALLEST_VOLUME = 1e-3


def describe(frame: Frame) -> str:
    """Return what a message calls a start."""
    return f"start {frame.origin.structure or frame.formula!r}"


def check_starts(starts: Sequence[Frame], type_map: Sequence[str]) -> None:
    """Refuse starts that the models cannot judge: for samplers of all kinds.

    Raises
    ------
    ConfigError
        There is none; an element outside the type map; periodicity along some vectors only; a flat cell; positions
        that are no numbers.
    """
    if not starts:
        raise ConfigError("there is no structure to start from; name at least one source that makes frames")
    for frame in starts:
        unknown = sorted(set(frame.species) - set(type_map))
        if unknown:
            raise ConfigError(
                f"{describe(frame)} has {', '.join(unknown)}, which type_map lacks (it has {', '.join(type_map)}); add "
                "the element there, or leave the structure out"
            )
        if any(frame.pbc) and not all(frame.pbc):
            raise ConfigError(
                f"{describe(frame)} is periodic along {sum(frame.pbc)} of its 3 cell vectors; models take frames that "
                "are periodic along all of them or none: put vacuum into the cell and make it periodic"
            )
        if not np.isfinite(frame.positions).all() or not np.isfinite(frame.cell).all():
            raise ConfigError(f"{describe(frame)} has positions or cell vectors that are no numbers; correct its file")
        if all(frame.pbc) and frame.volume < SMALLEST_VOLUME * frame.n_atoms:
            raise ConfigError(
                f"{describe(frame)} has a cell of {frame.volume:g} Å³ for {frame.n_atoms} atoms; its three vectors "
                "must span a volume"
            )


def write_start(frame: Frame, type_map: Sequence[str], path: Path) -> None:
    """Write a LAMMPS data file (units metal, atom style atomic) with masses; type k+1 is ``type_map[k]``.

    The crystal is the same, its description the one that LAMMPS wants: the shortest vectors of the lattice, the first
    along x and the second in the xy plane, atoms in the frame's order. A frame without a cell stands in a box around
    its atoms.
    """
    with path.open("w", encoding="ascii") as file:
        write_lammps_data(
            file, _in_box(frame), specorder=list(type_map), masses=True, units="metal", atom_style="atomic"
        )


def _in_box(frame: Frame) -> Atoms:
    numbers = [atomic_numbers[symbol] for symbol in frame.species]
    if not any(frame.pbc):
        corner = frame.positions.min(axis=0) - MARGIN
        edges = frame.positions.max(axis=0) + MARGIN - corner
        return Atoms(numbers, positions=frame.positions - corner, cell=np.diag(edges))
    cell = minkowski_reduce(frame.cell)[0]
    if np.linalg.det(cell) < 0.0:
        cell[2] *= -1.0  # the same lattice; LAMMPS' right-handed box would hold the mirror image otherwise
    return Atoms(numbers, positions=frame.positions, cell=cell, pbc=True)
