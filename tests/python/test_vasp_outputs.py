"""Reading VASP's files: real ones (tests/data/vasp), and what is left of them after accidents."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from conftest import DATA
from lammps_dpgen.errors import LabelError
from lammps_dpgen.labeling.cell import GroupedCell
from lammps_dpgen.labeling.vasp_outputs import VaspOutput, read_output
from lammps_dpgen.labeling.vasp_run import complaint

REAL = DATA / "vasp"


def unpack(name: str, folder: Path) -> Path:
    """Put the real files of a run into a folder, as VASP leaves them."""
    for path in (REAL / name).iterdir():
        (folder / path.name.removesuffix(".gz")).write_bytes(gzip.decompress(path.read_bytes()))
    return folder


def cell_of(file: Path) -> GroupedCell:
    """Return the structure of a run, read by ASE."""
    atoms = read(file, index=0)
    species = tuple(atoms.get_chemical_symbols())
    lattice = np.array(atoms.cell.array)
    return GroupedCell(np.arange(len(atoms)), species, lattice, atoms.get_scaled_positions(), (True, True, True))


@pytest.fixture
def ge8(tmp_path: Path) -> tuple[Path, GroupedCell]:
    folder = unpack("Ge8", tmp_path)
    return folder, cell_of(folder / "vasprun.xml")


def check_ge8(output: VaspOutput, cell: GroupedCell) -> None:
    """The numbers stand in the OUTCAR; the virial is its line "Total" of "FORCE on cell =-STRESS", in eV."""
    assert output.energy == -33.36815582
    np.testing.assert_allclose(output.forces[0], [-0.056448, 0.108946, 0.296892], atol=1e-6)
    np.testing.assert_allclose(output.forces[-1], [0.013000, -0.007190, -0.176961], atol=1e-6)
    xx, yy, zz, xy, yz, zx = 1.33798, -0.20684, 0.29258, 0.48006, 1.38738, -0.02079
    expected = [[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]]
    np.testing.assert_allclose(output.stress * cell.volume, expected, atol=1e-5)
    assert output.version.startswith("5.4.4.18")
    assert set(output.species) == {"Ge"}


class TestRealRuns:
    def test_single_point(self, ge8: tuple[Path, GroupedCell]) -> None:
        """A run with dispersion, where VASP 5 writes a wrong ``e_0_energy``: TOTEN is right."""
        folder, cell = ge8
        check_ge8(read_output(folder, cell), cell)

    def test_outcar_instead(self, ge8: tuple[Path, GroupedCell]) -> None:
        folder, cell = ge8
        (folder / "vasprun.xml").unlink()
        check_ge8(read_output(folder, cell), cell)

    def test_xml_alone(self, ge8: tuple[Path, GroupedCell]) -> None:
        folder, cell = ge8
        (folder / "OUTCAR").unlink()
        check_ge8(read_output(folder, cell), cell)

    def test_vasp_6(self, tmp_path: Path) -> None:
        """VASP 6.3.0; the run has PSTRESS, which its free energy contains and which settings refuse."""
        folder = unpack("C2", tmp_path)
        output = read_output(folder, cell_of(folder / "vasprun.xml"))
        assert output.energy == -20.23985977
        assert output.stress[0, 0] == pytest.approx(-165.9956258 / 1602.1766, rel=1e-6)
        assert output.version == "6.3.0"

    @pytest.mark.parametrize(("keep", "evidence"), [("vasprun.xml", "vasprun.xml"), ("OUTCAR", "OUTCAR")])
    def test_md_is_no_single_point(self, tmp_path: Path, keep: str, evidence: str) -> None:
        folder = unpack("H2O", tmp_path)
        cell = cell_of(folder / "vasprun.xml")
        for path in folder.iterdir():
            if path.name != keep:
                path.unlink()
        with pytest.raises(LabelError, match=rf"3 ionic steps, expected one single point; see .*{evidence}"):
            read_output(folder, cell)

    def test_unconverged_as_dpgen_decides(self, tmp_path: Path) -> None:
        """NELM = 1, one step, and the OUTCAR says that EDIFF is reached."""
        folder = unpack("CH4", tmp_path)
        (folder / "OUTCAR-1-step").rename(folder / "OUTCAR")
        with pytest.raises(LabelError, match=r"1 electronic steps, and NELM = 1 allows no more; see .*OUTCAR"):
            read_output(folder, cell_of(folder / "OUTCAR"))

    def test_unconverged_first_ionic_step(self, tmp_path: Path) -> None:
        """The first ionic step of a real run that took all of its 15 electronic steps."""
        folder = unpack("CH4", tmp_path)
        text = (folder / "OUTCAR").read_text()
        cell = cell_of(folder / "OUTCAR-1-step")
        first = text[: text.index("Iteration      2(   1)")]
        (folder / "OUTCAR").write_text(first + "\n General timing and accounting informations for this job:\n")
        with pytest.raises(LabelError, match=r"15 electronic steps, and NELM = 15"):
            read_output(folder, cell)


class TestAccidents:
    @pytest.mark.parametrize("share", [0.1, 0.5, 0.8, 0.999])
    def test_cut_xml_falls_back(self, ge8: tuple[Path, GroupedCell], share: float) -> None:
        folder, cell = ge8
        text = (folder / "vasprun.xml").read_text()
        (folder / "vasprun.xml").write_text(text[: int(share * len(text))])
        check_ge8(read_output(folder, cell), cell)

    @pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
    def test_both_cut(self, ge8: tuple[Path, GroupedCell], share: float) -> None:
        folder, cell = ge8
        for name in ("vasprun.xml", "OUTCAR"):
            text = (folder / name).read_text()
            (folder / name).write_text(text[: int(share * len(text))])
        with pytest.raises(LabelError, match=r"no result: .*vasprun\.xml cannot be read.*OUTCAR breaks off"):
            read_output(folder, cell)

    def test_empty(self, ge8: tuple[Path, GroupedCell]) -> None:
        folder, cell = ge8
        for path in folder.iterdir():
            path.write_text("")
        with pytest.raises(LabelError, match=r"vasprun\.xml is empty; .*OUTCAR is empty; it wrote nothing"):
            read_output(folder, cell)

    def test_vasp_says_it_did_not_converge(self, ge8: tuple[Path, GroupedCell]) -> None:
        """Stricter than the number of steps: VASP 6 says so itself, the vasprun.xml shows 10 of 60."""
        folder, cell = ge8
        text = (folder / "OUTCAR").read_text()
        said = "aborting loop EDIFF was not reached (unconverged)"
        (folder / "OUTCAR").write_text(text.replace("aborting loop because EDIFF is reached", said))
        with pytest.raises(LabelError, match=r"did not converge: it says so itself .*OUTCAR"):
            read_output(folder, cell)

    def test_stars_in_the_xml(self, ge8: tuple[Path, GroupedCell]) -> None:
        """Fortran's stars become NaN, which every labeler's screening refuses."""
        folder, cell = ge8
        text = (folder / "vasprun.xml").read_text()
        stars, count = re.subn(r"-0\.05644767", "***********", text)
        assert count == 1
        (folder / "vasprun.xml").write_text(stars)
        output = read_output(folder, cell)
        assert np.isnan(output.forces[0, 0])

    def test_another_structure(self, ge8: tuple[Path, GroupedCell]) -> None:
        folder, cell = ge8
        moved = cell.fractional.copy()
        moved[3, 2] += 0.01
        with pytest.raises(LabelError, match="another structure than the frame"):
            read_output(folder, GroupedCell(cell.order, cell.species, cell.lattice, moved, cell.periodic))

    def test_other_elements(self, ge8: tuple[Path, GroupedCell]) -> None:
        folder, cell = ge8
        with pytest.raises(LabelError, match="VASP computed Ge8, the POSCAR has Si8: POTCAR and POSCAR do not go"):
            read_output(folder, GroupedCell(cell.order, ("Si",) * 8, cell.lattice, cell.fractional, cell.periodic))

    def test_other_number_of_atoms(self, ge8: tuple[Path, GroupedCell]) -> None:
        folder, cell = ge8
        fewer = GroupedCell(cell.order[:7], cell.species[:7], cell.lattice, cell.fractional[:7], cell.periodic)
        with pytest.raises(LabelError, match=r"VASP computed 8 atoms \(8 forces\), the frame has 7"):
            read_output(folder, fewer)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (
            " POSCAR found\n VERY BAD NEWS! internal error in subroutine IBZKPT:\n Reciprocal lattice and k-lattice "
            "belong to different class of lattices.\n later words\n",
            "VERY BAD NEWS! internal error in subroutine IBZKPT: Reciprocal lattice and k-lattice belong",
        ),
        (
            " ---------------\n|                    |\n|     EEEEEEE  RRRRRR   RRRRRR   |\n"
            "|     Error EDDDAV: Call to ZHEGV failed. Returncode = 14 2 40        |\n ----------------\n",
            "Error EDDDAV: Call to ZHEGV failed. Returncode = 14 2 40",
        ),
        ("one\ntwo\nthree\n", "its last words are 'three'"),
        ("", "it wrote nothing"),
    ],
)
def test_own_words(tmp_path: Path, printed: str, expected: str) -> None:
    (tmp_path / "vasp.out").write_text(printed)
    assert complaint(tmp_path).startswith(expected)
