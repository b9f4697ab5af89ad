"""What a campaign's ledger and its trajectory folders tell beyond a learning run's."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lammps_dpgen.errors import StoreError
from lammps_dpgen.frame import FloatArray
from lammps_dpgen.monitor.stages import read_stages
from lammps_dpgen.report.calibration import AuditResult, audit_errors
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import RoundFigures, TrajectoryFigures, TrajectoryRecord

#: Trajectories whose deviation is drawn.
N_SAMPLES = 8
#: What a walker can spend its time with, in the order in which it is drawn.
WALKER_PARTS = ("md", "deviation", "learning", "start", "pause", "waiting")
#: Bytes of a trajectory's deviation that are read at most.
_MOST_BYTES = 1 << 24


@dataclass(frozen=True)
class Sample:
    """One trajectory, and its deviation (eV/Å) over the MD step.

    Attributes
    ----------
    parts
        (step, max_devi_f), arrays ``[n_looks]``, of each of its runs: a new one begins where it was resumed.
    """

    trajectory: TrajectoryRecord
    parts: list[tuple[FloatArray, FloatArray]]


@dataclass(frozen=True)
class CampaignRecord:
    """A campaign, read.

    Attributes
    ----------
    stages
        See :func:`lammps_dpgen.monitor.stages.read_stages`.
    rounds, figures
        What was found by stage and round, and by stage, structure and temperature.
    set_aside
        Trajectories that were given up.
    audits
        By stage, what random labels of accurate frames say about it.
    walkers
        Seconds by part of each walker, all sessions together, ``[n_walkers, len(WALKER_PARTS)]``.
    samples
        A few trajectories, of all stages.
    """

    stages: list[dict[str, Any]]
    rounds: list[RoundFigures]
    figures: list[TrajectoryFigures]
    set_aside: list[TrajectoryRecord]
    audits: dict[str, AuditResult]
    walkers: FloatArray
    samples: list[Sample]

    def window_of(self, stage: str) -> tuple[float, float] | None:
        """Return the trust window that a stage began with (eV/Å), None where it is not known."""
        found = next((one["window"] for one in self.stages if one["name"] == stage), None)
        return None if found is None else (found[0], found[1])

    def trajectories(self) -> dict[str, int]:
        """Return how many trajectories there are by state."""
        total: dict[str, int] = defaultdict(int)
        for figures in self.rounds:
            for state, number in figures.trajectories.items():
                total[state] += number
        return dict(total)

    def walker_seconds(self) -> dict[str, float]:
        """Return the seconds of all walkers together by part."""
        return dict(zip(WALKER_PARTS, (float(value) for value in self.walkers.sum(axis=0)), strict=True))


def read_campaign(ledger: Ledger, folder: Path, window: tuple[float, float] | None) -> CampaignRecord | None:
    """Read what there is of a campaign; None where the run is none.

    Parameters
    ----------
    window
        Trust window in eV/Å of stages that do not tell theirs; without one nothing can be said of their audit.
    """
    stages = read_stages(ledger)
    if not stages:
        return None
    rounds = ledger.round_figures()
    windows = {stage["name"]: stage["window"] or window for stage in stages}
    audits = {}
    for name, errors in ledger.audited_errors().items():
        if (known := windows.get(name)) is not None:
            audits[name] = audit_errors(np.array(errors), known[1])
    return CampaignRecord(
        stages=stages,
        rounds=rounds,
        figures=ledger.trajectory_figures(),
        set_aside=ledger.trajectories(states=("set_aside",)),
        audits=audits,
        walkers=_walkers(ledger),
        samples=_samples(ledger, folder / "trajectories"),
    )


def _walkers(ledger: Ledger) -> FloatArray:
    """Add up what the walkers measured; a session that was killed has left nothing."""
    found: dict[int, FloatArray] = {}
    for event in ledger.events("walker_time"):
        seconds = event.data.get("seconds") or {}
        row = np.array([float(seconds.get(part) or 0.0) for part in WALKER_PARTS])
        number = int(event.data.get("walker", -1))
        found[number] = found.get(number, np.zeros(len(WALKER_PARTS))) + row
    return np.array([found[number] for number in sorted(found)]).reshape(-1, len(WALKER_PARTS))


def _samples(ledger: Ledger, folder: Path) -> list[Sample]:
    """Read a few of the trajectories that have left their deviation, spread evenly over the campaign."""
    try:
        numbers = sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal())
    except OSError:
        return []
    if len(numbers) > N_SAMPLES:
        numbers = [numbers[round(i * (len(numbers) - 1) / (N_SAMPLES - 1))] for i in range(N_SAMPLES)]
    samples = []
    for record in ledger.trajectories(numbers=numbers):
        files = sorted((folder / f"{record.number:06d}").glob("model_devi*.out"), key=_run_of)
        parts = [part for part in map(_deviation, files) if part is not None]
        if parts:
            samples.append(Sample(record, parts))
    return samples


def _run_of(path: Path) -> int:
    """Return which run of a trajectory wrote ``model_devi.out``, ``model_devi.2.out`` ..."""
    number = path.name.removeprefix("model_devi").removesuffix(".out").strip(".")
    return int(number) if number.isdecimal() else 1


def _deviation(path: Path) -> tuple[FloatArray, FloatArray] | None:
    """Return steps and max_devi_f of a file in DeePMD's form without a torn last line; None where there is none."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode(errors="replace")
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error}") from error
    rows = [line.split() for line in text[: text.rfind("\n") + 1].splitlines() if not line.lstrip().startswith("#")]
    values = []
    for row in rows:
        try:
            values.append((float(row[0]), float(row[4])))
        except (IndexError, ValueError):
            continue
    if not values:
        return None
    table = np.array(values, dtype=np.float64)
    return table[:, 0], table[:, 1]
