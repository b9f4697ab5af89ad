"""Crystals that are the same and crystals that are not: found by symmetry and neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111

from lammps_dpgen.validation.stability import crystal_decay, host_decay, space_group


def displaced(atoms: Atoms, size: float, seed: int = 1) -> Atoms:
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(0.0, size, moved.positions.shape)
    return moved


def melted(atoms: Atoms, seed: int = 1) -> Atoms:
    """Atoms that have diffused: each near the place of another one."""
    moved = displaced(atoms, 0.25, seed)
    moved.positions = np.random.default_rng(seed).permutation(moved.positions)
    return moved


@pytest.mark.parametrize("atoms", [bulk("Al", cubic=True), bulk("Mg"), bulk("Fe") * (2, 2, 2), bulk("Si")])
def test_strain_of_the_volume_and_small_displacements_leave_a_crystal_intact(atoms: Atoms) -> None:
    grown = displaced(atoms, 0.02)
    grown.set_cell(atoms.cell.array * 1.04, scale_atoms=True)
    assert crystal_decay(atoms, grown) == ""


def test_another_c_over_a_is_no_decay() -> None:
    before, after = bulk("Mg", a=3.2, c=5.2), bulk("Mg", a=3.1, c=5.6)
    assert crystal_decay(before, after) == ""


def test_bcc_that_goes_along_bains_path_to_fcc_is_named() -> None:
    before = bulk("Al", "bcc", a=3.2, cubic=True)
    after = before.copy()
    after.set_cell(before.cell.array * np.array([[1.0], [1.0], [np.sqrt(2.0)]]) * 2 ** (-1 / 6), scale_atoms=True)
    message = crystal_decay(before, after)
    assert "Im-3m (229) before" in message
    assert "Fm-3m (225) after" in message


def test_melted_crystal_has_no_symmetry_left() -> None:
    before = bulk("Al", cubic=True) * (3, 3, 3)
    message = crystal_decay(before, melted(before))
    assert "no crystal any more" in message
    assert "Fm-3m (225)" in message


def test_collapsed_cell_and_atoms_on_top_of_each_other_are_said() -> None:
    before = bulk("Al", cubic=True)
    small = before.copy()
    small.set_cell(before.cell.array * 0.8, scale_atoms=True)
    assert "collapsed" in crystal_decay(before, small)
    close = before.copy()
    close.positions[1] = close.positions[0] + (0.3, 0.0, 0.0)
    assert "on top of each other (0.30 Å" in crystal_decay(before, close)


def test_atoms_far_from_a_defect_must_keep_their_neighbours() -> None:
    perfect = bulk("Al", cubic=True) * (3, 3, 3)
    center = perfect.positions[:1].copy()
    vacancy = perfect[1:]
    assert host_decay(vacancy, displaced(vacancy, 0.05), center, 4.0) == ""
    assert "around the defect has decayed" in host_decay(vacancy, melted(vacancy), center, 4.0)
    near = vacancy.copy()
    near.positions[0] += (0.0, 1.2, 0.0)  # a neighbour of the vacancy may move
    assert host_decay(vacancy, near, center, 4.0) == ""


def test_space_group_of_thermal_noise_is_that_of_the_crystal() -> None:
    assert space_group(displaced(bulk("Al", cubic=True) * (2, 2, 2), 0.02)) == "Fm-3m (225)"
    assert space_group(fcc111("Al", (1, 1, 3), vacuum=8.0, periodic=True)) == "P-3m1 (164)"
