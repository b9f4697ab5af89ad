"""Prototype crystals by their geometry: neighbours, volumes, supercells, estimated lattices."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from pydantic import ValidationError

from lammps_dpgen.errors import StructureError
from lammps_dpgen.frame import Frame
from lammps_dpgen.geometry import shortest_distance
from lammps_dpgen.structures.lattice import atomic_volume
from lammps_dpgen.structures.prototype import PrototypeGenerator, PrototypeSettings
from lammps_dpgen.structures.variation import PAPER_SCALE


def prototypes(rng_seed: int = 1, **settings: object) -> list[Frame]:
    generator = PrototypeGenerator(PrototypeSettings.model_validate(settings))
    return generator.generate(np.random.default_rng(rng_seed))


def shells(frame: Frame, reach: float) -> list[tuple[float, int]]:
    """Return distance and number of neighbours of every shell of atom 0; all atoms must agree on the numbers."""
    first, distance = neighbor_list("id", frame.to_ase(), reach)
    counts = [Counter(np.round(distance[first == i], 6)) for i in range(frame.n_atoms)]
    assert all(count == counts[0] for count in counts)
    return [(float(d), n) for d, n in sorted(counts[0].items())]


class TestCoordination:
    @pytest.mark.parametrize(
        ("crystal", "expected"),
        [
            ("fcc", [(np.sqrt(1 / 2), 12), (1.0, 6), (np.sqrt(3 / 2), 24)]),
            ("bcc", [(np.sqrt(3 / 4), 8), (1.0, 6), (np.sqrt(2), 12)]),
            ("sc", [(1.0, 6), (np.sqrt(2), 12), (np.sqrt(3), 8)]),
            ("diamond", [(np.sqrt(3) / 4, 4), (np.sqrt(1 / 2), 12), (np.sqrt(11) / 4, 12)]),
            ("hcp", [(1.0, 12), (np.sqrt(2), 6), (np.sqrt(8 / 3), 2)]),
        ],
    )
    def test_shells_in_units_of_a(self, crystal: str, expected: list[tuple[float, int]]) -> None:
        """Numbers of every textbook; for hcp with the ideal c/a."""
        (frame,) = prototypes(element="Al", crystal=crystal, a=4.0, repeat=[2, 2, 2])
        found = shells(frame, 4.0 * expected[-1][0] + 0.01)
        assert [n for _, n in found] == [n for _, n in expected]
        np.testing.assert_allclose([d / 4.0 for d, _ in found], [d for d, _ in expected], atol=1e-6)

    def test_dhcp(self) -> None:
        """Layers ABAC: 12 neighbours for all; half the atoms have the second shell of fcc, half that of hcp."""
        (frame,) = prototypes(element="La", crystal="dhcp", a=3.0, c=3.0 * 2 * np.sqrt(8 / 3), repeat=[2, 2, 1])
        assert frame.n_atoms == 16
        first, distance = neighbor_list("id", frame.to_ase(), 3.0 * np.sqrt(8 / 3) + 0.01)
        kinds = Counter()
        for i in range(frame.n_atoms):
            ratio = Counter(np.round(distance[first == i] / 3.0, 4))
            assert ratio[1.0] == 12
            assert ratio[1.4142] == 6
            kinds[ratio[1.633]] += 1
        assert kinds == {2: 8, 0: 8}  # two atoms straight above and below: hcp-like; none: fcc-like

    def test_dhcp_has_the_volume_of_hcp(self) -> None:
        """The same close packing: c twice as long, twice the atoms."""
        (one,), (two,) = prototypes(element="La", crystal="hcp"), prototypes(element="La", crystal="dhcp")
        assert (one.n_atoms, two.n_atoms) == (2, 4)
        assert two.volume == pytest.approx(2 * one.volume)
        assert two.cell[2, 2] == pytest.approx(2 * one.cell[2, 2])


class TestSupercells:
    def test_matrix_of_integers(self) -> None:
        """[[1, 0, 0], [1, 2, 0], [0, 0, 1]] makes the orthogonal cell of a hexagonal crystal: a x a sqrt(3) x c."""
        (frame,) = prototypes(element="Mg", repeat=[[1, 0, 0], [1, 2, 0], [0, 0, 1]])
        assert frame.n_atoms == 4
        a, c = 3.21, 1.624 * 3.21
        np.testing.assert_allclose(np.linalg.norm(frame.cell, axis=1), [a, np.sqrt(3) * a, c])
        gram = frame.cell @ frame.cell.T
        np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0.0, atol=1e-9)
        assert shells(frame, 3.22)[-1][1] == 6  # six in the plane at a, six between the planes a little nearer

    def test_a_diagonal_matrix_is_three_repeats(self) -> None:
        (rows,) = prototypes(element="Al", repeat=[[2, 0, 0], [0, 1, 0], [0, 0, 3]])
        (plain,) = prototypes(element="Al", repeat=[2, 1, 3])
        assert (rows.n_atoms, rows.volume) == (24, pytest.approx(plain.volume))
        np.testing.assert_allclose(rows.cell, plain.cell)

    @pytest.mark.parametrize(
        ("repeat", "message"),
        [
            ([[1, 0, 0], [1, 0, 0], [0, 0, 1]], "determinant 0"),
            ([[0, 1, 0], [1, 0, 0], [0, 0, 1]], "determinant -1.*swap two rows"),
            ([2, 0, 2], "numbers of cells must be at least 1"),
            ([2, 2], "three numbers of cells"),
            ([[1.5, 0, 0], [0, 1, 0], [0, 0, 1]], "three rows of three integers"),
        ],
    )
    def test_bad_supercells(self, repeat: object, message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            PrototypeSettings.model_validate({"element": "Al", "repeat": repeat})


class TestScale:
    def test_alpha_acts_on_lengths(self) -> None:
        """A factor alpha on all lengths is alpha³ on the volume, and alpha on every distance."""
        frames = prototypes(element="Mg", scale="paper", repeat=[2, 2, 1])
        (ideal,) = prototypes(element="Mg", repeat=[2, 2, 1])
        assert PAPER_SCALE == (0.96, 0.98, 1.0, 1.02, 1.04)
        assert len(frames) == 5
        for frame, alpha in zip(frames, PAPER_SCALE, strict=True):
            assert frame.volume == pytest.approx(alpha**3 * ideal.volume)
            assert shortest_distance(frame) == pytest.approx(alpha * shortest_distance(ideal))
            np.testing.assert_allclose(frame.positions, alpha * ideal.positions, atol=1e-12)

    def test_default_is_the_crystal_itself(self) -> None:
        (frame,) = prototypes(element="Al")
        assert frame.volume == pytest.approx(4.05**3)


class TestEstimates:
    def test_the_same_volume_per_atom_in_another_crystal(self) -> None:
        (frame,) = prototypes(element="Al", crystal="diamond")
        assert frame.origin.structure == "diamond-by-volume-Al8/1"
        assert frame.volume / 8 == pytest.approx(4.05**3 / 4)

    def test_molar_volume(self) -> None:
        """Gallium is orthorhombic: 11.80 cm³/mol are 19.59 Å³ per atom."""
        (frame,) = prototypes(element="Ga", crystal="fcc")
        assert frame.origin.structure == "fcc-by-volume-Ga4/1"
        assert frame.volume / 4 == pytest.approx(11.80 / 0.602214, rel=1e-4)

    def test_covalent_radius(self) -> None:
        """Nobody has weighed oganesson: spheres of its radius in close packing touch."""
        (frame,) = prototypes(element="Og", crystal="fcc")
        assert frame.origin.structure == "fcc-by-radius-Og4/1"
        assert shortest_distance(frame) == pytest.approx(2 * covalent_radii[118])

    def test_given_and_reference_lattices_have_plain_names(self) -> None:
        (given,), (reference,) = prototypes(element="O", crystal="sc", a=3.0), prototypes(element="Al")
        assert given.origin.structure == "sc-O/1"
        assert reference.origin.structure == "fcc-Al4/1"

    def test_trigonal_elements_are_no_hcp(self) -> None:
        """ASE lists selenium as hcp; it has three atoms in its hexagonal cell, and 16.4 cm³/mol."""
        volume, source = atomic_volume("Se")
        assert source == "volume"
        assert 26.0 < volume < 29.0

    def test_alloys_take_the_mean_volume(self) -> None:
        """Without an element to decide it, each composition has the volume of its atoms."""
        (al,), (mg,) = prototypes(element="Al"), prototypes(element="Mg")
        per_atom = {"Al": al.volume / al.n_atoms, "Mg": mg.volume / mg.n_atoms}
        frames = prototypes(crystal="fcc", all_compositions={"elements": ["Al", "Mg"]})
        assert [f.formula for f in frames] == ["Al4", "Al3Mg", "Al2Mg2", "AlMg3", "Mg4"]
        for frame in frames:
            assert frame.volume == pytest.approx(sum(per_atom[symbol] for symbol in frame.species))


class TestCompositions:
    def test_every_composition(self) -> None:
        """32 sites and two elements: 33 compositions, 31 of them mixed."""
        settings = {"element": "Al", "repeat": [2, 2, 2]}
        frames = prototypes(**settings, all_compositions={"elements": ["Al", "Mg"]})
        assert [f.species.count("Mg") for f in frames] == list(range(33))
        mixed = prototypes(**settings, all_compositions={"elements": ["Al", "Mg"], "mixed_only": True})
        assert [f.species.count("Mg") for f in mixed] == list(range(1, 32))

    def test_number_of_ternary_compositions(self) -> None:
        """n sites and k elements have C(n + k - 1, k - 1) compositions."""
        frames = prototypes(element="Al", repeat=[1, 1, 2], all_compositions={"elements": ["Al", "Mg", "Si"]})
        counts = {tuple(f.species.count(e) for e in ("Al", "Mg", "Si")) for f in frames}
        assert len(frames) == len(counts) == 45
        assert all(sum(count) == 8 for count in counts)

    def test_spacing(self) -> None:
        """A quarter of 32 sites is 8 atoms."""
        grid = {"elements": ["Al", "Mg"], "spacing": 0.25}
        frames = prototypes(element="Al", repeat=[2, 2, 2], all_compositions=grid)
        assert [f.formula for f in frames] == ["Al32", "Al24Mg8", "Al16Mg16", "Al8Mg24", "Mg32"]
        assert len({f.origin.structure for f in frames}) == 5

    def test_spacing_that_the_sites_do_not_reach(self) -> None:
        """Thirds of four sites: the nearest whole atoms, none of them twice."""
        grid = {"elements": ["Al", "Mg"], "spacing": 1 / 3}
        frames = prototypes(element="Al", all_compositions=grid)
        assert [f.formula for f in frames] == ["Al4", "Al3Mg", "AlMg3", "Mg4"]

    def test_a_list_of_compositions(self) -> None:
        frames = prototypes(
            element="Al", repeat=[2, 2, 2], composition=[{"Al": 0.75, "Mg": 0.25}, {"Mg": 1.0}], scale=[1.0, 1.02]
        )
        assert [f.origin.structure for f in frames] == [
            "fcc-Al24Mg8/1",
            "fcc-Al24Mg8/1.02",
            "fcc-Mg32/1",
            "fcc-Mg32/1.02",
        ]

    def test_copies_differ_and_seeds_repeat(self) -> None:
        settings = {"element": "Al", "repeat": [2, 2, 2], "all_compositions": {"elements": ["Al", "Mg"]}, "number": 2}
        hashes = [[f.hash for f in prototypes(seed, **settings)] for seed in (1, 1, 2)]
        assert hashes[0] == hashes[1] != hashes[2]
        assert len(set(hashes[0])) == len(hashes[0]) == 31 * 2 + 2  # the two pure ones have no second copy
        assert [[f.hash for f in prototypes(seed, **settings, seed=7)] for seed in (1, 2)] == [
            [f.hash for f in prototypes(3, **settings, seed=7)]
        ] * 2

    def test_every_site_gets_every_element(self) -> None:
        """Over 400 copies of Al3Mg no site is preferred: 100 +- 5 standard deviations of a binomial."""
        frames = prototypes(element="Al", composition={"Al": 0.75, "Mg": 0.25}, number=400)
        magnesium = np.array([[symbol == "Mg" for symbol in frame.species] for frame in frames])
        assert (magnesium.sum(axis=1) == 1).all()
        assert np.abs(magnesium.sum(axis=0) - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"all_compositions": {"elements": ["Al"]}}, "at least 2"),
            ({"all_compositions": {"elements": ["Al", "Al"]}}, "twice"),
            ({"all_compositions": {"elements": ["Al", "Xx"]}}, "'Xx' is no chemical symbol"),
            ({"all_compositions": {"elements": ["Al", "Mg"], "spacing": 0.3}}, "no multiple of 0.3"),
            ({"composition": {"Al": 0.5, "Xx": 0.5}}, "'Xx' is no chemical symbol"),
            ({"composition": []}, "at least 1"),
            ({"composition": {"Al": 1.0}, "all_compositions": {"elements": ["Al", "Mg"]}}, "exclude each other"),
            ({"composition": {"Mg": 1.0}, "number": 2}, "would be identical"),
            ({"sites": ["Al"]}, "nothing replaces them"),
            ({"element": None, "crystal": "hcp", "c": 5.0, "composition": {"Mg": 1.0}}, "needs a as well"),
        ],
    )
    def test_bad_settings(self, settings: dict[str, object], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            PrototypeSettings.model_validate({"element": "Al"} | settings)

    def test_too_few_sites_and_too_many_compositions(self) -> None:
        mixed = {"elements": ["Al", "Mg"], "mixed_only": True}
        with pytest.raises(StructureError, match="1 sites cannot hold all of Al, Mg"):
            prototypes(element="Al", cubic=False, all_compositions=mixed)
        with pytest.raises(StructureError, match=r"1 sites for 2 elements \(Al, Mg\); enlarge"):
            prototypes(element="Al", cubic=False, composition={"Al": 0.5, "Mg": 0.5})
        with pytest.raises(StructureError, match=r"47905 compositions .* wider spacing"):
            prototypes(element="Al", repeat=[2, 2, 4], all_compositions={"elements": ["Al", "Mg", "Si", "Cu"]})
