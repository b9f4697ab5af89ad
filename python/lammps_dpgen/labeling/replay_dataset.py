"""Labelled frames that are there already, and the search for one of them: the same crystal, however it is written.

Two frames are the same when one becomes the other by an order of its atoms, by whole cell vectors and by a rotation of
the whole, up to a tolerance for the places of the atoms. A dataset may come from a code that turned the cell, sorted
the atoms by element or wrapped them into the cell; LAMMPS does all three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from ase.cell import Cell
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lammps_dpgen.errors import ConfigError, LabelError
from lammps_dpgen.frame import FloatArray, Frame

#: Sums of plane waves over the atoms of an element do not depend on the atoms' order and images: they tell frames
#: apart before atoms are paired.
_WAVES = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]])
#: Frames that are paired to tell how near the nearest one is, where none is near enough.
_SHOWN = 10


@dataclass(frozen=True)
class Entry:
    """A frame of a dataset with its label; atoms sorted by element.

    Attributes
    ----------
    lattice
        ``[3, 3]`` in Å, rows are vectors; of length 1 and at right angles to the others where it is not periodic.
    fractional
        ``[n_atoms, 3]`` in units of these.
    energy, forces, virial
        As of a `Label`.
    place
        Where it stands: ``file, frame 12``.
    """

    lattice: FloatArray
    fractional: FloatArray
    energy: float
    forces: FloatArray
    virial: FloatArray | None
    place: str


class Match(NamedTuple):
    """An entry that is the frame asked for; `order` and `rotation` turn its vectors into the frame's."""

    entry: Entry
    order: NDArray[np.int_]
    rotation: FloatArray
    distance: float

    def vectors(self, values: FloatArray) -> FloatArray:
        """Return ``[n_atoms, 3]`` values of the entry's atoms for those of the frame."""
        turned = np.empty_like(values)
        turned[self.order] = values @ self.rotation
        return turned

    def tensor(self, values: FloatArray) -> FloatArray:
        """Return a ``[3, 3]`` tensor of the entry in the frame's axes."""
        return np.asarray(self.rotation.T @ values @ self.rotation)


class _Group(NamedTuple):
    """The frames of one composition and periodicity, with what is compared first."""

    blocks: list[slice]
    entries: list[Entry]
    metrics: FloatArray
    waves: NDArray[np.complex128]


class Dataset:
    """Labelled frames of files and folders.

    Parameters
    ----------
    sources
        Files that ASE reads, with energies and forces, and folders of deepmd/npy systems.

    Raises
    ------
    ConfigError
        Nothing that can be read, or frames without energy or forces.
    """

    def __init__(self, sources: Sequence[Path]) -> None:
        found: dict[tuple[Any, ...], list[Entry]] = {}
        self.elements: set[str] = set()
        for source in sources:
            count = 0
            for atoms, virial, place in _read(source):
                count += 1
                frame = Frame.from_ase(atoms)
                self.elements |= set(frame.species)
                found.setdefault(_key(frame), []).append(_entry(frame, atoms, virial, place))
            if count == 0:
                raise ConfigError(f"labeler replay: {source} has no frames")
        self._groups = {key: _group(key[0], entries) for key, entries in found.items()}

    def __len__(self) -> int:
        return sum(len(group.entries) for group in self._groups.values())

    def find(self, frame: Frame, tolerance: float) -> Match:
        """Return the nearest entry that is `frame`, no atom further off than `tolerance` (Å).

        Raises
        ------
        LabelError
            There is none: with what there is instead.
        """
        group = self._groups.get(_key(frame))
        if group is None:
            raise LabelError(
                f"the dataset of {len(self)} frames has none of {frame.formula} with the same periodicity; replay "
                "knows frames that were labelled before, and no others"
            )
        order, lattice, fractional = _sorted(frame)
        near, bound = _candidates(group, lattice, fractional, tolerance)
        matches = [_paired(group, index, lattice, fractional, frame.pbc) for index in near]
        best = min(matches, key=lambda match: match.distance, default=None)
        if best is None or not best.distance <= tolerance:
            raise LabelError(_nearest(group, lattice, fractional, frame, tolerance, bound))
        return best._replace(order=order[best.order])


