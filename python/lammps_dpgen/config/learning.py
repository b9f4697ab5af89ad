"""What a learning run of one script and a campaign share: which labels, when learning stops, what comes last."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from typing_extensions import Self

from lammps_dpgen.config.base import Duration, FilePath, Section
from lammps_dpgen.config.bootstrap import BaseConfig, BootstrapConfig
from lammps_dpgen.config.extract import ExtractSettings
from lammps_dpgen.config.names import check_distinct
from lammps_dpgen.config.parts import StructureSection, TrainerSection
from lammps_dpgen.config.selection import SelectionSettings


class Limits(Section):
    """When learning stops although it has not converged; the trajectory ends cleanly then, nothing is lost."""

    labels: int | None = Field(default=None, ge=1)
    """Most labels in the run folder, those of the bootstrap included. Default: no limit."""
    generations: int | None = Field(default=None, ge=1)
    """Most generations after generation 0. Default: no limit."""
    wall_time: Duration | None = None
    """Wall time of one start of the command (seconds, or a text such as "2h"). Default: no limit."""
    margin: Duration = 120.0
    """Time that a clean end gets before the job around the run ends, where ``SLURM_JOB_END_TIME`` tells when that is;
    at most a quarter of what is left of the job at the start."""


class SanityLimits(Section):
    """Frames beyond these are too far from any physics to be worth a label."""

    max_force: float = Field(default=30.0, gt=0.0)
    """Largest force that the models predict on an atom (eV/Å), mean over the models."""
    min_distance: float | None = Field(default=None, gt=0.0)
    """Shortest distance between two atoms (Å). Default: that of ``selection.min_distance``."""


class SafePoints(Section):
    """States of the walker to which it can return after a failure."""

    every: int | None = Field(default=None, ge=1)
    """Steps between safe points, taken at accurate frames. Default: 10 times the N of the fix."""
    keep: int = Field(default=3, ge=1)
    """Safe points held in memory; an older one is used when a younger one fails again."""
    rollback: bool = True
    """Go back to a safe point after a failed frame; otherwise go on from the failed frame with the new models."""
    tries: int = Field(default=3, ge=1)
    """Attempts to pass the same stretch of the trajectory before it is given up with its cause."""
    sanity: SanityLimits = SanityLimits()
    """Which failed frames may be labelled when no candidate is found on the way to the failure."""


class Audit(Section):
    """Accurate frames that are labelled at random, so that the share of missed failures is measured."""

    share: float = Field(default=0.0, ge=0.0, le=1.0)
    """Accurate frames that are labelled beside each batch, as a share of its size (at least one); 0: none."""


class LabelBatches(Section):
    """How much of a batch of labels is waited for, and how many of them may fail."""

    complete: float | None = Field(default=None, gt=0.0, le=1.0)
    """Share of a batch that has to be labelled before training begins; the rest is trained on in a later generation.
    Of n frames the share of n is waited for, rounded up: with 0.95 all of fewer than 20. Default: 0.95 where labels
    are jobs of a cluster, and 1 on this machine, where runs of the same seed are then the same."""
    max_failed: float = Field(default=0.3, gt=0.0, le=1.0)
    """Share of failed labels among the last 100 (at least 20) above which the run stops and says why."""


class FinalTraining(Section):
    """The last training, on all labels alike, when the run has come to its end: the models to keep."""

    settings: dict[str, Any] = Field(min_length=1)
    """Settings of the trainer that differ from ``trainer.settings``, such as ``{numb_steps: 100000}``."""
    warm_start: bool = False
    """Begin from the models of the last generation, with the trainer's settings for that, and not from scratch."""


class ContinueFrom(Section):
    """Other runs, whose labels generation 0 is trained on: a campaign of more elements goes on from smaller ones."""

    runs: tuple[FilePath, ...] = Field(min_length=1)
    """Run folders. All of their elements have to be in ``type_map``; nothing in them is changed."""
    same_settings: bool = False
    """Says that their labels were computed as the labeler of this file computes, but for the elements that it names
    besides. Without it only labels are taken whose settings are exactly those of the labeler."""


