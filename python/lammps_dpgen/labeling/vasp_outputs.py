"""What VASP says about a frame: vasprun.xml first, OUTCAR where that is missing or broken.

Energies are VASP's free energy TOTEN (``e_fr_energy``), the one whose gradient the forces are. VASP's stress is in
kBar and positive when compressed; times the volume it is the virial of docs/notation.md, as in DP-GEN and dpdata.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.units import GPa

from lammps_dpgen.errors import LabelError
from lammps_dpgen.frame import FloatArray
from lammps_dpgen.labeling.cell import GroupedCell
from lammps_dpgen.labeling.vasp_run import complaint

#: 1 kBar in eV/Å3.
KILOBAR = 0.1 * GPa
#: Largest difference (Å) between what was asked and what was computed; an OUTCAR has five decimals.
SAME_PLACE = 1e-4

_ITERATION = re.compile(r"Iteration\s+(\d+)\(\s*(\d+)\)")
_ACCOUNTING = "General timing and accounting"
_NOT_REACHED = re.compile(r"EDIFF was not reached|self-consistency was not achieved", re.IGNORECASE)


@dataclass(frozen=True)
class VaspOutput:
    """What one single point gave, atoms as in the POSCAR.

    Attributes
    ----------
    energy
        Free energy in eV.
    forces
        ``[n_atoms, 3]`` in eV/Å.
    stress
        ``[3, 3]`` in eV/Å3, VASP's sign: positive when compressed.
    version
        Of VASP.
    """

    species: tuple[str, ...]
    lattice: FloatArray
    fractional: FloatArray
    energy: float
    forces: FloatArray
    stress: FloatArray
    version: str


def read_output(folder: Path, cell: GroupedCell) -> VaspOutput:
    """Return what VASP computed for `cell` in `folder`.

    Raises
    ------
    LabelError
        No complete result, not converged, or the result of another structure; with the file that shows it.
    """
    outcar = folder / "OUTCAR"
    text = outcar.read_text(errors="replace") if outcar.is_file() else ""
    if _NOT_REACHED.search(text):
        raise LabelError(
            f"VASP did not converge: it says so itself (EDIFF was not reached) in {outcar}; raise NELM, or change ALGO "
            "or the mixing"
        )
    output, reason = _from_xml(folder / "vasprun.xml")
    if output is None:
        output, other = _from_outcar(outcar, text, cell)
        if output is None:
            raise LabelError(f"VASP gave no result: {reason}; {other}; {complaint(folder)}")
    _refuse_other_structure(output, cell, folder)
    return output


def _from_xml(path: Path) -> tuple[VaspOutput | None, str]:
    """Return the result in a vasprun.xml, or None and why there is none."""
    if not path.is_file() or path.stat().st_size == 0:
        return None, f"{path} is {'empty' if path.is_file() else 'missing'}"
    from pymatgen.io.vasp.outputs import Vasprun

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it warns about is judged below
            run = Vasprun(path, parse_dos=False, parse_eigen=False, parse_potcar_file=False)
        steps, limit = run.ionic_steps, int(run.parameters["NELM"])
        if not steps:
            return None, f"{path} has no ionic step"
        _refuse_unconverged(len(steps), len(steps[-1]["electronic_steps"]), limit, path)
        return _xml_output(run, steps[-1]), ""
    except LabelError:
        raise
    except Exception as error:  # cut off or garbled: pymatgen raises whatever its parsing meets
        return None, f"{path} cannot be read ({type(error).__name__}: {_short(error)})"


def _xml_output(run: Any, step: dict[str, Any]) -> VaspOutput:
    structure = step["structure"]
    return VaspOutput(
        species=tuple(run.atomic_symbols),
        lattice=np.array(structure.lattice.matrix, dtype=np.float64),
        fractional=np.array(structure.frac_coords, dtype=np.float64),
        energy=float(step["e_fr_energy"]),
        forces=np.array(step["forces"], dtype=np.float64),
        stress=np.array(step["stress"], dtype=np.float64) * KILOBAR,
        version=str(run.vasp_version).strip(),
    )


def _from_outcar(path: Path, text: str, cell: GroupedCell) -> tuple[VaspOutput | None, str]:
    """Return the result in an OUTCAR, or None and why there is none."""
    if not text.strip():
        return None, f"{path} is {'empty' if path.is_file() else 'missing'}"
    if _ACCOUNTING not in text:
        return None, f"{path} breaks off before its end"
    import dpdata

    limit = re.search(r"NELM\s*=\s*(\d+)", text)
    iterations = _ITERATION.findall(text)
    if limit is None or not iterations:
        return None, f"{path} has no electronic steps"
    _refuse_unconverged(int(iterations[-1][0]), int(iterations[-1][1]), int(limit[1]), path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            data = dpdata.LabeledSystem(str(path), fmt="vasp/outcar").data
        lattice = np.array(data["cells"][0], dtype=np.float64)
        # dpdata turns the cell; the lattice that VASP was given tells how to turn forces and stress back.
        turn = np.asarray(np.linalg.solve(lattice, cell.lattice), dtype=np.float64)
        return VaspOutput(
            species=tuple(data["atom_names"][kind] for kind in data["atom_types"]),
            lattice=np.asarray(lattice @ _orthogonal(turn)),
            fractional=np.linalg.solve(lattice.T, np.array(data["coords"][0]).T).T,
            energy=float(data["energies"][0]),
            forces=np.array(data["forces"][0]) @ turn,
            stress=turn.T @ np.array(data["virials"][0]) @ turn / abs(float(np.linalg.det(lattice))),
            version=_version(text),
        ), ""
    except Exception as error:  # as above
        return None, f"{path} cannot be read ({type(error).__name__}: {_short(error)})"


def _orthogonal(turn: FloatArray) -> FloatArray:
    """Return the rotation next to a matrix: another lattice than the one asked for stays another one."""
    left, _, right = np.linalg.svd(turn)
    return np.asarray(left @ right, dtype=np.float64)


def _refuse_unconverged(ionic: int, electronic: int, limit: int, path: Path) -> None:
    """Refuse a run whose last electronic step is the last allowed one, as DP-GEN does, and one that moved atoms."""
    if ionic != 1:
        raise LabelError(f"VASP made {ionic} ionic steps, expected one single point; see {path}")
    if electronic >= limit:
        raise LabelError(
            f"VASP did not converge: {electronic} electronic steps, and NELM = {limit} allows no more; see {path}. "
            "Raise NELM, or change ALGO or the mixing"
        )


def _refuse_other_structure(output: VaspOutput, cell: GroupedCell, folder: Path) -> None:
    """Refuse a result that is not that of the POSCAR: its atoms, their order, the cell and the positions."""
    n_atoms = len(cell.species)
    if len(output.species) != n_atoms or output.forces.shape != (n_atoms, 3):
        raise LabelError(
            f"VASP computed {len(output.species)} atoms ({len(output.forces)} forces), the frame has {n_atoms}; does "
            f"the command use the files in its working folder? See {folder}"
        )
    if output.species != cell.species:
        raise LabelError(
            f"VASP computed {_counts(output.species)}, the POSCAR has {_counts(cell.species)}: POTCAR and POSCAR "
            f"do not go together; see {folder}"
        )
    shift = output.fractional - cell.fractional
    places = float(np.abs((shift - np.round(shift)) @ cell.lattice).max())
    vectors = float(np.abs(output.lattice - cell.lattice).max())
    if max(vectors, places) > SAME_PLACE:
        raise LabelError(
            f"VASP computed another structure than the frame (cell vectors differ by {vectors:.2g} Å, positions by "
            f"{places:.2g} Å); does the command use the files in its working folder? See {folder}"
        )


def _counts(species: Sequence[str]) -> str:
    return " ".join(f"{element}{species.count(element)}" for element in dict.fromkeys(species))


def _version(text: str) -> str:
    found = re.search(r"vasp\.(\S+)", text[:2000])
    return found[1] if found else "unknown"


def _short(error: Exception) -> str:
    words = " ".join(str(error).split())
    return words if len(words) <= 120 else words[:117] + "..."
