"""Whether a job works in a run folder now, as far as this machine can tell; nothing is touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lammps_dpgen.store.lock import STALE_AFTER, LockOwner, heartbeat_age, owner_runs
from lammps_dpgen.store.run_folder import RunFolder

#: running: its process is there, or its heartbeat from another machine is young; killed: the lock is left, the process
#: is gone; silent: a lock of another machine whose heartbeat is old; none: no lock.
Activity = Literal["running", "killed", "silent", "none"]


@dataclass(frozen=True)
class LockState:
    """Who holds the lock of a run folder.

    Attributes
    ----------
    owner
        As the lock names it; None where there is no lock, or one that cannot be read.
    heartbeat_age
        Seconds since the lock was touched, None without a lock.
    """

    activity: Activity
    owner: LockOwner | None = None
    heartbeat_age: float | None = None

    @property
    def process(self) -> str:
        """The owner in words."""
        return "an unknown process" if self.owner is None else f"process {self.owner.pid} on {self.owner.host}"


def lock_state(run: RunFolder) -> LockState:
    """Look at the lock of a run folder."""
    age = heartbeat_age(run.lock_file)
    if age is None:
        return LockState("none")
    owner = run.lock_owner()
    alive = None if owner is None else owner_runs(owner)
    if alive is None:
        return LockState("running" if age < STALE_AFTER else "silent", owner, age)
    return LockState("running" if alive else "killed", owner, age)
