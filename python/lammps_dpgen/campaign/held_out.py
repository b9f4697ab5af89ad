"""The test of the final models: labelled frames that none of them was trained on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.ensemble import Ensemble, deviation
from lammps_dpgen.errors import ConfigError, StoreError
from lammps_dpgen.frame import FloatArray, LabelledFrame
from lammps_dpgen.labelled_data import read_labelled
from lammps_dpgen.learning.ensembles import open_ensemble
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder


@dataclass(frozen=True)
class HeldOut:
    """Labelled frames for the test, read from ``finalize.held_out``.

    Attributes
    ----------
    source
        Name of the file or folder.
    n_own
        How many frames say that their label has the settings of the campaign's labeler; the others say nothing.
    """

    source: str
    labelled: list[LabelledFrame]
    n_own: int

    def hash(self) -> str:
        """SHA-256 of frames and labels."""
        digest = hashlib.sha256()
        for item in self.labelled:
            digest.update(item.frame.hash.encode())
            digest.update(np.asarray(item.label.energy).tobytes() + np.ascontiguousarray(item.label.forces).tobytes())
        return digest.hexdigest()


def read_held_out(config: CampaignConfig) -> HeldOut | None:
    """Return the held-out frames of a campaign, None where it names none.

    Raises
    ------
    ConfigError
        They cannot be read or have foreign elements, or a label says that it has other settings than the labeler's.
    """
    source = config.finalize.held_out
    if source is None:
        return None
    wanted, n_own, labelled = config.settings_hashes, 0, []
    try:
        for one in read_labelled(source, config.type_map):
            own = one.labelled.label.settings_hash
            if own and own not in wanted:
                raise ConfigError(
                    f"{one.place} was labelled with other settings (hash {own[:12]}) than those of the labeler "
                    f"({', '.join(one[:12] for one in sorted(wanted))}), so that a difference would be no error of the "
                    "models; label the frames anew with 'lammps-dpgen label'"
                )
            n_own += own in wanted
            labelled.append(one.labelled)
    except ConfigError as error:
        raise ConfigError(f"finalize.held_out: {error}") from error
    return HeldOut(source.name, labelled, n_own)


def check_held_out(config: CampaignConfig) -> None:
    """Refuse held-out frames that cannot be used before anything is paid; errors as of :func:`read_held_out`."""
    read_held_out(config)


@dataclass
class _Sums:
    """What the models of one ensemble say about the frames, collected frame by frame."""

    force_square: list[FloatArray] = field(default_factory=list)
    energy_error: list[FloatArray] = field(default_factory=list)
    virial_square: list[FloatArray] = field(default_factory=list)
    n_components: int = 0
    deviations: list[float] = field(default_factory=list)
    forces: list[FloatArray] = field(default_factory=list)
    energies: list[float] = field(default_factory=list)

    def add(self, ensemble: Ensemble, item: LabelledFrame) -> None:
        """Compare all models with one label."""
        prediction, label, n_atoms = ensemble.predict(item.frame), item.label, item.frame.n_atoms
        difference = prediction.forces - label.forces
        self.force_square.append(np.sum(difference**2, axis=(1, 2)))
        self.n_components += label.forces.size
        self.energy_error.append((prediction.energies - label.energy) / n_atoms)
        if label.virial is not None:
            self.virial_square.append(np.mean(((prediction.virials - label.virial) / n_atoms) ** 2, axis=(1, 2)))
        self.deviations.append(deviation(prediction).max_f)
        self.forces.append(prediction.forces[0].ravel())
        self.energies.append(float(prediction.energies[0]) / n_atoms)

    def of_models(self) -> list[dict[str, float | None]]:
        """Return the errors of each model."""
        force = np.sqrt(np.sum(self.force_square, axis=0) / self.n_components)
        energy = np.sqrt(np.mean(np.square(self.energy_error), axis=0))
        virial = np.sqrt(np.mean(self.virial_square, axis=0)) if self.virial_square else None
        return [
            {
                "force_rmse": float(force[index]),
                "energy_rmse_per_atom": float(energy[index]),
                "virial_rmse_per_atom": None if virial is None else float(virial[index]),
            }
            for index in range(len(force))
        ]


def held_out_errors(run: RunFolder, ledger: Ledger, held_out: HeldOut) -> dict[str, Any]:
    """Compare the first and the newest models of a run with held-out labels, and store the parity for the report.

    Frames that the run has labels of are left out: they are no test.

    Returns
    -------
    dict
        source, frames, atoms, left_out, settings; errors of each final model and their root mean square (force_rmse in
        eV/Å, energy_rmse_per_atom and virial_rmse_per_atom in eV), the deviation of the ensemble (eV/Å), and the same
        errors of generation 0.

    Raises
    ------
    ConfigError
        The run has labels of all of these frames.
    """
    states = ledger.frame_states(item.frame.hash for item in held_out.labelled)
    items = [item for item in held_out.labelled if states.get(item.frame.hash) != "labelled"]
    if not items:
        raise ConfigError(f"finalize.held_out: the run has labels of all frames of {held_out.source}; give others")
    generations = ledger.generations()
    sums = []
    for generation in (generations[0], generations[-1]):
        ensemble, found = open_ensemble(run, generation), _Sums()
        for item in items:
            found.add(ensemble, item)
        sums.append(found)
    first, last = sums
    numbers = f"generations {generations[0].number} and {generations[-1].number}"
    what = f"{len(items)} held-out frames of {held_out.source}, model 0 of {numbers}"
    _store_parity(run.path / "parity.npz", items, first, last, what)
    known = held_out.n_own == len(held_out.labelled)
    return {
        "source": held_out.source,
        "frames": len(items),
        "atoms": sum(item.frame.n_atoms for item in items),
        "left_out": len(held_out.labelled) - len(items),
        "settings": "those of the labeler" if known else "not said by the file for all frames",
        "generation": generations[-1].number,
        "models": last.of_models(),
        "ensemble": _mean(last.of_models()),
        "max_devi_f": _spread(last.deviations),
        "generation_0": _mean(first.of_models()),
    }


def _mean(models: Sequence[dict[str, float | None]]) -> dict[str, float | None]:
    """Return the root mean square over the models."""
    found: dict[str, float | None] = {}
    for key in models[0]:
        values = [value for model in models if (value := model[key]) is not None]
        found[key] = float(np.sqrt(np.mean(np.square(values)))) if values else None
    return found


def _spread(values: Sequence[float]) -> dict[str, float]:
    names = ("mean", "median", "percentile_95", "highest")
    figures = (np.mean(values), np.median(values), np.percentile(values, 95), np.max(values))
    return {name: float(figure) for name, figure in zip(names, figures, strict=True)}


def _store_parity(path: Path, items: Sequence[LabelledFrame], first: _Sums, last: _Sums, what: str) -> None:
    """Keep what the report draws, whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    arrays = {
        "forces_ref": np.concatenate([item.label.forces.ravel() for item in items]),
        "forces_first": np.concatenate(first.forces),
        "forces_last": np.concatenate(last.forces),
        "energy_ref": np.array([item.label.energy / item.frame.n_atoms for item in items]),
        "energy_first": np.array(first.energies),
        "energy_last": np.array(last.energies),
        "what": np.array(what),
    }
    try:
        with fresh.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        os.replace(fresh, path)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error}; see to the disk and run the same command again"
        ) from error
