"""Where labels and trainings run: worker processes on all cores of this machine, or jobs of a cluster."""

from __future__ import annotations

from pathlib import Path

from lammps_dpgen.config.bootstrap import BaseConfig
from lammps_dpgen.config.execution import ExecutionSettings, Pool
from lammps_dpgen.config.label import LabelConfig
from lammps_dpgen.execution.base import Executor
from lammps_dpgen.execution.cluster import ClusterExecutor
from lammps_dpgen.execution.devices import visible_devices
from lammps_dpgen.execution.environment import available_cores
from lammps_dpgen.execution.local import LocalExecutor
from lammps_dpgen.execution.machine_file import MachineSection, read_machine_file
from lammps_dpgen.store.run_folder import RunFolder


def label_executor(config: BaseConfig | LabelConfig, run: RunFolder) -> Executor:
    """Return what runs labels: on this machine as many side by side as the cores allow."""
    threads, limit = config.labeler.threads, config.labeler.timeout
    cluster = _cluster(config.execution, run.path, "labels", threads, limit)
    return cluster or LocalExecutor(max(1, _cores(config) // threads), threads, name="labels")


def training_executor(config: BaseConfig, run: RunFolder) -> Executor:
    """Return what trains the models side by side."""
    cluster = _cluster(config.execution, run.path, "training", None, config.trainer.timeout)
    return cluster or local_training_executor(config)


def local_training_executor(config: BaseConfig) -> LocalExecutor:
    """Return what trains the models side by side on this machine, with several threads each where cores are left."""
    cores, devices = _cores(config), visible_devices(config.execution.devices)
    return LocalExecutor(min(config.models, cores), max(1, cores // config.models), "training", devices)


def _cluster(
    execution: ExecutionSettings, run: Path, kind: str, threads: int | None, limit: float
) -> ClusterExecutor | None:
    """Return what runs tasks of a kind as jobs; None where they run on this machine."""
    pool: Pool | None = getattr(execution, kind)
    section: MachineSection | None = None
    if execution.machine is not None:
        section = read_machine_file(execution.machine, "fp" if kind == "labels" else "train")
    if pool is not None:
        site, threads = pool.site(threads=threads, limit=limit)
        engine = {"engine": "parsl", "site": site.to_json(), "threads": threads, "address": execution.address}
    elif section is not None:
        engine = {"engine": "dpdispatcher", **section.to_json(), "jobs": execution.jobs}
        threads = threads or section.cores
    else:
        return None
    engine["poll"] = execution.poll
    folder = run / "execution" / kind
    return ClusterExecutor(
        engine,
        folder,
        threads=threads or 1,
        name=kind,
        heartbeat=execution.heartbeat,
        stays=kind == "labels" and execution.labels_stay_queued,
    )


def _cores(config: BaseConfig | LabelConfig) -> int:
    return available_cores() if config.execution.width == "auto" else config.execution.width
