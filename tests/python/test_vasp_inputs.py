"""What the labeler ``vasp`` gives VASP: settings, POTCARs, INCAR, k-points and the cell."""

from __future__ import annotations

import gzip
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk, fcc111, hcp0001
from ase.io import read
from pydantic import ValidationError

from conftest import DATA
from lammps_dpgen.config.label import LabelConfig
from lammps_dpgen.config.load import load_config
from lammps_dpgen.errors import ConfigError, LabelError
from lammps_dpgen.frame import Frame
from lammps_dpgen.labeling.cell import grouped_cell
from lammps_dpgen.labeling.contract import contract_frame
from lammps_dpgen.labeling.vasp import VaspLabeler
from lammps_dpgen.labeling.vasp_inputs import VaspInputs
from lammps_dpgen.labeling.vasp_settings import VaspSettings
from vasp_files import potcar, write_potcars

EXAMPLE = DATA.parents[1] / "examples" / "04-vasp-labels" / "label.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_potcars(tmp_path / "potcars", ["Al", "Mg_pv", "Mg"])


def settings(folder: Path, **given: Any) -> VaspSettings:
    common = {"command": "true", "potcars": {"Al": "Al", "Mg": "Mg_pv"}, "potcar_folder": str(folder)}
    return VaspSettings.model_validate(common | given)


def tags(frame: Frame, chosen: VaspSettings) -> dict[str, Any]:
    return VaspInputs(chosen).tags_and_kpoints(grouped_cell(frame, chosen.vacuum))[0]


def mesh(frame: Frame, chosen: VaspSettings) -> tuple[int, int, int]:
    return VaspInputs(chosen).tags_and_kpoints(grouped_cell(frame, chosen.vacuum))[1].mesh


AL = Frame.from_ase(bulk("Al", a=4.05, cubic=True))
ALMG = contract_frame("Al", ["Mg", "Al", "Al"], (2, 2, 2))


def test_pymatgen_is_for_workers() -> None:
    """A controller that reads a configuration with this labeler does not wait for pymatgen's input and output."""
    code = "import sys, lammps_dpgen.labeling.vasp; sys.exit('pymatgen' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_example_is_valid() -> None:
    config = load_config(EXAMPLE, LabelConfig)
    assert config.labeler.settings["command"] == ["mpirun", "-n", "4", "vasp_std"]
    assert config.labeler.settings["potcars"] == {"Al": "Al", "Mg": "Mg"}


class TestCommand:
    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ("srun vasp_std", ("srun", "vasp_std")),
            ("mpirun -n 16 '/opt/my codes/vasp_gam'", ("mpirun", "-n", "16", "/opt/my codes/vasp_gam")),
            (["mpirun", "-n", "4", "vasp"], ("mpirun", "-n", "4", "vasp")),
        ],
    )
    def test_words(self, folder: Path, given: Any, words: tuple[str, ...]) -> None:
        assert settings(folder, command=given).command == words

    def test_program_beside_the_configuration(self, tmp_path: Path) -> None:
        data = {"command": "./run_vasp.sh fast", "potcars": ["Al"]}
        chosen = VaspSettings.model_validate(data, context={"folder": tmp_path})
        assert chosen.command == (str(tmp_path / "run_vasp.sh"), "fast")
        assert VaspSettings.model_validate(chosen.model_dump(mode="json")).command == chosen.command

    @pytest.mark.parametrize("given", ["", [], "srun 'vasp"])
    def test_no_command(self, folder: Path, given: Any) -> None:
        with pytest.raises(ValidationError, match="command"):
            settings(folder, command=given)


