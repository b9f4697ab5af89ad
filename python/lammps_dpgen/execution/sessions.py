"""What each controller that used pilot jobs leaves behind: their numbers, for the next one to find or cancel them."""

from __future__ import annotations

import math
import os
import shutil
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from lammps_dpgen.errors import ExecutionError
from lammps_dpgen.execution.box import TaskBox
from lammps_dpgen.execution.parsl_pilot import ALIVE, LEFT
from lammps_dpgen.execution.schedulers import cancel_jobs, list_jobs

_JOBS = "jobs"


class Session:
    """One controller's time: its folder, its jobs.

    Parameters
    ----------
    folder
        Of the session.
    scheduler
        That the jobs were given to; ``local``: they are process groups of this machine.
    """

    def __init__(self, folder: Path, scheduler: str) -> None:
        self.folder, self._scheduler = folder, scheduler

    @classmethod
    def begin(cls, parent: Path, scheduler: str) -> Session:
        """Make the folder of a new session."""
        folder = parent / uuid.uuid4().hex[:12]
        folder.mkdir(parents=True)
        return cls(folder, scheduler)

    def note_job(self, number: str) -> None:
        """Write down a job that was just submitted."""
        with (self.folder / _JOBS).open("a") as file:
            file.write(f"{number}\n")
            file.flush()
            os.fsync(file.fileno())

    def jobs(self) -> list[str]:
        """Return all jobs that were submitted."""
        with suppress(FileNotFoundError):
            return (self.folder / _JOBS).read_text().split()
        return []

    def end(self) -> None:
        """Tell pilots that the controller is gone."""
        (self.folder / ALIVE).unlink(missing_ok=True)

    def leave(self) -> None:
        """Tell pilots that they work without a controller from now on."""
        (self.folder / LEFT).touch()
        self.end()

    @property
    def was_left(self) -> bool:
        """Whether its controller left its pilots in the queue."""
        return (self.folder / LEFT).exists()

    def cancel(self, spare: TaskBox | None = None) -> None:
        """Cancel the jobs, but for those in which a task of the box `spare` runs."""
        if self._scheduler == "local":
            if spare is None:
                self._kill_pilots()
            return  # pilots of this machine end by themselves when their tasks have ended
        claims = [] if spare is None else [spare.claim(key) or {} for key in spare.keys_of_claims()]
        busy = {str(claim.get("job")).partition(".")[0] for claim in claims}
        cancel_jobs(self._scheduler, (job for job in self.jobs() if job.partition(".")[0] not in busy))

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _kill_pilots(self) -> None:
        for process in psutil.process_iter(["cmdline"]):
            words = process.info["cmdline"] or []
            if str(self.folder) in words and any(word.endswith("parsl_pilot") for word in words):
                with suppress(psutil.Error):
                    process.terminate()


class LeftPilots:
    """Pilots that earlier controllers left in the queue; they go on with the tasks of the box beside new ones.

    Parameters
    ----------
    poll
        Seconds between two questions to the scheduler.
    """

    def __init__(self, sessions: Sequence[Session], scheduler: str, poll: float) -> None:
        self._jobs = {job for session in sessions for job in session.jobs()}
        self._scheduler, self._poll = scheduler, poll
        self._asked = -math.inf

    def count(self) -> int:
        """Return how many there still are; a scheduler that does not answer has lost none."""
        if self._jobs and time.monotonic() - self._asked > self._poll:
            self._asked = time.monotonic()
            try:
                self._jobs &= list_jobs(self._scheduler).keys()
            except ExecutionError as error:
                print(error, flush=True)
        return len(self._jobs)


def clear_sessions(parent: Path, box: TaskBox, scheduler: str) -> list[Session]:
    """End the sessions of controllers that are gone, and return all of them: a task may still run in their pilots.

    Pilots that were left in the queue on purpose stay there. The run folder's lock sees to it that no other controller
    lives.
    """
    sessions = [Session(folder, scheduler) for folder in sorted(parent.glob("*")) if folder.is_dir()]
    for session in sessions:
        if not session.was_left:
            session.end()
            session.cancel(spare=box)
    return sessions
