"""Errors of a potential on labelled frames, frame by frame, and what they are for groups of frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lammps_dpgen.frame import FloatArray, Frame, Label

#: More distinct temperatures than this are put into bins.
MOST_TEMPERATURES = 12


@dataclass(frozen=True)
class FrameError:
    """What a potential says of a labelled frame, minus the label.

    Attributes
    ----------
    place
        File and number of the frame.
    system
        Formula.
    counts
        Atoms by element.
    temperature
        K; None where the data says none.
    energy
        eV per atom.
    force_square, force_absolute
        Means over the components, (eV/Å)² and eV/Å.
    force_max
        Largest length of an error vector, eV/Å.
    virial_square
        Mean over the components of the square per atom, eV²; None without a virial.
    deviation
        max_devi_f of the ensemble, eV/Å; None for a single model.
    """

    place: str
    system: str
    counts: dict[str, int]
    temperature: float | None
    energy: float
    force_square: float
    force_absolute: float
    force_max: float
    virial_square: float | None
    deviation: float | None

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return sum(self.counts.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def frame_error(
    place: str,
    frame: Frame,
    label: Label,
    energy: float,
    forces: FloatArray,
    virial: FloatArray | None,
    deviation: float | None,
) -> FrameError:
    """Return the errors of a prediction (eV, ``[n_atoms, 3]`` eV/Å, ``[3, 3]`` eV)."""
    difference = forces - label.forces
    virial_square = None
    if virial is not None and label.virial is not None:
        virial_square = float(np.mean(((virial - label.virial) / frame.n_atoms) ** 2))
    return FrameError(
        place=place,
        system=frame.formula,
        counts={element: frame.species.count(element) for element in sorted(set(frame.species))},
        temperature=frame.origin.temperature if np.isfinite(frame.origin.temperature) else None,
        energy=(energy - label.energy) / frame.n_atoms,
        force_square=float(np.mean(difference**2)),
        force_absolute=float(np.mean(np.abs(difference))),
        force_max=float(np.linalg.norm(difference, axis=1).max()),
        virial_square=virial_square,
        deviation=deviation,
    )


def summary(errors: Sequence[FrameError]) -> dict[str, float | None]:
    """Return what is reported of a group of frames: energies in eV/atom, forces in eV/Å, virials in eV/atom."""
    energies = np.array([error.energy for error in errors])
    weights = np.array([error.n_atoms for error in errors], dtype=np.float64)
    virials = [error.virial_square for error in errors if error.virial_square is not None]
    return {
        "energy RMSE": float(np.sqrt(np.mean(energies**2))),
        "energy RMSE, shifted": shifted_rmse(errors),
        "force RMSE": float(np.sqrt(np.average([error.force_square for error in errors], weights=weights))),
        "force MAE": float(np.average([error.force_absolute for error in errors], weights=weights)),
        "force error, largest": max(error.force_max for error in errors),
        "virial RMSE": float(np.sqrt(np.mean(virials))) if virials else None,
    }


def shifted_rmse(errors: Sequence[FrameError]) -> float | None:
    """Return the energy RMSE (eV/atom) after each element's energy has been shifted to fit best.

    Two methods may count the energy of an atom from different zeros. None where there are too few frames to tell.
    """
    elements = sorted({element for error in errors for element in error.counts})
    if len(errors) <= len(elements):
        return None
    shares = np.array([[error.counts.get(element, 0) / error.n_atoms for element in elements] for error in errors])
    energies = np.array([error.energy for error in errors])
    shifts = np.linalg.lstsq(shares, energies, rcond=None)[0]
    return float(np.sqrt(np.mean((energies - shares @ shifts) ** 2)))


def groups(errors: Sequence[FrameError], bin_width: float) -> dict[str, list[FrameError]]:
    """Return the frames by formula and by temperature, where there are at least two groups of a kind.

    Parameters
    ----------
    bin_width
        K, of the bins that more than a dozen temperatures are put into.
    """
    systems = _grouped((error.system, error) for error in errors)
    known = [(error.temperature, error) for error in errors if error.temperature is not None]
    if len({round(temperature) for temperature, _ in known}) <= MOST_TEMPERATURES:
        named = [(round(t), f"{round(t)} K", error) for t, error in known]
    else:
        lows = [(int(t // bin_width * bin_width), error) for t, error in known]
        named = [(low, f"{low:g}-{low + bin_width:g} K", error) for low, error in lows]
    named.sort(key=lambda entry: entry[0])
    temperatures = _grouped((name, error) for _, name, error in named)
    return {**(systems if len(systems) > 1 else {}), **(temperatures if len(temperatures) > 1 else {})}


def missed(errors: Sequence[FrameError], small: float, large: float) -> list[FrameError]:
    """Return the frames whose deviation is below `small` though their force error is above `large`, worst first."""
    found = [error for error in errors if error.deviation is not None and error.deviation < small]
    return sorted((error for error in found if error.force_max > large), key=lambda error: -error.force_max)


def _grouped(named: Iterable[tuple[str, FrameError]]) -> dict[str, list[FrameError]]:
    found: dict[str, list[FrameError]] = {}
    for name, error in named:
        found.setdefault(name, []).append(error)
    return found
