"""A picture of structures: one panel each, by ASE and Matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from ase.data.colors import jmol_colors
from ase.visualize.plot import plot_atoms
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch

from lammps_dpgen.frame import Frame
from lammps_dpgen.structures.base import family

#: Panels of one picture; of more structures some are chosen, evenly over the list.
MOST_PANELS = 24
COLUMNS = 6

#: Seen from the front, a little from above and from the side; c points up, so that surfaces and gaps show.
VIEW = "-90x,-20y,12x"

#: Drawn radius of an atom, as a share of its covalent radius.
RADIUS = 0.75


def draw(structures: Sequence[tuple[Frame, int]], path: Path) -> int:
    """Draw one panel per structure and return how many there are.

    Parameters
    ----------
    structures
        A frame of each structure, and the number of frames that it stands for.
    path
        PNG file.
    """
    chosen = np.unique(np.linspace(0, len(structures) - 1, MOST_PANELS).round().astype(int))
    columns = min(COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(2.6 * columns, 3.1 * rows + 0.5), layout="constrained")
    panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
    for panel in panels:
        panel.set_axis_off()
    for panel, index in zip(panels, chosen, strict=False):
        _draw_panel(panel, *structures[index])
    elements = sorted({symbol for index in chosen for symbol in structures[index][0].species})
    figure.legend(handles=[_mark(symbol) for symbol in elements], loc="outside lower center", ncols=10, frameon=False)
    figure.savefig(path, dpi=130)
    return len(chosen)


def _draw_panel(panel: Any, frame: Frame, number: int) -> None:
    radii = [RADIUS * covalent_radii[atomic_numbers[symbol]] for symbol in frame.species]
    plot_atoms(frame.to_ase(), panel, radii=radii, rotation=VIEW, show_unit_cell=2)
    for patch in panel.patches:
        patch.set_in_layout(False)  # half of the time; title and text say how much room a panel needs
        if isinstance(patch, PathPatch):  # the cell; the atoms are circles
            patch.set(linewidth=0.7, edgecolor="0.35", linestyle="-")
    panel.set_axis_off()
    many = f", {number} frames" if number > 1 else ""
    panel.set_title(family(frame), fontsize=9, fontweight="bold")
    panel.text(0.5, -0.02, f"{frame.n_atoms} atoms{many}", transform=panel.transAxes, ha="center", va="top", fontsize=8)


def _mark(symbol: str) -> Line2D:
    colour = jmol_colors[atomic_numbers[symbol]]
    return Line2D([], [], marker="o", linestyle="", markersize=9, color=colour, markeredgecolor="black", label=symbol)
