"""``lammps-dpgen structures``: the frames that a configuration makes, as a table, a picture and a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ase.io
import numpy as np

from lammps_dpgen.cli.parallel import refuse_launcher
from lammps_dpgen.config import load_config
from lammps_dpgen.config.structures import StructuresConfig
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame
from lammps_dpgen.geometry import shortest_distance
from lammps_dpgen.structures.base import family
from lammps_dpgen.structures.sources import frames_of_sources

#: Columns of a table that goes into a file or a pipe.
_PLAIN_WIDTH = 140


@dataclass(frozen=True)
class Family:
    """The frames of one structure: its scales, copies and displacements."""

    source: str
    name: str
    frames: list[Frame]


def run_structures(config: Path, picture: Path | None, output: Path | None) -> None:
    """Make all frames, print the table, and write what is asked for.

    Parameters
    ----------
    picture
        PNG with one frame of each structure.
    output
        Extended XYZ with all frames.

    Raises
    ------
    ConfigError
        The configuration is wrong, or a file cannot be written.
    StructureError
        A structure cannot be made.
    """
    refuse_launcher("structures")
    settings = load_config(config, StructuresConfig)
    made = frames_of_sources(settings.structures, settings.seed, settings.type_map)
    names = [source.source_name for source in settings.structures]
    families = [one for name, frames in zip(names, made, strict=True) for one in _families(name, frames)]
    _print_table(families)
    if picture is not None:
        from lammps_dpgen.structures.picture import draw

        middle = [(one.frames[len(one.frames) // 2], len(one.frames)) for one in families]
        shown = draw(middle, _writable(picture, ".png"))
        print(f"picture: {picture} ({shown} of {len(families)} structures)")
    if output is not None:
        frames = [frame for one in families for frame in one.frames]
        ase.io.write(_writable(output, ""), [frame.to_ase() for frame in frames], format="extxyz")
        print(f"frames: {output} ({len(frames)})")


def _families(source: str, frames: Iterable[Frame]) -> list[Family]:
    found: dict[str, Family] = {}
    for frame in frames:
        found.setdefault(family(frame), Family(source, family(frame), [])).frames.append(frame)
    return list(found.values())


def _print_table(families: Sequence[Family]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("source", "structure"):
        table.add_column(heading, overflow="fold")
    for heading in ("frames", "atoms", "formula", "volume (Å³/atom)", "shortest distance (Å)"):
        table.add_column(heading, justify="left" if heading == "formula" else "right")
    for one in families:
        first = one.frames[0]
        volumes = [frame.volume / frame.n_atoms for frame in one.frames]
        distances = [shortest_distance(frame) for frame in one.frames]
        figures = (str(len(one.frames)), str(first.n_atoms), first.formula, _span(volumes), _span(distances))
        table.add_row(one.source, Text(one.name), *figures)
    total = sum(len(one.frames) for one in families)
    atoms = max(frame.n_atoms for one in families for frame in one.frames)
    console = Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH)
    console.print(table)
    print(f"{_counted(total, 'frame')} of {_counted(len(families), 'structure')}, at most {_counted(atoms, 'atom')}")


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _span(values: Sequence[float]) -> str:
    low, high = f"{np.min(values):.2f}", f"{np.max(values):.2f}"
    return low if low == high else f"{low} - {high}"


def _writable(path: Path, suffix: str) -> Path:
    """Return the path of a file that can be written.

    Raises
    ------
    ConfigError
        It cannot, or has another ending than `suffix`.
    """
    if suffix and path.suffix.lower() != suffix:
        raise ConfigError(f"{path}: the picture is a PNG; give a name that ends with {suffix}")
    try:
        path.open("a").close()
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; give another file") from error
    return path
