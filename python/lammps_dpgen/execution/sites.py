"""What a pool of cluster jobs asks of its site, and how that is said to each scheduler (through Parsl's providers)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lammps_dpgen.errors import ExecutionError

#: Schedulers that a pool may use.
PROVIDERS = ("slurm", "local", "pbspro", "lsf", "kubernetes")
#: How the lines of a job script begin by which a scheduler is told what the keys here do not say.
DIRECTIVES = {"slurm": "#SBATCH", "pbspro": "#PBS", "lsf": "#BSUB"}


@dataclass(frozen=True)
class Site:
    """A pool of jobs, each of which runs tasks one after another until it is idle or its walltime ends.

    Attributes
    ----------
    provider
        One of `PROVIDERS`.
    jobs
        Most jobs at a time, each of `nodes` nodes with `cores` cores and `gpus` GPUs and `memory` GB.
    tasks
        Tasks side by side on a node.
    walltime
        Seconds of a job.
    task_limit
        Seconds that one task may take; no task begins in a job that has not that much left, where walltimes allow it.
    idle
        Seconds after which a job without a task is given back.
    options
        Lines for the head of the job script, as the site's manual says.
    worker_init
        Shell lines that prepare a node, such as ``module load vasp``.
    """

    provider: str
    jobs: int
    nodes: int
    cores: int
    tasks: int
    walltime: float
    task_limit: float
    gpus: int = 0
    memory: int | None = None
    idle: float = 120.0
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    exclusive: bool = False
    options: tuple[str, ...] = ()
    worker_init: str = ""
    image: str | None = None
    namespace: str = "default"
    volumes: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Site:
        """Inverse of :meth:`to_json`."""
        values = {field.name: data[field.name] for field in fields(cls)}
        values["options"] = tuple(values["options"])
        values["volumes"] = tuple((name, folder) for name, folder in values["volumes"])
        return cls(**values)

    @property
    def drain(self) -> int | None:
        """Seconds after which a job takes no further task; None where the walltime is too short to spare any."""
        seconds = self.walltime - self.task_limit - 60.0
        return int(seconds) if seconds >= self.walltime / 4 else None


def provider_class(site: Site) -> tuple[type[Any], dict[str, Any]]:
    """Return the class of Parsl's provider for a site, and what it is made with.

    Raises
    ------
    ExecutionError
        No such provider.
    """
    if site.provider not in _ARGUMENTS:
        raise ExecutionError(f"provider is '{site.provider}', allowed: {', '.join(PROVIDERS)}")
    import parsl.providers as providers

    name, arguments = _ARGUMENTS[site.provider]
    common = {
        "init_blocks": 0,
        "min_blocks": 0,
        "max_blocks": site.jobs,
        "nodes_per_block": site.nodes,
        "parallelism": 1.0,
        "worker_init": site.worker_init,
    }
    return getattr(providers, name), {**common, **arguments(site)}


def _slurm(site: Site) -> dict[str, Any]:
    return {
        **_batch(site),
        "partition": site.partition,
        "account": site.account,
        "qos": site.qos,
        "constraint": site.constraint,
        "cores_per_node": site.cores,
        "mem_per_node": site.memory,
        "gpus_per_node": site.gpus or None,
        "exclusive": site.exclusive,
        "cmd_timeout": 30,
    }


def _pbspro(site: Site) -> dict[str, Any]:
    gpus = [f"ngpus={site.gpus}"] if site.gpus else []
    memory = [f"mem={site.memory}gb"] if site.memory else []
    return {
        **_batch(site),
        "queue": site.partition,
        "account": site.account,
        "cpus_per_node": site.cores,
        "select_options": ":".join([*gpus, *memory]),
    }


def _lsf(site: Site) -> dict[str, Any]:
    extra = [f'#BSUB -gpu "num={site.gpus}"'] if site.gpus else []
    extra += [f"#BSUB -M {site.memory}GB"] if site.memory else []
    batch = _batch(site)
    return {
        **batch,
        "scheduler_options": "\n".join([*extra, *filter(None, [batch["scheduler_options"]])]),
        "queue": site.partition,
        "project": site.account,
        "bsub_redirection": True,  # else LSF does not read the lines of the script
        "request_by_nodes": False,
        "cores_per_node": site.cores,
        "cores_per_block": site.cores * site.nodes,
    }


def _kubernetes(site: Site) -> dict[str, Any]:
    memory = {} if site.memory is None else {"init_mem": f"{site.memory}Gi", "max_mem": f"{site.memory}Gi"}
    gpus = {"nvidia.com/gpu": str(site.gpus)} if site.gpus else {}
    return {
        "image": site.image,
        "namespace": site.namespace,
        "init_cpu": site.cores,
        "max_cpu": site.cores,
        "extra_limits": gpus,
        "persistent_volumes": list(site.volumes),
        **memory,
    }


def _local(site: Site) -> dict[str, Any]:
    return {}


def _batch(site: Site) -> dict[str, Any]:
    from parsl import launchers

    many = {"slurm": launchers.SrunLauncher, "pbspro": launchers.MpiExecLauncher, "lsf": launchers.JsrunLauncher}
    launcher = many[site.provider]() if site.nodes > 1 else launchers.SingleNodeLauncher()
    hours, seconds = divmod(round(site.walltime), 3600)
    walltime = f"{hours:02d}:{seconds // 60:02d}:{seconds % 60:02d}"
    return {"scheduler_options": "\n".join(site.options), "walltime": walltime, "launcher": launcher}


#: By provider: the name of Parsl's class, and what it is told beside what all are.
_ARGUMENTS: dict[str, tuple[str, Callable[[Site], dict[str, Any]]]] = {
    "slurm": ("SlurmProvider", _slurm),
    "pbspro": ("PBSProProvider", _pbspro),
    "lsf": ("LSFProvider", _lsf),
    "kubernetes": ("KubernetesProvider", _kubernetes),
    "local": ("LocalProvider", _local),
}
