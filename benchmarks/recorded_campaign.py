"""A campaign whose MD, labels and trainings are recorded figures, and whose controller is the real one.

    python benchmarks/recorded_campaign.py FOLDER N_LABELS N_WALKERS

Makes a ledger with so many labels, opens the campaign as after a kill, and then does what standard input says: each
line is a number of learning rounds; the answer is a line of JSON with what they cost. Stands in for what costs hours:
the walkers (letters come as from walkers that run LAMMPS), the labels, the trainings, and the models that are judged.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psutil
from sqlalchemy import insert, update

from lammps_dpgen.campaign import controller as controllers
from lammps_dpgen.campaign import messages as m
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.ensemble import EnsemblePrediction
from lammps_dpgen.execution.base import Outcome, Task
from lammps_dpgen.frame import Frame, FrameOrigin, Label, LabelledFrame
from lammps_dpgen.learning import learner as learners
from lammps_dpgen.learning.ensembles import FrameError
from lammps_dpgen.learning.interrupts import Interrupts
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.monitor.journal import Journal
from lammps_dpgen.monitor.lines import LineView
from lammps_dpgen.monitor.recording import RecordingView
from lammps_dpgen.store import rows, schema
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation, ModelRecord, TrajectoryRecord
from lammps_dpgen.store.run_folder import RunFolder, sha256
from lammps_dpgen.structures.sources import frames_of_sources
from lammps_dpgen.training.base import TrainingJob
from lammps_dpgen.training.data import write_systems

#: Labels of one learning round, frames that a walker offers at a pause, looks of a trajectory.
BATCH, OFFERED, LOOKS = 100, 5, 200
#: Letters of walkers between two looks at the post, and results of workers between two of theirs.
LETTERS, RESULTS = 20, 10
#: How often a walker that tells where it is has candidates to offer; letters of one visit to a trajectory.
PAUSES, VISIT = 0.08, 20
#: Displacements of the atoms, Å: about what they are at 600 K.
SPREAD = 0.15


def configuration(folder: Path) -> CampaignConfig:
    """Return a campaign of aluminium and magnesium in cells of 32 atoms; its labeler and trainer are never asked."""
    compositions = {"elements": ["Al", "Mg"], "spacing": 0.25}
    structures = {"generator": "prototype", "crystal": "fcc", "repeat": [2, 2, 2], "number": 50}
    stage = {"name": "solid", "ensemble": "nvt", "temperatures": [300, 600, 900], "time": "100 ps"}
    return CampaignConfig.model_validate(
        {
            "run_folder": folder,
            "type_map": ["Al", "Mg"],
            "models": 4,
            "labeler": {"name": "ase", "settings": {"calculator": "ase.calculators.lj.LennardJones"}},
            "trainer": {"name": "deepmd"},
            "selection": {"batch": BATCH},
            "structures": [structures | {"all_compositions": compositions}],
            "stages": [stage | {"trajectories": 2000, "max_generations": 1_000_000}],
        },
        context={"folder": folder},
    )


def frame_of(start: Frame, rng: np.random.Generator, **origin: Any) -> Frame:
    """Return a frame of a trajectory: the start with displaced atoms."""
    positions = start.positions + rng.normal(scale=SPREAD, size=start.positions.shape)
    deviation = float(rng.uniform(0.05, 0.15))
    where = FrameOrigin("md", "candidate", "solid", start.origin.structure, max_devi_f=deviation, **origin)
    return replace(start, positions=positions, origin=where)


def label_of(frame: Frame, rng: np.random.Generator, settings_hash: str) -> Label:
    """Return a label with the sizes and magnitudes of a real one."""
    forces = rng.normal(scale=0.5, size=frame.positions.shape)
    return Label(-3.4 * frame.n_atoms, forces, rng.normal(size=(3, 3)), "recorded", settings_hash, 60.0)


# ---- a ledger as long campaigns leave it -----------------------------------------------------------------------------


def fill(config: CampaignConfig, run: RunFolder, starts: Sequence[Frame], n_labels: int) -> None:
    """Make the ledger and the data of a campaign that was killed after so many labels, quickly."""
    rng = np.random.default_rng(7)
    settings_hash = config.labeler.settings_hash
    with Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger:
        _without_syncs(ledger)
        model = run.path / "recorded.pb"
        model.write_bytes(rng.bytes(100_000))
        for number in range(n_labels // BATCH):
            chosen = [frame_of(starts[rng.integers(len(starts))], rng, step=10 * i) for i in range(BATCH)]
            labels = [label_of(frame, rng, settings_hash) for frame in chosen]
            ledger.add_frames(chosen)
            rejected = (frame_of(starts[rng.integers(len(starts))], rng) for _ in range(BATCH // 2))
            ledger.add_frames(rejected, "dropped", "not worth a label")
            _add_labels(ledger, number, labels)
            labelled = [LabelledFrame(*pair) for pair in zip(chosen, labels, strict=True)]
            write_systems(labelled, run.data_of(number), config.type_map)
            _add_generation(ledger, run, config, number, model)
            _add_history(ledger, number, starts)


def _without_syncs(ledger: Ledger) -> None:
    """Do not wait for the disk while the ledger is made."""
    ledger._database._engine.raw_connection().cursor().execute("PRAGMA synchronous = OFF")


def _add_labels(ledger: Ledger, number: int, labels: Sequence[Label]) -> None:
    """Add the labels of a generation in one statement; there are one and a half times as many frames as labels."""
    first = number * (BATCH + BATCH // 2) + 1
    judged = {"generation_judged": number - 1, "force_rmse": 0.1, "force_error_max": 0.3}
    frames = schema.frames
    with ledger._database.write() as connection:
        of = range(first, first + BATCH)
        new = [rows.label_row(frame, label) | judged for frame, label in zip(of, labels, strict=True)]
        connection.execute(insert(schema.labels), new)
        connection.execute(update(frames).where(frames.c.number.in_(of)).values(state="labelled"))


def _add_generation(ledger: Ledger, run: RunFolder, config: CampaignConfig, number: int, model: Path) -> None:
    folder = run.models_of(number)
    folder.mkdir(parents=True)
    records = []
    for index in range(config.models):
        path = folder / f"model_{index}.pb"
        os.link(model, path)
        records.append(ModelRecord(str(path.relative_to(run.path)), sha256(path), None, [(0, 1.0, 1.0, 1e-3)] * 10))
    seen = BATCH * (number + 1)
    generation = Generation(number, tuple(records), config.type_map, 0.1, 0.05, seen, reason="candidates")
    ledger.add_generation(generation, range(seen - BATCH + 1, seen + 1))


def _add_history(ledger: Ledger, number: int, starts: Sequence[Frame]) -> None:
    """Add the events and trajectories of one learning round, about as many as the simulation itself has."""
    data = rows.to_json({"walker": 7, "trajectory": 1000, "frame": "f" * 64, "seconds": 60.0, "error": None})
    event = {"time": rows.now(), "kind": "label", "step": 1000, "data": data}
    learnt = rows.to_json({"stage": "solid", "round": 1, "generation": number})
    learning = event | {"kind": "learning", "data": learnt}
    with ledger._database.write() as connection:
        connection.execute(insert(schema.events), [event] * (3 * BATCH))
        connection.execute(insert(schema.events), [learning])
    plan = {"start": starts[0].to_json() | {"origin": {"source": "structures"}}, "seed": 1, "n_steps": 50_000}
    record = TrajectoryRecord("solid", 1, 0, "fcc", 50_000, 1, conditions={"temperature": 300.0}, plan=plan)
    done = replace(record, state="done", attempts=1, accurate=LOOKS - 10, candidate=10)
    ledger.add_trajectories(replace(done, index=20 * number + index) for index in range(20))


# ---- what costs hours in a campaign, recorded ------------------------------------------------------------------------


@dataclass
class Clock:
    """What the controller spent, without what stands in for MD, labels and trainings."""

    aside: list[float] = field(default_factory=lambda: [0.0, 0.0])
    events: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Do not count what happens inside."""
        begin = self._now()
        yield
        self.aside = [spent + now - then for spent, now, then in zip(self.aside, self._now(), begin, strict=True)]

    def read(self) -> list[float]:
        """Return wall time and CPU time in s."""
        return [now - spent for now, spent in zip(self._now(), self.aside, strict=True)]

    def _now(self) -> list[float]:
        return [time.perf_counter(), time.process_time()]


