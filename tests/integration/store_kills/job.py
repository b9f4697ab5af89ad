"""A campaign without MD and training: trajectories offer frames, which are labelled and recorded; generations follow.

Usage: job.py FOLDER SEED. Goes on with what the folder holds; ends when the file FOLDER/enough exists and every frame
has its label or its failure.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import replace

import harmonic

from lammps_dpgen.execution.base import Outcome, Task
from lammps_dpgen.execution.local import LocalExecutor
from lammps_dpgen.frame import FrameOrigin, Label
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation, ModelRecord, TrajectoryRecord
from lammps_dpgen.store.run_folder import RunFolder

CONFIG_HASH = "kills"
BATCH = 8
PER_GENERATION = 15


class Job:
    def __init__(self, folder: RunFolder, seed: int, ledger: Ledger, executor: LocalExecutor) -> None:
        self.folder, self.seed, self.ledger, self.executor = folder, seed, ledger, executor
        self.life = len(ledger.events("start"))
        ledger.add_event("start")
        self.at_work = False
        self.acknowledged = (folder.path / "acknowledged.log").open("a", buffering=1)

    def run(self) -> None:
        self._submit()
        while True:
            for outcome in self.executor.poll():
                self._record(outcome)
                if not self.at_work:
                    self.at_work = True
                    print("at work", flush=True)
            if self.executor.open_tasks == 0:
                self._end_trajectory()
                if (self.folder.path / "enough").exists() and not self._open_trajectories():
                    return
                self._go_on_with_trajectory()
                self._submit()
            self.folder.write_status({"frames": dict(self.ledger.counts().frames)})
            time.sleep(0.001)

    def _open_trajectories(self) -> list[TrajectoryRecord]:
        return self.ledger.trajectories(states=("waiting", "running"))

    def _go_on_with_trajectory(self) -> None:
        """Begin the next trajectory, or the one again that a kill has ended; offer its frames, and select from them."""
        if not self._open_trajectories():
            index = len(self.ledger.trajectories())
            self.ledger.add_trajectories([TrajectoryRecord("springs", 1, index, "cluster", 100, self.seed)] * 2)
        (record,) = self._open_trajectories()
        attempts = record.attempts + 1
        self.ledger.update_trajectory(record.number, state="running", attempts=attempts, walker=self.life)
        numbers = range(BATCH * record.index, BATCH * (record.index + 1))
        origin = FrameOrigin("md", trajectory=record.number)
        frames = [replace(harmonic.make_frame(self.seed, number), origin=origin) for number in numbers]
        hashes = self.ledger.add_frames([*frames, frames[0]], "offered")
        states = self.ledger.frame_states(hashes)
        offered = [pair for pair in zip(numbers, hashes, strict=False) if states[pair[1]] == "offered"]
        self.ledger.set_frame_states(
            (frame_hash, "selected" if harmonic.is_wanted(number) else "dropped", "") for number, frame_hash in offered
        )

    def _end_trajectory(self) -> None:
        """End the trajectory whose frames all have what they get."""
        for record in self.ledger.trajectories(states=("running",)):
            numbers = range(BATCH * record.index, BATCH * (record.index + 1))
            states = self.ledger.frame_states(harmonic.make_frame(self.seed, number).hash for number in numbers)
            if len(states) == BATCH and not {"offered", "selected"} & set(states.values()):
                self.ledger.update_trajectory(record.number, state="done", step=100, candidate=BATCH)

    def _submit(self) -> None:
        for stored in self.ledger.frames("selected"):
            payload = {"frame": stored.frame.to_json(), "life": self.life, "seconds": 0.002 * (stored.number % 3)}
            settings = {"log": str(self.folder.path / "labeler.log")}
            scratch = self.folder.labels / stored.hash[:16]
            task = Task(stored.hash, "harmonic:HarmonicService", settings, "label", payload, scratch, 60.0, retries=0)
            self.executor.submit(task)

    def _record(self, outcome: Outcome) -> None:
        frame_hash = outcome.task.id
        if outcome.value is None:
            cause = outcome.error or ""
            self.ledger.record_failure(frame_hash, harmonic.SETTINGS_HASH, cause, outcome.attempts, outcome.seconds)
            return
        new = self.ledger.record_label(frame_hash, Label.from_json(outcome.value))
        self.acknowledged.write(f"{frame_hash} {new}\n")
        if self.ledger.counts().untrained >= PER_GENERATION:
            self._add_generation()

    def _add_generation(self) -> None:
        latest = self.ledger.latest_generation()
        number = 0 if latest is None else latest.number + 1
        model = self.folder.models_of(number) / "model_0.pb"
        model.parent.mkdir(exist_ok=True)
        model.write_text(f"generation {number}")
        new = [stored.number for stored in self.ledger.labels(untrained=True)]
        record = ModelRecord(str(model.relative_to(self.folder.path)), "0" * 64)
        self.ledger.add_generation(Generation(number, (record,), ("Al",), n_labels=len(new)), new)
        self.folder.link_models([model])


def main() -> None:
    folder, seed = RunFolder(sys.argv[1]).create(), int(sys.argv[2])
    logging.basicConfig(filename=folder.path / "warnings.log", level=logging.WARNING, format="%(message)s")
    with (
        folder.lock(),
        Ledger.open(folder.ledger, config_hash=CONFIG_HASH) as ledger,
        LocalExecutor(width=2, name="kills") as executor,
    ):
        job = Job(folder, seed, ledger, executor)
        job.run()


if __name__ == "__main__":
    main()
