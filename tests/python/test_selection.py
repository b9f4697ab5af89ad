"""Selection of frames, worked by hand where it can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial.transform import Rotation

from lammps_dpgen.config.selection import BoxGuard, SelectionSettings
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.descriptor import as_matrix, describe, farthest_points
from lammps_dpgen.learning.learned_frames import LearnedFrames
from lammps_dpgen.learning.near_duplicates import NearDuplicates
from lammps_dpgen.learning.selection import Selection, bad_box, check_initial_frames, check_max_atoms, select


def crystal(a: float = 4.05, rattle: float = 0.0, seed: int = 0, element: str = "Al") -> Frame:
    atoms = bulk("Al", a=a, cubic=True) * (2, 2, 2)
    atoms.symbols = [element] * len(atoms)
    atoms.rattle(rattle, seed=seed)
    return Frame.from_ase(atoms)


def choose(frames: list[Frame], seed: int = 1, **settings: object) -> Selection:
    labelled = settings.pop("labelled", [])
    rest = {k: settings.pop(k) for k in ("already",) if k in settings}
    valid = SelectionSettings.model_validate(settings)
    learned = LearnedFrames(valid)
    learned.add(labelled)  # type: ignore[arg-type]
    return select(frames, settings=valid, rng=np.random.default_rng(seed), labelled=learned, **rest)  # type: ignore[arg-type]


def pair(distance: float, species: tuple[str, str] = ("Al", "Al")) -> Frame:
    return Frame(species, np.array([[0.0, 0, 0], [distance, 0, 0]]), 20 * np.eye(3))


class TestFarthestPoints:
    def test_by_hand(self) -> None:
        """On the line 0, 1, 4, 9, 10 with 0 given: 10 (distance 10), then 4 (4 from 0), then 1 or 9 (both 1)."""
        points = np.array([[1.0], [4.0], [9.0], [10.0]])
        rng = np.random.default_rng(0)
        assert farthest_points(points, points[:, 0], 2, rng) == [3, 1]
        assert farthest_points(points, points[:, 0], 9, rng) == [3, 1, 0, 2]

    def test_nothing_given_starts_at_random(self) -> None:
        points = np.array([[0.0], [1.0], [10.0]])
        starts = {farthest_points(points, np.full(3, np.inf), 1, np.random.default_rng(s))[0] for s in range(20)}
        assert starts == {0, 1, 2}

    def test_equal_points(self) -> None:
        chosen = farthest_points(np.zeros((4, 2)), np.zeros(4), 4, np.random.default_rng(0))
        assert sorted(chosen) == [0, 1, 2, 3]


class TestDescriptor:
    def test_a_pair_by_hand(self) -> None:
        """Each atom of a pair 3 Å apart sees one peak of height fc(3) = 0.5 at r = 3; both alike: no spread."""
        row = describe(pair(3.0))["Al", "Al"]
        assert row.max() == pytest.approx(0.5)
        assert np.argmax(row) == 9  # r_k = 0.3 (k + 1) = 3.0
        np.testing.assert_allclose(row[len(row) // 2 :], 0.0, atol=1e-12)

    def test_a_row_of_three_by_hand(self) -> None:
        """The middle atom sees two neighbours, the ends one: mean 4/3 and spread sqrt(2)/3 times the peak of 0.5."""
        row = Frame(("Al",) * 3, np.array([[0.0, 0, 0], [3, 0, 0], [6, 0, 0]]), 20 * np.eye(3))
        mean, spread = np.split(describe(row)["Al", "Al"], 2)
        assert mean[9] == pytest.approx(0.5 * 4 / 3)
        assert spread[9] == pytest.approx(0.5 * np.sqrt(2.0) / 3)

    def test_mixed_pair(self) -> None:
        described = describe(pair(3.0, ("Al", "Mg")))
        assert described["Al", "Mg"].max() == described["Mg", "Al"].max() == pytest.approx(0.5)
        assert described["Al", "Al"].max() == 0.0

    def test_invariances(self) -> None:
        frame = crystal(rattle=0.2)
        frame = replace(frame, species=tuple(["Al", "Mg"] * 16))
        rotation = Rotation.from_rotvec([0.4, -0.2, 1.0]).as_matrix()
        order = np.random.default_rng(1).permutation(frame.n_atoms)
        same = [
            replace(frame, positions=frame.positions @ rotation.T, cell=frame.cell @ rotation.T),
            replace(frame, positions=frame.positions + np.array([1.0, -2.0, 3.0])),
            replace(frame, species=tuple(frame.species[i] for i in order), positions=frame.positions[order]),
            replace(frame, positions=frame.positions + frame.cell[0]),
            Frame.from_ase(frame.to_ase() * (2, 1, 1)),
        ]
        rows = as_matrix([describe(f) for f in [frame, *same]])
        np.testing.assert_allclose(rows[1:], np.broadcast_to(rows[0], rows[1:].shape), atol=1e-9)

    def test_different_physics_is_farther_than_noise(self) -> None:
        """Two snapshots at one temperature are closer than a strained, a hotter or another element's crystal."""
        frames = [
            crystal(rattle=0.1, seed=1),
            crystal(rattle=0.1, seed=2),
            crystal(a=4.15, rattle=0.1, seed=3),
            crystal(rattle=0.3, seed=4),
            crystal(rattle=0.1, seed=5, element="Mg"),
        ]
        rows = as_matrix([describe(f) for f in frames])
        distance = np.linalg.norm(rows - rows[0], axis=1)
        assert (distance[2:] > 2.0 * distance[1]).all()