def _key(frame: Frame) -> tuple[Any, ...]:
    return tuple(sorted(frame.species)), frame.pbc


def _sorted(frame: Frame) -> tuple[NDArray[np.int_], FloatArray, FloatArray]:
    """Return the order of the atoms by element, the lattice, and the fractional positions in that order."""
    pbc = np.array(frame.pbc)
    lattice = np.array(Cell(np.where(pbc[:, None], frame.cell, 0.0)).complete())
    order = np.argsort(np.array(frame.species), kind="stable")
    fractional = np.linalg.solve(lattice.T, frame.positions[order].T).T
    return order, lattice, np.asarray(np.where(pbc, fractional % 1.0, fractional))


def _entry(frame: Frame, atoms: Atoms, virial: FloatArray | None, place: str) -> Entry:
    results = {} if atoms.calc is None else atoms.calc.results
    energy = results.get("free_energy", results.get("energy"))
    if energy is None or "forces" not in results:
        raise ConfigError(
            f"labeler replay: {place} has no energy or no forces; give a labelled dataset, such as a file that "
            "'lammps-dpgen label' wrote, or the folder data/ of a run"
        )
    if virial is None and "stress" in results and all(frame.pbc):
        virial = -np.asarray(atoms.get_stress(voigt=False, apply_constraint=False)) * frame.volume
    order, lattice, fractional = _sorted(frame)
    return Entry(lattice, fractional, float(energy), np.array(results["forces"], dtype=float)[order], virial, place)


def _group(species: tuple[str, ...], entries: list[Entry]) -> _Group:
    edges = [i for i in range(len(species) + 1) if i in (0, len(species)) or species[i] != species[i - 1]]
    blocks = [slice(a, b) for a, b in pairwise(edges)]
    return _Group(
        blocks,
        entries,
        np.array([entry.lattice @ entry.lattice.T for entry in entries]),
        np.array([_wave_sums(entry.fractional, blocks) for entry in entries]),
    )


def _wave_sums(fractional: FloatArray, blocks: list[slice]) -> NDArray[np.complex128]:
    waves = np.exp(2j * np.pi * fractional @ _WAVES.T)
    return np.array([waves[block].sum(axis=0) for block in blocks])


def _candidates(
    group: _Group, lattice: FloatArray, fractional: FloatArray, tolerance: float
) -> tuple[list[int], NDArray[np.bool_]]:
    """Return the entries that may be the frame, and which entries have its cell.

    What is left out cannot be the frame: moving every atom by the tolerance changes a wave sum by no more than the
    bound.
    """
    length = float(np.linalg.norm(lattice, axis=1).max())
    metric = np.abs(group.metrics - lattice @ lattice.T).max(axis=(1, 2))
    same_cell = np.asarray(metric <= 4.0 * length * tolerance)
    step = 2.0 * np.pi * tolerance * np.linalg.norm(np.linalg.inv(lattice), 2)
    bound = step * np.linalg.norm(_WAVES, axis=1) * np.array([[b.stop - b.start] for b in group.blocks])
    difference = np.abs(group.waves - _wave_sums(fractional, group.blocks))
    same_waves = (difference <= bound + 1e-9).all(axis=(1, 2))
    return np.flatnonzero(same_cell & same_waves).tolist(), same_cell