class LearningConfig(BaseConfig):
    """What a learning run of one script and a campaign share."""

    structures: tuple[StructureSection, ...] = ()
    """Initial structures; generation 0 is made from them where the run folder has none."""
    initial_models: tuple[FilePath, ...] = ()
    """Model files to begin with instead of a bootstrap, one per model of the ensemble."""
    continue_from: ContinueFrom | None = None
    """Runs whose labels this one begins with, such as those of the elements before another one was added. Default:
    none."""
    selection: SelectionSettings = SelectionSettings()
    """Which frames of a pause are labelled."""
    extract: ExtractSettings | None = None
    """Cut cells out of frames above ``selection.max_atoms``. Default: a script with more atoms is refused."""
    limits: Limits = Limits()
    """When learning stops."""
    safe_points: SafePoints = SafePoints()
    """Where the walker returns to after a failure."""
    audit: Audit = Audit()
    """Random checks of accurate frames."""
    label_batches: LabelBatches = LabelBatches()
    """When a batch of labels is enough, and what failures are borne."""
    kernel: Literal["auto", "deepmd"] = "auto"
    """What evaluates the models where the deviation is asked for: ``auto`` takes the native kernel for models that it
    covers, where it agrees with DeePMD-kit on the new labels of each generation, and says why where it does not;
    ``deepmd`` always takes DeePMD-kit. What drives the MD is the pair style of the script in any case."""
    final_training: FinalTraining | None = None
    """A longer training when the run has come to its end. Default: none, the models of the last training are kept."""
    training_patience: int = Field(default=1, ge=0)
    """How often a rejected training (NaN, failed, no improvement on the new labels) is repeated from scratch with
    another seed before the run stops."""

    @field_validator("final_training")
    @classmethod
    def _complete_settings(cls, final: FinalTraining | None, info: ValidationInfo) -> FinalTraining | None:
        trainer = info.data.get("trainer")
        if final is None or trainer is None:
            return final
        merged = changed_settings(trainer.settings, final.settings)
        section = TrainerSection.model_validate({"name": trainer.name, "settings": merged}, context=info.context)
        return final.model_copy(update={"settings": section.settings})

    @field_validator("structures")
    @classmethod
    def _names_differ(cls, sources: tuple[StructureSection, ...]) -> tuple[StructureSection, ...]:
        check_distinct("structures", (source.name for source in sources if source.name is not None))
        return sources

    @model_validator(mode="after")
    def _models_fit(self) -> Self:
        if self.initial_models and len(self.initial_models) != self.models:
            raise ValueError(
                f"initial_models names {len(self.initial_models)} files for an ensemble of {self.models}; "
                "give one file per model, or set models"
            )
        if self.initial_models and self.continue_from is not None:
            raise ValueError(
                "initial_models and continue_from exclude each other: generation 0 is given, or trained on the labels "
                "of other runs; leave one of them out"
            )
        suffix = self.trainer.model_suffix
        for model in self.initial_models:
            if model.suffix != suffix:
                raise ValueError(
                    f"initial_models names {model}, but trainer {self.trainer.name} makes {suffix} models with these "
                    "settings: scripts name the models by links with this suffix, which must not change at the first "
                    f"swap. Convert the models to {suffix} ('dp convert-backend'), or let the trainer use their backend"
                )
        return self

    @property
    def complete_share(self) -> float:
        """Share of a batch of labels that is waited for."""
        if self.label_batches.complete is not None:
            return self.label_batches.complete
        return 0.95 if self.execution.labels_are_jobs else 1.0

    def bootstrap(self, *, has_labels: bool = False) -> BootstrapConfig | None:
        """Return the part that makes generation 0, None where there is nothing to make it from.

        Parameters
        ----------
        has_labels
            The run folder has labels already, which were imported: they do without structures or initial models.
        """
        if self.initial_models or not (self.structures or has_labels):
            return None
        shared = {name: getattr(self, name) for name in BaseConfig.model_fields}
        return BootstrapConfig.model_construct(**shared, structures=self.structures)

    def for_final_training(self) -> Self:
        """Return the configuration with the trainer's settings of the last training; it has to be there."""
        assert self.final_training is not None
        trainer = self.trainer.model_copy(update={"settings": self.final_training.settings})
        return self.model_copy(update={"trainer": trainer})


def changed_settings(settings: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return settings with some of them changed, also inside nested mappings."""
    changed = dict(settings)
    for key, value in changes.items():
        old = settings.get(key)
        changed[key] = changed_settings(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return changed
