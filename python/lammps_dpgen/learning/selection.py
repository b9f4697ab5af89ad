"""Which of the offered frames are worth a label."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from lammps_dpgen.cell_shape import aspect_ratio, length_ratio, tilt_ratio, vacuum, wrap_ratio
from lammps_dpgen.config.selection import BoxGuard, SelectionSettings
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame
from lammps_dpgen.geometry import closest_contact
from lammps_dpgen.learning.descriptor import farthest_points
from lammps_dpgen.learning.learned_frames import LearnedFrames
from lammps_dpgen.learning.near_duplicates import NearDuplicates


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
    n_offered, n_duplicates, n_too_large, n_bad_box, n_too_close, n_trusted
        Counts; the first cause of a frame counts.
    """

    frames: list[Frame]
    dropped: list[tuple[Frame, str]] = field(default_factory=list)
    n_offered: int = 0
    n_duplicates: int = 0
    n_too_large: int = 0
    n_bad_box: int = 0
    n_too_close: int = 0
    n_trusted: int = 0

    @property
    def n_selected(self) -> int:
        """Number of frames to label."""
        return len(self.frames)


def select(
    frames: Sequence[Frame],
    *,
    settings: SelectionSettings,
    rng: np.random.Generator,
    labelled: LearnedFrames | None = None,
    already: Collection[str] = (),
    second_look: Callable[[Frame], tuple[Frame, str]] | None = None,
) -> Selection:
    """Choose at most ``settings.batch`` frames.

    Parameters
    ----------
    frames
        The offer, in the order it was taken.
    labelled
        Frames with a label: near duplicates of them are dropped, and the farthest point method keeps away from them.
        None: there are none.
    already
        Hashes of further frames that must not be taken again, such as those that were set aside.
    second_look
        Returns a frame as the newest models see it, and why it needs no label any more, empty if it does; asked last,
        of frames that nothing else speaks against. None: the frames are taken as they are.

    Returns
    -------
    Selection
        The same for the same frames and the same state of `rng`.
    """
    known = LearnedFrames(settings) if labelled is None else labelled
    good, dropped, counts = _screened(frames, settings, known, already, second_look or _as_it_is)
    chosen = list(range(len(good)))
    if len(good) > settings.batch:
        if settings.method == "random":
            chosen = sorted(int(i) for i in rng.choice(len(good), settings.batch, replace=False))
        else:
            chosen = farthest_points(*known.compare(good), settings.batch, rng)
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
            "in a smaller cell, let cells be cut out of the frames ('extract'), or raise selection.max_atoms if the "
            "reference method can label such frames"
        )


def check_initial_frames(frames: Sequence[Frame], max_atoms: int) -> None:
    """Refuse structures of generation 0 that no reference method can label; there are no models yet to cut them by.

    Raises
    ------
    ConfigError
        One has more atoms than `max_atoms`.
    """
    large = next((frame for frame in frames if frame.n_atoms > max_atoms), None)
    if large is not None:
        raise ConfigError(
            f"an initial structure ({large.formula}) has {large.n_atoms} atoms, but selection.max_atoms allows "
            f"{max_atoms}: it would be labelled as a whole for generation 0. Take a smaller one, choose others with "
            "'initial_structures' (campaigns), or raise selection.max_atoms if the reference method can label it"
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


def _as_it_is(frame: Frame) -> tuple[Frame, str]:
    return frame, ""


def _screened(
    frames: Sequence[Frame],
    settings: SelectionSettings,
    labelled: LearnedFrames,
    already: Collection[str],
    second_look: Callable[[Frame], tuple[Frame, str]],
) -> tuple[list[Frame], list[tuple[Frame, str]], dict[str, int]]:
    """Return the frames that may be labelled, the others with the cause, and how many fell to which cause."""
    hashes = set(already)
    near = NearDuplicates(settings.near_duplicate)
    good: list[Frame] = []
    dropped: list[tuple[Frame, str]] = []
    counts = dict.fromkeys(("n_duplicates", "n_too_large", "n_bad_box", "n_too_close", "n_trusted"), 0)
    for frame in frames:
        if frame.hash in hashes or frame.hash in labelled:
            counts["n_duplicates"] += 1
            continue
        hashes.add(frame.hash)
        kind, cause = _objection(frame, settings)
        if not cause and (near.has(frame) or labelled.has_near(frame)):
            kind, cause = "n_duplicates", f"no atom is farther than {settings.near_duplicate} Å from a known frame"
        if not cause:
            near.add(frame)
            kind, (seen, cause) = "n_trusted", second_look(frame)
        if cause:
            counts[kind] += 1
            dropped.append((frame, cause))
        else:
            good.append(seen)
    return good, dropped, counts


def _objection(frame: Frame, settings: SelectionSettings) -> tuple[str, str]:
    """Return what makes a frame unfit for a label, as name of its count and cause; empty if nothing does."""
    if frame.n_atoms > settings.max_atoms:
        return "n_too_large", f"{frame.n_atoms} atoms, max_atoms is {settings.max_atoms}"
    if reason := bad_box(frame, settings.box) or _no_vacuum(frame, settings.vacuum):
        return "n_bad_box", reason
    if contact := closest_contact(frame, settings.min_distance):
        return "n_too_close", contact.describe(frame)
    return "", ""
