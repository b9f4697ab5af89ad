"""The memory of labelled frames against a plain search of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ledger_records import SETTINGS, make_label

from lammps_dpgen.config.selection import SelectionSettings
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning import learned_frames, near_duplicates
from lammps_dpgen.learning.descriptor import as_matrix, describe
from lammps_dpgen.learning.growing_rows import GrowingRows
from lammps_dpgen.learning.learned_frames import DescriptorTable, LearnedFrames
from lammps_dpgen.learning.near_duplicates import NearDuplicates
from lammps_dpgen.store.ledger import Ledger


def crystal(seed: int, n_magnesium: int = 0, rattle: float = 0.1) -> Frame:
    atoms = bulk("Al", a=4.05, cubic=True)
    atoms.symbols = ["Mg"] * n_magnesium + ["Al"] * (len(atoms) - n_magnesium)
    atoms.rattle(rattle, seed=seed)
    return Frame.from_ase(atoms)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db", config_hash="c") as opened:
        yield opened


def test_rows_grow() -> None:
    rows = GrowingRows(2)
    assert rows.rows.shape == (0, 2)
    for number in range(1, 5):
        rows.append([[number, 0.5]] * number)
    assert len(rows) == 10
    assert rows.rows[:, 0].tolist() == [1, 2, 2, 3, 3, 3, 4, 4, 4, 4]


class TestNearDuplicates:
    @pytest.mark.parametrize("unsorted", [4, 1000])
    @pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), (False, False, False)])
    def test_as_a_plain_search(
        self, monkeypatch: pytest.MonkeyPatch, unsorted: int, pbc: tuple[bool, bool, bool]
    ) -> None:
        """Frames moved by up to twice the tolerance, and by whole cell vectors: found just when no atom is too far."""
        monkeypatch.setattr(near_duplicates, "_UNSORTED", unsorted)
        rng, tolerance = np.random.default_rng(1), 0.02
        known = [replace(crystal(seed), pbc=pbc) for seed in range(60)]
        near = NearDuplicates(tolerance)
        near.add(*known)
        found = []
        for _ in range(300):
            frame = known[rng.integers(len(known))]
            step = rng.normal(size=(4, 3))
            step *= rng.uniform(0.0, 2.0) * tolerance / np.linalg.norm(step, axis=1).max()
            whole = rng.integers(-2, 3, (4, 3)) * np.array(pbc) @ frame.cell
            moved = replace(frame, positions=frame.positions + step + whole)
            expected = bool(np.linalg.norm(step, axis=1).max() <= tolerance)
            assert near.has(moved) is expected
            found.append(expected)
        assert 50 < sum(found) < 250

    def test_strained_cells(self) -> None:
        near = NearDuplicates(0.02)
        frame = crystal(1)
        near.add(frame)
        for strain, expected in ((1.001, True), (1.01, False)):
            assert near.has(replace(frame, cell=frame.cell * strain, positions=frame.positions * strain)) is expected

    def test_atoms_on_the_face_of_the_cell(self) -> None:
        near = NearDuplicates(0.02)
        frame = Frame(("Al",), np.zeros((1, 3)), 4.0 * np.eye(3))
        for shift in (-1e-9, 0.0, 4.0, -0.01):
            near.add(replace(frame, positions=frame.positions + shift))
        assert near.has(replace(frame, positions=frame.positions + 0.01))
        assert near.has(replace(frame, positions=frame.positions - 1e-12))
        assert not near.has(replace(frame, positions=frame.positions + 0.02))


class TestDescriptorTable:
    def test_as_a_plain_search(self) -> None:
        """Frames of Al, of Mg and of both: a pair of elements that a frame lacks counts as zeros."""
        known = [describe(crystal(seed, n_magnesium=seed % 5)) for seed in range(40)]
        asked = [describe(crystal(100 + seed, n_magnesium=seed % 5, rattle=0.3)) for seed in range(15)]
        table = DescriptorTable()
        for descriptor in known:
            table.add(descriptor)
        rows = as_matrix([*asked, *known])
        plain = [np.linalg.norm(rows[15:] - row, axis=1).min() for row in rows[:15]]
        np.testing.assert_allclose(table.nearest(asked), plain, rtol=1e-5)
        np.testing.assert_allclose(table.nearest(known), 0.0, atol=1e-4)

    def test_more_than_fits_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lammps_dpgen.learning.learned_frames._DISTANCES", 6)
        self.test_as_a_plain_search()

    def test_nothing_known_or_asked(self) -> None:
        table = DescriptorTable()
        assert np.isinf(table.nearest([describe(crystal(1))])).all()
        table.add(describe(crystal(1)))
        assert len(table.nearest([])) == 0


class TestLearnedFrames:
    def test_follows_the_ledger(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        frames = [crystal(seed) for seed in range(4)]
        for number, frame in enumerate(frames[:3]):
            ledger.add_frames([frame])
            ledger.record_label(frame.hash, make_label(frame, settings_hash=SETTINGS if number < 2 else "other"))
        learned = LearnedFrames(SelectionSettings())
        learned.follow(ledger, SETTINGS)
        assert [frame.hash in learned for frame in frames] == [True, True, False, False]
        ledger.add_frames(frames[3:])
        ledger.record_label(frames[3].hash, make_label(frames[3]))
        read: list[int] = []
        original = Ledger.labelled_frames
        monkeypatch.setattr(
            Ledger, "labelled_frames", lambda *args, **more: read.append(len(found := original(*args, **more))) or found
        )
        learned.follow(ledger, SETTINGS)
        assert read == [1, 0]  # only the new one
        assert len(learned) == 3
        assert learned.has_near(replace(frames[3], positions=frames[3].positions + 0.005))
        assert learned.compare([frames[3]])[1][0] == pytest.approx(0.0, abs=1e-4)

    def test_a_frame_counts_once(self) -> None:
        learned = LearnedFrames(SelectionSettings())
        learned.add([crystal(1), crystal(1)])
        assert len(learned) == 1

    def test_a_random_selection_needs_no_descriptors(self) -> None:
        learned = LearnedFrames(SelectionSettings(method="random"))
        learned.add([crystal(1)])
        assert crystal(1).hash in learned
        with pytest.raises(ValueError, match="farthest_point only"):
            learned.compare([crystal(1)])

    def test_candidates_that_stay_are_compared_with_new_labels_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        labelled = [crystal(seed, n_magnesium=seed % 3) for seed in range(9)]
        candidates = [crystal(100 + seed, n_magnesium=seed % 3) for seed in range(6)]
        learned, fresh = LearnedFrames(SelectionSettings()), LearnedFrames(SelectionSettings())
        asked: list[tuple[int, int]] = []
        original = learned_frames._nearest_rows
        monkeypatch.setattr(
            learned_frames,
            "_nearest_rows",
            lambda frames, rows, squares: asked.append((len(frames), len(rows))) or original(frames, rows, squares),
        )
        learned.add(labelled[:6])
        learned.compare(candidates[:4])
        learned.add(labelled[6:])
        asked.clear()
        rows, distances = learned.compare(candidates[1:])
        assert asked == [(3, 1), (3, 2), (2, 3), (2, 6)]  # three of before with the new labels, two new ones with all
        fresh.add(labelled)
        same_rows, same = fresh.compare(candidates[1:])
        np.testing.assert_array_equal(rows, same_rows)
        np.testing.assert_allclose(distances, same, rtol=1e-6)
