"""The labelled data of a run as a folder to hand on: deepmd/npy, its mixed form or extended XYZ, with what it is."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

import ase.io
import numpy as np

from lammps_dpgen import __version__
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import LabelledFrame
from lammps_dpgen.labelled_data import labelled_atoms
from lammps_dpgen.store.records import StoredLabel
from lammps_dpgen.training.data import write_systems

DataFormat = Literal["deepmd/npy", "deepmd/npy/mixed", "extxyz"]

#: Digits of a settings hash that are shown, and that are needed to name it.
_DIGITS, _FEWEST_DIGITS = 12, 6

UNITS = {
    "length": "Å",
    "energy": "eV",
    "force": "eV/Å",
    "virial": "eV; DeePMD's sign, -stress x volume (deepmd/npy)",
    "stress": "eV/Å^3; ASE's sign, tension positive (extxyz)",
    "cell": "rows are vectors",
}


def write_data_folder(
    output: Path,
    labels: Sequence[StoredLabel],
    type_map: Sequence[str],
    form: DataFormat = "deepmd/npy",
    *,
    run: str,
    test_share: float = 0.0,
    seed: int = 1,
    generation: int | None = None,
    mixed: Collection[str] | None = (),
) -> dict[str, Any]:
    """Write labels into a new folder, whole or not at all, with a README.json that says what they are.

    Parameters
    ----------
    output
        It must not be there.
    labels
        At least one, all of the same settings but for those that `mixed` names.
    form
        deepmd/npy: one system per composition; deepmd/npy/mixed: one per number of atoms; extxyz: one file per set.
    run
        Name of the run that they are of.
    test_share
        Share of the frames that goes into the test set, no unit.
    seed
        Chooses these frames.
    generation
        The one whose training data they are; None: they are all labels.
    mixed
        Stages and first digits of settings hashes whose labels may be of other settings than the rest; None: all may.

    Returns
    -------
    dict
        What stands in README.json.

    Raises
    ------
    ConfigError
        The folder cannot be written, or labels of different settings are to stand in it.
    """
    if mixed is not None:
        _refuse_mixed_settings(labels, run, mixed)
    sets = split(labels, test_share, seed)
    about = {
        "created_by": f"lammps-dpgen {__version__}",
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "run": run,
        "format": form,
        "type_map": list(type_map),
        "settings_hash": ", ".join(sorted({one.label.settings_hash for one in labels})),
        "generation": generation,
        "test_share": test_share,
        "seed": seed,
        "sets": {name: _figures(members) for name, members in sets.items() if members},
        "units": UNITS,
    }
    _write_folder(output, sets, form, list(type_map), about)
    return about


def _refuse_mixed_settings(labels: Sequence[StoredLabel], run: str, allowed: Collection[str]) -> None:
    """Refuse labels of several settings, unless all of them but one are allowed by name."""
    groups: dict[str, list[StoredLabel]] = {}
    for one in labels:
        groups.setdefault(one.label.settings_hash, []).append(one)
    stages = {name: {one.frame.origin.stage for one in members} for name, members in groups.items()}
    unknown = [name for name in allowed if not any(_names(name, group, stages[group]) for group in groups)]
    if unknown:
        raise ConfigError(f"{run} has no labels of {', '.join(unknown)}; it has {_told(groups, stages)}")
    others = [
        group
        for group in groups
        if not stages[group] <= set(allowed) and not any(_names(name, group) for name in allowed)
    ]
    if len(others) > 1:
        raise ConfigError(
            f"{run} holds labels of different settings, which do not belong into one dataset: {_told(groups, stages)}. "
            "If these do, name all but one of them: --mixed-labels with the stage or the first digits of the settings"
        )


def _names(name: str, settings_hash: str, stages: Collection[str] = ()) -> bool:
    """Tell whether `name` is the beginning of a settings hash, or one of the stages."""
    return name in stages or (len(name) >= _FEWEST_DIGITS and settings_hash.startswith(name))


def _told(groups: Mapping[str, Sequence[StoredLabel]], stages: Mapping[str, set[str]]) -> str:
    """Say how many labels there are of each settings, and where they come from."""
    texts = []
    for name, members in sorted(groups.items(), key=lambda group: -len(group[1])):
        where = ", ".join(f"stage {stage}" if stage else "no stage" for stage in sorted(stages[name]))
        texts.append(f"{len(members)} of {name[:_DIGITS]} ({members[0].label.code}; {where})")
    return "; ".join(texts)


def split(labels: Sequence[StoredLabel], test_share: float, seed: int) -> dict[str, list[StoredLabel]]:
    """Return a training and a test set, the same ones for the same frames and seed, whatever their order.

    Each composition gives its share, as nearly as whole frames allow; what is left over from one goes to the next.
    """
    rng = np.random.default_rng(seed)
    test: set[str] = set()
    seen = 0
    for _, members in sorted(_systems(labels).items()):
        seen += len(members)
        n_test = round(test_share * seen) - len(test)
        hashes = sorted(member.frame_hash for member in members)
        test.update(hashes[int(i)] for i in rng.permutation(len(hashes))[: max(0, n_test)])
    return {
        "train": [one for one in labels if one.frame_hash not in test],
        "test": [one for one in labels if one.frame_hash in test],
    }


def _systems(labels: Sequence[StoredLabel]) -> dict[str, list[StoredLabel]]:
    found: dict[str, list[StoredLabel]] = {}
    for one in labels:
        found.setdefault(one.frame.formula, []).append(one)
    return found


def _figures(labels: Sequence[StoredLabel]) -> dict[str, Any]:
    return {
        "frames": len(labels),
        "systems": {name: len(members) for name, members in sorted(_systems(labels).items())},
        "sources": dict(sorted(Counter(one.frame.origin.source for one in labels).items())),
        "codes": dict(sorted(Counter(one.label.code for one in labels).items())),
        "without_virial": sum(one.label.virial is None for one in labels),
    }


def _write_folder(
    output: Path, sets: Mapping[str, list[StoredLabel]], form: DataFormat, type_map: list[str], about: dict[str, Any]
) -> None:
    """Write everything beside the place and put it there in one rename."""
    writers: dict[str, Callable[[Sequence[StoredLabel], Path, list[str]], None]] = {
        "deepmd/npy": _write_npy,
        "deepmd/npy/mixed": _write_mixed,
        "extxyz": _write_extxyz,
    }
    fresh: Path | None = None
    try:
        output.absolute().parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.absolute().parent))
        fresh.chmod(0o755)
        for name, members in sets.items():
            if members:
                writers[form](members, fresh / name, type_map)
        (fresh / "README.json").write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        os.rename(fresh, output)
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error}; name a folder on a disk with room") from error
    finally:
        if fresh is not None:
            shutil.rmtree(fresh, ignore_errors=True)


def _parts(labels: Sequence[StoredLabel]) -> list[tuple[str, list[StoredLabel]]]:
    """Return frames with and without virial apart: a system has it for all of its frames or for none."""
    known = [one for one in labels if one.label.virial is not None]
    unknown = [one for one in labels if one.label.virial is None]
    return [("", known), ("without_virial", unknown)] if known and unknown else [("", known or unknown)]


def _write_npy(labels: Sequence[StoredLabel], folder: Path, type_map: list[str]) -> None:
    for name, members in _parts(labels):
        (folder / name).mkdir(parents=True, exist_ok=True)
        write_systems([LabelledFrame(one.frame, one.label) for one in members], folder / name, type_map)


def _write_mixed(labels: Sequence[StoredLabel], folder: Path, type_map: list[str]) -> None:
    import dpdata

    if any(one.frame.learnt is not None for one in labels):
        raise ConfigError(
            "cells that were cut out of larger frames have weights for their forces, for which deepmd/npy/mixed has no "
            "place; export them as deepmd/npy or extxyz"
        )
    with tempfile.TemporaryDirectory(prefix=".npy.", dir=folder.parent) as scratch:
        for name, members in _parts(labels):
            pairs = [LabelledFrame(one.frame, one.label) for one in members]
            for kind, periodic in (("", True), ("nopbc", False)):
                chosen = [pair for pair in pairs if all(pair.frame.pbc) is periodic]
                if not chosen:
                    continue
                plain = write_systems(chosen, Path(scratch) / f"{name}{kind}", type_map)
                systems = dpdata.MultiSystems(
                    *(dpdata.LabeledSystem(str(path), fmt="deepmd/npy") for path in plain), type_map=type_map
                )
                target = folder / name / kind
                target.parent.mkdir(parents=True, exist_ok=True)
                systems.to("deepmd/npy/mixed", str(target), comp_prec=np.float64)


def _write_extxyz(labels: Sequence[StoredLabel], folder: Path, _type_map: list[str]) -> None:
    images = [labelled_atoms(one.frame.to_ase(), one.frame, one.label) for one in labels]
    ase.io.write(folder.with_suffix(".extxyz"), images, format="extxyz")