def _paired(
    group: _Group, index: int, lattice: FloatArray, fractional: FloatArray, pbc: tuple[bool, bool, bool]
) -> Match:
    """Pair the atoms of an entry with those of the frame so that they are as near as can be."""
    entry = group.entries[index]
    rotation = np.linalg.solve(entry.lattice, lattice)
    strain = np.abs(rotation.T @ rotation - np.eye(3)).max() * np.linalg.norm(lattice, axis=1).max()
    order = np.empty(len(fractional), dtype=int)
    distance = float(strain)
    for block in group.blocks:
        shift = fractional[block, None] - entry.fractional[None, block]
        shift -= np.where(pbc, np.round(shift), 0.0)
        lengths = np.linalg.norm(shift @ lattice, axis=2)
        mine, others = linear_sum_assignment(lengths**2)
        order[block.start + others] = block.start + mine
        distance = max(distance, float(lengths[mine, others].max()))
    return Match(entry, order, np.asarray(rotation), distance)


def _nearest(
    group: _Group,
    lattice: FloatArray,
    fractional: FloatArray,
    frame: Frame,
    tolerance: float,
    same_cell: NDArray[np.bool_],
) -> str:
    """Say how far off the nearest frame is."""
    text = (
        f"none of the {len(group.entries)} frames of {frame.formula} in the dataset is this one within {tolerance:g} Å"
    )
    if not same_cell.any():
        metric = np.abs(group.metrics - lattice @ lattice.T).max(axis=(1, 2))
        return f"{text}: none has its cell; nearest in cell is {group.entries[int(metric.argmin())].place}"
    difference = np.abs(group.waves - _wave_sums(fractional, group.blocks)).max(axis=(1, 2))
    likely = np.argsort(np.where(same_cell, difference, np.inf))[: min(_SHOWN, int(same_cell.sum()))]
    matches = [_paired(group, int(index), lattice, fractional, frame.pbc) for index in likely]
    best = min(matches, key=lambda match: match.distance)
    return f"{text}: nearest is {best.entry.place}, with an atom {best.distance:.3g} Å off"


def _read(source: Path) -> Iterator[tuple[Atoms, FloatArray | None, str]]:
    """Return the frames of a file or of all deepmd/npy systems in a folder, with the virial where it is given so."""
    yield from _read_systems(source) if source.is_dir() else _read_file(source)


def _read_file(path: Path) -> Iterator[tuple[Atoms, FloatArray | None, str]]:
    from ase.io import iread

    try:
        for number, atoms in enumerate(iread(path, ":"), start=1):
            given = atoms.info.get("virial")
            virial = None if given is None else np.array(given, dtype=float).reshape(3, 3)
            yield atoms, virial, f"{path}, frame {number}"
    except ConfigError:
        raise
    except Exception as error:  # ASE's readers raise whatever their parsing meets
        raise ConfigError(f"labeler replay: {path} cannot be read: {type(error).__name__}: {error}") from error


def _read_systems(folder: Path) -> Iterator[tuple[Atoms, FloatArray | None, str]]:
    import dpdata
    from ase.calculators.singlepoint import SinglePointCalculator

    systems = sorted(path.parent for path in folder.rglob("type.raw"))
    if not systems:
        raise ConfigError(f"labeler replay: {folder} holds no deepmd/npy system (a folder with type.raw)")
    for system in systems:
        try:
            data = dpdata.LabeledSystem(str(system), fmt="deepmd/npy").data
            symbols = [data["atom_names"][kind] for kind in data["atom_types"]]
            periodic = not data.get("nopbc", False)
            for number, positions in enumerate(data["coords"]):
                atoms = Atoms(
                    symbols, positions=positions, cell=data["cells"][number] if periodic else None, pbc=periodic
                )
                atoms.calc = SinglePointCalculator(
                    atoms, energy=float(data["energies"][number]), forces=data["forces"][number]
                )
                virial = np.array(data["virials"][number]) if "virials" in data else None
                yield atoms, virial, f"{system}, frame {number + 1}"
        except ConfigError:
            raise
        except Exception as error:  # dpdata's readers raise whatever their parsing meets
            raise ConfigError(f"labeler replay: {system} cannot be read: {type(error).__name__}: {error}") from error
