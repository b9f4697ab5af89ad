"""A campaign as it stands in its run folder, written through the real ledger: for tests of what reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lammps_dpgen.frame import Frame, FrameOrigin, Label
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation, ModelRecord, TrajectoryRecord

LO, HI = 0.05, 0.15
SETTINGS = "5" * 64
CELL = 4.05 * np.eye(3)
HEADER = "#       step         max_devi_v         min_devi_v         avg_devi_v         max_devi_f" + 2 * " x"
SECONDS = {"md": 800.0, "deviation": 300.0, "labels": 250.0, "training": 600.0, "other": 20.0}


@dataclass(frozen=True)
class Stage:
    """What a stage explores, and in how many rounds; `converges`: whether the last one was good enough."""

    name: str
    structures: tuple[str, ...]
    temperatures: tuple[float, ...]
    rounds: int = 3
    trajectories: int = 12
    labels: int = 18
    converges: bool = True

    def temperature(self, index: int) -> float:
        """Return the temperature (K) of a trajectory of a round."""
        return self.temperatures[index // len(self.structures) % len(self.temperatures)]


STAGES = (
    Stage("bulk-cold", ("Al-fcc", "Al-hcp", "Mg-hcp"), (50.0, 330.0, 660.0)),
    Stage("bulk-hot", ("Al-fcc", "Mg-hcp"), (990.0, 1320.0), 4, 8, converges=False),
)


@dataclass
class CampaignWriter:
    """Plays a campaign; every generation is better than the one before.

    Attributes
    ----------
    truth
        Counts that a reader has to find again.
    """

    folder: Path
    stages: tuple[Stage, ...] = STAGES
    n_walkers: int = 4
    looks: int = 300
    truth: dict[str, Any] = field(default_factory=lambda: {"labels": 0, "set_aside": 0, "audited": 0, "misses": 0})

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.random = np.random.default_rng(11)
        self.generation = -1

    def write(self, end: bool = True) -> CampaignWriter:
        """Write the run folder; without `end` as a killed campaign leaves it, in its last stage."""
        with Ledger.open(self.folder / "ledger.db", config_hash="c" * 64) as ledger:
            ledger.add_event("start", config="campaign.yaml", walkers=self.n_walkers, ranks_per_walker=1, overlap=True)
            self._label(ledger, [self._frame(FrameOrigin("bootstrap")) for _ in range(8)])
            self._generation(ledger)
            for stage in self.stages:
                self._stage(ledger, stage, end or stage is not self.stages[-1])
            if end:
                self._end(ledger)
        return self

    def _stage(self, ledger: Ledger, stage: Stage, end: bool) -> None:
        first = self.generation
        total = stage.rounds * stage.trajectories
        ledger.add_event("stage", stage=stage.name, number=1, n_trajectories=stage.trajectories, trust=[LO, HI])
        for number in range(1, stage.rounds + 1):
            accurate, failed = self._round(ledger, stage, number, number == stage.rounds and stage.converges)
            if number == stage.rounds and not end:
                return
        ledger.add_event(
            "stage_end",
            stage=stage.name,
            converged=stage.converges,
            reason="converged" if stage.converges else "not converged after 4 generations (max_generations)",
            accurate_share=accurate,
            n_failed=failed,
            n_trajectories=total,
            generations=self.generation - first,
            labels=self.truth["labels"],
        )

    def _round(self, ledger: Ledger, stage: Stage, number: int, good: bool) -> tuple[float, int]:
        """Carry out the trajectories of a round and learn from them; return accurate share and failed looks."""
        ledger.add_event("round", stage=stage.name, round=number, n=stage.trajectories)
        records = [
            TrajectoryRecord(
                stage.name,
                number,
                index,
                stage.structures[index % len(stage.structures)],
                n_steps=10 * self.looks,
                seed=index,
                conditions={"temperature": stage.temperature(index)},
            )
            for index in range(stage.trajectories)
        ]
        numbers, looks, frames = ledger.add_trajectories(records), np.zeros(3, dtype=int), []
        for index, (at, record) in enumerate(zip(numbers, records, strict=True)):
            lost = index == 1 and number == 2
            looks += self._trajectory(ledger, at, record, good, lost)
            frames += self._frames(record, at, stage.labels // stage.trajectories + 1)
        if not good:
            self._label(ledger, frames[: stage.labels])
            self._generation(ledger)
        return float(looks[0] / looks.sum()), int(looks[2])

    def _trajectory(self, ledger: Ledger, number: int, record: TrajectoryRecord, good: bool, lost: bool) -> np.ndarray:
        level = 0.012 if good else 0.02 + 0.03 * np.exp(-self.generation / 2) + record.conditions["temperature"] / 1e5
        deviation = level * np.exp(self.random.normal(0, 0.25, self.looks)) * (1 + np.linspace(0, 0.4, self.looks) ** 2)
        walker, counts = number % self.n_walkers, np.bincount(np.digitize(deviation, (LO, HI)), minlength=3)
        figures = dict(zip(("accurate", "candidate", "failed"), (int(n) for n in counts), strict=True))
        state, cause = ("set_aside", "LAMMPS: Lost atoms: original 32 current 31") if lost else ("done", "")
        ledger.update_trajectory(number, state="running", walker=walker, attempts=1)
        ledger.update_trajectory(
            number, state=state, cause=cause, step=record.n_steps, max_devi_f=deviation.max(), seconds=30.0, **figures
        )
        ledger.add_event(
            "trajectory", record.n_steps, number=number, stage=record.stage, state=state, cause=cause, walker=walker
        )
        self.truth["set_aside"] += lost
        folder = self.folder / "trajectories" / f"{number:06d}"
        if number <= 200:
            folder.mkdir(parents=True)
            rows = [f"{10 * i:12d} 0 0 0 {value:18.6e} 0 0" for i, value in enumerate(deviation)]
            (folder / "model_devi.out").write_text("\n".join([HEADER, *rows]) + "\n")
        return counts

    def _frame(self, origin: FrameOrigin) -> Frame:
        return Frame(("Al", "Al", "Mg", "Mg"), self.random.uniform(0, 4, (4, 3)), CELL, origin=origin)

    def _frames(self, record: TrajectoryRecord, number: int, count: int) -> list[Frame]:
        frames = []
        for i in range(count):
            audit = i == 0 and number % 3 == 0
            frames.append(
                self._frame(
                    FrameOrigin(
                        "audit" if audit else "md",
                        "accurate" if audit else "candidate",
                        record.stage,
                        record.structure,
                        generation=self.generation,
                        temperature=record.conditions["temperature"],
                        max_devi_f=0.03 if audit else self.random.uniform(LO, HI),
                        trajectory=number,
                    )
                )
            )
        return frames

    def _label(self, ledger: Ledger, frames: list[Frame]) -> None:
        hashes = ledger.add_frames(frames)
        forces = self.random.normal(size=(len(frames), 4, 3))
        labels = [Label(-7.0, one, None, "lammps 20250722", SETTINGS, 0.5) for one in forces]
        self.truth["labels"] += ledger.record_labels(zip(hashes, labels, strict=True))
        for frame, frame_hash in zip(frames, hashes, strict=True):
            ledger.add_event("label", frame=frame_hash, seconds=0.5, error=None)
            if frame.origin.source == "bootstrap":
                continue
            error = float(frame.origin.max_devi_f * self.random.lognormal(0.2, 0.4))
            if frame.origin.source == "audit":
                self.truth["audited"] += 1
                self.truth["misses"] += error > HI
            ledger.record_model_error(
                frame_hash,
                SETTINGS,
                generation=self.generation,
                force_rmse=error / 2,
                force_error_max=error,
                energy_error_per_atom=0.01,
            )

    def _generation(self, ledger: Ledger) -> None:
        numbers = [label.number for label in ledger.labels(untrained=True)]
        self.generation += 1
        for index in range(2):
            ledger.add_event("training", generation=self.generation, index=index, seconds=20.0, steps=600, rmse=0.1)
        before = None if self.generation == 0 else 0.2 / (1 + self.generation)
        after = 0.08 / (1 + self.generation)
        more = {"force_rmse_before": before, "force_rmse_after": after, "n_labels": self.truth["labels"]}
        models = tuple(self._model(index, after) for index in range(4))
        ledger.add_generation(Generation(self.generation, models, ("Al", "Mg"), **more), numbers)
        ledger.add_event("generation", number=self.generation, **more)

    def _model(self, index: int, level: float) -> ModelRecord:
        path = f"models/g{self.generation:03d}/model_{index}.pb"
        steps = range(0, 600, 20)
        curve = [(s, level * (1 + float(np.exp(-s / 200)) + 0.1 * self.random.random()), 0.01, 1e-3) for s in steps]
        return ModelRecord(path, f"{self.generation:060x}{index:04x}", curve=curve, seconds={"train": 20.0}, steps=600)

    def _end(self, ledger: Ledger) -> None:
        for walker in range(self.n_walkers):
            share = self.random.dirichlet((60, 20, 2, 10, 15, 1)) * 2000
            seconds = dict(zip(("md", "deviation", "start", "waiting", "learning", "pause"), share, strict=True))
            if walker:
                seconds["waiting"] += seconds.pop("learning")
            ledger.add_event("walker_time", walker=walker, seconds=seconds)
        ledger.add_event("finalize", folder="final")
        ledger.add_event("end", reason="all stages are over", seconds=SECONDS)