class TestSelect:
    def test_small_offers_are_taken_whole(self) -> None:
        frames = [crystal(a=a) for a in (4.0, 4.1, 4.2)]
        selection = choose(frames, batch=3)
        assert selection.frames == frames
        assert (selection.n_offered, selection.n_selected) == (3, 3)

    def test_farthest_from_what_is_labelled(self) -> None:
        """Labelled at 4.05 Å: the most expanded crystal comes first, then the most compressed one."""
        frames = [crystal(a=a) for a in (4.04, 4.06, 4.5, 3.8)]
        selection = choose(frames, batch=2, labelled=[crystal(a=4.05)])
        assert {f.cell[0, 0] / 2 for f in selection.frames} == {4.5, 3.8}

    def test_random_is_a_fair_draw_in_order(self) -> None:
        frames = [crystal(a=4.0 + 0.05 * i) for i in range(6)]
        hashes = [f.hash for f in frames]
        draws = [[hashes.index(f.hash) for f in choose(frames, s, batch=2, method="random").frames] for s in range(40)]
        assert all(a < b for a, b in draws)
        assert {i for draw in draws for i in draw} == set(range(6))
        assert [hashes.index(f.hash) for f in choose(frames, 3, batch=2, method="random").frames] == draws[3]

    @pytest.mark.parametrize("method", ["random", "farthest_point"])
    def test_same_seed_same_choice(self, method: str) -> None:
        frames = [crystal(rattle=0.2, seed=s) for s in range(8)]
        one, two = (choose(frames, 5, batch=3, method=method) for _ in range(2))
        assert [f.hash for f in one.frames] == [f.hash for f in two.frames]

    def test_duplicates(self) -> None:
        """Identical to a labelled, an earlier or a set aside frame; moved by 0.01 Å; moved by 0.1 Å."""
        labelled, aside, new = crystal(a=4.0), crystal(a=4.1), crystal(a=4.2)
        slightly = replace(new, positions=new.positions + np.array([0.01, 0.0, 0.0]))
        further = replace(new, positions=new.positions + np.outer(np.arange(32) == 0, [0.1, 0.0, 0.0]))
        offer = [labelled, aside, new, new, slightly, further]
        selection = choose(offer, labelled=[labelled], already={aside.hash})
        assert selection.frames == [new, further]
        assert selection.n_duplicates == 4
        assert [frame for frame, _ in selection.dropped] == [slightly]

    def test_guards_count_each_frame_once(self) -> None:
        long_cell = replace(pair(3.0), cell=np.diag([60.0, 10.0, 10.0]))
        many = crystal()
        both = replace(pair(0.5), cell=np.diag([60.0, 10.0, 10.0]))
        selection = choose([long_cell, pair(1.0), many, pair(3.0), both], max_atoms=31)
        assert (selection.n_bad_box, selection.n_too_close, selection.n_too_large) == (2, 1, 1)
        assert selection.n_selected == 1
        causes = [cause for _, cause in selection.dropped]
        assert "aspect ratio 6.00 of the cell is above 5" in causes[0]
        assert "1.000 Å apart, at least 1.452 Å" in causes[1]
        assert "32 atoms, max_atoms is 31" in causes[2]

    def test_own_minimum_distance(self) -> None:
        assert choose([pair(1.0)], min_distance=0.9).n_selected == 1
        assert choose([pair(1.0)], min_distance=1.1).n_too_close == 1

    def test_memory_of_candidates(self) -> None:
        """A memory that has seen the candidates before, and fewer labels, changes nothing but the work."""
        frames = [crystal(rattle=0.2, seed=s) for s in range(8)]
        settings = SelectionSettings(batch=2)
        learned = LearnedFrames(settings)
        learned.add(frames[:1])
        select(frames[2:], settings=settings, rng=np.random.default_rng(1), labelled=learned)
        learned.add(frames[1:2])
        again = select(frames[2:], settings=settings, rng=np.random.default_rng(2), labelled=learned)
        fresh = choose(frames[2:], 2, batch=2, labelled=frames[:2])
        assert [f.hash for f in again.frames] == [f.hash for f in fresh.frames]

    def test_empty_offer(self) -> None:
        assert choose([], labelled=[crystal()]) == Selection([])


