"""Reading what pw.x says: a real output (tests/data/espresso), and what is left of it after accidents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from ase.units import Bohr, Rydberg

from conftest import DATA
from lammps_dpgen.errors import LabelError
from lammps_dpgen.labeling.cell import GroupedCell
from lammps_dpgen.labeling.espresso_outputs import complaint, read_output

REAL = DATA / "espresso" / "AlMg"
TEXT = (REAL / "espresso.pwo").read_text()


@pytest.fixture
def cell() -> GroupedCell:
    """The structure of the run, from its input."""
    atoms = read(REAL / "espresso.pwi", format="espresso-in")
    species = tuple(atoms.get_chemical_symbols())
    return GroupedCell(np.arange(2), species, np.array(atoms.cell.array), atoms.get_scaled_positions(), (True,) * 3)


def written(folder: Path, text: str, errors: str = "") -> Path:
    (folder / "espresso.pwo").write_text(text)
    (folder / "espresso.err").write_text(errors)
    return folder


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new)


def test_single_point(tmp_path: Path, cell: GroupedCell) -> None:
    """The numbers stand in the file: energy, forces (Ry/Bohr) and stress (Ry/Bohr³, positive when compressed)."""
    output = read_output(written(tmp_path, TEXT), cell)
    line = next(line for line in TEXT.splitlines() if line.startswith("!"))
    assert output.energy == pytest.approx(float(line.split()[4]) * Rydberg, abs=1e-5)
    line = next(line for line in TEXT.splitlines() if "atom    2 type  2   force" in line)
    np.testing.assert_allclose(output.forces[1] * Bohr / Rydberg, [float(x) for x in line.split()[-3:]], atol=1e-7)
    assert output.stress is not None
    lines = TEXT.splitlines()
    first = next(i for i, line in enumerate(lines) if "total   stress" in line) + 1
    told = [[float(x) for x in line.split()[:3]] for line in lines[first : first + 3]]
    np.testing.assert_allclose(-output.stress * Bohr**3 / Rydberg, told, atol=1e-8)
    assert output.version.startswith("6.7")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.8, 0.97])
def test_cut_off(tmp_path: Path, cell: GroupedCell, share: float) -> None:
    folder = written(tmp_path, TEXT[: int(share * len(TEXT))])
    with pytest.raises(LabelError, match=r"no result: .*espresso\.pwo breaks off before its end; its last words are"):
        read_output(folder, cell)


def test_empty_and_missing(tmp_path: Path, cell: GroupedCell) -> None:
    with pytest.raises(LabelError, match=r"espresso\.pwo is missing; it wrote nothing"):
        read_output(tmp_path, cell)
    with pytest.raises(LabelError, match=r"espresso\.pwo is empty; srun: error: .*Slurm says no"):
        read_output(written(tmp_path, "\n", "srun: error: Slurm says no\n"), cell)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "convergence has been achieved in",
            "convergence NOT achieved after",
            r"did not converge.*raise max_iterations",
        ),
        ("convergence has been achieved in", "all is well after", "does not say that it converged"),
        (
            "     End of self-consistent",
            " c_bands:  2 eigenvalues not converged\n     End of self",
            "2 eigenvalues have not",
        ),
        ("scf convergence threshold =      7.3E-11", "scf convergence threshold =      7.3E-19", "estimated error"),
        ("JOB DONE", "JOB", "breaks off before its end"),
        ("Forces acting on atoms", "Forces that act on atoms", "cannot be read"),
        ("total   stress  (Ry", "stress  (Ry", "no stress"),
    ],
)
def test_refused(tmp_path: Path, cell: GroupedCell, old: str, new: str, words: str) -> None:
    with pytest.raises(LabelError, match=words):
        read_output(written(tmp_path, changed(old, new)), cell)


def test_stars_for_numbers(tmp_path: Path, cell: GroupedCell) -> None:
    line = next(line for line in TEXT.splitlines() if "atom    2 type  2   force" in line)
    text = changed(line, line[:-14] + "*" * 14)
    with pytest.raises(LabelError, match=r"cannot be read \(ValueError"):
        read_output(written(tmp_path, text), cell)


def test_two_copies(tmp_path: Path, cell: GroupedCell) -> None:
    with pytest.raises(LabelError, match=r"2 copies of pw\.x on one process each, and not one on 2.*another MPI"):
        read_output(written(tmp_path, TEXT + TEXT), cell)


def test_another_structure(tmp_path: Path, cell: GroupedCell) -> None:
    folder = written(tmp_path, TEXT)
    moved = cell.fractional + np.array([[0.01, 0.0, 0.0], [0.0, 0.0, 0.0]])
    with pytest.raises(LabelError, match="another structure than the frame"):
        read_output(folder, GroupedCell(cell.order, cell.species, cell.lattice, moved, cell.periodic))
    with pytest.raises(LabelError, match="another structure than the frame"):
        read_output(folder, GroupedCell(cell.order, cell.species, 1.01 * cell.lattice, cell.fractional, cell.periodic))
    with pytest.raises(LabelError, match=r"2 atoms \(Al Mg\), the frame has 2 \(Mg\)"):
        read_output(folder, GroupedCell(cell.order, ("Mg", "Mg"), cell.lattice, cell.fractional, cell.periodic))


@pytest.mark.parametrize(
    ("printed", "errors", "expected"),
    [
        (
            "a\n %%%%%\n     Error in routine readpp (1):\n     file ./Al.UPF not found\n %%%%%\n",
            "",
            "readpp (1): file",
        ),
        ("     iteration # 3\n", "slurmstepd: error: Detected 1 oom-kill event\n", "oom-kill"),
        ("fine\n", "Program received signal SIGSEGV: Segmentation fault\n", "SIGSEGV"),
        ("At line 5: No space left on device\n", "", "No space left"),
        ("one\ntwo\n", "", "its last words are 'two'"),
    ],
)
def test_own_words(tmp_path: Path, printed: str, errors: str, expected: str) -> None:
    said = complaint(written(tmp_path, printed, errors))
    assert expected in said
    assert "\n" not in said
