"""``lammps-dpgen export``: the labelled data of a run, for trainings and programs elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from lammps_dpgen.errors import ConfigError, StoreError
from lammps_dpgen.learning.data_folder import DataFormat, write_data_folder
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import StoredLabel
from lammps_dpgen.store.run_folder import RunFolder


def run_export(
    folder: Path,
    output: Path,
    form: DataFormat,
    test_share: float,
    seed: int,
    generation: int | None,
    mixed: Collection[str],
) -> None:
    """Write the labels of a run into a new folder, and say what is there.

    Parameters
    ----------
    form, test_share, seed, mixed
        See :func:`lammps_dpgen.learning.data_folder.write_data_folder`.
    generation
        Only labels that this generation was trained on; None: all labels.

    Raises
    ------
    ConfigError
        The folder is there already or cannot be written, there is nothing to export, or labels of different settings
        that are not all named.
    StoreError
        There is no run in the folder, or no such generation.
    """
    if output.exists():
        raise ConfigError(f"{output} is there already and is not overwritten; name another folder with -o")
    labels, type_map = _read(folder, generation)
    name = RunFolder(folder).path.name
    about = write_data_folder(
        output, labels, type_map, form, run=name, test_share=test_share, seed=seed, generation=generation, mixed=mixed
    )
    for name, figures in about["sets"].items():
        print(f"{name}: {_counted(figures['frames'], 'frame')} of {_counted(len(figures['systems']), 'composition')}")
    print(f"{form} data: {output}")


def _read(folder: Path, generation: int | None) -> tuple[list[StoredLabel], list[str]]:
    run = RunFolder(folder)
    if not run.ledger.is_file():
        raise StoreError(f"no run in {folder}: it has no ledger.db; give the folder of a run that was started")
    with Ledger.open(run.ledger, config_hash=None) as ledger:
        labels, newest = ledger.labels(), ledger.latest_generation()
    if generation is not None:
        last = -1 if newest is None else newest.number
        if not 0 <= generation <= last:
            there = f"it has 0 to {last}" if last >= 0 else "it has none yet"
            raise StoreError(f"{folder} has no generation {generation}; {there}")
        labels = [one for one in labels if one.trained_in is not None and one.trained_in <= generation]
    if not labels:
        raise ConfigError(f"{folder} has no labels to export")
    elements = {element for one in labels for element in one.frame.species}
    return labels, sorted(elements) if newest is None else list(newest.type_map)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