class TestIncar:
    def test_paper(self, folder: Path) -> None:
        """The protocol of the paper, written out."""
        found = tags(AL, settings(folder))
        expected = {"ENCUT": 600, "ISMEAR": 1, "SIGMA": 0.25, "EDIFF": 1e-6, "NSW": 0, "IBRION": -1, "ISIF": 2}
        assert {key: found[key] for key in expected} == expected
        assert "KSPACING" not in found
        assert "GGA" not in found  # PBE by its POTCARs

    def test_own_tags_on_top(self, folder: Path) -> None:
        found = tags(AL, settings(folder, incar={"encut": 350, "ALGO": "Fast", "NELMIN": None}))
        assert (found["ENCUT"], found["ALGO"]) == (350, "Fast")
        assert "NELMIN" not in found

    def test_fortran_words(self, folder: Path) -> None:
        chosen = settings(folder, incar={"KGAMMA": ".FALSE.", "LASPH": ".TRUE.", "NSW": "0"})
        found, points = VaspInputs(chosen).tags_and_kpoints(grouped_cell(AL, 12.0))
        assert found["LASPH"] is True
        assert not points.gamma_centred

    def test_incar_file(self, folder: Path, tmp_path: Path) -> None:
        """A file takes the place of the protocol; its k-points count; it is found beside the configuration."""
        (tmp_path / "INCAR.mine").write_text("ENCUT = 420 ! eV\nISMEAR = 0\nKSPACING = 0.3\nKGAMMA = .FALSE.\n")
        data = {"command": "true", "potcars": ["Al"], "potcar_folder": str(folder), "incar_file": "INCAR.mine"}
        chosen = VaspSettings.model_validate(data, context={"folder": tmp_path})
        found, points = VaspInputs(chosen).tags_and_kpoints(grouped_cell(AL, 12.0))
        assert (found["ENCUT"], found["ISMEAR"]) == (420, 0)
        assert "SIGMA" not in found
        assert points.mesh == (6, 6, 6)
        assert not points.gamma_centred

    def test_no_k_points_said(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match="how dense the k-points are"):
            tags(AL, settings(folder, input_set="none", incar={"ENCUT": 300}))

    def test_pymatgen_set(self, folder: Path) -> None:
        """Its tags and its k-points, in the order of our POSCAR; what moves atoms is left out."""
        chosen = settings(folder, input_set="pymatgen.io.vasp.sets:MPRelaxSet")
        found, points = VaspInputs(chosen).tags_and_kpoints(grouped_cell(ALMG, 12.0))
        assert (found["ENCUT"], found["NSW"], found["IBRION"]) == (520, 0, -1)
        assert len(found["MAGMOM"]) == ALMG.n_atoms
        assert min(points.mesh) >= 1

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"input_set": "pymatgen.io.vasp.sets:NoSuchSet"}, "NoSuchSet cannot be used: AttributeError"),
            (
                {"input_set": "pymatgen.io.vasp.sets:MPStaticSet", "input_set_arguments": {"no_such": 1}},
                "MPStaticSet cannot be used: TypeError",
            ),
            ({"incar": {"NSW": 10}}, "sets NSW = 10; a label is one single point"),
            ({"incar": {"IBRION": 2}}, "sets IBRION = 2"),
            ({"incar": {"PSTRESS": 10}}, "sets PSTRESS = 10"),
            ({"incar": {"ISIF": 0}}, "sets ISIF = 0"),
            ({"incar": {"ML_LMLFF": True}}, "sets ML_LMLFF"),
            ({"incar": {"ENCUT": {"Al": 300}}}, "ENCUT cannot be given by element"),
            ({"incar": {"ENCUT": 100}}, r"ENCUT = 100 eV is below what the POTCARs need: Al \(ENMIN = 180"),
        ],
    )
    def test_refused(self, folder: Path, change: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            VaspLabeler(settings(folder, **change)).check(["Al", "Mg"])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"input_set": "not a path"}, "allowed: paper, none"),
            ({"incar": {"ENCUT": 1, "encut": 2}}, "stands twice"),
            ({"incar_file": "nowhere/INCAR"}, "no such file"),
            ({"input_set_arguments": {"a": 1}}, "belong to a pymatgen input set"),
            ({"compositions": {"Al-Fe": {}}}, "Fe, which have no POTCAR"),
            ({"potcars": {"Foo": "Foo"}}, "Foo: no chemical symbol"),
            ({"potcars": {"Al": "../Al"}}, "no name of a POTCAR"),
            ({"kspacing": 0}, "greater than 0"),
            ({"functional": "BLYP"}, "PBE_54"),
        ],
    )
    def test_bad_settings(self, folder: Path, change: dict[str, Any], message: str) -> None:
        with pytest.raises(ValidationError, match=message):
            settings(folder, **change)

    def test_moments_follow_the_poscar(self, folder: Path) -> None:
        """Given by element, written atom by atom in the order of the POSCAR, with spin switched on."""
        found = tags(ALMG, settings(folder, incar={"MAGMOM": {"Mg": 1.5}, "LDAUU": {"Mg": 4.0}, "LDAUL": {"Mg": 2}}))
        cell = grouped_cell(ALMG, 12.0)
        assert found["MAGMOM"] == [1.5 if element == "Mg" else 0.0 for element in cell.species]
        assert (found["LDAUU"], found["LDAUL"], found["ISPIN"]) == ([0.0, 4.0], [-1, 2], 2)

    def test_per_composition(self, folder: Path) -> None:
        change = {"Mg-Al": {"incar": {"NELM": 200}, "kpoints": [2, 2, 2]}}
        chosen = settings(folder, compositions=change)
        assert (tags(ALMG, chosen)["NELM"], tags(AL, chosen)["NELM"]) == (200, 100)
        assert mesh(ALMG, chosen) == (2, 2, 2)
        assert mesh(AL, chosen) == (20, 20, 20)


