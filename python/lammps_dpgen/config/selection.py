"""Which of the offered frames are worth a label: the settings of the selection."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lammps_dpgen.config.base import Section


class BoxGuard(Section):
    """Cells that no longer make sense; frames with such a cell are never labelled."""

    max_aspect: float = Field(default=5.0, gt=1.0)
    """Longest cell vector over smallest height of the cell (no unit); above it the frame is dropped. A cube has 1."""
    min_angle: float = Field(default=30.0, ge=0.0, lt=90.0)
    """Smallest angle between two cell vectors, and of 180° minus it, in degrees; below it the frame is dropped."""
    max_length_ratio: float | None = Field(default=None, ge=1.0)
    """Longest cell vector over the shortest; above it the frame is dropped. Default: no limit."""
    max_wrap: float | None = Field(default=None, gt=0.0)
    """Largest of xy/lx, xz/lx, yz/ly of a cell in LAMMPS' form; above it the frame is dropped. Default: no limit."""
    max_tilt: float | None = Field(default=None, gt=0.0)
    """Largest of xy/ly, xz/lz, yz/lz of a cell in LAMMPS' form; above it the frame is dropped. Default: no limit."""


class SelectionSettings(Section):
    """How many frames a pause labels, and which."""

    batch: int = Field(default=20, ge=1)
    """Most frames that one pause labels."""
    method: Literal["farthest_point", "random"] = "farthest_point"
    """``farthest_point`` takes frames that differ most from each other and from what is labelled; ``random`` draws
    them as DP-GEN does."""
    min_distance: float | None = Field(default=None, gt=0.0)
    """Frames with two atoms closer than this (Å) are dropped. Default: 0.6 times the sum of the covalent radii of the
    two elements."""
    max_atoms: int = Field(default=200, ge=1)
    """Largest frame that may be labelled; a script with more atoms is refused at the start."""
    near_duplicate: float = Field(default=0.02, ge=0.0)
    """Two frames count as the same when no atom is displaced by more than this (Å); 0: only identical frames."""
    box: BoxGuard = BoxGuard()
    """Guard against cells that no longer make sense."""
    vacuum: float | None = Field(default=None, gt=0.0)
    """For clusters in a periodic cell with vectors along x, y, z: frames with less room than this (Å) between the
    cluster and its image are dropped, such as those where an atom has left it. Default: no limit."""
