"""The model files of a run: ``models/gNNN/model_I.pb`` for good, and ``models/I.pb`` as links to the newest ones.

Scripts name the links, so that a ``pair_style`` or ``fix dpgen`` that is issued again gets the current generation.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from lammps_dpgen.errors import StoreError
from lammps_dpgen.learning.dataset import generation_name
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation, ModelRecord


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep_model(run_folder: Path, number: int, index: int, model: Path) -> tuple[str, str]:
    """Copy a model file to its place in the run folder; return its path relative to it, and its SHA-256.

    The copy is complete or absent, also after a power cut.
    """
    target = run_folder / "models" / generation_name(number) / f"model_{index}{model.suffix}"
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(target.name + ".new")
    shutil.copyfile(model, fresh)
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(fresh, target)
    return str(target.relative_to(run_folder)), file_sha256(target)


def link_models(run_folder: Path, generation: Generation) -> tuple[Path, ...]:
    """Let ``models/I.pb`` point to the models of a generation, each atomically; return the links.

    Raises
    ------
    StoreError
        A model file is missing, or is not the one that the ledger knows.
    """
    links = []
    for index, model in enumerate(generation.models):
        target = run_folder / model.path
        if not target.is_file():
            raise StoreError(
                f"{target} is missing, a model of generation {generation.number}; restore it from a backup"
            )
        found = file_sha256(target)
        if found != model.sha256:
            raise StoreError(
                f"{target} has SHA-256 {found[:12]}..., but the ledger says {model.sha256[:12]}... for generation "
                f"{generation.number}: the file was changed; restore it from a backup"
            )
        link = run_folder / "models" / f"{index}{target.suffix}"
        fresh = link.with_name(link.name + ".new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target.relative_to(link.parent))
        os.replace(fresh, link)
        links.append(link)
    return tuple(links)


def adopt_models(ledger: Ledger, run_folder: Path, models: Sequence[Path], type_map: Sequence[str]) -> Generation:
    """Make generation 0 of models that were trained elsewhere, and publish it.

    Parameters
    ----------
    models
        Model files; they are copied.
    type_map
        Elements of the models, in order.
    """
    records = tuple(ModelRecord(*keep_model(run_folder, 0, index, model)) for index, model in enumerate(models))
    generation = Generation(number=0, models=records, type_map=tuple(type_map), reason="initial models")
    ledger.add_generation(generation, [])
    link_models(run_folder, generation)
    return generation
