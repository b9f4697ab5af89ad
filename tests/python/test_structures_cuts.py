"""Crystals that are cut: halves that move apart, and slabs."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from pydantic import ValidationError

from lammps_dpgen.errors import StructureError
from lammps_dpgen.frame import Frame
from lammps_dpgen.geometry import shortest_distance
from lammps_dpgen.structures.halves import HalvesGenerator, HalvesSettings
from lammps_dpgen.structures.slab import SlabGenerator, SlabSettings
from lammps_dpgen.structures.supercell import oriented

A, C_OVER_A = 4.05, 1.624
A_MG = 3.21

#: Widest distance between neighbouring atomic planes (Å): by hand, from the crystal's geometry.
SPACINGS = {
    ("Al", (1, 0, 0)): A / 2,
    ("Al", (1, 1, 0)): A / np.sqrt(8),
    ("Al", (1, 1, 1)): A / np.sqrt(3),
    ("Mg", (0, 0, 0, 1)): C_OVER_A * A_MG / 2,
    ("Mg", (1, 0, -1, 0)): A_MG / np.sqrt(3),
    ("Mg", (1, 1, -2, 0)): A_MG / 2,
}


def halves(folder: Path | None = None, seed: int = 1, **settings: object) -> list[Frame]:
    valid = HalvesSettings.model_validate(settings, context={"folder": folder or Path.cwd()})
    return HalvesGenerator(valid).generate(np.random.default_rng(seed))


def slabs(folder: Path | None = None, seed: int = 1, **settings: object) -> list[Frame]:
    valid = SlabSettings.model_validate(settings, context={"folder": folder or Path.cwd()})
    return SlabGenerator(valid).generate(np.random.default_rng(seed))


def heights(frame: Frame) -> np.ndarray:
    """Return the heights of the atomic layers (Å), ascending."""
    return np.unique(frame.positions[:, 2].round(6))


class TestOriented:
    @pytest.mark.parametrize(("element", "plane"), SPACINGS)
    def test_it_is_the_bulk_crystal(self, element: str, plane: tuple[int, ...]) -> None:
        """Every atom of the block has the neighbours that it has in the crystal, also across its ends."""
        crystal = bulk(element, cubic=True) if element == "Al" else bulk(element)
        block = oriented(crystal, (plane[0], plane[1], plane[-1]), 10.0)
        reach = 1.5 * np.cbrt(2 * crystal.get_volume() / len(crystal))
        expected = np.sort(neighbor_list("d", crystal, reach)).reshape(len(crystal), -1)
        assert len(block) * crystal.get_volume() == pytest.approx(len(crystal) * block.get_volume())
        i, d = neighbor_list("id", block, reach)
        for atom in range(len(block)):
            np.testing.assert_allclose(np.sort(d[i == atom]), np.sort(d[i == 0]), atol=1e-8)
        assert len(d) == len(block) * expected.shape[1]
        np.testing.assert_allclose(np.unique(d.round(6)), np.unique(expected.round(6)))

    def test_orientation(self) -> None:
        """a along x, b in the xy plane, right-handed; the height is the least multiple of the spacing that suffices."""
        block = oriented(bulk("Al", cubic=True), (1, 1, 0), 10.0)
        cell = block.cell.array
        np.testing.assert_allclose([cell[0, 1], cell[0, 2], cell[1, 2]], 0.0, atol=1e-9)
        assert np.linalg.det(cell) > 0.0
        assert cell[2, 2] == pytest.approx(4 * A / np.sqrt(2))

    def test_a_common_factor_of_the_indices_does_not_matter(self) -> None:
        one, two = (oriented(bulk("Al", cubic=True), plane, 10.0) for plane in ((1, 1, 1), (-2, -2, -2)))
        np.testing.assert_allclose(np.sort(one.cell.lengths()), np.sort(two.cell.lengths()))

    def test_skewed_cells(self) -> None:
        """The primitive cell and high indices: still the whole crystal, no vector lost."""
        for plane in ((1, 2, 3), (-1, 2, 0), (3, -1, 1), (0, 2, -3)):
            block = oriented(bulk("Al"), plane, 8.0)
            assert block.get_volume() / len(block) == pytest.approx(A**3 / 4)
            assert shortest_distance(Frame.from_ase(block)) == pytest.approx(A / np.sqrt(2))


class TestHalves:
    @pytest.mark.parametrize(("element", "plane"), SPACINGS)
    def test_the_gap_grows_by_d_and_nothing_else_moves(self, element: str, plane: tuple[int, ...]) -> None:
        closed, opened = halves(element=element, miller=plane, displacements=[0.0, 2.5])
        moved = opened.positions - closed.positions
        lower = np.abs(moved).max(axis=1) == 0.0
        assert 0 < lower.sum() < closed.n_atoms
        np.testing.assert_allclose(moved[~lower], [[0.0, 0.0, 2.5]] * (~lower).sum(), atol=1e-12)
        np.testing.assert_allclose(opened.cell - closed.cell, np.diag([0.0, 0.0, 2.5]), atol=1e-12)
        assert closed.positions[lower, 2].max() < closed.positions[~lower, 2].min()
        bottom, top = opened.positions[lower, 2].max(), opened.positions[~lower, 2].min()
        assert top - bottom == pytest.approx(SPACINGS[element, plane] + 2.5)

    @pytest.mark.parametrize(("element", "plane"), SPACINGS)
    def test_the_other_end_of_the_cell_stays_bulk(self, element: str, plane: tuple[int, ...]) -> None:
        """Distances between the upper half and the next image of the lower one are those of the crystal."""
        closed, opened = halves(element=element, miller=plane, displacements=[0.0, 8.0])
        upper = (opened.positions - closed.positions)[:, 2] > 1.0

        def across(frame: Frame) -> np.ndarray:
            i, j, d, shift = neighbor_list("ijdS", frame.to_ase(), 4.5)
            return np.sort(d[upper[i] & ~upper[j] & (shift[:, 2] == 1)])

        assert len(across(closed)) > 0
        np.testing.assert_allclose(across(opened), across(closed), atol=1e-9)

    def test_perpendicular_also_in_a_tilted_cell(self) -> None:
        """c of the (111) block is tilted; the displacement is not."""
        closed, opened = halves(element="Al", miller=[1, 1, 1], displacements=[0, 3])
        assert np.abs(closed.cell[2, :2]).max() > 0.1
        np.testing.assert_allclose(opened.cell[2] - closed.cell[2], [0, 0, 3], atol=1e-12)

    def test_sizes_of_the_paper(self) -> None:
        """Table S4: 12 atoms for Al (100), and 16 for Al (110), 20 where the crystal is 12 Å thick."""
        formulas = [f.formula for f in halves(element="Al", miller=[[1, 0, 0], [1, 1, 0]], displacements=1.0)]
        assert formulas == ["Al12", "Al16"]
        assert halves(element="Al", miller=[1, 1, 0], displacements=1.0, thickness=12)[0].n_atoms == 20

    def test_default_displacements_are_the_papers(self) -> None:
        frames = halves(element="Al", miller=[1, 0, 0])
        lengths = [f.cell[2, 2] - 3 * A for f in frames]
        np.testing.assert_allclose(lengths, np.arange(1, 51) * 0.2, atol=1e-9)
        assert [f.origin.structure for f in frames[:2]] == ["fcc(100)-Al12/d0.2/1", "fcc(100)-Al12/d0.4/1"]

    def test_scale_leaves_the_displacement_alone(self) -> None:
        frames = halves(element="Al", miller=[1, 0, 0], displacements=[3.0], scale=[0.96, 1.04])
        for frame, alpha in zip(frames, (0.96, 1.04), strict=True):
            assert frame.cell[2, 2] == pytest.approx(alpha * 3 * A + 3.0)
            assert np.diff(heights(frame)).max() == pytest.approx(alpha * A / 2 + 3.0)

    def test_repeat_and_composition(self) -> None:
        frames = halves(
            element="Mg", miller=[0, 0, 0, 1], displacements=[2], repeat=[2, 2], composition={"Al": 0.5, "Mg": 0.5}
        )
        assert [f.origin.structure for f in frames] == ["hcp(0001)-Al8Mg8/d2/1"]

    def test_alloys_without_an_element_have_their_own_lattice(self) -> None:
        frames = halves(
            crystal="fcc", miller=[1, 0, 0], displacements=[0.0], all_compositions={"elements": ["Al", "Mg"]}
        )
        assert len(frames) == 13
        volumes = [frame.volume for frame in frames]
        np.testing.assert_allclose(np.diff(volumes), volumes[1] - volumes[0])

    def test_all_compositions_have_the_same_sites(self) -> None:
        """9 Å are 3 cells of Al but 2 of Mg: cut is the mean crystal, once, and the displacement is not stretched."""
        frames = halves(
            crystal="fcc", miller=[1, 0, 0], thickness=9, displacements=[4], all_compositions={"elements": ["Al", "Mg"]}
        )
        assert {frame.n_atoms for frame in frames} == {12}
        lengths = [np.cbrt(4 * volume) for volume in (A**3 / 4, np.sqrt(3) / 4 * C_OVER_A * A_MG**3)]
        for frame, a in ((frames[0], lengths[0]), (frames[-1], lengths[1])):
            assert np.diff(heights(frame)).max() == pytest.approx(a / 2 + 4.0)
            assert frame.cell[2, 2] == pytest.approx(3 * a + 4.0)

    def test_seeds(self) -> None:
        settings = {"element": "Al", "miller": [1, 0, 0], "displacements": [1, 2], "perturb": {"displacement": 0.05}}
        hashes = [[f.hash for f in halves(seed=seed, **settings)] for seed in (1, 1, 2)]
        assert hashes[0] == hashes[1] != hashes[2]

    def test_a_crystal_from_a_file_is_split_in_its_widest_gap(self, tmp_path: Path) -> None:
        """Pairs of layers 1.6 Å apart with 3.4 Å between the pairs: the cut never goes through a pair."""
        layered = Atoms("Si2", positions=[[0, 0, 0], [1.5, 1.5, 1.6]], cell=[3, 3, 5.0], pbc=True)
        ase.io.write(tmp_path / "POSCAR", layered)
        for thickness, n_atoms in ((5.0, 2), (10.0, 4), (15.0, 6)):
            closed, opened = halves(
                tmp_path, file="POSCAR", miller=[0, 0, 1], displacements=[0, 4], thickness=thickness
            )
            assert opened.n_atoms == n_atoms
            assert closed.origin.structure.startswith("POSCAR(001)-Si")
            if thickness > 5.0:
                assert np.diff(heights(opened)).max() == pytest.approx(3.4 + 4.0)

    def test_one_layer_cannot_be_split(self) -> None:
        with pytest.raises(StructureError, match=r"sc-by-volume\(100\): a single layer .* increase thickness"):
            halves(element="Al", crystal="sc", miller=[1, 0, 0], thickness=1.0)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"displacements": [-1.0]}, "greater than or equal to 0"),
            ({"displacements": {"start": 2, "stop": 1, "step": 0.1}}, "is nothing"),
            ({"displacements": {"start": 0, "stop": 1, "step": 0}}, "is nothing"),
            ({"displacements": {"from": 0, "to": 1}}, "start, stop and step"),
            ({"displacements": []}, "at least 1"),
            ({"miller": [1, 1]}, r"\(1 1\) has 2 indices; a plane has three"),
            ({"miller": [[1, 0, 0], [1, 0, 0, 0, 0]]}, "has 5 indices"),
            ({"miller": [0, 0, 0]}, "is no plane"),
            ({"miller": [1, 0, 0, 1], "element": "Mg"}, r"i must be -\(h \+ k\), here -1"),
            ({"miller": [0, 0, 0, 1]}, "only hexagonal crystals have four indices, the crystal is fcc"),
            ({"element": "Foo"}, "no chemical symbol"),
            ({"element": None}, "element: missing"),
            ({"file": "POSCAR"}, "file and element exclude each other"),
            ({"thickness": -1}, "greater than 0"),
            ({"repeat": [1, 1, 1]}, "repeat"),
        ],
    )
    def test_bad_settings(self, settings: dict[str, object], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            HalvesSettings.model_validate({"element": "Al", "miller": [1, 0, 0]} | settings)

    def test_overlap(self) -> None:
        with pytest.raises(StructureError, match=r"fcc\(100\)-Al12/d1/0.4: atoms .* Å apart"):
            halves(element="Al", miller=[1, 0, 0], displacements=[1.0], scale=[0.4])


class TestSlab:
    @pytest.mark.parametrize(
        ("plane", "spacing"), [((1, 0, 0), A / 2), ((1, 1, 0), A / np.sqrt(8)), ((1, 1, 1), A / np.sqrt(3))]
    )
    def test_layers_and_vacuum(self, plane: tuple[int, ...], spacing: float) -> None:
        (frame,) = slabs(element="Al", miller=plane, thickness=9.0, vacuum=11.0)
        levels = heights(frame)
        np.testing.assert_allclose(np.diff(levels), spacing, atol=1e-6)
        assert levels[-1] - levels[0] + spacing >= 9.0
        assert frame.cell[2, 2] - (levels[-1] - levels[0]) == pytest.approx(11.0)
        np.testing.assert_allclose(
            [frame.cell[2, 0], frame.cell[2, 1], frame.cell[0, 2], frame.cell[1, 2]], 0, atol=1e-9
        )
        assert levels[0] == pytest.approx(5.5)
        assert shortest_distance(frame) == pytest.approx(A / np.sqrt(2))

    def test_scale_leaves_the_vacuum_alone(self) -> None:
        for frame in slabs(element="Al", miller=[1, 1, 1], vacuum=10.0, scale=[0.96, 1.0, 1.04]):
            levels = heights(frame)
            assert frame.cell[2, 2] - levels[-1] + levels[0] == pytest.approx(10.0)

    def test_terminations(self) -> None:
        """(10-10) of hcp ends after the wide or after the narrow gap between its planes."""
        frames = slabs(element="Mg", miller=[1, 0, -1, 0])
        assert [f.origin.structure for f in frames] == ["hcp(10-10)t0-Mg8/1", "hcp(10-10)t1-Mg8/1"]
        ends = [round(float(np.diff(heights(frame))[0]), 3) for frame in frames]
        assert sorted(ends) == [pytest.approx(A_MG / np.sqrt(12), abs=1e-3), pytest.approx(A_MG / np.sqrt(3), abs=1e-3)]
        (second,) = slabs(element="Mg", miller=[1, 0, -1, 0], terminations=[1])
        assert second.hash == frames[1].hash
        with pytest.raises(StructureError, match="termination 2 was asked for, but it has 2, numbered from 0"):
            slabs(element="Mg", miller=[1, 0, -1, 0], terminations=[0, 2])

    def test_primitive_cells_are_short_and_wide(self) -> None:
        (frame,) = slabs(element="Al", miller=[1, 0, 0], primitive=True, repeat=[2, 2])
        assert frame.n_atoms == 24
        a, b, _ = np.linalg.norm(frame.cell, axis=1)
        assert a == b == pytest.approx(2 * A / np.sqrt(2))
        assert frame.cell[0] @ frame.cell[1] == pytest.approx(0.0, abs=1e-9)

    def test_from_a_file_with_new_atoms_on_some_sites(self, tmp_path: Path) -> None:
        """Rock salt: only the cations are replaced."""
        ase.io.write(tmp_path / "MgO.cif", bulk("MgO", "rocksalt", a=4.21, cubic=True))
        (frame,) = slabs(
            tmp_path, file="MgO.cif", miller=[1, 0, 0], thickness=8, composition={"Mg": 0.5, "Ca": 0.5}, sites=["Mg"]
        )
        assert frame.formula == "Ca4Mg4O8"
        assert frame.origin.structure == "MgO.cif(100)-Ca4Mg4O8/1"
        with pytest.raises(StructureError, match=r"sites: .* has no atom of Fe"):
            slabs(tmp_path, file="MgO.cif", miller=[1, 0, 0], composition={"Mg": 1.0}, sites=["Fe"])

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(StructureError, match=r"nothing\.cif: ASE cannot read it"):
            slabs(tmp_path, file="nothing.cif", miller=[1, 0, 0])

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"terminations": [-1]}, "a list of numbers from 0"),
            ({"vacuum": 0}, "greater than 0"),
            ({"miller": []}, "at least 1"),
            ({"miller": "111"}, "miller"),
        ],
    )
    def test_bad_settings(self, settings: dict[str, object], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            SlabSettings.model_validate({"element": "Al", "miller": [1, 0, 0]} | settings)
