"""The file of ``lammps-dpgen run``: structures, stages, and what judges them."""

from __future__ import annotations

from functools import cached_property

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from typing_extensions import Self

from lammps_dpgen.config.base import FilePath, Section
from lammps_dpgen.config.bootstrap import BootstrapConfig, source_names
from lammps_dpgen.config.campaign_validation import CampaignValidation
from lammps_dpgen.config.learning import LearningConfig, changed_settings
from lammps_dpgen.config.names import check_distinct, check_known
from lammps_dpgen.config.parts import LabelerSection, StructureSection
from lammps_dpgen.config.stage import Converged, Stage, StageSection, Trust, Walkers, with_room_for
from lammps_dpgen.errors import ConfigError


class Finalize(Section):
    """What is handed on when all stages are over, in the folder ``final`` of the run folder."""

    held_out: FilePath | None = None
    """Labelled frames, computed with the settings of the labeler, that test the final models and are never trained on:
    a file that ASE reads (such as extended XYZ), an OUTCAR, or a folder of deepmd/npy systems. Default: none; the
    errors on labels before they were trained on stand for the test."""


class CampaignConfig(LearningConfig):
    """The file of ``lammps-dpgen run``.

    A run folder belongs to ``config_hash``, as that of a learning run: what decides labels and models. Stages, trust
    windows, walkers and structures may change when a campaign is continued. A stage is known by its name and a
    structure by that of its source; trajectories that were planned keep their plan.
    """

    structures: tuple[StructureSection, ...] = Field(min_length=1)
    """Sources of the structures that trajectories start from and generation 0 is made of."""
    initial_structures: tuple[str, ...] | None = None
    """Names of the sources whose structures are labelled for generation 0. Default: all; none with initial_models."""
    trust: Trust = Trust()
    """Trust window of all stages that give none."""
    every: int = Field(default=10, ge=1)
    """Steps between two looks of fix dpgen."""
    walkers: Walkers = Walkers()
    """How the ranks of the job are used."""
    converged: Converged = Converged()
    """When a stage is enough."""
    max_generations: int = Field(default=10, ge=0)
    """Most generations that are trained in one stage."""
    stages: tuple[StageSection, ...] = Field(min_length=1)
    """What is explored, one stage after the other."""
    mixed_labels: tuple[str, ...] = ()
    """Names of stages whose labels are trained on with the others although their labeler has other settings. Energies
    of other cut-offs, functionals or pseudopotentials do not belong together; name a stage where they do, such as for
    another k-mesh in larger cells."""
    validation: CampaignValidation | None = None
    """Properties of the models, beside the campaign. Default: none."""
    finalize: Finalize = Finalize()
    """The last act: what is handed on when all stages are over."""

    @field_validator("structures")
    @classmethod
    def _names_differ(cls, sources: tuple[StructureSection, ...]) -> tuple[StructureSection, ...]:
        check_distinct("structures", (source.source_name for source in sources))
        return sources

    @field_validator("initial_structures")
    @classmethod
    def _are_there(cls, names: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if names and info.data.get("initial_models"):
            raise ValueError("initial_structures and initial_models exclude each other: generation 0 is made or given")
        if names and "structures" in info.data:
            check_known("structures", names, source_names(info.data["structures"]))
        return names

    @field_validator("stages")
    @classmethod
    def _fit(cls, stages: tuple[StageSection, ...], info: ValidationInfo) -> tuple[StageSection, ...]:
        check_distinct("stages", (stage.name for stage in stages))
        for stage in stages if "structures" in info.data else ():
            what = f"structures, from which stage {stage.name!r} selects,"
            check_known(what, stage.structures or (), source_names(info.data["structures"]))
        return stages

    @field_validator("stages")
    @classmethod
    def _complete_labelers(cls, stages: tuple[StageSection, ...], info: ValidationInfo) -> tuple[StageSection, ...]:
        labeler = info.data.get("labeler")
        return stages if labeler is None else tuple(_complete_labeler(stage, labeler, info) for stage in stages)

    @model_validator(mode="after")
    def _stages_are_possible(self) -> Self:
        self.resolved_stages()
        return self

    @model_validator(mode="after")
    def _labels_belong_together(self) -> Self:
        check_known("stages", self.mixed_labels, [stage.name for stage in self.stages])
        for stage in self.stages:
            if stage.labeler is None or stage.name in self.mixed_labels:
                continue
            if _decides_otherwise(self.labeler_of(stage.name), self.labeler):
                raise ValueError(
                    f"the labels of stage {stage.name!r} would have other settings than the others: a dataset that "
                    "mixes settings is refused, since their energies may not belong together. Leave 'labeler' of the "
                    f"stage out, or write mixed_labels: [{stage.name}] if you know that they do"
                )
        return self

    @cached_property
    def labelers(self) -> tuple[LabelerSection, ...]:
        """The labeler, and those of stages with settings of their own, each once."""
        found = [self.labeler]
        for stage in self.stages:
            if (own := self.labeler_of(stage.name)) not in found:
                found.append(own)
        return tuple(found)

    def labeler_of(self, stage: str) -> LabelerSection:
        """Return the labeler of the frames of a stage; the campaign's for frames of none, such as initial ones."""
        own = next((section.labeler for section in self.stages if section.name == stage), None)
        return self.labeler if own is None else self.labeler.model_copy(update={"settings": own})

    def bootstrap(self, *, has_labels: bool = False) -> BootstrapConfig | None:
        """Return the part that makes generation 0, None where there is nothing to make it from."""
        boot = super().bootstrap(has_labels=has_labels)
        return boot and boot.model_copy(update={"initial_structures": self.initial_structures})

    def resolved_stages(self) -> tuple[Stage, ...]:
        """Return the stages with the campaign's own settings where they give none."""
        return tuple(self._resolved(number, section) for number, section in enumerate(self.stages))

    def _resolved(self, number: int, section: StageSection) -> Stage:
        names = source_names(self.structures)
        converged = section.converged or self.converged
        candidates = section.candidates or self.walkers.candidates
        return Stage(
            number=number,
            name=section.name,
            structures=tuple(name for name in names if section.structures is None or name in section.structures),
            trajectories=section.trajectories,
            sampler=section.sampler,
            settings=section.settings,
            trust=section.trust or self.trust,
            every=section.every or self.every,
            candidates=candidates,
            fix=with_room_for(candidates, section),
            accurate=converged.accurate,
            converging=converged.trajectories or section.trajectories,
            max_generations=self.max_generations if section.max_generations is None else section.max_generations,
        )


def _complete_labeler(stage: StageSection, labeler: LabelerSection, info: ValidationInfo) -> StageSection:
    """Return a stage with all settings of its labeler, where it has some of its own."""
    if stage.labeler is None:
        return stage
    given = {"name": labeler.name, "settings": changed_settings(labeler.settings, stage.labeler)}
    try:
        complete = LabelerSection.model_validate(given, context=info.context)
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
        raise ValueError(f"labeler of stage {stage.name!r}: {told}") from error
    return stage.model_copy(update={"labeler": complete.settings})


def _decides_otherwise(one: LabelerSection, other: LabelerSection) -> bool:
    """Tell whether two labelers may give different labels."""
    if one.settings == other.settings:
        return False
    try:
        return one.settings_hash != other.settings_hash
    except ConfigError:  # a file that is missing is told when it is needed
        return True