class RecordedWorkers:
    """An executor whose labels and trainings are there at once, a few at each second look."""

    def __init__(self, config: CampaignConfig, run: RunFolder, clock: Clock) -> None:
        self._config, self._run, self._clock = config, run, clock
        self._rng = np.random.default_rng(3)
        self._tasks: deque[Task] = deque()
        self._ready = False

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def poll(self) -> list[Outcome]:
        self._ready = not self._ready
        if not self._ready:
            return []
        with self._clock.stopped():
            done = [self._tasks.popleft() for _ in range(min(RESULTS, len(self._tasks)))]
            return [Outcome(task, self._value(task), seconds=60.0) for task in done]

    @property
    def open_tasks(self) -> int:
        return len(self._tasks)

    def cancel(self, reason: str) -> list[Outcome]:
        return [Outcome(task, None, reason) for task in self._tasks]

    def __enter__(self) -> RecordedWorkers:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def _value(self, task: Task) -> dict[str, Any]:
        if task.method == "check":
            return {}
        self._clock.events[task.method] += 1
        if task.method == "label":
            frame = Frame.from_json(task.payload["frame"])
            return label_of(frame, self._rng, self._config.labeler.settings_hash).to_json()
        TrainingJob.from_json(task.payload)
        task.folder.mkdir(parents=True)
        curve = [(100 * row, 0.1, 0.01, 1e-3) for row in range(10)]
        model, seconds = str(self._run.path / "recorded.pb"), {"loop": 300.0}
        return {"model": model, "warm_start": None, "curve": curve, "steps": 1000, "seconds": seconds}


