"""Random ``kill -9`` of a run under load; the judge is the log that the labeler itself keeps."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

SCRIPTS = Path(__file__).parent / "store_kills"
sys.path.insert(0, str(SCRIPTS))

import harmonic  # noqa: E402

KILLS = 22
WIDTH = 2


@dataclass
class Story:
    """What the outside saw of one run."""

    folder: RunFolder
    seed: int
    kills: int = 0
    at_work: int = 0
    broken_transactions: int = 0
    #: Hashes found recorded after a kill, with the length of the labeler's log at that moment.
    snapshots: list[tuple[set[str], int]] = field(default_factory=list)

    @property
    def labeler_log(self) -> Path:
        return self.folder.path / "labeler.log"


def start(story: Story) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPTS / "job.py"), str(story.folder.path), str(story.seed)]
    with (story.folder.path / "errors.log").open("a") as errors:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)


def live_and_kill(story: Story, rng: random.Random) -> None:
    """Start the job, and kill it: often at work, sometimes while it starts."""
    job = start(story)
    assert job.stdout is not None
    with job:
        if rng.random() < 0.8:
            said = job.stdout.readline()  # after the first outcome
            assert said == "at work\n", (story.folder.path / "errors.log").read_text()
            story.at_work += 1
            time.sleep(rng.uniform(0.0, 0.6))
        else:
            time.sleep(rng.uniform(0.1, 1.5))
        assert job.poll() is None, (story.folder.path / "errors.log").read_text()
        job.kill()
    story.kills += 1
    journal = story.folder.ledger.with_name("ledger.db-journal")
    story.broken_transactions += journal.exists() and journal.stat().st_size > 0


def look(story: Story) -> None:
    """Read the ledger as a report does, and note how far the labeler's log is."""
    if not story.folder.ledger.exists() or story.folder.ledger.stat().st_size == 0:
        return  # killed before it had one
    with Ledger.open(story.folder.ledger, config_hash=None) as ledger:
        recorded = {stored.frame_hash for stored in ledger.labels()}
    length = story.labeler_log.stat().st_size if story.labeler_log.exists() else 0
    story.snapshots.append((recorded, length))


def tell(folder: Path, seed: int) -> Story:
    """Kill a run again and again, then let it end."""
    story = Story(RunFolder(folder).create(), seed)
    rng = random.Random(seed)
    for number in range(KILLS):
        live_and_kill(story, rng)
        if number % 2:  # after the others, the job itself has to undo what the kill broke
            look(story)
    (story.folder.path / "enough").touch()
    job = start(story)
    job.communicate(timeout=120)
    assert job.returncode == 0, (story.folder.path / "errors.log").read_text()
    return story


def judge(story: Story) -> str:
    """Compare the ledger with the labeler's own log."""
    computed = [line.split() for line in story.labeler_log.read_text().splitlines()]
    acknowledged = [line.split() for line in (story.folder.path / "acknowledged.log").read_text().splitlines()]
    with Ledger.open(story.folder.ledger, config_hash=None) as ledger:
        frames, labels, failures = ledger.frames(), ledger.labels(), ledger.failures()
        generations, counts, trajectories = ledger.generations(), ledger.counts(), ledger.trajectories()
    recorded = Counter(stored.frame_hash for stored in labels)

    # Every recorded label is there exactly once, was computed by the labeler, and is right to the last bit.
    assert set(recorded.values()) == {1}
    energies = {frame_hash: float(energy) for _, frame_hash, energy in computed}
    for stored in labels:
        assert stored.label.energy == energies[stored.frame_hash] == harmonic.label_of(stored.frame).energy
        assert (stored.label.forces == harmonic.label_of(stored.frame).forces).all()

    # Nothing is lost: each frame was made once, in order, and each has its label or its one failure.
    assert [stored.hash for stored in frames] == [
        harmonic.make_frame(story.seed, number).hash for number in range(len(frames))
    ]
    wanted = [stored for number, stored in enumerate(frames) if harmonic.is_wanted(number)]
    possible = {stored.hash for stored in wanted if harmonic.can_be_labelled(stored.frame)}
    assert recorded.keys() == possible == energies.keys()
    assert Counter(failure.frame_hash for failure in failures) == Counter(
        stored.hash for stored in wanted if stored.hash not in possible
    )
    states = {"offered": 0, "selected": 0, "labelled": len(possible), "set_aside": len(failures)}
    assert counts.frames == states | {"dropped": len(frames) - len(wanted)}

    # Each trajectory was planned once, offered its own frames, and was begun again after a kill only.
    assert [record.index for record in trajectories] == list(range(len(trajectories)))
    assert {record.state for record in trajectories} == {"done"}
    assert all(record.attempts >= 1 and record.ended is not None for record in trajectories)
    assert sum(record.attempts - 1 for record in trajectories) <= story.kills
    per_trajectory = len(frames) // len(trajectories)
    of = [stored.frame.origin.trajectory for stored in frames]
    assert of == [record.number for record in trajectories for _ in range(per_trajectory)]
    assert all(new == "True" for _, new in acknowledged)
    assert set(Counter(frame_hash for frame_hash, _ in acknowledged).values()) == {1}
    before: set[str] = set()
    for found, _ in story.snapshots:
        assert before <= found
        before = found
    assert before <= recorded.keys()

    # What was recorded was never computed again; what was not, at most once more per kill and place of a worker.
    log = story.labeler_log.read_bytes()
    for found, length in story.snapshots:
        assert not found & {line.split()[1].decode() for line in log[length:].splitlines()}
    assert set(Counter((life, frame_hash) for life, frame_hash, _ in computed).values()) == {1}
    repeated = len(computed) - len(energies)
    assert repeated <= story.kills * 2 * WIDTH

    # Each label was new in at most one generation, and in no more than were recorded with it.
    trained = Counter(stored.trained_in for stored in labels if stored.trained_in is not None)
    assert trained == Counter({generation.number: generation.n_labels for generation in generations})
    assert [generation.number for generation in generations] == list(range(len(generations)))
    current = story.folder.model_link(0).read_text()
    assert current == f"generation {len(generations) - 1}"

    with sqlite3.connect(story.folder.ledger) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    taken_over = (story.folder.path / "warnings.log").read_text().count("taking it over")
    assert taken_over >= story.at_work
    assert not story.folder.lock_file.exists()
    return (
        f"seed {story.seed}: {story.kills} kills ({story.at_work} at work, {story.broken_transactions} inside a "
        f"transaction), {len(labels)} labels, {len(failures)} failures, {repeated} computed twice, "
        f"{len(generations)} generations, {len(trajectories)} trajectories, {taken_over} locks taken over"
    )


@pytest.mark.timeout(300)
def test_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    seeds = (1, 2)
    with ThreadPoolExecutor(len(seeds)) as pool:
        stories = list(pool.map(lambda seed: tell(tmp_path / f"run-{seed}", seed), seeds))
    assert sum(story.kills for story in stories) >= 40
    for story in stories:
        print(judge(story))
