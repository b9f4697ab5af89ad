"""What pw.x says about a frame, read by ASE, and whether it may be believed.

The energy is pw.x's total energy, which is the free energy F = E - TS: the one whose gradient the forces are.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.units import Rydberg

from lammps_dpgen.errors import LabelError
from lammps_dpgen.frame import FloatArray
from lammps_dpgen.labeling.cell import GroupedCell
from lammps_dpgen.labeling.espresso_inputs import ERRORS, INPUT, OUTPUT
from lammps_dpgen.labeling.program import one_line, plain_lines, run_program

#: Largest difference (Å) between what was asked and what was computed; pw.x prints six decimals of the lattice.
SAME_PLACE = 1e-4

_START = re.compile(r"^\s*Program PWSCF\s+v\.?\s*(\S+)", re.MULTILINE)
_NUMBER = r"([-+.\dEeDd]+)"
_ACCURACY = re.compile(rf"estimated scf accuracy\s*<\s*{_NUMBER}")
_THRESHOLD = re.compile(rf"scf convergence threshold\s*=\s*{_NUMBER}")
_FRAME = re.compile(r"[%\s]+")
_ADVICE = "raise max_iterations, or change mixing_beta"
#: Lines that say why pw.x stopped, the most telling ones first.
_COMPLAINTS = (
    r"Error in routine|Error condition encountered",
    r"No space left on device|Disk quota exceeded",
    r"[Oo]ut of memory|oom-kill|slurmstepd|Cannot allocate memory",
    r"SIGSEGV|Segmentation fault|forrtl:|Fortran runtime error|MPI_ABORT|[Ee]rror:|There are not enough slots",
)


@dataclass(frozen=True)
class EspressoOutput:
    """What one single point gave, atoms as in the input.

    Attributes
    ----------
    energy
        Free energy in eV.
    forces
        ``[n_atoms, 3]`` in eV/Å.
    stress
        ``[3, 3]`` in eV/Å3, tension positive; None where it was not asked for.
    version
        Of pw.x.
    """

    energy: float
    forces: FloatArray
    stress: FloatArray | None
    version: str


def run_espresso(command: Sequence[str], folder: Path, threads: int) -> None:
    """Run pw.x to its end in `folder`; what it prints is in ``espresso.pwo`` and ``espresso.err``.

    Raises
    ------
    LabelError
        It could not be started, or its exit code is not 0: with its own words, and where they stand.
    """
    run_program(
        "pw.x",
        [*command, "-in", INPUT],
        folder,
        folder / OUTPUT,
        threads=threads,
        complaint=lambda: complaint(folder),
        errors=folder / ERRORS,
    )


def read_output(folder: Path, cell: GroupedCell) -> EspressoOutput:
    """Return what pw.x computed for `cell` in `folder`.

    Raises
    ------
    LabelError
        No complete result, not converged, or the result of another structure; with the file that shows it.
    """
    path = folder / OUTPUT
    text = path.read_text(errors="replace") if path.is_file() else ""
    if not text.strip():
        raise LabelError(
            f"pw.x gave no result: {path} is {'empty' if path.is_file() else 'missing'}; {complaint(folder)}"
        )
    starts = _START.findall(text)
    if len(starts) > 1:
        raise LabelError(f"pw.x gave no result: {complaint(folder)}; see {path}")
    _refuse_unconverged(text, path)
    if "JOB DONE" not in text:
        raise LabelError(f"pw.x gave no result: {path} breaks off before its end; {complaint(folder)}")
    output, species, lattice, positions = _parsed(folder, path, cell, starts)
    _refuse_other_structure(species, lattice, positions, cell, folder)
    return output


def complaint(folder: Path) -> str:
    """Return pw.x's own words about what went wrong, in one line; its last words where none of them complains."""
    lines = [line for name in (OUTPUT, ERRORS) for line in plain_lines(folder / name, _FRAME)]
    copies = sum(_START.match(line) is not None for line in lines)
    if copies > 1:
        return (
            f"the command started {copies} copies of pw.x on one process each, and not one on {copies}: the launcher "
            "belongs to another MPI than pw.x. Name the launcher of pw.x's own MPI with its path"
        )
    if found := next((line for line in lines if "convergence NOT achieved" in line), None):
        return f"it did not converge ({found}); {_ADVICE}"
    for pattern in _COMPLAINTS:
        for number, line in enumerate(lines):
            if re.search(pattern, line):
                return one_line(lines[number : number + 3])
    return f"its last words are '{one_line(lines[-1:])}'" if lines else "it wrote nothing"


