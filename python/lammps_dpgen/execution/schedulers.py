"""The few questions that every scheduler is asked alike: which of my jobs are still there, and: end these."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Sequence

from lammps_dpgen.errors import ExecutionError

#: Seconds that a scheduler gets to answer.
_PATIENCE = 30.0
#: Most jobs named in one command line.
_AT_ONCE = 500

#: What ends jobs; their numbers follow.
_CANCEL: dict[str, Sequence[str]] = {
    "slurm": ("scancel",),
    "pbspro": ("qdel", "-W", "force"),
    "lsf": ("bkill",),
    "kubernetes": ("kubectl", "delete", "pod", "--ignore-not-found", "--wait=false"),
}
#: What lists the jobs of this user that have not ended: one query for all of them.
_LIST: dict[str, Sequence[str]] = {
    "slurm": ("squeue", "--me", "--noheader", "--format=%i %t %j"),
    "pbspro": ("qstat", "-f", "-F", "json"),
    "lsf": ("bjobs", "-noheader", "-o", "jobid stat job_name"),
}
#: Answers by which a scheduler says that a job will never run, whenever it is submitted.
_FOR_GOOD = re.compile(
    r"invalid (partition|account|qos|job credential|feature|node|generic resource|wckey|constraint)"
    r"|partition configuration is not available|more processors requested than permitted|job violates accounting"
    r"|requested time limit is invalid|memory specification can not be satisfied|invalid generic resource"
    r"|unrecognized option|invalid option|invalid .*specification|user's group not permitted|access.*denied"
    r"|unknown queue|no such queue|illegal attribute|unauthorized request|command not found|not a valid project",
    re.IGNORECASE,
)


def is_refusal(answer: str) -> bool:
    """Tell whether a scheduler's message means that asking again is useless; otherwise it may be down for a while."""
    return _FOR_GOOD.search(answer) is not None


def cancel_jobs(scheduler: str, jobs: Iterable[str]) -> None:
    """End jobs; those that have ended already do not matter, nor does a scheduler that is down."""
    names = sorted(set(jobs))
    for first in range(0, len(names), _AT_ONCE):
        try:
            _ask([*_CANCEL[scheduler], *names[first : first + _AT_ONCE]])
        except ExecutionError as error:
            print(error, flush=True)


def list_jobs(scheduler: str) -> dict[str, str]:
    """Return number and name of all jobs of this user that are queued or running.

    Raises
    ------
    ExecutionError
        The scheduler does not answer.
    """
    answer = _ask(_LIST[scheduler])
    if answer.returncode != 0:
        raise ExecutionError(f"{_LIST[scheduler][0]}: {' '.join(answer.stderr.split())}")
    if scheduler == "pbspro":
        found = json.loads(answer.stdout or "{}").get("Jobs", {})
        return {number: job.get("Job_Name", "") for number, job in found.items() if job.get("job_state") != "F"}
    gone = {"CA", "CD", "F", "TO", "NF", "OOM", "BF", "DL", "PR", "DONE", "EXIT"}
    rows = [line.split(maxsplit=2) for line in answer.stdout.splitlines() if line.strip()]
    return {row[0]: row[2] if len(row) > 2 else "" for row in rows if row[1] not in gone}


def _ask(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except FileNotFoundError as error:
        raise ExecutionError(f"{command[0]} is not on the PATH of this machine: {error}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ExecutionError(f"{command[0]} gave no answer: {error}") from error