class RecordedModels:
    """Four models that disagree, about a frame that older ones were doubtful of, by some 0.1 eV/Å."""

    def __init__(self, clock: Clock, hashes: tuple[str, ...]) -> None:
        self._clock, self._rng = clock, np.random.default_rng(9)
        self.hashes = hashes

    def predict(self, frame: Frame, n_models: int = 4) -> EnsemblePrediction:
        with self._clock.stopped():
            forces = self._rng.normal(scale=0.05, size=(n_models, frame.n_atoms, 3))
            return EnsemblePrediction(np.zeros(n_models), forces, np.zeros((n_models, 3, 3)))


class RecordedJudge:
    """Stands in for the comparison of models with labels; each generation is a little better."""

    def __init__(self, old: RecordedModels, labelled: Sequence[LabelledFrame], at_hand: Frame | None = None) -> None:
        self._models = old
        self._errors = [(item, FrameError(0.1, 0.3, 0.001)) for item in labelled]

    def arrived(self, index: int, path: Path) -> None: ...

    def take_errors(self) -> list[tuple[LabelledFrame, FrameError]]:
        errors, self._errors = self._errors, []
        return errors

    def verdict(self) -> tuple[RecordedModels, float, float]:
        return self._models, 0.1, 0.05

    def __enter__(self) -> RecordedJudge:
        return self

    def __exit__(self, *error: object) -> None: ...


@dataclass
class _Walker:
    """A walker as its letters show it: `left` letters of this visit, at `task`, `waits` for an answer."""

    task: m.Explore | None = None
    left: int = 0
    generation: int = 0
    waits: bool = False


