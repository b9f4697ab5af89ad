"""Ending a run from outside: signals, the stop file, and what ``lammps-dpgen stop`` says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lammps_dpgen.cli.main import main
from lammps_dpgen.errors import GoOnLater
from lammps_dpgen.learning import interrupts as module
from lammps_dpgen.learning.interrupts import END_OF_JOB, Interrupts, latest_end
from lammps_dpgen.store.activity import lock_state
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.lock import LockOwner
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.store.stop_request import request_stop, stop_file, stop_requested

PATIENCE = 30.0

#: Holds a run folder until it is interrupted, and says why it ended; waits for a file before it closes the run.
JOB = """
import sys, time
from pathlib import Path
from lammps_dpgen.learning import interrupts as module
from lammps_dpgen.learning.interrupts import Interrupts
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder
module.LOOK_INTERVAL = 0.05
run, interrupts = RunFolder(sys.argv[1]).create(), Interrupts()
with interrupts.taken(), run.lock(), Ledger.open(run.ledger, config_hash="0" * 64) as ledger:
    ledger.add_event("start")
    try:
        with interrupts.watched(run):
            print("ready", flush=True)
            while True:
                time.sleep(0.01)
    except KeyboardInterrupt as error:
        ledger.add_event("end", 40, reason="interrupted", cause=str(error))
        print(error, flush=True)
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder(tmp_path / "run").create()
    Ledger.open(run.ledger, config_hash="0" * 64).close()
    return run


def start_job(run: RunFolder) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", JOB, str(run.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def wait_for_interrupt(interrupts: Interrupts) -> None:
    deadline = time.monotonic() + PATIENCE
    while not interrupts.cause and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "cause"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_signal_is_raised_at_once_and_once(number: signal.Signals, cause: str) -> None:
    before = signal.getsignal(number)
    interrupts = Interrupts()
    with interrupts.taken():
        with pytest.raises(KeyboardInterrupt, match=cause):
            signal.raise_signal(number)
        signal.raise_signal(number)  # while the run is being closed
    assert interrupts.cause == cause
    assert signal.getsignal(number) is before


def test_signal_waits_for_the_next_look() -> None:
    interrupts = Interrupts()
    with interrupts.taken(), interrupts.noted():
        interrupts.check()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            interrupts.check()


def test_signal_in_a_pause_is_raised_at_once() -> None:
    interrupts = Interrupts()
    with interrupts.taken(), interrupts.noted(), interrupts.raised(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_the_signal_of_a_queue_ends_a_run_that_goes_on_later() -> None:
    interrupts = Interrupts()
    with interrupts.taken(), interrupts.noted():
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGTERM)  # comes when the job is over: the first cause counts
        with pytest.raises(GoOnLater, match="SIGUSR1"):
            interrupts.check()


@pytest.mark.parametrize(
    ("end", "margin", "latest"),
    [("1000", 120.0, 880.0), ("1000", 500.0, 850.0), ("400", 120.0, None), ("399", 1.0, None)]
    + [(text, 1.0, None) for text in ("", "N/A", "-5", "1e9")],
)
def test_the_latest_moment_to_end(
    end: str, margin: float, latest: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most a quarter of the 600 s that are left is given away; an end that is over is another job's."""
    monkeypatch.setattr(time, "time", lambda: 400.0)
    assert latest_end({END_OF_JOB: end}, margin) == latest


def test_nothing_is_known_of_the_end_of_a_job() -> None:
    assert latest_end({}, 1.0) is None


def test_the_end_of_the_job_is_one_more_signal(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL", 0.01)
    monkeypatch.setenv(END_OF_JOB, str(int(time.time()) + 2))
    interrupts = Interrupts()
    with interrupts.taken(), run.lock(), interrupts.watched(run), interrupts.noted():
        wait_for_interrupt(interrupts)
        with pytest.raises(GoOnLater, match="the end of the job at"):
            interrupts.check()


def test_stop_file_is_one_more_signal(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_INTERVAL", 0.01)
    interrupts = Interrupts()
    with interrupts.taken(), run.lock(), interrupts.watched(run), interrupts.noted():
        owner = run.lock_owner()
        assert owner is not None
        request_stop(run, owner)
        wait_for_interrupt(interrupts)
        with pytest.raises(KeyboardInterrupt, match="lammps-dpgen stop"):
            interrupts.check()
        assert not stop_file(run).exists()


def test_request_for_another_job_stops_nobody(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that an earlier job was asked is removed at the start; one that comes later does not fit the lock."""
    monkeypatch.setattr(module, "LOOK_INTERVAL", 0.01)
    old = LockOwner("host", 1, 0.0, "", "old")
    request_stop(run, old)
    assert stop_requested(run, "old")
    interrupts = Interrupts()
    with interrupts.taken(), run.lock(), interrupts.watched(run):
        assert not stop_file(run).exists()
        request_stop(run, old)
        time.sleep(0.1)
    assert interrupts.cause == ""


def test_torn_request_is_none(run: RunFolder) -> None:
    for text in ("", "{", "[1]", '"x"'):
        stop_file(run).write_text(text)
        assert not stop_requested(run, "x")


def test_stop_ends_a_job_and_says_how(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with start_job(run) as process:
        assert main(["stop", str(run.path)]) == 0
        output, _ = process.communicate(timeout=PATIENCE)
    assert output == "lammps-dpgen stop\n"
    assert process.returncode == 0
    said = capsys.readouterr().out
    assert f"process {process.pid} on" in said
    assert "the job has ended (interrupted by lammps-dpgen stop at step 40); everything is stored" in said
    assert not run.lock_file.exists()
    assert not stop_file(run).exists()


def test_stop_without_waiting(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with start_job(run) as process:
        assert main(["stop", str(run.path), "--no-wait"]) == 0
        assert "was asked to end" in capsys.readouterr().out
        assert process.wait(PATIENCE) == 0


def test_stop_of_a_killed_job(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    with start_job(run) as process:
        process.kill()
        process.wait(PATIENCE)
    assert lock_state(run).activity == "killed"
    assert main(["stop", str(run.path)]) == 1
    assert "was killed; the same command as before goes on" in capsys.readouterr().out
    assert not stop_file(run).exists()


def test_stop_where_nothing_runs(run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop", str(run.path)]) == 1
    assert "nothing to stop: no job works in" in capsys.readouterr().out
    assert main(["stop", str(tmp_path)]) == 2
    assert "it has no ledger.db" in capsys.readouterr().err


def test_lock_of_another_machine_is_judged_by_its_heartbeat(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    run.lock_file.write_text('{"host": "elsewhere", "pid": 7, "started": 1.0, "processes": "x", "token": "t"}\n')
    assert lock_state(run).activity == "running"
    os.utime(run.lock_file, (time.time() - 4000.0,) * 2)
    assert lock_state(run).activity == "silent"
    assert main(["stop", str(run.path)]) == 1
    assert "process 7 on elsewhere has given no sign of life for 4" in capsys.readouterr().out