class TestKPoints:
    @pytest.mark.parametrize(
        ("atoms", "spacing", "expected"),
        [
            (bulk("Al", a=4.05, cubic=True), 0.08, (20, 20, 20)),  # 2 pi / 4.05 / 0.08 = 19.39
            (bulk("Al", a=4.05, cubic=True) * (1, 1, 2), 0.08, (20, 20, 10)),
            (bulk("Al", a=4.0, cubic=True), 2 * np.pi / 4.0 / 8, (8, 8, 8)),  # whole numbers stay
            (bulk("Al", a=4.05, cubic=True), 5.0, (1, 1, 1)),
            (bulk("Mg", a=3.21, c=5.21), 0.2, (12, 12, 7)),  # |b| = 2 pi / (a cos 30°)
        ],
    )
    def test_kspacing(self, folder: Path, atoms: Any, spacing: float, expected: tuple[int, int, int]) -> None:
        """VASP's definition: N = ceil(|b| / KSPACING), b with its factor 2π, for each frame's own cell."""
        assert mesh(Frame.from_ase(atoms), settings(folder, kspacing=spacing)) == expected

    def test_mesh_of_a_real_run(self, folder: Path) -> None:
        """dpdata's ``vasprun.h2o.md.tribox.xml``: KSPACING = 0.8 and 2 x 2 x 2; without 2π it would be one point."""
        frame = Frame(("O",), np.zeros((1, 3)), np.array([[0.0, 5.0, 5.0], [4.5, 0.0, 5.0], [5.5, 5.1, 0.0]]))
        assert grouped_cell(frame, 12.0).mesh(0.8) == (2, 2, 2)
        assert grouped_cell(frame, 12.0).mesh(0.8 * 2 * np.pi) == (1, 1, 1)

    def test_default_is_the_papers(self, folder: Path) -> None:
        assert mesh(AL, settings(folder)) == (20, 20, 20)

    def test_slab_has_one_point_along_its_normal(self, folder: Path) -> None:
        slab = fcc111("Al", (1, 1, 3), vacuum=None)
        slab.pbc = (True, True, False)
        assert mesh(Frame.from_ase(slab), settings(folder, kspacing=0.3))[2] == 1


class TestCell:
    def test_groups_and_order(self) -> None:
        cell = grouped_cell(ALMG, 12.0)
        assert cell.elements == ["Al", "Mg"]
        np.testing.assert_array_equal(cell.to_frame(np.array(cell.species, dtype=object)), ALMG.species)

    @pytest.mark.parametrize("turn", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
    def test_same_crystal_right_handed(self, turn: list[int]) -> None:
        """Left-handed cells, which VASP refuses, become right-handed ones without turning anything."""
        frame = replace(ALMG, cell=ALMG.cell[turn])
        cell = grouped_cell(frame, 12.0)
        assert cell.volume == pytest.approx(frame.volume)
        assert cell.volume > 0
        difference = np.linalg.solve(frame.cell.T, (cell.fractional @ cell.lattice - frame.positions[cell.order]).T)
        np.testing.assert_allclose(difference, np.round(difference), atol=1e-9)
        steps = np.linalg.solve(frame.cell.T, cell.lattice.T)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)

    def test_a_sheared_cell_needs_no_more_k_points(self, folder: Path) -> None:
        sheared = replace(AL, cell=np.array([[1.0, 0, 0], [3, 1, 0], [-2, 1, 1]]) @ AL.cell)
        assert sorted(mesh(sheared, settings(folder))) == [20, 20, 20]

    def test_free_directions_get_vacuum(self) -> None:
        slab = hcp0001("Mg", (2, 2, 3), a=3.2, c=5.2)
        slab.pbc = (True, True, False)
        cell = grouped_cell(Frame.from_ase(slab), 15.0)
        assert cell.lattice[2, 2] == pytest.approx(5.2 + 15.0)
        z = cell.fractional[:, 2] * cell.lattice[2, 2]
        assert (z.min(), z.max()) == pytest.approx((7.5, 12.7))

    def test_flat_cell(self) -> None:
        with pytest.raises(LabelError, match="not independent"):
            grouped_cell(replace(AL, cell=np.array([[4.0, 0, 0], [8.0, 0, 0], [0, 0, 4.0]])), 12.0)

    def test_files_hold_every_digit(self, folder: Path, tmp_path: Path) -> None:
        """The POSCAR, read by ASE, is the frame."""
        chosen = settings(folder)
        cell = grouped_cell(ALMG, 12.0)
        VaspInputs(chosen).write(cell, tmp_path)
        atoms = read(tmp_path / "POSCAR", format="vasp")
        np.testing.assert_allclose(atoms.cell.array, cell.lattice, atol=1e-14)
        np.testing.assert_allclose(atoms.get_scaled_positions(), cell.fractional, atol=1e-14)
        assert tuple(atoms.get_chemical_symbols()) == cell.species
        titles = [line for line in (tmp_path / "POTCAR").read_text().splitlines() if "TITEL" in line]
        assert [line.split()[3] for line in titles] == ["Al", "Mg_pv"]


