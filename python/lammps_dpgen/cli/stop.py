"""``lammps-dpgen stop``: a running job is asked to end at the next safe moment."""

from __future__ import annotations

import time
from pathlib import Path

from lammps_dpgen.errors import StoreError
from lammps_dpgen.store.activity import LockState, lock_state
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.lock import LockOwner
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.store.stop_request import request_stop, withdraw_stop

#: Seconds between two looks at the lock.
POLL_INTERVAL = 0.2


def run_stop(folder: Path, *, wait: bool) -> int:
    """Ask the job of a run folder to end, and wait until it has.

    Returns
    -------
    int
        0 if it has ended (or was asked to, without waiting); 1 if there was nothing to stop.

    Raises
    ------
    StoreError
        There is no run in the folder, or the request cannot be written.
    """
    run = RunFolder(folder)
    if not run.ledger.is_file():
        raise StoreError(f"no run in {folder}: it has no ledger.db; give the folder of a run that was started")
    state = lock_state(run)
    if state.activity != "running" or state.owner is None:
        print(_nothing_to_stop(run, state))
        return 1
    request_stop(run, state.owner)
    if not wait:
        print(f"{state.process} was asked to end {folder}; it does at the next look, or at once in labels and training")
        return 0
    print(f"{state.process} was asked to end {folder}; waiting for it (Ctrl-C ends the waiting alone)", flush=True)
    begin = time.monotonic()
    last = _wait(run, state.owner)
    if last.owner is None or last.owner.token == state.owner.token:
        withdraw_stop(run)
    print(f"after {time.monotonic() - begin:.0f} s: {_outcome(run, last, state.owner)}")
    return 0


def _wait(run: RunFolder, asked: LockOwner) -> LockState:
    """Wait until the job that was asked has gone; return what the lock is then."""
    while True:
        state = lock_state(run)
        mine = state.owner is not None and state.owner.token == asked.token
        if state.activity != "running" or not mine:
            return state
        time.sleep(POLL_INTERVAL)


def _nothing_to_stop(run: RunFolder, state: LockState) -> str:
    if state.activity == "killed":
        return f"nothing to stop: {state.process} was killed; the same command as before goes on where it was"
    if state.activity == "silent":
        age = 0.0 if state.heartbeat_age is None else state.heartbeat_age
        return (
            f"nothing to stop: {state.process} has given no sign of life for {age:.0f} s; if it is there after all, "
            "end it on its machine"
        )
    if state.activity == "running":
        return f"the lock {run.lock_file} cannot be read, so nobody can be asked; try again, or end the job yourself"
    return f"nothing to stop: no job works in {run.path}{_last_end(run)}"


def _outcome(run: RunFolder, state: LockState, asked: LockOwner) -> str:
    if state.owner is not None and state.owner.token != asked.token:
        return f"the job has ended, and {state.process} works in the folder now; it was not asked"
    if state.activity != "none":
        return f"{state.process} is gone without closing the run; what was recorded is stored"
    return f"the job has ended{_last_end(run)}; everything is stored"


def _last_end(run: RunFolder) -> str:
    """Return how the last learning run in the folder ended, in words that follow others."""
    with Ledger.open(run.ledger, config_hash=None) as ledger:
        start, end = ledger.latest_event("start"), ledger.latest_event("end")
    if end is None or (start is not None and start.number > end.number):
        return ""
    cause = end.data.get("cause") or ""
    reason, cause = str(end.data.get("reason", "")), str(end.data.get("cause", ""))
    how = f"{reason} by {cause}" if cause and reason == "interrupted" else reason
    return f" ({how}{f' at step {end.step}' if end.step >= 0 else ''})"
