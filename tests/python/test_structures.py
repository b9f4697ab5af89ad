"""Initial structures: lattices by hand, perturbations within their bounds, and files."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from pydantic import ValidationError

from lammps_dpgen.errors import StructureError
from lammps_dpgen.frame import Frame
from lammps_dpgen.geometry import closest_contact, shortest_allowed
from lammps_dpgen.structures.file import FileGenerator, FileSettings
from lammps_dpgen.structures.prototype import PrototypeGenerator, PrototypeSettings


def prototypes(rng_seed: int = 1, **settings: object) -> list[Frame]:
    generator = PrototypeGenerator(PrototypeSettings.model_validate(settings))
    return generator.generate(np.random.default_rng(rng_seed))


def from_files(folder: Path, seed: int = 1, **settings: object) -> list[Frame]:
    valid = FileSettings.model_validate(settings, context={"folder": folder})
    return FileGenerator(valid).generate(np.random.default_rng(seed))


class TestContacts:
    def test_distance_through_the_boundary(self) -> None:
        frame = Frame(("Al", "Al"), np.array([[0.1, 5, 5], [9.7, 5, 5]]), 10 * np.eye(3))
        contact = closest_contact(frame)
        assert contact is not None
        assert (contact.first, contact.second) == (0, 1)
        assert contact.distance == pytest.approx(0.4)
        assert contact.allowed == pytest.approx(0.6 * 2 * 1.21)
        assert "Al 1 and Al 2 are 0.400 Å apart" in contact.describe(frame)

    def test_an_atom_and_its_own_image(self) -> None:
        frame = Frame(("Al",), np.zeros((1, 3)), np.diag([1.0, 8.0, 8.0]))
        contact = closest_contact(frame)
        assert contact is not None
        assert (contact.first, contact.second, contact.distance) == (0, 0, pytest.approx(1.0))

    def test_each_pair_of_elements_has_its_own_limit(self) -> None:
        """1.1 Å is a bond for O-H, allowed for Al-H (0.91 Å) and far too close for Al-Al."""
        for species, too_close in ((("O", "H"), False), (("Al", "H"), False), (("Al", "Al"), True)):
            frame = Frame(species, np.array([[0, 0, 0], [1.1, 0, 0.0]]), 9 * np.eye(3))
            assert (closest_contact(frame) is not None) == too_close
            assert closest_contact(frame, min_distance=1.0) is None
        assert shortest_allowed("H", "O") == shortest_allowed("O", "H") == pytest.approx(0.6 * (0.31 + 0.66))


class TestPrototype:
    @pytest.mark.parametrize(
        ("crystal", "cubic", "n_atoms", "volume"),
        [
            ("fcc", True, 4, 64.0),
            ("fcc", False, 1, 16.0),
            ("bcc", True, 2, 64.0),
            ("sc", True, 1, 64.0),
            ("diamond", True, 8, 64.0),
            ("hcp", None, 2, 64.0 * np.sqrt(2.0)),
        ],
    )
    def test_cells_by_hand(self, crystal: str, cubic: bool | None, n_atoms: int, volume: float) -> None:
        """Lattice constant 4 Å; the ideal hcp cell has a³ sqrt(2)."""
        (frame,) = prototypes(element="Al", crystal=crystal, a=4.0, cubic=cubic)
        assert frame.n_atoms == n_atoms
        assert frame.volume == pytest.approx(volume)

    def test_reference_states(self) -> None:
        aluminium, magnesium = prototypes(element="Al") + prototypes(element="Mg")
        np.testing.assert_allclose(aluminium.cell, 4.05 * np.eye(3))
        assert magnesium.n_atoms == 2
        assert np.linalg.norm(magnesium.cell[2]) == pytest.approx(1.624 * 3.21)

    @pytest.mark.parametrize("crystal", ["fcc", "bcc", "hcp", "sc"])
    def test_other_crystals_keep_the_volume_per_atom(self, crystal: str) -> None:
        (frame,) = prototypes(element="Mg", crystal=crystal)
        (own,) = prototypes(element="Mg")
        assert frame.volume / frame.n_atoms == pytest.approx(own.volume / own.n_atoms)

    def test_scale_multiplies_lengths(self) -> None:
        frames = prototypes(element="Al", repeat=[2, 2, 2], scale=[0.96, 1.0, 1.04])
        np.testing.assert_allclose([f.cell[0, 0] / 8.1 for f in frames], [0.96, 1.0, 1.04])
        assert all(f.n_atoms == 32 for f in frames)
        assert [f.origin.structure for f in frames] == ["fcc-Al32/0.96", "fcc-Al32/1", "fcc-Al32/1.04"]
        assert {(f.origin.source, f.origin.reason) for f in frames} == {("bootstrap", "initial")}

    def test_perturbation_stays_within_its_bounds(self) -> None:
        settings = {"element": "Al", "repeat": [2, 2, 2], "number": 20}
        (ideal,) = prototypes(**settings | {"number": 1})
        for frame in prototypes(**settings, perturb={"displacement": 0.1, "cell": 3.0}):
            strain = np.linalg.solve(ideal.cell, frame.cell) - np.eye(3)
            np.testing.assert_allclose(strain, strain.T, atol=1e-12)
            assert 1e-4 < np.abs(strain).max() <= 0.03
            moved = frame.positions - ideal.positions @ (np.eye(3) + strain)
            assert 0.05 < np.abs(moved).max() <= 0.1

    def test_seeds(self) -> None:
        settings = {"element": "Al", "number": 2, "perturb": {"displacement": 0.1}}
        hashes = [[f.hash for f in prototypes(seed, **settings)] for seed in (1, 1, 2)]
        assert hashes[0] == hashes[1] != hashes[2]
        assert hashes[0][0] != hashes[0][1]
        own = [[f.hash for f in prototypes(seed, **settings, seed=5)] for seed in (1, 2)]
        assert own[0] == own[1]

    def test_random_alloy(self) -> None:
        frames = prototypes(element="Al", repeat=[2, 2, 2], composition={"Al": 0.75, "Mg": 0.25}, number=3)
        assert [f.formula for f in frames] == ["Al24Mg8"] * 3
        assert len({f.hash for f in frames}) == 3
        (small,) = prototypes(element="Al", composition={"Al": 0.6, "Mg": 0.4})
        assert small.formula == "Al2Mg2"

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"element": "Foo"}, "no chemical symbol"),
            ({"element": "O"}, "choose one of"),
            ({"crystal": "fcc"}, "element: missing"),
            ({"composition": {"Al": 1.0}}, "no element decides"),
            ({"element": "Al", "crystal": "bct"}, "crystal"),
            ({"element": "Mg", "cubic": True}, "hcp has no cubic cell"),
            ({"element": "Al", "c": 4.0}, "only hcp"),
            ({"element": "Al", "number": 3}, "copies would be identical"),
            ({"element": "Al", "scale": []}, "scale"),
            ({"element": "Al", "scale": [98]}, "scale"),
            ({"element": "Al", "scale": "papr"}, "or the word paper"),
            ({"element": "Al", "composition": {"Al": 0.5}}, "add up to 0.5"),
            ({"element": "Al", "repat": [2, 2, 2]}, "repat"),
        ],
    )
    def test_bad_settings(self, settings: dict[str, object], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            PrototypeSettings.model_validate(settings)

    def test_overlap_is_an_error(self) -> None:
        with pytest.raises(StructureError, match=r"fcc-Al4/0.4: atoms .* Å apart, at least 1.452 Å"):
            prototypes(element="Al", scale=[1.0, 0.4])

    def test_more_elements_than_sites(self) -> None:
        with pytest.raises(StructureError, match="1 sites for 2 elements"):
            prototypes(element="Al", cubic=False, composition={"Al": 0.5, "Mg": 0.5})


class TestFile:
    def test_reads_what_was_written(self, tmp_path: Path) -> None:
        atoms = bulk("Mg") * (2, 2, 1)
        atoms.rattle(0.1, seed=1)
        ase.io.write(tmp_path / "POSCAR", atoms)
        (frame,) = from_files(tmp_path, files="POSCAR")
        np.testing.assert_allclose(frame.positions, atoms.positions, atol=1e-9)
        np.testing.assert_allclose(frame.cell, atoms.cell.array, atol=1e-9)
        assert frame.species == ("Mg",) * 8
        assert frame.origin.structure == "POSCAR-Mg8/1"

    def test_patterns_and_index(self, tmp_path: Path) -> None:
        (tmp_path / "melt").mkdir()
        for name in ("b", "a"):
            images = [bulk("Al", a=4.0 + 0.01 * i) for i in range(5)]
            ase.io.write(tmp_path / "melt" / f"{name}.extxyz", images)
        frames = from_files(tmp_path, files=["melt/*.extxyz"], index="::2")
        assert [f.origin.structure for f in frames] == [f"{n}.extxyz[{i}]-Al/1" for n in "ab" for i in range(3)]
        (last,) = from_files(tmp_path, files=["melt/a.extxyz"], index="-1")
        assert last.volume == pytest.approx(4.04**3 / 4)

    def test_copies_are_perturbed(self, tmp_path: Path) -> None:
        ase.io.write(tmp_path / "POSCAR", bulk("Al", cubic=True))
        frames = from_files(tmp_path, files="POSCAR", number=3, perturb={"displacement": 0.05}, scale=[1.0, 1.02])
        assert len({f.hash for f in frames}) == 6

    def test_a_molecule_needs_vacuum(self, tmp_path: Path) -> None:
        water = molecule("H2O")
        ase.io.write(tmp_path / "water.xyz", water, format="xyz")
        with pytest.raises(StructureError, match=r"water\.xyz.*no cell.*'vacuum'"):
            from_files(tmp_path, files="water.xyz")
        (frame,) = from_files(tmp_path, files="water.xyz", vacuum=6.0)
        assert frame.pbc == (True, True, True)
        np.testing.assert_allclose(np.diag(frame.cell), np.ptp(water.positions, axis=0) + 12.0, atol=1e-6)

    def test_vacuum_keeps_the_vectors_there_are(self, tmp_path: Path) -> None:
        sheet = Atoms("Al", cell=[[3.0, 0, 0], [1.5, 2.6, 0], [0, 0, 0]], pbc=[True, True, False])
        ase.io.write(tmp_path / "sheet.extxyz", sheet)
        (frame,) = from_files(tmp_path, files="sheet.extxyz", vacuum=5.0)
        np.testing.assert_allclose(frame.cell, [[3.0, 0, 0], [1.5, 2.6, 0], [0, 0, 10.0]], atol=1e-9)

    @pytest.mark.parametrize(
        ("name", "text", "message"),
        [
            ("broken.vasp", "no poscar\n", "ASE cannot read it"),
            ("empty.extxyz", "", "ASE cannot read it"),
            ("zero.extxyz", '0\nLattice="4 0 0 0 4 0 0 0 4"\n', "no atoms|ASE cannot read it"),
            ("unknown.extxyz", '1\nLattice="4 0 0 0 4 0 0 0 4"\nX 0 0 0\n', "no known element"),
            ("close.extxyz", '2\nLattice="9 0 0 0 9 0 0 0 9"\nAl 0 0 0\nAl 0.5 0 0\n', "0.500 Å apart"),
        ],
    )
    def test_bad_files(self, tmp_path: Path, name: str, text: str, message: str) -> None:
        (tmp_path / name).write_text(text)
        with pytest.raises(StructureError, match=message) as caught:
            from_files(tmp_path, files=name)
        assert name in str(caught.value)

    def test_nothing_selected(self, tmp_path: Path) -> None:
        ase.io.write(tmp_path / "a.extxyz", bulk("Al"))
        with pytest.raises(StructureError, match=r"no file matches .*\*\.cif"):
            from_files(tmp_path, files="*.cif")
        with pytest.raises(StructureError, match="selects no structure"):
            from_files(tmp_path, files="a.extxyz", index="5:")
        with pytest.raises(StructureError, match="no structure '7'"):
            from_files(tmp_path, files="a.extxyz", index="7")

    @pytest.mark.parametrize(
        ("change", "message"),
        [({"index": "first"}, "no index"), ({"format": "nix"}, "no file format"), ({"files": []}, "files")],
    )
    def test_bad_settings(self, change: dict[str, object], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            FileSettings.model_validate({"files": ["POSCAR"]} | change)