class TestPotcars:
    @pytest.mark.parametrize(
        "layout", ["potpaw_PBE/Al/POTCAR", "POT_GGA_PAW_PBE/POTCAR.Al", "POT_GGA_PAW_PBE/Al/POTCAR"]
    )
    @pytest.mark.parametrize("packed", [False, True])
    def test_layouts(self, tmp_path: Path, layout: str, packed: bool) -> None:
        path = tmp_path / (layout + ".gz" * packed)
        path.parent.mkdir(parents=True)
        data = potcar("Al").encode()
        path.write_bytes(gzip.compress(data) if packed else data)
        chosen = settings(tmp_path, potcars=["Al"])
        assert chosen.potcar("Al") == path
        assert VaspInputs(chosen).potcar("Al").keywords["ENMAX"] == 240.3

    @pytest.mark.parametrize("variable", ["PMG_VASP_PSP_DIR", "VASP_PP_PATH"])
    def test_configured_folder(self, folder: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
        """The folder that pymatgen or ASE is configured with."""
        for name in ("PMG_VASP_PSP_DIR", "VASP_PP_PATH"):
            monkeypatch.setenv(name, "")
        monkeypatch.setenv(variable, str(folder))
        chosen = VaspSettings.model_validate({"command": "true", "potcars": ["Al"]})
        assert chosen.potcar("Al") == folder / "potpaw_PBE" / "Al" / "POTCAR"

    def test_no_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("PMG_VASP_PSP_DIR", "VASP_PP_PATH"):
            monkeypatch.setenv(name, "")
        with pytest.raises(ConfigError, match=r"no POTCAR folder is known\. Give 'potcar_folder'"):
            VaspSettings.model_validate({"command": "true", "potcars": ["Al"]}).hash()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"potcar_folder": "/nowhere"}, r"folder does not exist: potcar_folder \(/nowhere\)"),
            ({"functional": "PBE_54"}, r"functional PBE_54 in .* \(but potpaw_PBE\)"),
            ({"potcars": {"Al": "Al_sv"}}, r"no POTCAR 'Al_sv' of functional PBE in .* \(of Al there are Al\)"),
            ({"potcars": ["Al", "Cu"]}, "no POTCAR 'Cu'"),
        ],
    )
    def test_missing(self, folder: Path, change: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            settings(folder, **change).hash()

    def test_element_without_potcar(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match="no POTCAR for Cu; 'potcars' lists Al, Mg"):
            VaspLabeler(settings(folder)).check(["Al", "Cu"])

    def test_wrong_functional_in_the_file(self, tmp_path: Path) -> None:
        folder = write_potcars(tmp_path, ["Al"], exchange="CA")
        with pytest.raises(ConfigError, match="made with LEXCH = CA, a POTCAR of functional PBE has PE"):
            VaspLabeler(settings(folder, potcars=["Al"])).check(["Al"])

    def test_another_element_in_the_file(self, folder: Path) -> None:
        with pytest.raises(ConfigError, match="is a POTCAR of Mg, expected Al"):
            VaspLabeler(settings(folder, potcars={"Al": "Mg"})).check(["Al"])

    def test_no_potcar_at_all(self, folder: Path) -> None:
        (folder / "potpaw_PBE" / "Al" / "POTCAR").write_text("to do: copy it here\n")
        with pytest.raises(ConfigError, match="is no complete POTCAR"):
            VaspLabeler(settings(folder)).check(["Al"])

    def test_hash_knows_content_and_not_place(self, folder: Path, tmp_path: Path) -> None:
        """Not where POTCARs lie, nor how VASP is started: what they say, and every tag."""
        other = write_potcars(tmp_path / "other", ["Al", "Mg_pv"])
        first = settings(folder)
        assert settings(other, command="srun vasp").hash() == first.hash()
        assert settings(folder, incar={"NCORE": 4, "kpar": 2}).hash() == first.hash()
        assert settings(folder, incar={"ENCUT": 601}).hash() != first.hash()
        (other / "potpaw_PBE" / "Al" / "POTCAR").write_text(potcar("Al", enmax=241.0))
        assert settings(other).hash() != first.hash()
