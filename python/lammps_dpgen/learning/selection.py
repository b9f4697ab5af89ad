"""Which of the offered frames are worth a label."""

from __future__ import annotations

from collections.abc import Collection, MutableMapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from ase.cell import Cell

from lammps_dpgen.cell_shape import aspect_ratio, length_ratio, tilt_ratio, vacuum, wrap_ratio
from lammps_dpgen.config.selection import BoxGuard, SelectionSettings
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import FloatArray, Frame
from lammps_dpgen.geometry import closest_contact
from lammps_dpgen.learning.descriptor import Descriptor, as_matrix, describe, farthest_points


@dataclass(frozen=True)
class Selection:
    """What became of the offered frames.

    Attributes
    ----------
    frames
        The selected ones; the farthest first, or in the order of the offer for a random selection.
    dropped
        Frames that must not be labelled, each with the cause. Neither frames that are identical to a known or earlier
        one (they are that one) nor good ones beyond the batch are in it.
    n_offered, n_duplicates, n_too_large, n_bad_box, n_too_close
        Counts; the first cause of a frame counts.
    """

    frames: list[Frame]
    dropped: list[tuple[Frame, str]] = field(default_factory=list)
    n_offered: int = 0
    n_duplicates: int = 0
    n_too_large: int = 0
    n_bad_box: int = 0
    n_too_close: int = 0

    @property
    def n_selected(self) -> int:
        """Number of frames to label."""
        return len(self.frames)


def select(
    frames: Sequence[Frame],
    *,
    settings: SelectionSettings,
    rng: np.random.Generator,
    labelled: Sequence[Frame] = (),
    already: Collection[str] = (),
    descriptors: MutableMapping[str, Descriptor] | None = None,
) -> Selection:
    """Choose at most ``settings.batch`` frames.

    Parameters
    ----------
    frames
        The offer, in the order it was taken.
    labelled
        Frames with a label: near duplicates of them are dropped, and the farthest point method keeps away from them.
    already
        Hashes of further frames that must not be taken again, such as those that were set aside.
    descriptors
        Descriptors by frame hash that earlier calls have left; new ones are added. None: all are computed now.

    Returns
    -------
    Selection
        The same for the same frames and the same state of `rng`.
    """
    memory = {} if descriptors is None else descriptors
    good, dropped, counts = _screened(frames, settings, labelled, already)
    chosen = list(range(len(good)))
    if len(good) > settings.batch:
        if settings.method == "random":
            chosen = sorted(int(i) for i in rng.choice(len(good), settings.batch, replace=False))
        else:
            rows = as_matrix([_descriptor(frame, memory) for frame in [*good, *labelled]])
            chosen = farthest_points(rows[: len(good)], rows[len(good) :], settings.batch, rng)
    return Selection([good[i] for i in chosen], dropped, n_offered=len(frames), **counts)


def check_max_atoms(n_atoms: int, max_atoms: int) -> None:
    """Refuse frames that no reference method can label.

    Raises
    ------
    ConfigError
        More atoms than `max_atoms`.
    """
    if n_atoms > max_atoms:
        raise ConfigError(
            f"the frames have {n_atoms} atoms, but selection.max_atoms allows {max_atoms}: every candidate would have "
            "to be labelled as a whole, and the cost of DFT grows with the third power of the number of atoms. Explore "
            "in a smaller cell, or raise selection.max_atoms if the reference method can label such frames"
        )


def bad_box(frame: Frame, guard: BoxGuard) -> str | None:
    """Return why the cell of a frame makes no sense any more, or None. Only periodic vectors count."""
    vectors = frame.cell[list(frame.pbc)]
    if len(vectors) == 0:
        return None
    if np.linalg.matrix_rank(vectors, tol=1e-6) < len(vectors):
        return "the periodic cell vectors are not independent"
    ratios = [
        ("aspect ratio", aspect_ratio(vectors), guard.max_aspect),
        ("length ratio", length_ratio(vectors), guard.max_length_ratio),
    ]
    if len(vectors) == 3:
        ratios.append(("wrap ratio", wrap_ratio(frame.cell), guard.max_wrap))
        ratios.append(("tilt ratio", tilt_ratio(frame.cell), guard.max_tilt))
    for name, value, limit in ratios:
        if limit is not None and value > limit:
            return f"{name} {value:.2f} of the cell is above {limit:g}"
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    cosine = np.abs(unit @ unit.T)[np.triu_indices(len(vectors), 1)]
    angle = float(np.degrees(np.arccos(min(1.0, cosine.max(initial=0.0)))))
    if angle < guard.min_angle:
        return f"angle {angle:.1f}° of the cell is below {guard.min_angle:g}°"
    return None


