"""What ``lammps-dpgen doctor CONFIG`` tries: a tiny label with each labeler, and a look at the trainer, where they run.

All of it is real: the labeler's own program, the pool's own job script. What a failure left stays.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers, covalent_radii

from lammps_dpgen.cli.finding import Finding
from lammps_dpgen.config import BootstrapConfig, CampaignConfig, LearnConfig, load_config
from lammps_dpgen.config.bootstrap import BaseConfig
from lammps_dpgen.config.execution import ExecutionSettings
from lammps_dpgen.config.label import LabelConfig
from lammps_dpgen.config.parts import LabelerSection
from lammps_dpgen.errors import DpgenError
from lammps_dpgen.execution.base import Executor, Outcome
from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.learning.checks import check_task
from lammps_dpgen.learning.labels import label_task, sleep_between_polls
from lammps_dpgen.learning.workers import label_executor, training_executor
from lammps_dpgen.store.run_folder import RunFolder

#: Seconds of waiting after which is said for what.
_SAY_AFTER = 5.0
#: Labelers that look labels up, and know no frame but those of their data.
_LOOK_UP = ("replay",)


def examine_pools(path: Path) -> list[Finding]:
    """Try the labelers and the trainer of a configuration; what fails is a finding, with where to look."""
    try:
        config = _load(path)
    except DpgenError as error:
        return [Finding("configuration", str(path), "problem", str(error))]
    elements = config.type_map
    if not elements:
        return [
            Finding("configuration", f"{path} has no type_map", "problem", "name the elements of a tiny frame there")
        ]
    folder = config.run_folder if isinstance(config, BaseConfig) else path.absolute().with_suffix("")
    run = RunFolder(folder.with_name(f"{folder.name}.doctor-{os.getpid()}"))
    findings = list(_try_all(config, elements, run))
    if all(finding.verdict == "ok" for finding in findings):
        shutil.rmtree(run.path, ignore_errors=True)
    return findings


def _load(path: Path) -> BaseConfig | LabelConfig:
    """Read a configuration as what its keys say that it is; errors of the file are told by the reader."""
    try:
        keys = yaml.safe_load(path.read_text()).keys()
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        keys = ()
    if "stages" in keys:
        return load_config(path, CampaignConfig)
    if "fix" in keys:
        return load_config(path, LearnConfig)
    if "trainer" in keys:
        return load_config(path, BootstrapConfig)
    return load_config(path, LabelConfig)


def _try_all(config: BaseConfig | LabelConfig, elements: Sequence[str], run: RunFolder) -> Iterator[Finding]:
    labelers = config.labelers if isinstance(config, BaseConfig) else (config.labeler,)
    try:
        with label_executor(config, run) as executor:
            for number, labeler in enumerate(labelers):
                which = f"{labeler.name} (settings {number + 1})" if number else labeler.name
                yield _try_labeler(executor, labeler, elements, run, f"label by {which}, {_where(config, 'labels')}")
        if isinstance(config, BaseConfig):
            with training_executor(config, run) as executor:
                yield _try_trainer(executor, config, run, f"{config.trainer.name}, {_where(config, 'training')}")
    except DpgenError as error:  # a scheduler that refuses: no other task would fare better
        advice = f"mend the section 'execution'; what the scheduler and its jobs said is in {run.path / 'execution'}"
        yield Finding("execution", str(error), "problem", advice)


def _where(config: BaseConfig | LabelConfig, kind: str) -> str:
    execution: ExecutionSettings = config.execution
    pool = getattr(execution, kind)
    if pool is not None:
        return f"pool {kind} ({pool.provider}{f', {pool.partition}' if pool.partition else ''})"
    return "dpdispatcher" if execution.machine is not None else "this machine"


def _try_labeler(
    executor: Executor, labeler: LabelerSection, elements: Sequence[str], run: RunFolder, part: str
) -> Finding:
    """Let a labeler check its settings, and label the crystal of the first element."""
    begin = time.monotonic()
    executor.submit(check_task(labeler, sorted(elements), run.labels))
    checked = _outcome(executor, part)
    if checked.value is None or labeler.name in _LOOK_UP:
        return _finding(part, checked, f"its settings are in order ({time.monotonic() - begin:.1f} s)")
    frame = Frame.from_ase(tiny_crystal(elements[0]))
    executor.submit(replace(label_task(frame, labeler, run.labels), retries=0))
    done = _outcome(executor, part)
    if done.value is None:
        return _finding(part, done, "")
    label, waited = Label.from_json(done.value), time.monotonic() - begin
    text = f"{frame.formula}: {label.energy / frame.n_atoms:.4f} eV/atom in {done.seconds:.1f} s, {waited:.1f} s in all"
    return _finding(part, done, text)


def _try_trainer(executor: Executor, config: BaseConfig, run: RunFolder, part: str) -> Finding:
    """Let the trainer check its settings where it will run."""
    begin = time.monotonic()
    executor.submit(check_task(config.trainer, config.type_map, run.training))
    checked = _outcome(executor, part)
    return _finding(f"trainer {part}", checked, f"its settings are in order ({time.monotonic() - begin:.1f} s)")


def _finding(part: str, outcome: Outcome, found: str) -> Finding:
    if outcome.value is not None:
        return Finding(part, found)
    log = outcome.log or outcome.task.folder
    return Finding(part, f"failed: {outcome.error}", "problem", f"what it left is in {outcome.task.folder}, see {log}")


def _outcome(executor: Executor, part: str) -> Outcome:
    """Wait for the only task; say for what, where it lasts."""
    begin, told = time.monotonic(), False
    while not (outcomes := executor.poll()):
        if not told and time.monotonic() - begin > _SAY_AFTER:
            print(f"waiting for: {part} (Ctrl-C ends the doctor and its jobs)", file=sys.stderr, flush=True)
            told = True
        sleep_between_polls()
    return outcomes[0]


def tiny_crystal(element: str) -> Atoms:
    """Return the primitive crystal of an element; a simple cubic one of touching atoms where none is known."""
    try:
        return bulk(element)
    except (ValueError, RuntimeError, KeyError):
        edge = 2.0 * float(covalent_radii[atomic_numbers[element]])
        return Atoms(element, cell=[edge] * 3, pbc=True)
