"""Labelled frames as deepmd/npy systems, the format that DeePMD-kit and dpdata read.

A system holds frames of one composition whose atoms stand in one order: by type. Frames whose atoms come in another
order are sorted, forces with them. Units and signs are DeePMD's: eV, Å, eV/Å, virial in eV (-stress x volume).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lammps_dpgen.errors import ConfigError, TrainingError
from lammps_dpgen.frame import FloatArray, Frame, LabelledFrame

SET = "set.000"
#: DeePMD-kit's name for the weight of the force on each atom.
WEIGHTS = "atom_pref"


@dataclass(frozen=True)
class System:
    """The arrays of one deepmd/npy system.

    Attributes
    ----------
    species
        Chemical symbols, one per atom.
    positions
        ``[n_frames, n_atoms, 3]`` in Å.
    cells
        ``[n_frames, 3, 3]`` in Å, or None where the system is not periodic.
    """

    species: tuple[str, ...]
    positions: FloatArray
    cells: FloatArray | None


def write_systems(labelled: Sequence[LabelledFrame], folder: Path, type_map: Sequence[str]) -> list[Path]:
    """Write labelled frames as deepmd/npy systems ``folder/<formula>``, one per composition and periodicity.

    Virials are written for a system when all of its frames have one. Frames of which not all forces are learnt are
    systems of their own, with a weight for the force on each atom (``atom_pref.npy``) and without virial: the number of
    atoms over that of learnt ones, or 0, so that the mean over all atoms is that over the learnt ones. A system that
    exists already is replaced; each one appears complete or not at all.

    Parameters
    ----------
    type_map
        Elements of the model, in order; it decides the order of the atoms.

    Returns
    -------
    list of Path
        Folders of the systems, sorted by name.

    Raises
    ------
    ConfigError
        A frame has an element that the type map does not name.
    TrainingError
        A frame is periodic along some cell vectors only, or a label has other atoms than its frame or numbers that
        are not finite.
    """
    groups: dict[str, list[LabelledFrame]] = {}
    for member in labelled:
        _check(member, type_map)
        groups.setdefault(_name(member, type_map), []).append(member)
    folder.mkdir(parents=True, exist_ok=True)
    return [_write_system(members, folder / name, type_map) for name, members in sorted(groups.items())]


def read_system(folder: Path) -> System:
    """Read species, positions and cells of a deepmd/npy system that names its elements in ``type_map.raw``.

    Raises
    ------
    TrainingError
        The folder is no such system.
    """
    try:
        elements = (folder / "type_map.raw").read_text().split()
        types = np.loadtxt(folder / "type.raw", dtype=np.int64, ndmin=1)
        sets = sorted(folder.glob("set.*"))
        positions = np.concatenate([np.load(path / "coord.npy") for path in sets]).astype(np.float64)
        periodic = not (folder / "nopbc").exists()
        cells = np.concatenate([np.load(path / "box.npy") for path in sets]).astype(np.float64) if periodic else None
        return System(
            species=tuple(elements[kind] for kind in types),
            positions=positions.reshape(len(positions), len(types), 3),
            cells=None if cells is None else cells.reshape(-1, 3, 3),
        )
    except (OSError, ValueError, IndexError) as error:
        raise TrainingError(f"'{folder}' cannot be read as a deepmd/npy system: {error}") from error


def _check(member: LabelledFrame, type_map: Sequence[str]) -> None:
    """Refuse what DeePMD-kit would train on silently, or fail on without naming the frame."""
    frame, label = member.frame, member.label
    foreign = sorted(set(frame.species) - set(type_map))
    if foreign:
        raise ConfigError(
            f"a labelled frame holds {', '.join(foreign)}, which the type map ({' '.join(type_map)}) does not name; "
            "add the element to the type map"
        )
    if any(frame.pbc) != all(frame.pbc):
        raise TrainingError(
            f"frame {frame.hash[:12]} is periodic along {sum(frame.pbc)} of 3 cell vectors; DeePMD-kit knows 3 or 0"
        )
    if label.forces.shape != frame.positions.shape:
        raise TrainingError(
            f"label of frame {frame.hash[:12]} has forces of shape {label.forces.shape}, "
            f"expected {frame.positions.shape}"
        )
    virial = np.zeros((3, 3)) if label.virial is None else label.virial
    if not (np.isfinite(label.energy) and np.isfinite(label.forces).all() and np.isfinite(virial).all()):
        raise TrainingError(
            f"label of frame {frame.hash[:12]} has numbers that are not finite; it cannot be trained on"
        )


def _name(member: LabelledFrame, type_map: Sequence[str]) -> str:
    counts = Counter(member.frame.species)
    formula = "".join(f"{element}{counts[element]}" for element in type_map if counts[element])
    kind = "" if member.frame.learnt is None else "_cut"
    return f"{formula}{kind}" if all(member.frame.pbc) else f"{formula}{kind}_nopbc"


def _write_system(members: Sequence[LabelledFrame], folder: Path, type_map: Sequence[str]) -> Path:
    """Write one system beside its place and put it there in one rename."""
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    fresh.chmod(0o755)
    try:
        _write_files(members, fresh, type_map)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(fresh, folder)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return folder


def _write_files(members: Sequence[LabelledFrame], folder: Path, type_map: Sequence[str]) -> None:
    kinds = [np.array([type_map.index(symbol) for symbol in member.frame.species]) for member in members]
    orders = [np.argsort(kind, kind="stable") for kind in kinds]
    (folder / "type.raw").write_text("".join(f"{kind}\n" for kind in np.sort(kinds[0])))
    (folder / "type_map.raw").write_text("".join(f"{element}\n" for element in type_map))
    if not all(members[0].frame.pbc):
        (folder / "nopbc").touch()
    (folder / SET).mkdir()
    for name, values in _arrays(members, orders).items():
        np.save(folder / SET / f"{name}.npy", values)


def _arrays(members: Sequence[LabelledFrame], orders: Sequence[NDArray[np.int64]]) -> dict[str, FloatArray]:
    """Return the arrays of the set, flattened per frame as the format asks, in double precision."""
    pairs = list(zip(members, orders, strict=True))
    arrays = {
        "coord": np.stack([member.frame.positions[order].ravel() for member, order in pairs]),
        "box": np.stack([member.frame.cell.ravel() for member in members]),
        "energy": np.array([member.label.energy for member in members]),
        "force": np.stack([member.label.forces[order].ravel() for member, order in pairs]),
    }
    if members[0].frame.learnt is not None:
        arrays[WEIGHTS] = np.stack([_weights(member.frame)[order] for member, order in pairs])
        return {name: np.asarray(values, dtype=np.float64) for name, values in arrays.items()}
    virials = [member.label.virial.ravel() for member in members if member.label.virial is not None]
    if len(virials) == len(members):
        arrays["virial"] = np.stack(virials)
    return {name: np.asarray(values, dtype=np.float64) for name, values in arrays.items()}


def _weights(frame: Frame) -> FloatArray:
    """Return the weight of the force on each atom of a frame, 1 on average."""
    learnt = np.ones(frame.n_atoms, dtype=bool) if frame.learnt is None else frame.learnt
    return np.where(learnt, frame.n_atoms / np.count_nonzero(learnt), 0.0)


def has_weights(system: Path) -> bool:
    """Tell whether a deepmd/npy system says which forces are learnt."""
    return any(system.glob(f"set.*/{WEIGHTS}.npy"))


def complete_weights(systems: Sequence[Path]) -> None:
    """Give all systems of a training weights where one of them has some: DeePMD-kit takes them for all or for none.

    Each file appears complete or not at all.
    """
    without = [system for system in systems if not has_weights(system)]
    if len(without) == len(systems):
        return
    for system in without:
        for folder in sorted(system.glob("set.*")):
            forces = np.load(folder / "force.npy", mmap_mode="r")
            fresh = folder / f".{WEIGHTS}.npy"
            np.save(fresh, np.ones((len(forces), forces.shape[1] // 3)))
            os.replace(fresh, folder / f"{WEIGHTS}.npy")