def _no_vacuum(frame: Frame, least: float | None) -> str | None:
    """Return that too little room is left around the atoms, or None."""
    if least is None or not any(frame.pbc):
        return None
    room = vacuum(frame.cell, frame.positions)
    return f"vacuum of {room:.2f} Å around the atoms is below {least:g} Å" if room < least else None


class NearDuplicates:
    """Remembers frames and tells whether another one is the same but for small displacements.

    Two frames of the same atoms in the same order are near duplicates when no atom and no cell vector differs by more
    than `tolerance` (Å); atoms that left the cell by whole vectors are where they were.
    """

    def __init__(self, tolerance: float) -> None:
        self._tolerance = tolerance
        self._known: dict[tuple[object, ...], tuple[FloatArray, FloatArray]] = {}

    def add(self, *frames: Frame) -> None:
        """Remember frames."""
        groups: dict[tuple[object, ...], list[Frame]] = {}
        for frame in frames:
            groups.setdefault((frame.species, frame.pbc), []).append(frame)
        for key, group in groups.items():
            cells, fractional = np.array([_basis(f) for f in group]), np.array([_fractional(f) for f in group])
            if key in self._known:
                cells = np.concatenate([self._known[key][0], cells])
                fractional = np.concatenate([self._known[key][1], fractional])
            self._known[key] = cells, fractional

    def has(self, frame: Frame) -> bool:
        """Tell whether a frame is a near duplicate of a remembered one."""
        known = self._known.get((frame.species, frame.pbc))
        if known is None:
            return False
        cells, fractional = known
        basis = _basis(frame)
        same_cell = np.linalg.norm(cells - basis, axis=2).max(axis=1) <= self._tolerance
        shift = _fractional(frame) - fractional[same_cell]
        shift -= np.where(frame.pbc, np.round(shift), 0.0)
        return bool((np.linalg.norm(shift @ basis, axis=2).max(axis=1) <= self._tolerance).any())


def _basis(frame: Frame) -> FloatArray:
    """Return the periodic cell vectors, the others replaced by unit vectors at right angles to them."""
    periodic = np.where(np.array(frame.pbc)[:, None], frame.cell, 0.0)
    return np.array(Cell(periodic).complete(), dtype=np.float64)


def _fractional(frame: Frame) -> FloatArray:
    return np.asarray(np.linalg.solve(_basis(frame).T, frame.positions.T).T, dtype=np.float64)


def _screened(
    frames: Sequence[Frame], settings: SelectionSettings, labelled: Sequence[Frame], already: Collection[str]
) -> tuple[list[Frame], list[tuple[Frame, str]], dict[str, int]]:
    """Return the frames that may be labelled, the others with the cause, and how many fell to which cause."""
    hashes = {frame.hash for frame in labelled} | set(already)
    near = NearDuplicates(settings.near_duplicate)
    near.add(*labelled)
    good: list[Frame] = []
    dropped: list[tuple[Frame, str]] = []
    counts = dict.fromkeys(("n_duplicates", "n_too_large", "n_bad_box", "n_too_close"), 0)
    for frame in frames:
        if frame.hash in hashes:
            counts["n_duplicates"] += 1
            continue
        hashes.add(frame.hash)
        kind, cause = "", None
        if frame.n_atoms > settings.max_atoms:
            kind, cause = "n_too_large", f"{frame.n_atoms} atoms, max_atoms is {settings.max_atoms}"
        elif reason := bad_box(frame, settings.box) or _no_vacuum(frame, settings.vacuum):
            kind, cause = "n_bad_box", reason
        elif contact := closest_contact(frame, settings.min_distance):
            kind, cause = "n_too_close", contact.describe(frame)
        elif near.has(frame):
            kind, cause = "n_duplicates", f"no atom is farther than {settings.near_duplicate} Å from a known frame"
        if cause:
            counts[kind] += 1
            dropped.append((frame, cause))
        else:
            near.add(frame)
            good.append(frame)
    return good, dropped, counts


def _descriptor(frame: Frame, memory: MutableMapping[str, Descriptor]) -> Descriptor:
    if frame.hash not in memory:
        memory[frame.hash] = describe(frame)
    return memory[frame.hash]
