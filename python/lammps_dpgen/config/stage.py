"""Sections of a campaign that say what is explored, how it is judged, and when it is enough."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import Self

from lammps_dpgen import registry
from lammps_dpgen.config.base import Section
from lammps_dpgen.config.execution import Device
from lammps_dpgen.config.parts import InlineSection, settings_model
from lammps_dpgen.config.trust import TrustAuto

#: Frames that fix dpgen holds where its line does not say it.
MAX_FRAMES = 1000
#: Keywords of fix dpgen that a stage may give.
FIX_KEYWORDS = ("vtrust", "relative", "relative_v", "atomic", "max_frames", "min_gap", "stride")

#: Keywords of fix dpgen that a campaign sets itself, and what says so in the configuration.
_SET_ELSEWHERE = {
    "types": "type_map",
    "trust": "trust",
    "stop": "candidates",
    "out_file": "nothing: the campaign writes deviations itself",
    "frames": "nothing: the campaign stores frames itself",
}


class Trust(Section):
    """Window of the largest force deviation of a frame: below it accurate, inside candidate, above failed."""

    lo: float = Field(default=0.05, gt=0.0)
    """Lower bound (eV/Å): from here on a frame is a candidate."""
    hi: float = Field(default=0.15, gt=0.0)
    """Upper bound (eV/Å): from here on a frame has failed."""
    auto: TrustAuto | None = None
    """Let the window follow the errors measured so far; lo and hi hold until there are enough labels."""

    @model_validator(mode="after")
    def _is_window(self) -> Self:
        if self.lo >= self.hi:
            raise ValueError(f"lo ({self.lo:g} eV/Å) must be below hi ({self.hi:g} eV/Å)")
        return self


class Walkers(Section):
    """The LAMMPS instances that run side by side in one MPI job."""

    ranks_per_walker: int = Field(default=1, ge=1)
    """MPI ranks of one walker; the number of ranks of the job decides how many walkers there are."""
    overlap: bool = True
    """Walkers that are still accurate go on during labels and trainings. Otherwise rounds are worked through in a fixed
    order, and the same seed gives the same result."""
    retries: int = Field(default=2, ge=0)
    """How often a crashed trajectory goes on from its last safe point before it is set aside with its cause."""
    candidates: int = Field(default=5, ge=1)
    """Candidates that a walker holds before its run is interrupted for learning."""
    devices: tuple[Device, ...] = ()
    """GPUs of each node that its ranks take in turn: [0, 1] gives ranks 0, 2, ... the first one. Fewer than ranks are
    shared. Default: rank r of a node takes GPU r, modulo their number."""


class Converged(Section):
    """When the exploration of a stage is enough."""

    accurate: float = Field(default=0.99, gt=0.0, le=1.0)
    """Share of accurate frames that the last trajectories must have, with no failed frame among them."""
    trajectories: int | None = Field(default=None, ge=1)
    """How many of the last trajectories count. Default: as many as one round has."""


class StageSection(InlineSection):
    """One stage of a campaign; the settings of its sampler stand beside these keys."""

    group = registry.SAMPLERS
    key = "sampler"

    name: str = Field(min_length=1, coerce_numbers_to_str=True)
    """Name of the stage; when a campaign is continued, it is known again by it."""
    structures: tuple[str, ...] | None = None
    """Names of the sources whose structures its trajectories start from. Default: all."""
    trajectories: int = Field(ge=1)
    """Trajectories of one round, spread evenly over the start structures and conditions."""
    sampler: str = "md"
    """Name the sampler is registered with (``md``, ``template``, ...); its settings are the keys beside it."""
    settings: SkipJsonSchema[dict[str, Any]] = Field(default_factory=dict, validate_default=True)
    """The sampler's own settings."""
    labeler: dict[str, Any] | None = None
    """Settings of the labeler that differ from ``labeler.settings`` in this stage, such as ``{kspacing: 0.2}``. Where
    they decide results, ``mixed_labels`` has to name the stage. Default: none."""
    trust: Trust | None = None
    """Trust window of this stage. Default: the campaign's."""
    every: int | None = Field(default=None, ge=1)
    """Steps between two looks of fix dpgen in this stage. Default: the campaign's."""
    candidates: int | None = Field(default=None, ge=1)
    """Candidates that a walker holds before it is interrupted for learning. Default: those of ``walkers``."""
    fix: str = ""
    """Further keywords of fix dpgen with their values, such as ``vtrust 0.01 0.05``; allowed are vtrust, relative,
    relative_v, atomic, max_frames, min_gap and stride."""
    converged: Converged | None = None
    """When this stage is enough. Default: the campaign's."""
    max_generations: int | None = Field(default=None, ge=0)
    """Most generations that are trained in this stage. Default: the campaign's."""

    @field_validator("sampler")
    @classmethod
    def _is_registered(cls, sampler: str) -> str:
        settings_model(cls.group, sampler)
        return sampler

    @field_validator("structures")
    @classmethod
    def _selects_something(cls, structures: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if structures is not None and not structures:
            raise ValueError("the stage selects no structure; name at least one source, or leave the key out for all")
        return structures

    @field_validator("fix")
    @classmethod
    def _are_further_keywords(cls, fix: str) -> str:
        words = [word for word in fix.split() if word[0].isalpha() and word not in ("yes", "no", "fixed", "adaptive")]
        for word in words:
            if word in _SET_ELSEWHERE:
                raise ValueError(f"{word} of fix dpgen is set by {_SET_ELSEWHERE[word]}; leave it out here")
            if word not in FIX_KEYWORDS:
                near = difflib.get_close_matches(word, FIX_KEYWORDS, n=1)
                hint = f"did you mean {near[0]!r}? " if near else ""
                raise ValueError(f"{word!r} is no keyword for this place; {hint}(allowed: {', '.join(FIX_KEYWORDS)})")
        return fix


def with_room_for(candidates: int, section: StageSection) -> str:
    """Return the keywords of a stage's fix dpgen, with which it can hold so many candidates.

    Raises
    ------
    ValueError
        The user's own max_frames is less.
    """
    words = section.fix.split()
    if "max_frames" not in words:
        return f"{section.fix} max_frames {candidates}".strip() if candidates > MAX_FRAMES else section.fix
    given = words[words.index("max_frames") + 1 :][:1]
    if given and given[0].isdigit() and int(given[0]) < candidates:
        raise ValueError(
            f"stage {section.name!r}: a walker is interrupted when it holds {candidates} candidates, but its fix dpgen "
            f"keeps {given[0]} (max_frames); raise max_frames or lower 'candidates'"
        )
    return section.fix


@dataclass(frozen=True)
class Stage:
    """A stage with everything that it leaves to the campaign filled in.

    Attributes
    ----------
    number
        Place in the campaign, from 0.
    structures
        Names of the sources that trajectories start from, in the order of the campaign's ``structures``.
    trajectories
        Trajectories of one round.
    converging
        The last so many trajectories decide whether the stage has converged.
    accurate
        Share of accurate looks that they must have.
    settings
        Settings of the sampler.
    """

    number: int
    name: str
    structures: tuple[str, ...]
    trajectories: int
    sampler: str
    settings: dict[str, Any]
    trust: Trust
    every: int
    candidates: int
    fix: str
    accurate: float
    converging: int
    max_generations: int
