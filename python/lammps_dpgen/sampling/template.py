"""The sampler ``template``: a LAMMPS script of the user's own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from typing_extensions import Self

from lammps_dpgen.frame import Frame
from lammps_dpgen.mpi import on_root
from lammps_dpgen.part import config_folder
from lammps_dpgen.sampling.base import SamplerSettings, SamplerWalker, TrajectoryPlan
from lammps_dpgen.sampling.quantities import Numbers, OneOrMore, Pressures, Temperatures
from lammps_dpgen.sampling.restart import discard_restarts, periodic_restarts
from lammps_dpgen.sampling.spread import spread
from lammps_dpgen.sampling.starts import check_starts, write_start
from lammps_dpgen.sampling.template_script import GIVEN, TemplateScript
from lammps_dpgen.sampling.variables import plan_variables, quoted


def _variable_name(name: str) -> str:
    if not re.fullmatch(r"\w+", name, re.ASCII):
        raise ValueError(f"{name!r} is no name of a LAMMPS variable (letters, digits and underscores)")
    return name


_Name = Annotated[str, AfterValidator(_variable_name)]
_Values = Annotated[tuple[str | int | float, ...], Field(min_length=1), OneOrMore()]
_Steps = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1), OneOrMore()]


class TemplateSettings(SamplerSettings):
    """A LAMMPS script that is run for each trajectory; it gets everything that differs between them as variables.

    The script must have `fix dpgen all dpgen ${dpgen_fix}`, read its atoms with `read_data ${dpgen_data}`, and use
    `units metal`. See the page on samplers.
    """

    file: str = Field(description="LAMMPS script, relative to the configuration file.", min_length=1)
    steps: _Steps | None = Field(
        default=None, description="Number of steps, or several, for the script's variable ``dpgen_steps``."
    )
    temperatures: Temperatures | None = Field(
        default=None, description="Temperatures (K) for the script's variable ``dpgen_temperature``."
    )
    pressures: Pressures | None = Field(
        default=None, description="Pressures (bar) for the script's variable ``dpgen_pressure``."
    )
    conditions: dict[_Name, Numbers] = Field(
        default={},
        description="Further conditions: name and a number or list of numbers. NAME is the variable ``dpgen_NAME``; "
        "trajectories are spread evenly over the values.",
    )
    variables: dict[_Name, _Values] = Field(
        default={},
        description="Variables that are the same for all trajectories: name and a value, or a list, which makes an "
        "index-style variable for the script's own ``next``.",
    )

    @field_validator("file")
    @classmethod
    def _is_there(cls, name: str, info: ValidationInfo) -> str:
        path = config_folder(info) / Path(name).expanduser()
        try:
            path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the template {path} cannot be read: {error}") from error
        return str(path.absolute())

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in self.conditions:
            if f"dpgen_{name}" in GIVEN or name in ("temperature", "pressure"):
                raise ValueError(f"conditions: the name {name} is taken; choose another")
        for name in self.variables:
            if name.startswith("dpgen_"):
                raise ValueError(f"variables: {name} begins with dpgen_, which the campaign's own variables do")
        problems = self.script.problems([f"dpgen_{name}" for name in self.axes if name != "steps"])
        uses_steps = "dpgen_steps" in self.script.used
        if uses_steps and self.steps is None:
            problems.append("uses the variable dpgen_steps; add 'steps' to the settings")
        if self.steps is not None and not uses_steps:
            problems.append("does not use the variable dpgen_steps, so that 'steps' would have no effect")
        if problems:
            raise ValueError(f"the template {self.file} " + "; and it ".join(problems))
        return self

    @cached_property
    def script(self) -> TemplateScript:
        """The template as it is in the file now."""
        return TemplateScript(Path(self.file).read_text(encoding="utf-8"))

    @property
    def axes(self) -> dict[str, Sequence[float]]:
        """What trajectories are spread over: names and values."""
        given = {"temperature": self.temperatures, "pressure": self.pressures, "steps": self.steps, **self.conditions}
        return {name: values for name, values in given.items() if values is not None}


class TemplateSampler:
    """Runs a script of the user's own; whatever is driven by ``run`` commands is a sampler."""

    name: ClassVar[str] = "template"
    Settings: ClassVar[type[SamplerSettings]] = TemplateSettings

    def __init__(self, settings: TemplateSettings) -> None:
        self._settings = settings

    @property
    def resumable(self) -> bool:
        """Whether the template says what is done with the variable dpgen_restart."""
        return "dpgen_restart" in self._settings.script.used

    def check(self, starts: Sequence[Frame], type_map: Sequence[str]) -> None:
        """Refuse starts that the models cannot judge (raises ConfigError)."""
        check_starts(starts, type_map)

    def plan(self, starts: Sequence[Frame], number: int, rng: np.random.Generator) -> list[TrajectoryPlan]:
        """Return `number` trajectories, spread evenly over starts and conditions."""
        plans = []
        for start, conditions, seed in spread(starts, self._settings.axes, number, rng):
            n_steps = int(conditions.pop("steps", 0))
            plans.append(TrajectoryPlan(start, conditions, n_steps, seed))
        return plans

    def explore(self, plan: TrajectoryPlan, walker: SamplerWalker) -> None:
        """Run the template with the variables of this trajectory."""
        script, data = walker.folder / "in.lammps", walker.folder / "start.data"

        def write() -> dict[str, str]:
            if walker.restart is None:
                discard_restarts(walker.folder)
                write_start(plan.start, walker.type_map, data)
            script.write_text(self._settings.script.text, encoding="utf-8")
            return self._variables(plan, walker, data)

        given = on_root(walker.comm, write)
        own = {name: [str(value) for value in values] for name, values in self._settings.variables.items()}
        walker.run_lammps(script, own | {name: [value] for name, value in given.items()})

    def _variables(self, plan: TrajectoryPlan, walker: SamplerWalker, data: Path) -> dict[str, str]:
        files = periodic_restarts(walker.folder, walker.restart)
        periodic = [str(walker.safe_interval), *(quoted(path) for path in files)]
        return {
            **plan_variables(plan, walker),
            "dpgen_data": quoted(data),
            "dpgen_model": quoted(walker.models / f"0{walker.suffix}"),
            "dpgen_models": str(walker.models),
            "dpgen_fix": walker.fix_options,
            "dpgen_home": str(Path(self._settings.file).parent),
            "dpgen_resumed": "no" if walker.restart is None else "yes",
            "dpgen_restart": "NULL" if walker.restart is None else quoted(walker.restart),
            "dpgen_save": " ".join(periodic),
        }
