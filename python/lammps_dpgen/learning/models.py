"""The model files of a run: ``models/gNNN/model_I.pb`` for good, and ``models/I.pb`` as links to the newest ones.

Models of other backends than TensorFlow keep their own suffix, in the links too.

Scripts name the links, so that a ``pair_style`` or ``fix dpgen`` that is issued again gets the current generation.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from lammps_dpgen.errors import StoreError
from lammps_dpgen.native.cache import copy_beside
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation, ModelRecord
from lammps_dpgen.store.run_folder import RunFolder, sha256


def keep_model(run: RunFolder, number: int, index: int, model: Path) -> tuple[str, str]:
    """Copy a model file to its place in the run folder; return its path relative to it, and its SHA-256.

    What the native kernel needs of it comes along, where it lies beside the file. The copy is complete or absent, also
    after a power cut.
    """
    target = run.models_of(number) / f"model_{index}{model.suffix}"
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(target.name + ".new")
    try:
        shutil.copyfile(model, fresh)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        copy_beside(model, target)
        os.replace(fresh, target)
    except OSError as error:
        raise StoreError(f"model {model} cannot be copied to {target}: {error}") from error
    return str(target.relative_to(run.path)), sha256(target)


def link_generation(run: RunFolder, generation: Generation) -> list[Path]:
    """Let ``models/I.pb`` point to the models of a generation; return the links.

    Raises
    ------
    StoreError
        A model file is missing, or is not the one that the ledger knows.
    """
    for model in generation.models:
        found = sha256(run.path / model.path)
        if found != model.sha256:
            raise StoreError(
                f"{run.path / model.path} has SHA-256 {found[:12]}..., but the ledger says {model.sha256[:12]}... for "
                f"generation {generation.number}: the file was changed; restore it from a backup"
            )
    return run.link_models([model.path for model in generation.models])


def adopt_models(ledger: Ledger, run: RunFolder, models: Sequence[Path], type_map: Sequence[str]) -> Generation:
    """Make generation 0 of models that were trained elsewhere, and publish it.

    Parameters
    ----------
    models
        Model files; they are copied.
    type_map
        Elements of the models, in order.
    """
    records = tuple(ModelRecord(*keep_model(run, 0, index, model)) for index, model in enumerate(models))
    generation = Generation(number=0, models=records, type_map=tuple(type_map), reason="initial models")
    ledger.add_generation(generation, [])
    link_generation(run, generation)
    return generation
