"""Frames that are too large for a label give way to the cells that are cut out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from lammps_dpgen.config.extract import ExtractSettings
from lammps_dpgen.ensemble import Ensemble, deviation
from lammps_dpgen.errors import ConfigError, StructureError
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.extract import extract

#: Returns a frame as the newest models see it, and why it needs no label any more.
Look = Callable[[Frame], tuple[Frame, str]]


class LargeFrames:
    """Cuts cells out of frames above a number of atoms; smaller ones stay as they are.

    Parameters
    ----------
    settings
        How they are cut.
    max_atoms
        Largest frame that is labelled as a whole.
    ensemble
        Judges frames that come without the deviation of their atoms.
    look
        A second look at large frames: it is the whole one that the newest models may trust, not its cells with their
        faces. None: they are taken as they are.
    """

    def __init__(
        self, settings: ExtractSettings, max_atoms: int, ensemble: Ensemble | None, look: Look | None = None
    ) -> None:
        self._settings, self._max_atoms, self._ensemble, self._look = settings, max_atoms, ensemble, look

    def cells(self, frames: Iterable[Frame]) -> tuple[list[Frame], list[tuple[Frame, str]]]:
        """Return frames with the large ones replaced by their cells, and the large ones, each with what became of it.

        Raises
        ------
        ConfigError
            The settings make cells that are too large, all of them.
        """
        kept: list[Frame] = []
        gone: list[tuple[Frame, str]] = []
        n_cells = 0
        for frame in frames:
            if frame.n_atoms <= self._max_atoms:
                kept.append(frame)
                continue
            seen, cause = (frame, "") if self._look is None else self._look(frame)
            try:
                cells = [] if cause else extract(self._judged(seen), self._settings, self._max_atoms)
            except StructureError as error:
                gone.append((frame, str(error)))
                continue
            n_cells += len(cells) if not cause else 1
            kept += cells
            gone.append((frame, cause or f"{len(cells)} cells were cut out of it"))
        if gone and not n_cells:
            raise ConfigError(f"extract: {gone[0][1]}")
        return kept, gone

    def second_look(self, frame: Frame) -> tuple[Frame, str]:
        """Look at a frame again, unless it is a cell."""
        return (frame, "") if self._look is None or frame.learnt is not None else self._look(frame)

    def _judged(self, frame: Frame) -> Frame:
        if frame.spread is not None or self._ensemble is None:
            return frame
        return replace(frame, spread=deviation(self._ensemble.predict(frame)).spread)
