"""Ratios of a cell, and the room around a cluster, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from ase.cell import Cell

from lammps_dpgen.cell_shape import aspect_ratio, lammps_form, length_ratio, tilt_ratio, vacuum, wrap_ratio
from lammps_dpgen.config.selection import BoxGuard, SelectionSettings
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.selection import bad_box, select

#: lx, ly, lz = 4, 5, 8; xy, xz, yz = 3, -1, 6.
SKEW = np.array([[4.0, 0.0, 0.0], [3.0, 5.0, 0.0], [-1.0, 6.0, 8.0]])
FRAME = Frame.from_ase(bulk("Al", cubic=True))


def test_ratios_by_hand() -> None:
    assert wrap_ratio(SKEW) == pytest.approx(6 / 5)
    assert tilt_ratio(SKEW) == pytest.approx(6 / 8)
    assert length_ratio(SKEW) == pytest.approx(np.sqrt(1 + 36 + 64) / 4)
    # The smallest height is that above the plane of b and c: volume over their parallelogram.
    assert aspect_ratio(SKEW) == pytest.approx(np.sqrt(101) * np.linalg.norm([5 * 8, -3 * 8, 18 + 5]) / 160)
    assert aspect_ratio(np.eye(3) * 7) == pytest.approx(1.0)


def test_a_turned_cell_has_the_same_ratios() -> None:
    turned = Cell(SKEW).array @ np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(lammps_form(turned), SKEW, atol=1e-12)
    assert wrap_ratio(turned) == pytest.approx(6 / 5)
    assert tilt_ratio(turned) == pytest.approx(6 / 8)


def test_vacuum_is_the_least_room() -> None:
    assert vacuum(np.diag([10.0, 12.0, 14.0]), np.array([[1.0, 1.0, 1.0], [4.0, 7.0, 2.0]])) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("guard", "reason"),
    [
        ({"max_length_ratio": 2.4}, "length ratio 2.51"),
        ({"max_wrap": 1.1}, "wrap ratio 1.20"),
        ({"max_tilt": 0.7}, "tilt ratio 0.75"),
        ({"max_length_ratio": 2.6, "max_wrap": 1.3, "max_tilt": 0.8}, None),
    ],
)
def test_a_guard_drops_what_is_beyond_it(guard: dict[str, float], reason: str | None) -> None:
    found = bad_box(replace(FRAME, cell=SKEW), BoxGuard(min_angle=10.0, **guard))
    assert (found is None) == (reason is None), found
    assert reason is None or reason in str(found)


def test_a_cluster_without_vacuum_is_dropped() -> None:
    cluster = Frame(("Al", "Al"), np.array([[1.0, 1.0, 1.0], [4.0, 1.0, 1.0]]), np.eye(3) * 12.0, (True, True, True))
    for least, n_bad in ((8.9, 0), (9.1, 1)):
        settings = SelectionSettings(vacuum=least)
        assert select([cluster], settings=settings, rng=np.random.default_rng(1)).n_bad_box == n_bad