class TestNearDuplicates:
    def test_whole_cell_vectors_do_not_count(self) -> None:
        near = NearDuplicates(0.02)
        frame = crystal(rattle=0.1)
        near.add(frame)
        assert near.has(replace(frame, positions=frame.positions - 3 * frame.cell[1]))
        assert not near.has(replace(frame, cell=frame.cell * 1.01, positions=frame.positions * 1.01))
        assert not near.has(replace(frame, species=("Mg", *frame.species[1:])))

    def test_free_directions_are_not_wrapped(self) -> None:
        near = NearDuplicates(0.02)
        slab = replace(crystal(), pbc=(True, True, False))
        near.add(slab)
        assert near.has(replace(slab, positions=slab.positions + slab.cell[0]))
        assert not near.has(replace(slab, positions=slab.positions + slab.cell[2]))

    def test_zero_means_identical(self) -> None:
        near = NearDuplicates(0.0)
        frame = crystal()
        near.add(frame)
        assert near.has(frame)
        assert not near.has(replace(frame, positions=frame.positions + 1e-4))


class TestBadBox:
    @pytest.mark.parametrize(
        ("cell", "reason"),
        [
            (np.eye(3) * 8, None),
            (bulk("Al").cell.array * 3, None),
            (bulk("Mg").cell.array, None),
            (np.diag([8.0, 8.0, 41.0]), "aspect ratio 5.1"),
            ([[8, 0, 0], [7, 4, 0], [0, 0, 8]], "angle 29.7"),
            ([[8, 0, 0], [-7, 4, 0], [0, 0, 8]], "angle 29.7"),
            ([[8, 0, 0], [0, 8, 0], [8, 8, 0]], "not independent"),
            ([[8, 0, 0], [0, 8, 0], [0, 4, 8]], None),
            # all lengths equal, all angles 118°, but the vectors are nearly in one plane: height 3 x 0.8 against 8.04
            ([[8, 0, 0.8], [-4, 6.928, 0.8], [-4, -6.928, 0.8]], None),
            ([[8, 0, 0.3], [-4, 6.928, 0.3], [-4, -6.928, 0.3]], "aspect ratio 8.9"),
        ],
    )
    def test_cells(self, cell: np.ndarray, reason: str | None) -> None:
        frame = replace(crystal(), cell=np.array(cell, dtype=float))
        found = bad_box(frame, BoxGuard())
        assert (found is None) == (reason is None), found
        if reason is not None:
            assert reason in str(found)

    def test_only_periodic_vectors_count(self) -> None:
        slab = replace(crystal(), cell=np.diag([8.0, 8.0, 100.0]), pbc=(True, True, False))
        assert bad_box(slab, BoxGuard()) is None
        molecule = replace(crystal(), cell=np.zeros((3, 3)), pbc=(False, False, False))
        assert bad_box(molecule, BoxGuard()) is None
        assert choose([molecule]).n_selected == 1


def test_initial_structures_that_are_too_large() -> None:
    small, large = Frame.from_ase(bulk("Al")), Frame.from_ase(bulk("Al", cubic=True) * (4, 4, 4))
    check_initial_frames([small, large], 256)
    with pytest.raises(ConfigError, match=r"structure \(Al256\) has 256 atoms, but selection\.max_atoms allows 200"):
        check_initial_frames([small, large], 200)


def test_max_atoms_says_why() -> None:
    check_max_atoms(200, 200)
    with pytest.raises(ConfigError, match=r"4000 atoms.*max_atoms allows 200.*smaller cell"):
        check_max_atoms(4000, 200)
