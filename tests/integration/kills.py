"""``kill -9`` of a job at chosen moments, for the tests of learning runs and campaigns."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import suppress

import psutil
from learning_runs import Work

#: Ranks of the jobs that are killed.
RANKS = 2
#: Seconds that a job gets to come to an event, or to end.
PATIENCE = 60.0


def wait_for(work: Work, process: subprocess.Popen[bytes], kind: str, delay: float) -> None:
    """Wait until `delay` seconds after a new event of a kind, or until the run has ended."""
    seen = len(work.kinds()) if work.run.journal.exists() else 0
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        lines = work.run.journal.read_bytes().splitlines() if work.run.journal.exists() else []
        if any(f'"kind": "{kind}"'.encode() in line for line in lines[seen:]):
            time.sleep(delay)
            return
        time.sleep(0.02)


def victims(work: Work, mpirun: int, what: str) -> list[psutil.Process]:
    """Return what is killed: launcher, ranks, or all; never the workers, which must end by themselves."""
    job = [one for one in work.processes() if not any("execution.worker" in word for word in one.cmdline())]
    if what == "all":
        return job
    ranks = [one for one in job if any(word.endswith("lammps-dpgen") for word in one.cmdline()[:2])]
    return ranks if what == "ranks" else [one for one in job if one.pid == mpirun]


def launch(work: Work) -> subprocess.Popen[bytes]:
    """Start the run, its output thrown away."""
    nowhere = subprocess.DEVNULL
    return subprocess.Popen(
        work.command(RANKS),
        cwd=work.folder,
        env=work.env,
        stdin=nowhere,
        stdout=nowhere,
        stderr=nowhere,
        start_new_session=True,
        # A shell that starts the tests in the background has its children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def assert_nothing_left(work: Work) -> None:
    """Check that all processes of a run end, the workers included."""
    deadline = time.monotonic() + PATIENCE
    while work.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not work.processes(), "processes outlived the run"


def kill_at(work: Work, kind: str, delay: float, what: str) -> bool:
    """Start the run and kill it after an event; False if it ended before."""
    with launch(work) as process:
        wait_for(work, process, kind, delay)
        alive = process.poll() is None
        chosen = victims(work, process.pid, what) if alive else []
        assert chosen or not alive
        for one in chosen:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait(PATIENCE)
    assert_nothing_left(work)
    return alive
