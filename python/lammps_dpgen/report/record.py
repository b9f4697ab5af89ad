"""Everything that a report is made of, read once from a run folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lammps_dpgen.errors import StoreError
from lammps_dpgen.frame import FloatArray
from lammps_dpgen.report.campaign import CampaignRecord, read_campaign
from lammps_dpgen.report.label_arrays import LabelArrays, label_arrays
from lammps_dpgen.report.looks import Looks, read_looks
from lammps_dpgen.report.validation import ValidationRecord, read_validation
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Counts, Event, Generation, StoredFailure
from lammps_dpgen.store.run_folder import RunFolder

#: Events that a campaign has a great many of, and whose figures are in its tables: they are not read one by one.
MANY = ("label", "trajectory", "run", "pause", "rollback", "swap", "resume", "learning", "training")


@dataclass(frozen=True)
class Parity:
    """Reference against prediction of the same frames by two generations; `what` says which frames.

    Forces are components in eV/Å, energies eV/atom; arrays are flat. "first" is the prediction before training on the
    frames, "last" the one of the newest models.
    """

    forces_ref: FloatArray
    forces_first: FloatArray
    forces_last: FloatArray
    energy_ref: FloatArray
    energy_first: FloatArray
    energy_last: FloatArray
    what: str = "labels"


def rms(values: FloatArray) -> float:
    """Return the root mean square of the values that are finite; NaN of none."""
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(finite**2))) if finite.size else float("nan")


@dataclass(frozen=True)
class RunRecord:
    """A run folder, read.

    Attributes
    ----------
    events
        In order; of a campaign without those of the kinds `MANY`.
    kinds
        How many events of each kind there are, all of them counted.
    newest
        The last event of all, None without any.
    window
        Trust window of max_devi_f in eV/Å, as the latest event with ``trust`` tells; None: unknown.
    extra
        ``summary_extra.json``: figures that only the producer of the run can know.
    campaign
        Stages, trajectories and walkers; None for a learning run.
    validation
        How properties of the generations approach the reference; None where none has been validated.
    """

    folder: Path
    events: list[Event]
    kinds: Mapping[str, int]
    newest: Event | None
    generations: list[Generation]
    failures: list[StoredFailure]
    counts: Counts
    labels: LabelArrays
    looks: Looks | None
    parity: Parity | None
    window: tuple[float, float] | None
    extra: dict[str, Any]
    campaign: CampaignRecord | None = None
    validation: ValidationRecord | None = None

    def of_kind(self, *kinds: str) -> list[Event]:
        """Return the events of these kinds, oldest first."""
        return [event for event in self.events if event.kind in kinds]


def read_run(folder: Path) -> RunRecord:
    """Read a run folder, running, finished or killed.

    Raises
    ------
    StoreError
        There is no ledger in `folder`, or a file in it cannot be understood.
    """
    run = RunFolder(folder)
    if not run.ledger.is_file():
        raise StoreError(f"no run in {folder}: it has no ledger.db; give the folder of a run that was started")
    with Ledger.open(run.ledger, config_hash=None) as ledger:
        kinds = ledger.event_counts()
        events = ledger.events(without=MANY if "stage" in kinds else ())
        generations = ledger.generations()
        window = _window([*events, *filter(None, [ledger.latest_event("run")])])
        return RunRecord(
            folder=folder,
            events=events,
            kinds=kinds,
            newest=ledger.latest_event(),
            generations=generations,
            failures=ledger.failures(),
            counts=ledger.counts(),
            labels=label_arrays(ledger),
            looks=read_looks(run.deviation),
            parity=_read_parity(folder / "parity.npz"),
            window=window,
            extra=_read_extra(folder / "summary_extra.json"),
            campaign=read_campaign(ledger, folder, window),
            validation=read_validation(run.validation / "validation.json", generations, ledger.events("validation")),
        )


def _window(events: list[Event]) -> tuple[float, float] | None:
    for event in sorted(events, key=lambda event: event.number, reverse=True):
        trust = event.data.get("trust")
        if isinstance(trust, (list, tuple)) and len(trust) == 2:
            return float(trust[0]), float(trust[1])
    return None


def _read_parity(path: Path) -> Parity | None:
    if not path.exists():
        return None
    names = [name for name in Parity.__dataclass_fields__ if name != "what"]
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: np.asarray(data[name], dtype=np.float64).ravel() for name in names}
            what = str(data["what"]) if "what" in data else "labels"
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path} cannot be read: {error}; delete it to do without parity plots") from error
    for kind in ("forces", "energy"):
        sizes = {arrays[f"{kind}_{which}"].size for which in ("ref", "first", "last")}
        if len(sizes) != 1:
            raise StoreError(f"{path}: {kind}_ref, {kind}_first and {kind}_last have different lengths {sorted(sizes)}")
    return Parity(**arrays, what=what)


def _read_extra(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise StoreError(f"{path} is no JSON: {error}") from error
    if not isinstance(data, dict):
        raise StoreError(f"{path} must hold one JSON object, got {type(data).__name__}")
    return data
