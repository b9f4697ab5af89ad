"""The wish that a run end: a small file in the run folder, which names the lock that it means.

A request holds for the job that has this very lock. One that was left behind never stops a later start.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from lammps_dpgen.store.lock import LockOwner
from lammps_dpgen.store.run_folder import RunFolder, write_whole


def stop_file(run: RunFolder) -> Path:
    """Return where a request stands."""
    return run.path / "stop.json"


def request_stop(run: RunFolder, owner: LockOwner) -> None:
    """Ask the job that holds the lock to end.

    Raises
    ------
    StoreError
        The folder cannot be written.
    """
    write_whole(stop_file(run), json.dumps({"token": owner.token}) + "\n")


def stop_requested(run: RunFolder, token: str) -> bool:
    """Tell whether the job whose lock has this token is asked to end."""
    try:
        request = json.loads(stop_file(run).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(request, dict) and request.get("token") == token


def withdraw_stop(run: RunFolder) -> None:
    """Remove a request, if there is one."""
    with suppress(OSError):
        stop_file(run).unlink()
