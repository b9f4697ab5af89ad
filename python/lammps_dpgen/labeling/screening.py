"""What every result passes before it becomes a label, the same for every labeler."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii
from ase.symbols import Symbols
from numpy.typing import NDArray

from lammps_dpgen.errors import LabelError
from lammps_dpgen.frame import FloatArray, Frame, FrameOrigin, Label


@dataclass(frozen=True)
class Result:
    """What a reference method said about a frame, before anybody looked at it.

    Attributes
    ----------
    energy
        In eV; see `Label`, as for the others.
    forces
        ``[n_atoms, 3]`` in eV/Å, atoms as in the frame.
    virial
        ``[3, 3]`` in eV, or None without a cell.
    code
        Program that computed it, with version.
    """

    energy: float
    forces: FloatArray
    virial: FloatArray | None
    code: str


def screened_label(frame: Frame, settings_hash: str, compute: Callable[[], Result]) -> Label:
    """Call `compute`, refuse a bad result, and return the label with the wall time that it cost.

    Raises
    ------
    LabelError
        `compute` failed, the disk of its folder is full, or its result has values that are not finite or forces of the
        wrong shape.
    """
    start = time.perf_counter()
    try:
        result = compute()
    except OSError as error:
        raise LabelError(
            f"the files of the label cannot be written or read ({error}); see to the room and the permissions on the "
            "disk of the run folder"
        ) from error
    refuse_bad_result(frame, result)
    return Label(
        energy=result.energy,
        forces=result.forces,
        virial=result.virial,
        code=result.code,
        settings_hash=settings_hash,
        seconds=time.perf_counter() - start,
    )


def refuse_bad_result(frame: Frame, result: Result) -> None:
    """Refuse energies, forces or virials that are not finite, and forces of the wrong shape.

    Raises
    ------
    LabelError
        Names the quantity, the number of values that are not finite, and the first atom (from 1) concerned.
    """
    energy, forces, virial = result.energy, result.forces, result.virial
    if forces.shape != (frame.n_atoms, 3):
        raise LabelError(f"the forces have shape {forces.shape}, expected ({frame.n_atoms}, 3)")
    if not np.isfinite(energy):
        raise LabelError(f"the energy is not finite ({energy}); are two atoms on top of each other?")
    bad = np.flatnonzero(~np.isfinite(forces).all(axis=1))
    if len(bad):
        raise LabelError(
            f"the forces on {len(bad)} of {frame.n_atoms} atoms are not finite (first: atom {bad[0] + 1}, "
            f"{frame.species[bad[0]]}); are two atoms on top of each other?"
        )
    if virial is not None and not np.isfinite(virial).all():
        raise LabelError(f"the virial is not finite: {virial.tolist()}")


def trial_frame(species: list[str]) -> Frame:
    """Return a small periodic frame with one or two atoms of each of `species`, to try a labeler on.

    The atoms sit in a row of simple cubic cells, slightly off the ideal sites, 1.25 times the largest sum of covalent
    radii apart.
    """
    names = list(species) if len(species) > 1 else [*species, *species]
    numbers: NDArray[np.int_] = Symbols.fromsymbols(names).numbers
    spacing = 2.5 * float(covalent_radii[numbers].max())
    positions = np.zeros((len(names), 3))
    positions[:, 0] = spacing * np.arange(len(names))
    positions[0] += 0.02 * spacing
    cell = spacing * np.diag([float(len(names)), 1.0, 1.0])
    return Frame(tuple(names), positions, cell, origin=FrameOrigin("trial"))
