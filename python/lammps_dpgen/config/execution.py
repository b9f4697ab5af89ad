"""Where labels and trainings run: on this machine, in pilot jobs of a cluster, or in one job each."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from typing_extensions import Self

from lammps_dpgen.config.base import Duration, FilePath, Section
from lammps_dpgen.execution.sites import DIRECTIVES, Site

#: Number of a GPU, counted from 0 among those that the queue has left this job.
Device = Annotated[int, Field(ge=0)]

#: Providers whose jobs do not need the program that submitted them.
_QUEUES = ("slurm", "pbspro", "lsf")
#: Walltime of a job where none is given, as a multiple of the longest task, and at least (seconds).
_WALLTIME, _LEAST_WALLTIME = 1.5, 3600.0


class Pool(Section):
    """Jobs of one kind; each runs tasks one after another until there are none, or until its walltime ends."""

    provider: Literal["slurm", "local", "pbspro", "lsf", "kubernetes"]
    """Scheduler of the site. ``local``: processes of this machine, to try a configuration. ``pbspro``, ``lsf`` and
    ``kubernetes`` are checked as far as job scripts go, and have not been run by the authors."""
    jobs: int = Field(default=1, ge=1)
    """Most jobs in the queue at a time; as many are asked for as there are tasks for."""
    nodes: int = Field(default=1, ge=1)
    """Nodes of a job. A task runs on one node."""
    cores: int = Field(default=1, ge=1)
    """Cores of a node that a job gets."""
    gpus: int = Field(default=0, ge=0)
    """GPUs of a node that a job gets; each task side by side sees one."""
    memory: int | None = Field(default=None, ge=1)
    """Memory of a node that a job gets (GB). Default: as the scheduler does without."""
    walltime: Duration | None = None
    """Wall time of a job (seconds, or a text such as "4h"); not less than a task may take. Default: 1.5 times what a
    task may take, and at least one hour."""
    tasks: int | None = Field(default=None, ge=1)
    """Tasks side by side on a node. Default: for labels, ``cores`` by ``labeler.threads``; for trainings, one per GPU,
    or one."""
    idle: Duration = 120.0
    """Time after which a job without a task is given back."""
    partition: str | None = None
    """Partition or queue."""
    account: str | None = None
    """Account or project that is charged."""
    qos: str | None = None
    """Quality of service (Slurm)."""
    constraint: str | None = None
    """Features of the nodes (Slurm)."""
    exclusive: bool = False
    """Share nodes with nobody (Slurm)."""
    options: tuple[str, ...] = ()
    """Further lines for the head of the job script, such as ``"#SBATCH --hint=nomultithread"``."""
    worker_init: tuple[str, ...] = ()
    """Shell lines that prepare a node, such as ``module load vasp/6.4``; they run before the first task of a job."""
    image: str | None = None
    """Container image that has lammps-dpgen and the labeler's program (Kubernetes, required there)."""
    namespace: str = "default"
    """Namespace of the pods (Kubernetes)."""
    volumes: tuple[tuple[str, str], ...] = ()
    """Persistent volume claims and the folders where they are mounted (Kubernetes); one of them holds the run folder,
    under the same path as here."""

    _own: ClassVar[dict[str, tuple[str, ...]]] = {
        "slurm": ("qos", "constraint", "exclusive"),
        "kubernetes": ("image", "namespace", "volumes"),
    }

    @field_validator("worker_init", "options", mode="before")
    @classmethod
    def _lines(cls, value: Any) -> Any:
        return tuple(value.splitlines()) if isinstance(value, str) else value

    @field_validator("options")
    @classmethod
    def _are_directives(cls, options: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        wanted = DIRECTIVES.get(str(info.data.get("provider")))
        for line in options:
            if wanted is None or not re.match(rf"{wanted}\s+\S", line):
                allowed = f"lines that begin with '{wanted} '" if wanted else "none with this provider"
                raise ValueError(f"got {line!r}; allowed: {allowed}")
        return options

    @model_validator(mode="after")
    def _fits_provider(self) -> Self:
        for provider, keys in self._own.items():
            given = [key for key in keys if key in self.model_fields_set]
            if given and self.provider != provider:
                raise ValueError(f"{', '.join(given)}: only with provider {provider}, here it is {self.provider}")
        if self.provider == "kubernetes" and (self.image is None or self.nodes > 1):
            raise ValueError("provider kubernetes needs an image, and its jobs have one node")
        if self.tasks is not None and self.tasks > (self.gpus or self.cores):
            raise ValueError(f"tasks is {self.tasks}, more than the {self.gpus or self.cores} GPUs or cores of a node")
        return self

    def site(self, *, threads: int | None, limit: float) -> tuple[Site, int]:
        """Return what the pool asks of its site, and the threads of each task.

        Parameters
        ----------
        threads
            That a task wants; None: all that there are.
        limit
            Seconds that a task may take.
        """
        tasks = self.tasks or self.gpus or (1 if threads is None else max(1, self.cores // threads))
        site = Site(
            provider=self.provider,
            jobs=self.jobs,
            nodes=self.nodes,
            cores=self.cores,
            gpus=self.gpus,
            memory=self.memory,
            tasks=tasks,
            walltime=self.walltime or max(_LEAST_WALLTIME, _WALLTIME * limit),
            task_limit=limit,
            idle=self.idle,
            partition=self.partition,
            account=self.account,
            qos=self.qos,
            constraint=self.constraint,
            exclusive=self.exclusive,
            options=self.options,
            worker_init="\n".join(self.worker_init),
            image=self.image,
            namespace=self.namespace,
            volumes=self.volumes,
        )
        return site, threads or max(1, math.floor(self.cores / tasks))


class ExecutionSettings(Section):
    """Where labels and trainings run."""

    engine: Literal["local", "parsl", "dpdispatcher"] = "local"
    """``local``: worker processes of this machine. ``parsl``: pilot jobs of a cluster, which run many tasks each.
    ``dpdispatcher``: one job per task, as a machine.json of DP-GEN says."""
    width: int | Literal["auto"] = Field(default="auto", union_mode="left_to_right")
    """Cores of this machine for labels and trainings that run side by side; ``auto``: all that this process may use."""
    devices: tuple[Device, ...] = ()
    """GPUs of this machine for trainings that run on it: each training sees one, that with the fewest others. Default:
    all trainings see all GPUs, and DeePMD-kit takes the first one."""
    labels: Pool | None = None
    """Jobs for labels (parsl). Default: they run on this machine."""
    training: Pool | None = None
    """Jobs for trainings (parsl). Default: they run on this machine."""
    machine: FilePath | None = None
    """A machine.json of DP-GEN's (dpdispatcher): ``machine`` and ``resources`` of its section ``fp`` are for labels,
    those of ``train`` for trainings; kinds of tasks whose section is absent run on this machine."""
    jobs: int = Field(default=200, ge=1)
    """Most jobs in the queue at a time, of labels and of trainings each (dpdispatcher; pools have their own limit)."""
    address: str | None = None
    """Name or address of this machine as the nodes see it (parsl). Default: all that it has are tried."""
    heartbeat: Duration = 15.0
    """Time between two signs of life of a job (parsl) and of a task; after four without one it is taken for dead."""
    poll: Duration = 30.0
    """Time between two questions to the scheduler, each about all jobs."""
    wait: Literal["stay", "exit"] = "stay"
    """What a run does when it can only wait for labels in the queue. ``exit``: it stores where it is, leaves the jobs
    in the queue, where they go on without it, and ends with exit code 75; started again, it goes on with their results.
    For labels that are jobs of Slurm, PBS Pro or LSF."""
    exit_after: Duration = 300.0
    """Time without anything else to do, and without a label that comes in, after which ``wait: exit`` ends the run."""

    @field_validator("width", mode="before")
    @classmethod
    def _is_count(cls, width: Any) -> Any:
        if width != "auto" and (isinstance(width, bool) or not isinstance(width, int) or width < 1):
            raise ValueError("allowed: auto, or a number of cores of at least 1")
        return width

    @model_validator(mode="after")
    def _fits_engine(self) -> Self:
        of_parsl = [key for key in ("labels", "training", "address") if getattr(self, key) is not None]
        if of_parsl and self.engine != "parsl":
            raise ValueError(f"{', '.join(of_parsl)}: only with engine parsl, here it is {self.engine}")
        if self.engine == "parsl" and not (self.labels or self.training):
            raise ValueError("engine parsl needs a pool: labels, training, or both")
        if (self.machine is not None) != (self.engine == "dpdispatcher"):
            raise ValueError("machine, the path of a machine.json, belongs to engine dpdispatcher, which needs it")
        if self.wait == "exit" and not self.labels_stay_queued:
            raise ValueError(
                "wait: exit leaves labels in the queue of a scheduler, and here there are none; it belongs to engine "
                f"parsl with a pool 'labels' of {', '.join(_QUEUES)}, and to engine dpdispatcher"
            )
        return self

    @property
    def labels_stay_queued(self) -> bool:
        """Whether labels are in a queue where they can stay without this program."""
        return self.machine is not None or (self.labels is not None and self.labels.provider in _QUEUES)

    @property
    def labels_are_jobs(self) -> bool:
        """Whether labels run as jobs of a cluster."""
        return self.labels is not None or self.machine is not None


def refuse_short_walltime(pool: Pool | None, limit: float, what: str) -> None:
    """Refuse jobs that end before one task has had its time; raises ValueError, which pydantic reports."""
    if pool is not None and pool.walltime is not None and pool.walltime < limit:
        raise ValueError(
            f"jobs of pool {what} end after {pool.walltime:g} s, and one task may take {limit:g} s "
            f"({'labeler' if what == 'labels' else 'trainer'}.timeout); make the one longer or the other shorter"
        )
