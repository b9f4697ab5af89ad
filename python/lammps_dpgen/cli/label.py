"""``lammps-dpgen label``: labels for the frames of a file, by any labeler."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ase import Atoms
from ase.io import write

from lammps_dpgen.cli.devi import read_atoms
from lammps_dpgen.cli.parallel import refuse_launcher
from lammps_dpgen.config.extract import ExtractSettings
from lammps_dpgen.config.label import LabelConfig
from lammps_dpgen.config.load import load_config
from lammps_dpgen.config.selection import SelectionSettings
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame, LabelledFrame
from lammps_dpgen.labelled_data import labelled_atoms
from lammps_dpgen.learning.file_labels import FileLabels, label_file
from lammps_dpgen.learning.large_frames import LargeFrames
from lammps_dpgen.monitor.view import open_view
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.training.data import write_systems

#: Failures that are told one by one.
_SHOWN = 10


def run_label(
    source: Path, config: Path, output: Path | None, deepmd: Path | None, run_folder: Path | None, retry_failed: bool
) -> int:
    """Label the frames of a file, write them, and say what came out.

    Parameters
    ----------
    source
        File in any format that ASE knows, a deepmd/npy system, or a folder of such systems.
    output
        Extended XYZ file to write; ``<source>-labelled.extxyz`` in the working folder by default.
    deepmd
        Folder for deepmd/npy systems, if wanted.
    run_folder
        Folder of the ledger; the name of the output with ``.run`` by default.

    Returns
    -------
    int
        Exit code: 0 if every frame has a label, else 1.

    Raises
    ------
    ConfigError
        Frames or configuration that cannot be used.
    """
    refuse_launcher("label")
    settings = load_config(config, LabelConfig)
    images = list(read_atoms(source))
    if not images:
        raise ConfigError(f"{source} has no frames")
    frames = [Frame.from_ase(atoms) for atoms in images]
    if settings.extract is not None:
        frames = _cut(frames, settings.extract)
        images = [frame.to_ase() for frame in frames]
    target = (output or Path(f"{source.absolute().name.split('.')[0]}-labelled.extxyz")).absolute()
    _refuse_overwriting(source, target)
    run = RunFolder(run_folder or target.with_suffix(".run"))
    view = open_view(f"label {source.name}")
    try:
        found = label_file(frames, settings, run, view, retry_failed=retry_failed)
    except KeyboardInterrupt:
        view.message(f"interrupted; labels are kept in {run.path}, the same command goes on")
        raise
    finally:
        view.close()
    pairs = [(atoms, frame) for atoms, frame in zip(images, frames, strict=True) if frame.hash in found.labels]
    if pairs:
        _write(target, [labelled_atoms(atoms, frame, found.labels[frame.hash]) for atoms, frame in pairs])
    if deepmd is not None and pairs:
        elements = settings.type_map or tuple(sorted({element for frame in frames for element in frame.species}))
        write_systems([LabelledFrame(frame, found.labels[frame.hash]) for _, frame in pairs], deepmd, elements)
    _tell(frames, found, target, run)
    return 0 if len(pairs) == len(frames) else 1


def _cut(frames: Sequence[Frame], settings: ExtractSettings) -> list[Frame]:
    """Return the frames with cells in the place of the large ones."""
    max_atoms = settings.max_atoms or SelectionSettings().max_atoms
    blind = [number for number, one in enumerate(frames, start=1) if one.n_atoms > max_atoms and one.spread is None]
    if blind:
        raise ConfigError(
            f"extract: frame {blind[0]} has more than {max_atoms} atoms and no column force_spread, which tells where "
            "to cut; write it with 'fix dpgen', or leave the section 'extract' out"
        )
    cells, gone = LargeFrames(settings, max_atoms, None).cells(frames)
    for frame, told in gone:
        print(f"{frame.formula}: {told}")
    return cells


def _refuse_overwriting(source: Path, target: Path) -> None:
    if target == source.absolute() or target.resolve() == source.resolve():
        raise ConfigError(f"the output {target} is the file of the frames; name another one with -o")
    if not target.parent.is_dir():
        raise ConfigError(f"the output {target} has no folder; make {target.parent}, or name another file with -o")


def _write(target: Path, images: Sequence[Atoms]) -> None:
    """Write all frames, or leave the file as it was."""
    fresh = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        write(fresh, images, format="extxyz")
        os.replace(fresh, target)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise ConfigError(
            f"{target} cannot be written: {error}; nothing is lost: see to the disk and run the same command again"
        ) from error


def _tell(frames: Sequence[Frame], found: FileLabels, target: Path, run: RunFolder) -> None:
    """Print what came out, and why frames have no label."""
    failed = [(number, frame) for number, frame in enumerate(frames, start=1) if frame.hash not in found.labels]
    for number, frame in failed[:_SHOWN]:
        print(f"no label: frame {number} ({frame.formula}): {found.causes.get(frame.hash, 'not asked for')}")
    if len(failed) > _SHOWN:
        print(f"no label: {len(failed) - _SHOWN} more; all causes are in {run.journal}")
    if failed:
        print(f"what is left of them: {run.labels}; try again with --retry-failed when the cause is gone")
    n_labelled = len(frames) - len(failed)
    where = f": {target}" if n_labelled else ""
    print(f"{n_labelled} of {len(frames)} frames labelled, {found.n_new} of them now{where}")
