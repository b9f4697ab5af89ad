"""What of DP-GEN's machine.json a campaign can use: the command and the cores of a label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lammps_dpgen.convert.account import Account, Keys
from lammps_dpgen.execution.machine_file import CONTEXTS

_SECTIONS = ("train", "model_devi", "fp")
#: Those whose jobs the engine dpdispatcher submits; LAMMPS runs in the campaign.
_STEPS = ("train", "fp")
_JOB = "the campaign is one MPI job: ask for it in the job script of 'mpirun lammps-dpgen run'"
_VERSIONS = {
    "api_version": "says how DP-GEN reads the file",
    "deepmd_version": "the DeePMD-kit of this Python environment is used",
    "deepmd_path": "the DeePMD-kit of this Python environment is used",
}
_COMMANDS = {
    "train": "the trainer runs the DeePMD-kit of this Python environment",
    "model_devi": "LAMMPS runs inside the campaign, on the ranks of mpirun",
}


@dataclass(frozen=True)
class FpMachine:
    """How labels were computed.

    Attributes
    ----------
    command
        Shell line, None where there is none.
    threads
        Cores of one label, None where there is no number.
    jobs
        Whether the file can go on to say how the jobs of labels, and of trainings, are submitted.
    remote
        Whether it submits them over ssh or to a service, which the campaign does not.
    """

    command: str | None = None
    threads: int | None = None
    jobs: bool = False
    remote: bool = False


def fp_machine(data: Mapping[str, Any] | None, account: Account) -> FpMachine:
    """Return what the section ``fp`` says, in DP-GEN's present form or the flat one of its old versions.

    Values of other sections are read by nobody: some are passwords.
    """
    if data is None:
        return FpMachine()
    jobs, remote = _submits_here(data)
    top = Keys(data, account, "machine: ")
    found = FpMachine()
    for name in _SECTIONS:
        for number, (section, place) in enumerate(top.sections(name)):
            machine = _section(name, section, place, account, jobs=jobs and name in _STEPS)
            if name == "fp" and number == 0:
                found = machine
    command = top.changed("fp_command", "labeler.settings.command", "no shell runs it") or found.command
    top.left_all(_VERSIONS)
    for name, remark in _COMMANDS.items():
        top.left(f"{name}_command", remark)
    resources = data.get("fp_resources")
    threads = found.threads
    if isinstance(resources, Mapping):
        threads = _cores(resources)
        top.changed("fp_resources", "labeler.threads", "nodes times cores; all else is for the job script")
    top.unknown(_JOB)
    return FpMachine(command, threads, jobs, remote)


def _section(name: str, data: Mapping[str, Any], place: str, account: Account, *, jobs: bool) -> FpMachine:
    keys = Keys(data, account, place)
    command = None
    if name == "fp":
        command = keys.changed("command", "labeler.settings.command", "no shell runs it")
    else:
        keys.left("command", _COMMANDS[name])
    threads = None
    for inner in ("machine", "resources"):
        for section, inner_place in keys.sections(inner):
            values = Keys(section, account, inner_place)
            if name == "fp" and inner == "resources":
                threads = _cores(section)
                values.carried("number_node", "labeler.threads", "nodes times cores")
                values.carried("cpu_per_node", "labeler.threads", "nodes times cores")
            if jobs:
                values.rest_carried("execution.machine")
            values.unknown(_JOB)
    keys.unknown(_JOB)
    return FpMachine(command, threads)


def _submits_here(data: Mapping[str, Any]) -> tuple[bool, bool]:
    """Tell whether labels are submitted from the machine where DP-GEN runs, and whether they go to another one."""
    section = data.get("fp")
    section = section[0] if isinstance(section, list) and section else section
    if not isinstance(section, Mapping) or not isinstance(section.get("resources"), Mapping):
        return False, False
    machine = section.get("machine")
    if not isinstance(machine, Mapping):
        return False, False
    scheduler = str(machine.get("batch_type", "")).lower() not in ("", "shell")
    here = str(machine.get("context_type", "")).lower().removesuffix("context") in CONTEXTS
    return scheduler and here, scheduler and not here


def _cores(resources: Mapping[str, Any]) -> int | None:
    nodes = resources.get("number_node", resources.get("numb_node", 1))
    cores = resources.get("cpu_per_node", resources.get("task_per_node"))
    return int(nodes) * int(cores) if isinstance(cores, int) and isinstance(nodes, int) else None