def _refuse_unconverged(text: str, path: Path) -> None:
    """Refuse a run that does not say it converged, or whose last step says otherwise."""
    if "convergence NOT achieved" in text:
        raise LabelError(f"pw.x: {complaint(path.parent)}; see {path}")
    if "JOB DONE" not in text:
        return  # broken off, which is told elsewhere
    reached = re.search(r"convergence has been achieved in\s+(\d+) iterations", text)
    accuracies, threshold = _ACCURACY.findall(text), _THRESHOLD.search(text)
    if reached is None or not accuracies or threshold is None:
        raise LabelError(f"pw.x does not say that it converged; see {path}")
    last, wanted = _float(accuracies[-1]), _float(threshold[1])
    if not last <= wanted:
        raise LabelError(
            f"pw.x did not converge: the estimated error of the energy is {last * Rydberg:.1g} eV, the threshold is "
            f"{wanted * Rydberg:.1g} eV; {_ADVICE}; see {path}"
        )
    step = text[text.rindex("iteration #") :] if "iteration #" in text else ""
    if found := re.search(r"c_bands:\s+(\d+) eigenvalues not converged", step):
        raise LabelError(
            f"pw.x did not converge: {found[1]} eigenvalues have not in its last electronic step; tighten "
            f"diago_thr_init or change diagonalization; see {path}"
        )


def _parsed(
    folder: Path, path: Path, cell: GroupedCell, starts: Sequence[str]
) -> tuple[EspressoOutput, tuple[str, ...], FloatArray, FloatArray]:
    """Return the result, and the species, lattice and positions that it belongs to."""
    from ase.io import read

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns about is judged here
            images = read(path, ":", format="espresso-out")
            if len(images) != 1:
                raise LabelError(f"pw.x computed {len(images)} structures, expected one; see {path}")
            atoms = images[0]
            results = atoms.calc.results
            stress = np.array(atoms.get_stress(voigt=False)) if results.get("stress") is not None else None
            output = EspressoOutput(
                energy=float(results["free_energy"]),
                forces=np.array(results["forces"], dtype=np.float64),
                stress=stress,
                version=starts[0] if starts else "unknown",
            )
    except LabelError:
        raise
    except Exception as error:  # garbled: ASE raises whatever its parsing meets
        words = " ".join(str(error).split())[:120]
        raise LabelError(
            f"pw.x gave no result: {path} cannot be read ({type(error).__name__}: {words}); {complaint(folder)}"
        ) from error
    if all(cell.periodic) and stress is None:
        raise LabelError(f"pw.x gave no stress; see {path}")
    species = tuple(atoms.get_chemical_symbols())
    return output, species, np.array(atoms.cell.array), np.array(atoms.positions)


def _refuse_other_structure(
    species: tuple[str, ...], lattice: FloatArray, positions: FloatArray, cell: GroupedCell, folder: Path
) -> None:
    """Refuse a result that is not that of the frame: its atoms, their order, the cell and the positions."""
    if species != cell.species:
        raise LabelError(
            f"pw.x computed {len(species)} atoms ({' '.join(dict.fromkeys(species))}), the frame has "
            f"{len(cell.species)} ({' '.join(cell.elements)}); does the command use the files in its working folder? "
            f"See {folder}"
        )
    shift = np.linalg.solve(cell.lattice.T, positions.T).T - cell.fractional
    places = float(np.abs((shift - np.round(shift)) @ cell.lattice).max())
    vectors = float(np.abs(lattice - cell.lattice).max())
    if max(vectors, places) > SAME_PLACE:
        raise LabelError(
            f"pw.x computed another structure than the frame (cell vectors differ by {vectors:.2g} Å, positions by "
            f"{places:.2g} Å); does the command use the files in its working folder? See {folder}"
        )


def _float(text: str) -> float:
    return float(text.upper().replace("D", "E"))
