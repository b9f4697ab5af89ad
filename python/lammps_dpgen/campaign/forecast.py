"""What a campaign is going to do, as far as it can be told before anything is paid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lammps_dpgen import registry
from lammps_dpgen.campaign.held_out import read_held_out
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.config.stage import Stage
from lammps_dpgen.errors import ConfigError, DpgenError, MissingPartError, StructureError
from lammps_dpgen.frame import Frame
from lammps_dpgen.geometry import closest_contact
from lammps_dpgen.learning.continuation import check_continuation
from lammps_dpgen.learning.selection import bad_box
from lammps_dpgen.sampling.base import Sampler, TrajectoryPlan
from lammps_dpgen.structures.sources import frames_of_sources


@dataclass(frozen=True)
class Finding:
    """Something that is wrong (``is_error``: the campaign cannot work), or that its user should know."""

    where: str
    text: str
    is_error: bool = True


@dataclass(frozen=True)
class StageForecast:
    """The first round of a stage.

    Attributes
    ----------
    starts
        Structures that trajectories start from.
    plans
        Trajectories of the round; empty where the sampler refuses the starts.
    """

    stage: Stage
    sampler: Sampler
    starts: tuple[Frame, ...]
    plans: tuple[TrajectoryPlan, ...]

    @property
    def steps(self) -> int:
        """MD steps of the round."""
        return sum(plan.n_steps for plan in self.plans)

    @property
    def atom_steps(self) -> float:
        """MD steps times atoms of the round."""
        return float(sum(plan.n_steps * plan.start.n_atoms for plan in self.plans))

    @property
    def n_used(self) -> int:
        """Starts that the round uses."""
        return len({id(plan.start) for plan in self.plans})


@dataclass(frozen=True)
class Forecast:
    """All stages, the structures of generation 0, and what is wrong."""

    stages: tuple[StageForecast, ...]
    initial: tuple[Frame, ...]
    findings: tuple[Finding, ...]

    @property
    def frames(self) -> list[Frame]:
        """All structures, each once."""
        every = [*self.initial, *(frame for stage in self.stages for frame in stage.starts)]
        return list({id(frame): frame for frame in every}.values())


def forecast(config: CampaignConfig) -> Forecast:
    """Make the structures and the plans of each stage's first round; nothing is raised but programming errors."""
    findings: list[Finding] = []
    try:
        made = frames_of_sources(config.structures, config.seed, config.type_map)
    except (StructureError, ConfigError) as error:
        return Forecast((), (), (Finding("structures", str(error)), *check_parts(config)))
    by_name = {source.source_name: frames for source, frames in zip(config.structures, made, strict=True)}
    for frames in by_name.values():
        findings += _check_frames(config, frames)
    stages = []
    for stage in config.resolved_stages():
        starts = tuple(frame for name in stage.structures for frame in by_name[name])
        try:
            stages.append(_forecast_stage(stage, starts, config))
        except DpgenError as error:
            findings.append(Finding(f"stage {stage.name}", str(error)))
            continue
        findings += _check_stage(config, stages[-1])
    boot = config.bootstrap()
    chosen = () if boot is None else filter(boot.is_initial, config.structures)
    initial = tuple(frame for source in chosen for frame in by_name[source.source_name])
    return Forecast(
        tuple(stages), initial, (*findings, *check_parts(config), *_check_files(config), *_check_validation(config))
    )


def _check_validation(config: CampaignConfig) -> Iterator[Finding]:
    """Yield why the generations cannot be validated."""
    if config.validation is None:
        return
    from lammps_dpgen.validation.generations import check_file

    try:
        check_file(config.validation.file)
    except DpgenError as error:
        yield Finding("validation", str(error))


def _forecast_stage(stage: Stage, starts: tuple[Frame, ...], config: CampaignConfig) -> StageForecast:
    sampler: Sampler = registry.make(registry.SAMPLERS, stage.sampler, stage.settings)
    sampler.check(starts, config.type_map)
    plans = sampler.plan(starts, stage.trajectories, np.random.default_rng([config.seed, stage.number]))
    return StageForecast(stage, sampler, starts, tuple(plans))


def _check_frames(config: CampaignConfig, frames: Sequence[Frame]) -> Iterator[Finding]:
    """Yield why structures of a source can never be labelled, the first one of each reason."""
    selection = config.selection
    seen: set[str] = set()
    for frame in frames:
        contact = closest_contact(frame, selection.min_distance)
        box = bad_box(frame, selection.box)
        problems = {
            "selection.max_atoms": f"{frame.n_atoms} atoms, {selection.max_atoms} are allowed; take a smaller cell"
            if frame.n_atoms > selection.max_atoms and config.extract is None
            else None,
            "selection.min_distance": None if contact is None else contact.describe(frame),
            "selection.box": box,
        }
        for key, problem in problems.items():
            if problem is not None and key not in seen:
                seen.add(key)
                name = frame.origin.structure
                yield Finding("structures", f"{name} and all like it are never labelled ({key}): {problem}")


def _check_stage(config: CampaignConfig, found: StageForecast) -> Iterator[Finding]:
    where, stage = f"stage {found.stage.name}", found.stage
    if found.n_used < len(found.starts):
        yield Finding(
            where,
            f"a round of {len(found.plans)} trajectories begins from {found.n_used} of {len(found.starts)} structures; "
            "raise trajectories to use all of them in each round",
            is_error=False,
        )
    short = [plan for plan in found.plans if 0 < plan.n_steps < stage.every]
    if short:
        yield Finding(
            where,
            f"a trajectory of {short[0].n_steps} steps is shorter than one look of fix dpgen (every {stage.every})",
        )
    ranks = config.walkers.ranks_per_walker
    smallest = min(frame.n_atoms for frame in found.starts)
    if ranks > smallest:
        yield Finding(
            where,
            f"walkers.ranks_per_walker is {ranks}, and the smallest structure has {smallest} atoms: some ranks have no "
            "atom there; more walkers of fewer ranks use them better",
            is_error=False,
        )


def _check_files(config: CampaignConfig) -> Iterator[Finding]:
    try:
        read_held_out(config)
    except ConfigError as error:
        yield Finding("finalize", str(error))
    try:
        n_labels = check_continuation(config)
    except DpgenError as error:
        yield Finding("continue_from", str(error).removeprefix("continue_from: "))
    else:
        if n_labels:
            yield Finding("continue_from", f"{n_labels} labels of other runs are taken over", is_error=False)


def check_parts(config: CampaignConfig) -> Iterator[Finding]:
    """Yield what labeler and trainer find wrong with their settings, without a label or a training, and lost files."""
    elements = list(config.type_map)
    for section in (*config.labelers, config.trainer):
        where = f"{registry.WORDS[section.group]} {section.name}"
        try:
            registry.make(section.group, section.name, section.settings).check(elements)
        except MissingPartError as error:
            yield Finding(where, f"{_told(error, where)}. On this machine the campaign cannot start", is_error=False)
        except DpgenError as error:
            yield Finding(where, _told(error, where))
    missing = [str(path) for path in config.initial_models if not path.is_file()]
    if missing:
        yield Finding("initial_models", f"no such file: {', '.join(missing)}")


def _told(error: DpgenError, where: str) -> str:
    """Return the message of a part without its own name, which stands before it already."""
    return str(error).removeprefix(f"{where}: ")
