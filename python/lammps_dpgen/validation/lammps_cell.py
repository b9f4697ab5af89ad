"""The cell of a relaxation where LAMMPS' own minimiser does not find it.

``fix box/relax`` takes the stresses along x, y and z for the slopes of the energy with the lengths of the cell vectors.
In a tilted cell under shear stress they are not, and its line search fails. Here the cell is changed until the true
slopes are gone, by a secant method (Broyden, Math. Comp. 19, 577 (1965)), and LAMMPS relaxes the atoms at every step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase.units import GPa

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.validation.lammps_session import LammpsSession
from lammps_dpgen.validation.potential import CellFreedom

#: How many numbers each freedom has, and the strain components (row, column) of "tri".
_NUMBER = {"iso": 1, "aniso": 3, "tri": 6, "z": 1}
_TRIANGLE = ((0, 0), (1, 1), (2, 2), (1, 0), (2, 0), (2, 1))
#: Strain of the first differences, and the largest strain of a step.
_DIFFERENCE, _LARGEST = 1e-3, 0.02
_STEPS = 20


def strain_to_zero_stress(
    session: LammpsSession, freedom: CellFreedom, relax_atoms: Callable[[], object], tolerance: float
) -> bool:
    """Strain the cell of the atoms in LAMMPS until the free components of the stress are gone.

    Parameters
    ----------
    relax_atoms
        Relaxes the atoms in the present cell and leaves the stress computed.
    tolerance
        GPa.

    Returns
    -------
    bool
        Whether it got there.
    """
    lower, start = session.library.box()

    def slopes_at(change: FloatArray) -> FloatArray:
        session.run([_change(lower, _changed(freedom, start, change))])
        relax_atoms()
        return free_stress(freedom, session.stress() / GPa, session.library.box()[1])

    change = np.zeros(_NUMBER[freedom])
    slopes = slopes_at(change)
    matrix = np.empty((len(change), len(change)))
    for number in range(len(change)):
        moved = change.copy()
        moved[number] += _DIFFERENCE
        matrix[:, number] = (slopes_at(moved) - slopes) / _DIFFERENCE
    for _ in range(_STEPS):
        if np.abs(slopes).max() <= tolerance:
            return True
        step = -np.linalg.lstsq(matrix, slopes, rcond=1e-8)[0]
        step *= min(1.0, _LARGEST / np.abs(step).max())
        change = change + step
        new = slopes_at(change)
        matrix += np.outer(new - slopes - matrix @ step, step) / (step @ step)
        slopes = new
    return bool(np.abs(slopes).max() <= tolerance)


def free_stress(freedom: CellFreedom, stress: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return what a relaxation brings to zero: the slopes of the energy with what is free, by the volume.

    Parameters
    ----------
    stress
        ``[3, 3]``, any unit; the result has the same.
    vectors
        ``[3, 3]``, rows are the cell vectors h. The slope with the length of vector k is that of a strain
        h^-1 E_k h, which is (h stress h^-1)_kk.
    """
    if freedom == "iso":
        return np.array([np.trace(stress) / 3.0])
    if freedom == "aniso":
        return np.asarray(np.diag(vectors @ stress @ np.linalg.inv(vectors)), dtype=np.float64)
    if freedom == "tri":
        return np.array([stress[i, j] for i, j in _TRIANGLE])
    return np.array([stress[2, 2]]) if freedom == "z" else np.zeros(1)


def _changed(freedom: CellFreedom, start: FloatArray, change: FloatArray) -> FloatArray:
    """Return the cell with its lengths, or its triangle, changed; it stays lower triangular."""
    if freedom == "iso":
        return np.asarray(start * (1.0 + change[0]), dtype=np.float64)
    if freedom == "aniso":
        return np.asarray((1.0 + change)[:, None] * start, dtype=np.float64)
    strain = np.zeros((3, 3))
    for (i, j), value in zip(((2, 2),) if freedom == "z" else _TRIANGLE, change, strict=True):
        strain[i, j] = value
    if freedom == "z":  # tilts stay
        return start + strain * start
    return np.asarray(start @ (np.eye(3) + strain), dtype=np.float64)


def _change(lower: FloatArray, vectors: FloatArray) -> str:
    upper = lower + np.diag(vectors)
    words = [f"{axis} final {float(lo)!r} {float(hi)!r}" for axis, lo, hi in zip("xyz", lower, upper, strict=True)]
    words += [f"{n} final {float(vectors[i, j])!r}" for n, i, j in (("xy", 1, 0), ("xz", 2, 0), ("yz", 2, 1))]
    return f"change_box all {' '.join(words)} remap units box"
