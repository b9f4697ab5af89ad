"""Frames too large for DFT: the settings of the cells that are cut out of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lammps_dpgen.config.base import Section


class ExtractSettings(Section):
    """Cells that are cut out of frames above ``selection.max_atoms``, around the atoms with the highest deviation."""

    shape: Literal["periodic", "cluster"] = "periodic"
    """``periodic``: a periodic cell with the frame's own directions, whose lengths are chosen so that atoms fit on both
    sides of its faces; vacuum of the frame stays vacuum. ``cluster``: a ball of atoms in vacuum."""
    core: float = Field(default=3.0, gt=0.0)
    """Forces on atoms within this distance (Å) of the central one are learnt."""
    margin: float = Field(default=3.0, gt=0.0)
    """Thickness (Å) of the atoms around them whose forces are not learnt: what lies beyond is not felt any more."""
    slack: float = Field(default=4.5, ge=0.0)
    """How much longer (Å) than twice core and margin a periodic cell may be, to find where its faces fit."""
    vacuum: float = Field(default=12.0, gt=0.0)
    """Empty space (Å) along directions in which the cell has a free surface."""
    cells: int = Field(default=1, ge=1)
    """Most cells that are cut out of one frame: around the atom with the highest deviation, then around the next one
    outside the cores so far, as long as its deviation is at least half the highest."""
    max_atoms: int | None = Field(default=None, ge=1)
    """Largest cell. Default: ``selection.max_atoms``."""
