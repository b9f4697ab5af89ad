"""The training data of a run: ``data/gNNN`` holds the labels that generation NNN was the first to see.

The ledger is the truth; these deepmd/npy folders are views that are made again whenever they are missing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from lammps_dpgen.frame import LabelledFrame
from lammps_dpgen.store.records import StoredLabel
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.training.data import write_systems


def new_systems(run: RunFolder, number: int, labels: Sequence[StoredLabel], type_map: Sequence[str]) -> tuple[str, ...]:
    """Write the labels that are new in a generation; what a killed attempt left is replaced.

    Returns
    -------
    tuple of str
        The systems, as absolute paths; one per composition.
    """
    folder = run.data_of(number)
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    # In the order of the frames: labels come in any, and the same labels have to give the same models.
    in_order = sorted(labels, key=_place)
    write_systems([LabelledFrame(stored.frame, stored.label) for stored in in_order], fresh, list(type_map))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(fresh, folder)
    return _systems(folder)


def old_systems(
    run: RunFolder, number: int, labels_of: Callable[[int], Sequence[StoredLabel]], type_map: Sequence[str]
) -> tuple[str, ...]:
    """Return the systems of all generations before `number`.

    Parameters
    ----------
    labels_of
        Gives the labels that a generation was the first to see; called for those alone whose folder is missing, to
        write it again.
    """
    systems: list[str] = []
    for earlier in range(number):
        folder = run.data_of(earlier)
        if folder.is_dir():
            systems += _systems(folder)
        elif labels := labels_of(earlier):
            systems += new_systems(run, earlier, labels, type_map)
    return tuple(systems)


def _place(stored: StoredLabel) -> tuple[int, int, str]:
    origin = stored.frame.origin
    return origin.trajectory, origin.step, stored.frame_hash


def _systems(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(str(path.parent) for path in folder.glob("*/type.raw")))
