"""Restart files of LAMMPS in the folder of a trajectory: which there are, and the newest that is complete.

A job that is killed while LAMMPS writes leaves a torn file. LAMMPS therefore writes two in turn, and each ends with the
text that it begins with: a file without it at its end is not complete.
"""

from __future__ import annotations

import struct
from pathlib import Path

#: Two files that LAMMPS writes in turn (command ``restart``).
PERIODIC = ("restart.a", "restart.b")
#: What a walker writes when it parks a trajectory.
PARKED = "parked.restart"

# The beginning of the format, which LAMMPS keeps stable: the mark, byte order and revision (int), then records, each
# with an int that names it. Before the step there are only texts (length, bytes) and ints; the step is a bigint.
_MARK = b"LammpS RestartT\0"
_LITTLE, _TEXTS, _STEP = 1, (0, 4), 5
_LAST_RECORD = 100


def newest_restart(folder: Path) -> Path | None:
    """Return the complete restart file of a trajectory that is farthest; a parked one where two are equally far."""
    found = [(step, path) for path in restart_files(folder) if (step := restart_step(path)) is not None]
    return max(found, key=lambda item: item[0])[1] if found else None


def periodic_restarts(folder: Path, restart: Path | None) -> list[Path]:
    """Return the two files that LAMMPS shall write in turn; the one that it goes on from is written last."""
    files = [folder / name for name in PERIODIC]
    return files[::-1] if files[0] == restart else files


def restart_files(folder: Path) -> list[Path]:
    """Return where restart files of a trajectory can be, the parked one first."""
    return [folder / name for name in (PARKED, *PERIODIC)]


def discard_restarts(folder: Path) -> None:
    """Remove the restart files of a trajectory that begins again."""
    for path in restart_files(folder):
        path.unlink(missing_ok=True)


def restart_step(path: Path) -> int | None:
    """Return the MD step of a restart file, or None if it is not complete or not there.

    Files of machines with the other byte order count as not complete: LAMMPS does not read them either.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4096)
            file.seek(-len(_MARK), 2)
            end = file.read()
    except OSError:
        return None
    if not start.startswith(_MARK) or end != _MARK:
        return None
    try:
        return _step_in_header(start)
    except struct.error:
        return None


def _step_in_header(header: bytes) -> int | None:
    place = len(_MARK)
    order, _revision = struct.unpack_from("=ii", header, place)
    if order != _LITTLE:
        return None
    place += 8
    while True:
        (record,) = struct.unpack_from("=i", header, place)
        place += 4
        if record == _STEP:
            return int(struct.unpack_from("=q", header, place)[0])
        if record in _TEXTS:
            (length,) = struct.unpack_from("=i", header, place)
            place += 4 + length
        elif 0 <= record < _LAST_RECORD:
            place += 4
        else:
            return None
