"""The LAMMPS script of the sampler ``md``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lammps_dpgen.sampling.base import SamplerWalker, TrajectoryPlan
from lammps_dpgen.sampling.restart import periodic_restarts
from lammps_dpgen.sampling.variables import plan_variables, quoted

if TYPE_CHECKING:
    from lammps_dpgen.sampling.md import MdSettings

#: Keyword of LAMMPS' ``fix npt``.
_BAROSTAT = {"npt": "iso", "npt-aniso": "aniso", "npt-tri": "tri"}


def md_script(settings: MdSettings, plan: TrajectoryPlan, walker: SamplerWalker, data: Path) -> str:
    """Return the script of a trajectory from its start, read from the file `data`, or from the walker's restart file.

    It can be run again by hand: all it needs is in it, as index variables where the user's own lines may want it.
    """
    periodic = all(plan.start.pbc)
    lines = [f"# {plan.start.origin.structure or plan.start.formula}: made by the sampler md of lammps-dpgen"]
    lines += [f"variable {name} index {quoted(value)}" for name, value in plan_variables(plan, walker).items()]
    lines += ["", "units metal", "atom_style atomic", "atom_modify map yes"]
    lines += _configuration(settings, walker, data, periodic)
    lines += _interaction(settings, walker)
    if walker.restart is None:
        rotation = "no" if periodic else "yes"
        lines.append(f"velocity all create ${{dpgen_temperature}} ${{dpgen_seed}} mom yes rot {rotation} dist gaussian")
    lines += ["", _integrator(settings)]
    if not periodic:
        lines.append("fix drift all momentum 100 linear 1 1 1 angular")
    lines.append(f"fix dpgen all dpgen {walker.fix_options}")
    if settings.lammps.strip():
        lines += ["", "# the stage's own lines", settings.lammps.strip()]
    return "\n".join([*lines, "", *_run(settings, walker), ""])


def _configuration(settings: MdSettings, walker: SamplerWalker, data: Path, periodic: bool) -> list[str]:
    if walker.restart is not None:
        return ["box tilt large", f"read_restart {quoted(walker.restart)}"]
    boundary = "p p p" if periodic else "m m m"
    lines = [f"boundary {boundary}", "box tilt large", f"read_data {quoted(data)}"]
    if settings.ensemble == "npt-tri":
        lines.append("change_box all triclinic")
    return lines


def _interaction(settings: MdSettings, walker: SamplerWalker) -> list[str]:
    model = walker.models / f"0{walker.suffix}"
    return [
        f"pair_style deepmd {quoted(model)}",
        f"pair_coeff * * {' '.join(walker.type_map)}",
        f"neighbor {settings.skin!r} bin",
        "neigh_modify every 1 delay 0 check yes",
        f"timestep {settings.timestep * 1e-3!r}",
    ]


def _integrator(settings: MdSettings) -> str:
    if settings.ensemble == "nve":
        return "fix ensemble all nve"
    thermostat = f"temp ${{dpgen_temperature}} ${{dpgen_temperature}} {settings.thermostat_ps!r}"
    if settings.ensemble == "nvt":
        return f"fix ensemble all nvt {thermostat}"
    pressure = f"{_BAROSTAT[settings.ensemble]} ${{dpgen_pressure}} ${{dpgen_pressure}} {settings.barostat_ps!r}"
    return f"fix ensemble all npt {thermostat} {pressure}"


def _run(settings: MdSettings, walker: SamplerWalker) -> list[str]:
    files = " ".join(quoted(path) for path in periodic_restarts(walker.folder, walker.restart))
    return [
        "thermo_style custom step time temp pe ke press vol f_dpgen",
        f"thermo {settings.thermo}",
        f"restart {walker.safe_interval} {files}",
        "run ${dpgen_steps} upto",
    ]
