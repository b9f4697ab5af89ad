"""The engine dpdispatcher: one job per task, submitted as a machine.json of DP-GEN says.

dpdispatcher writes the job script and submits it. Waiting is ours: results are found on the disk with one listing, and
what became of all jobs is asked of the scheduler in one query.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lammps_dpgen.errors import ExecutionError
from lammps_dpgen.execution.box import TaskBox
from lammps_dpgen.execution.engine import Attempt
from lammps_dpgen.execution.schedulers import is_refusal, list_jobs

#: Seconds between two looks for results.
_LOOK_INTERVAL = 0.3
#: Seconds that a result may take to show after its job has left the queue: network disks are late. At most, and as a
#: multiple of the time between two questions to the scheduler.
_GRACE, _GRACE_POLLS = 10.0, 2.0
#: Most jobs that are submitted before the controller is heard again.
_AT_ONCE = 5
#: What the batch types of dpdispatcher are called in `schedulers`; others are asked about job by job.
_SCHEDULERS = {"slurm": "slurm", "pbs": "pbspro", "openpbs": "pbspro", "lsf": "lsf"}
_RECORD = "job.json"


class DpdispatcherEngine:
    """Runs each task in a job of its own; see :class:`lammps_dpgen.execution.engine.Engine`.

    Parameters
    ----------
    machine, resources
        As in machine.json.
    box
        Of the tasks.
    folder
        For job scripts and what jobs print.
    name
        Beginning of the jobs' names.
    jobs
        Most jobs in the queue at a time.
    poll
        Seconds between two questions to the scheduler, and before it is asked again where it did not take a job.
    """

    def __init__(
        self,
        machine: Mapping[str, Any],
        resources: Mapping[str, Any],
        box: TaskBox,
        folder: Path,
        name: str,
        *,
        jobs: int,
        poll: float,
    ) -> None:
        self._machine = {**machine, "context_type": "LazyLocalContext", "remote_profile": {}}
        self._resources = {**resources, "group_size": 1, "para_deg": 1}
        self._box, self._folder, self._name, self._poll = box, folder / "jobs", name, poll
        self._scheduler = _SCHEDULERS.get(str(machine["batch_type"]).lower())
        self._most = jobs
        self._waiting: deque[Attempt] = deque()
        self._submit_from = 0.0
        self._jobs: dict[Attempt, Any] = {}
        self._gone: dict[Attempt, float] = {}
        self._lost: set[Path] = set()
        self._done: dict[Path, Any] = {}
        self._looked = self._asked = time.monotonic()
        self._folder.mkdir(parents=True, exist_ok=True)
        _quiet(self._folder)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], box: TaskBox, folder: Path, name: str) -> DpdispatcherEngine:
        """Make the engine from plain data."""
        return cls(
            settings["machine"], settings["resources"], box, folder, name, jobs=settings["jobs"], poll=settings["poll"]
        )

    def start(self, key: str, attempt: int) -> None:
        """Queue an attempt; it is submitted when there is room."""
        self._waiting.append((key, attempt))

    def knows(self, key: str, attempt: int) -> bool:
        """Tell whether an earlier controller submitted a job for this attempt; the queue will say if it is there."""
        try:
            record = json.loads((self._folder_of(key, attempt) / _RECORD).read_text())
        except (OSError, ValueError):
            return False
        if not record["job"]:
            return False
        job = self._job(key, attempt)
        job.job_id = record["job"]
        self._jobs[(key, attempt)] = job
        return True

    def ended(self) -> list[tuple[Attempt, str | None]]:
        """Return the attempts that have a result, and those whose job left the queue without one."""
        now = time.monotonic()
        self._submit_some(now)
        if not (self._jobs or self._done) or now - self._looked < _LOOK_INTERVAL:
            return []
        self._looked = now
        done = self._box.keys_of_results()
        found: list[tuple[Attempt, str | None]] = [(attempt, None) for attempt in self._jobs if attempt[0] in done]
        if now - self._asked > self._poll:
            self._asked = now
            self._look_at_queue(now)
        for attempt, since in list(self._gone.items()):
            if attempt[0] not in done and now - since > min(_GRACE, _GRACE_POLLS * self._poll):
                found.append((attempt, f"job {self._jobs[attempt].job_id} left the queue without a result"))
        for attempt, cause in found:
            job, folder = self._jobs.pop(attempt), self._folder_of(*attempt)
            self._gone.pop(attempt, None)
            if cause is None:
                self._done[folder] = job
            else:
                self._lost.add(folder)
        return found

    def forget(self, keys: Sequence[str]) -> None:
        """Cancel the jobs of tasks that were withdrawn."""
        self._waiting = deque(attempt for attempt in self._waiting if attempt[0] not in set(keys))
        dropped = [attempt for attempt in self._jobs if attempt[0] in set(keys)]
        for attempt in dropped:
            self._gone.pop(attempt, None)
            _cancel(self._jobs.pop(attempt))

    def close(self) -> None:
        """Cancel all jobs; what lost ones have said stays."""
        self.forget([key for key, _ in [*self._jobs, *self._waiting]])
        end = time.monotonic() + _GRACE
        while self._done and time.monotonic() < end:  # a job whose folder goes before its script ends counts as failed
            self._look_at_queue(time.monotonic())
            time.sleep(_LOOK_INTERVAL)
        for folder in self._folder.iterdir():
            if folder.is_dir() and folder not in self._lost:
                shutil.rmtree(folder, ignore_errors=True)

    def leave(self) -> list[str]:
        """Submit what there is room for, and leave all jobs to the next controller; it finds them as after a kill."""
        before = -1
        while before != len(self._waiting):
            before = len(self._waiting)
            self._submit_some(time.monotonic())
        return [str(job.job_id) for job in self._jobs.values()]

    def abandon(self) -> None:
        """Leave all jobs to the next controller: it finds them by what is written beside their scripts."""

    def _submit_some(self, now: float) -> None:
        """Submit the next jobs, few at a time, so that the controller is heard in between."""
        for _ in range(_AT_ONCE):
            if not self._waiting or len(self._jobs) >= self._most or now < self._submit_from:
                return
            key, attempt = self._waiting[0]
            job = self._job(key, attempt)
            job.job_id = ""
            try:
                job.submit_job()
            except Exception as error:
                text = " ".join(str(error).split())
                if is_refusal(text):
                    raise ExecutionError(f"the scheduler refuses the jobs of this pool: {text}") from error
                print(f"{key}: {text}", flush=True)
            if not job.job_id:
                self._submit_from = now + self._poll
                return
            self._waiting.popleft()
            self._note(key, attempt, str(job.job_id))
            self._jobs[(key, attempt)] = job

    def _job(self, key: str, attempt: int) -> Any:
        """Return dpdispatcher's job for a task; its folder is there."""
        from dpdispatcher import Machine, Resources, Submission, Task

        folder = self._folder_of(key, attempt)
        folder.mkdir(exist_ok=True)
        words = [sys.executable, "-m", "lammps_dpgen.execution.run_task", str(self._box.folder), key]
        command = " ".join(shlex.quote(word) for word in words)
        submission = Submission(
            work_base=".",
            machine=Machine.load_from_dict({**self._machine, "local_root": str(folder)}),
            resources=Resources.load_from_dict(self._resources),
            task_list=[Task(command=command, task_work_path=".", task_name=f"{self._name}-{key[:8]}")],
        )
        submission.generate_jobs()
        return submission.belonging_jobs[0]

    def _folder_of(self, key: str, attempt: int) -> Path:
        """Return the folder of a job: one per attempt, since dpdispatcher marks there what has been done."""
        return self._folder / f"{key}-{attempt}"

    def _note(self, key: str, attempt: int, job: str) -> None:
        folder = self._folder_of(key, attempt)
        fresh = folder / f".{_RECORD}"
        fresh.write_text(json.dumps({"job": job}))
        os.replace(fresh, folder / _RECORD)

    def _look_at_queue(self, now: float) -> None:
        """Ask which jobs are still there; note those that are lost, and remove the folders of those that are done."""
        try:
            known = None if self._scheduler is None else list_jobs(self._scheduler)
        except ExecutionError as error:
            print(error, flush=True)
            return
        for attempt, job in self._jobs.items():
            if self._is_there(job, known):
                self._gone.pop(attempt, None)
            else:
                self._gone.setdefault(attempt, now)
        for folder in [folder for folder, job in self._done.items() if not self._is_there(job, known)]:
            del self._done[folder]
            shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def _is_there(job: Any, known: Mapping[str, str] | None) -> bool:
        if known is not None:
            return str(job.job_id) in known
        from dpdispatcher.utils.job_status import JobStatus

        return job.machine.check_status(job) not in (JobStatus.terminated, JobStatus.finished)


def _cancel(job: Any) -> None:
    try:
        if job.job_id:
            job.machine.kill(job)
    except Exception as error:  # a scheduler that is down; the task ends by itself, since it was withdrawn
        print(f"job {job.job_id} could not be cancelled: {error}", flush=True)


def _quiet(folder: Path) -> None:
    """Let dpdispatcher log into its folder, and not into the one where the user stands."""
    here = os.getcwd()
    os.chdir(folder)  # its first word goes to where the process stands, when it is imported
    try:
        from dpdispatcher.dlog import dlog
    finally:
        os.chdir(here)

    for handler in list(dlog.handlers):
        dlog.removeHandler(handler)
        handler.close()
    dlog.addHandler(logging.FileHandler(folder / "dpdispatcher.log"))
