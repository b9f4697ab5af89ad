"""The contract of a structure generator, as tests that every generator must pass; third parties run it on theirs.

Write a class that inherits from `GeneratorContract`, override the fixture ``generator``, and let pytest collect it::

    class TestMyGenerator(GeneratorContract):
        @pytest.fixture
        def generator(self):
            return MyGenerator(MySettings(element="Al", ...))
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase.data import atomic_numbers

from lammps_dpgen.frame import Frame
from lammps_dpgen.geometry import closest_contact
from lammps_dpgen.structures.base import StructureGenerator, StructureSettings, family

SEED = 20


class GeneratorContract:
    """What bootstrap and campaigns rely on; see the module for how to use it.

    Attributes
    ----------
    min_distance
        Shortest distance (Å) between two atoms of a frame; None: 0.6 times the sum of their covalent radii. Set it
        where the generator is made for denser matter.
    """

    min_distance: float | None = None

    @pytest.fixture
    def generator(self) -> StructureGenerator:
        """Override: the generator under test, with settings of a few small structures."""
        raise NotImplementedError("override the fixture 'generator'")

    @pytest.fixture
    def frames(self, generator: StructureGenerator) -> list[Frame]:
        """Make the frames once for a test."""
        return generator.generate(np.random.default_rng(SEED))

    def test_settings_are_a_model(self, generator: StructureGenerator) -> None:
        """It has a name; its settings refuse unknown keys, and each is explained."""
        assert generator.name
        assert issubclass(generator.Settings, StructureSettings)
        with pytest.raises(ValueError, match="no_such_setting"):
            generator.Settings.model_validate({"no_such_setting": 1})
        unexplained = [name for name, field in generator.Settings.model_fields.items() if not field.description]
        assert unexplained == []

    def test_at_least_one_frame(self, frames: list[Frame]) -> None:
        """A generator that can make nothing raises an error, it does not return nothing."""
        assert len(frames) >= 1
        assert all(isinstance(frame, Frame) and frame.n_atoms >= 1 for frame in frames)

    def test_same_random_numbers_same_frames(self, generator: StructureGenerator, frames: list[Frame]) -> None:
        """A run that was killed makes the same structures again, also in one process."""
        again = generator.generate(np.random.default_rng(SEED))
        assert [frame.hash for frame in again] == [frame.hash for frame in frames]
        assert [frame.origin for frame in again] == [frame.origin for frame in frames]

    def test_random_numbers_come_from_the_argument(self, generator: StructureGenerator) -> None:
        """NumPy's global random numbers are neither used nor changed."""
        hashes = []
        for seed in (1, 2):
            np.random.seed(seed)  # noqa: NPY002
            expected = np.random.RandomState(seed).random_sample()
            hashes.append([frame.hash for frame in generator.generate(np.random.default_rng(SEED))])
            assert np.random.random_sample() == expected  # noqa: NPY002
        assert hashes[0] == hashes[1]

    def test_no_frame_twice(self, frames: list[Frame]) -> None:
        """Each label is worth its price: no two frames are the same."""
        assert len({frame.hash for frame in frames}) == len(frames)

    def test_names(self, frames: list[Frame]) -> None:
        """Each frame has a name of its own, which begins with the structure; source and reason are the bootstrap's."""
        names = [frame.origin.structure for frame in frames]
        assert len(set(names)) == len(names)
        assert all(family(frame).strip() for frame in frames)
        assert {(frame.origin.source, frame.origin.reason) for frame in frames} == {("bootstrap", "initial")}

    def test_cells(self, frames: list[Frame]) -> None:
        """Cells are finite, with a volume per atom of this world; what is periodic has a vector."""
        for frame in frames:
            assert np.isfinite(frame.cell).all()
            assert np.isfinite(frame.positions).all()
            if all(frame.pbc):
                assert frame.volume / frame.n_atoms > 1.0
            for periodic, vector in zip(frame.pbc, frame.cell, strict=True):
                assert not periodic or np.linalg.norm(vector) > 0.5

    def test_species(self, frames: list[Frame]) -> None:
        """All atoms are chemical elements."""
        for frame in frames:
            assert all(atomic_numbers.get(symbol, 0) > 0 for symbol in frame.species)

    def test_distances(self, frames: list[Frame]) -> None:
        """No two atoms are so close that a reference method could not label them."""
        for frame in frames:
            contact = closest_contact(frame, self.min_distance)
            assert contact is None, f"{frame.origin.structure}: {contact and contact.describe(frame)}"

    def test_frames_survive_the_way_to_a_worker(self, frames: list[Frame]) -> None:
        """Plain data keep the identity of a frame."""
        for frame in frames:
            assert Frame.from_json(json.loads(json.dumps(frame.to_json()))).hash == frame.hash

    def test_nothing_is_left_in_the_working_folder(
        self, generator: StructureGenerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Generating writes no files where the command happens to run."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        generator.generate(np.random.default_rng(SEED))
        assert list(elsewhere.iterdir()) == []