class RecordedPost:
    """The post of a controller whose walkers do what walkers do, without MD; letters are unpickled as over MPI."""

    all_arrived = True

    def __init__(self, n_walkers: int, clock: Clock, turn: Turns) -> None:
        self.n_walkers, self._clock, self._turn = n_walkers, clock, turn
        self._walkers = [_Walker() for _ in range(n_walkers)]
        self._letters: deque[bytes] = deque()
        self._rng = np.random.default_rng(5)
        self._next = 0
        for walker in range(n_walkers):
            self._write(m.Ready(walker))

    def send(self, letter: m.ToWalker, walker: int) -> None:
        pickle.dumps(letter)
        with self._clock.stopped():
            self._answer(self._walkers[walker], walker, letter)

    def receive(self) -> Iterator[m.ToController]:
        self._turn.wait_if_over()
        with self._clock.stopped():
            for _ in range(self.n_walkers):
                if len(self._letters) < LETTERS:
                    self._one_step()
        for _ in range(min(LETTERS, len(self._letters))):
            self._clock.events["letter"] += 1
            yield pickle.loads(self._letters.popleft())

    def _write(self, letter: m.ToController) -> None:
        self._letters.append(pickle.dumps(letter))

    def _answer(self, mine: _Walker, number: int, letter: m.ToWalker) -> None:
        if isinstance(letter, m.Explore):
            mine.task, mine.left, mine.generation, mine.waits = letter, VISIT, letter.models.generation, False
        elif isinstance(letter, m.Swap) and mine.task is not None:
            mine.generation, mine.waits = letter.models.generation, False
            swap = {"generation": mine.generation, "energy_jump_per_atom": 0.001, "force_jump_max": 0.1, "seconds": 0.3}
            self._write(m.Note(number, "swap", 1000, swap | {"trajectory": mine.task.number}))
        elif isinstance(letter, m.Resume):
            mine.waits = False
        elif isinstance(letter, m.Park | m.Stop) and mine.task is not None:
            self._end(mine, number, "parked" if isinstance(letter, m.Park) else "stopped")

    def _one_step(self) -> None:
        """Let the next walker that can do something do it."""
        self._next = (self._next + 1) % self.n_walkers
        mine, number = self._walkers[self._next], self._next
        if mine.task is None or mine.waits:
            return
        mine.left -= 1
        step = 2500 * (VISIT - mine.left)
        if mine.left == 0:
            self._end(mine, number, "done")
        elif self._rng.random() < PAUSES:
            mine.waits = True
            of = {"step": step, "walker": number, "trajectory": mine.task.number, "generation": mine.generation}
            frames = tuple(frame_of(mine.task.plan.start, self._rng, **of) for _ in range(OFFERED))
            pause = {"reason": "candidates", "n_candidates": OFFERED, "n_failed": 0, "max_devi_f": 0.1}
            self._write(m.Note(number, "pause", step, pause | {"trajectory": mine.task.number}))
            self._write(m.Learn(number, "candidates", step, mine.generation, frames, (), True))
        else:
            self._write(m.Progress(number, step, 50_000, 0.04))

    def _end(self, mine: _Walker, number: int, outcome: m.Outcome) -> None:
        looks = m.Looks(LOOKS - 10, 10, 0, 0.12)
        seconds = {"md": 90.0, "deviation": 20.0, "start": 3.0}
        self._write(m.Ended(number, outcome, "", 50_000, looks, mine.generation, (), {"tries": 0}, seconds))
        self._write(m.Ready(number))
        mine.task, mine.waits = None, False


class Turns:
    """Learning rounds that standard input asks for; what they cost goes to standard output."""

    def __init__(self, clock: Clock, config: CampaignConfig) -> None:
        self._clock, self._per_round = clock, config.models
        self._goal = 0
        self._before: tuple[list[float], Counter[str]] | None = None

    def wait_if_over(self) -> None:
        """Answer and wait for the next turn where this one is over."""
        if self._clock.events["train"] < self._goal:
            return
        if self._before is not None:
            self._tell(*self._before)
        with self._clock.stopped():
            asked = sys.stdin.readline().strip()
        if not asked:
            os._exit(0)  # killed, as campaigns have to bear
        self._goal = self._clock.events["train"] + int(asked) * self._per_round
        self._before = self._clock.read(), Counter(self._clock.events)

    def _tell(self, times: list[float], events: Counter[str]) -> None:
        wall, cpu = (now - then for now, then in zip(self._clock.read(), times, strict=True))
        told = {"wall": wall, "cpu": cpu, "events": dict(self._clock.events - events)}
        print(json.dumps(told | {"memory": psutil.Process().memory_info().rss}), flush=True)


def main(folder: Path, n_labels: int, n_walkers: int) -> None:
    config = configuration(folder)
    run = RunFolder(folder).create()
    starts = [
        frame for frames in frames_of_sources(config.structures, config.seed, config.type_map) for frame in frames
    ]
    if not run.ledger.exists():
        fill(config, run, starts, n_labels)
    clock = Clock()
    models = RecordedModels(clock, (sha256(run.path / "recorded.pb"),) * config.models)
    with (
        mock.patch.multiple(
            learners,
            Judge=RecordedJudge,
            open_ensemble=lambda *_: models,
            label_executor=lambda *_: RecordedWorkers(config, run, clock),
            training_executor=lambda *_: RecordedWorkers(config, run, clock),
            POLL_INTERVAL=0.0,
        ),
        Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger,
        Journal(run.journal) as journal,
    ):
        logbook, view = Logbook(ledger, journal), RecordingView(LineView(sys.stderr), run, "recorded")
        with learners.Learner(config, run, ledger, logbook, view) as learner:
            post: Any = RecordedPost(n_walkers, clock, Turns(clock, config))
            controllers.Controller(config, run, ledger, logbook, view, learner, post, Interrupts(), n_walkers).work()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]), int(sys.argv[3]))
