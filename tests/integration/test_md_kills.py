"""``kill -9`` of a learning run at random moments: nothing is lost, nothing is paid twice, nothing stays behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable
from typing import TypeAlias

import pytest
from kills import PATIENCE, RANKS, assert_nothing_left, kill_at, launch, wait_for
from learning_runs import ATOMS, INITIAL_MODELS, NVT, PAIR, Work, ase_labeler, assert_intact, fix, trainer

from conftest import BIN, start
from lammps_dpgen.monitor.status import read_run_status

#: Ends a run from outside.
End: TypeAlias = Callable[[Work, subprocess.Popen[bytes]], None]

#: What each kill hits.
TARGETS = ["ranks", "all", "launcher", "all", "ranks"]

#: Candidates all the way, so that every start has something to learn.
SCRIPT = ATOMS + PAIR + fix("trust 0.02 5.0 stop candidates 4") + NVT.format(t=900) + "run 60\n"

#: After which event a kill comes, and at most how many seconds later: in the MD, the labels, the trainings, the swap.
MOMENTS = [("start", 6.0), ("pause", 0.3), ("label", 0.2), ("label", 6.0), ("training", 1.0), ("generation", 0.5)]


def test_killed_anywhere_it_goes_on(work: Work) -> None:
    rng = random.Random(11)
    (work.folder / "in.x").write_text(SCRIPT)
    moments = rng.sample(MOMENTS, len(TARGETS))
    kills = 0
    paid: dict[str, int] = {}
    for target, (kind, latest) in zip(TARGETS, moments, strict=True):
        kills += kill_at(work, kind, rng.uniform(0.0, latest), target)
        with work.ledger() as ledger:
            recorded = {stored.frame_hash for stored in ledger.labels()}
        log = work.label_log()
        assert recorded <= set(log)
        for frame, count in paid.items():
            assert log[frame] == count, "a label that was in the ledger was computed again"
        paid = {frame: log[frame] for frame in recorded}
    assert kills >= len(TARGETS) - 1

    last = work.md(SCRIPT, ranks=RANKS, check=False)
    assert last.returncode == 0, last.output
    assert assert_intact(work) >= 1
    assert work.last("end")["reason"] == "end of script"
    with work.ledger() as ledger:
        counts = ledger.counts()
    assert counts.untrained == counts.frames["selected"] == 0
    log = work.label_log()
    assert {frame: log[frame] for frame in paid} == paid
    assert sum(log.values()) - len(log) <= kills * len(os.sched_getaffinity(0))
    assert not work.run.lock_file.exists()
    assert not work.processes()


def press_ctrl_c(work: Work, process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)


def send_sigterm(work: Work, process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)


def ask_to_stop(work: Work, process: subprocess.Popen[bytes]) -> None:
    status = read_run_status(work.run.path)
    assert status.state == "running"
    assert status.phase in ("MD", "labels", "training")
    assert status.step is not None
    said = start([BIN / "lammps-dpgen", "stop", "run"], work.folder, work.env, PATIENCE, True).output
    assert "interrupted by lammps-dpgen stop" in said
    assert not work.run.lock_file.exists()


def interrupt(work: Work, script: str, kind: str, end: End = press_ctrl_c) -> None:
    """Run a script and end it a moment after an event: all ranks and workers must end."""
    (work.folder / "in.x").write_text(script)
    with launch(work) as process:
        wait_for(work, process, kind, 2.0)
        assert process.poll() is None
        end(work, process)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            for one in work.processes():
                one.kill()
            pytest.fail(f"{end.__name__} after the event '{kind}' did not end the run")
    assert process.returncode != 0
    assert_nothing_left(work)


def test_interrupted_by_the_user_in_a_training(work: Work) -> None:
    interrupt(work, SCRIPT, "label")
    assert assert_intact(work) == 0
    with work.ledger() as ledger:
        assert ledger.counts().untrained > 0
    paid = work.label_log()
    work.configure(limits={"generations": 1})
    again = work.md(SCRIPT, ranks=RANKS, check=False)
    assert again.returncode == 1, again.output  # the limit
    assert assert_intact(work) == 1
    assert work.label_log() == paid


def test_interrupted_by_the_user_in_a_label(fresh_work: Work) -> None:
    """The frames are chosen and stay chosen; the next start labels them first."""
    work = fresh_work
    wait = work.folder / "wait"
    wait.touch()
    labeler = ase_labeler(work, "while (HERE / 'wait').exists(): time.sleep(0.1)")
    work.configure(
        initial_models=INITIAL_MODELS, labeler=labeler, trainer=trainer(numb_steps=600), limits={"generations": 1}
    )
    interrupt(work, SCRIPT, "selection")
    with work.ledger() as ledger:
        counts, chosen = ledger.counts(), {stored.hash for stored in ledger.frames("selected")}
    assert counts.labels == counts.failures == 0
    assert len(chosen) == 4
    assert work.kinds()[-1] == "end"

    wait.unlink()
    again = work.md(SCRIPT, ranks=RANKS, check=False)
    assert again.returncode == 1, again.output  # the limit
    assert assert_intact(work) == 1
    with work.ledger() as ledger:
        assert {stored.frame_hash for stored in ledger.labels()} == chosen


def test_interrupted_by_the_user_in_the_md(work: Work) -> None:
    script = ATOMS + PAIR + fix("trust 8.0 9.0 stop failed") + NVT.format(t=300) + "run 1000000\n"
    interrupt(work, script, "run")
    assert assert_intact(work) == 0
    assert work.kinds()[-1] == "end"
    work.md(script.replace("1000000", "20"), ranks=RANKS)
    assert work.last("end")["reason"] == "end of script"


@pytest.mark.parametrize(("end", "cause"), [(send_sigterm, "SIGTERM"), (ask_to_stop, "lammps-dpgen stop")])
def test_ended_from_outside_in_the_md(work: Work, end: End, cause: str) -> None:
    script = ATOMS + PAIR + fix("trust 8.0 9.0 stop failed") + NVT.format(t=300) + "run 1000000\n"
    interrupt(work, script, "run", end)
    assert assert_intact(work) == 0
    if end is ask_to_stop:  # mpirun does not pass on SIGTERM: it ends its ranks
        assert (work.last("end")["reason"], work.last("end")["cause"]) == ("interrupted", cause)


def test_ended_by_the_command_in_a_training(work: Work) -> None:
    interrupt(work, SCRIPT, "label", ask_to_stop)
    assert assert_intact(work) == 0
    assert work.last("end")["reason"] == "interrupted"
