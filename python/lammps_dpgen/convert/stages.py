"""DP-GEN's model_devi_jobs, as stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from ase.data import atomic_masses, atomic_numbers

from lammps_dpgen.convert.account import Account, Keys
from lammps_dpgen.convert.structures import Systems
from lammps_dpgen.convert.template import template_settings
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.learning.dpgen_rules import bound_of

_ENSEMBLES = {
    "nvt": "nvt",
    "nve": "nve",
    **dict.fromkeys(("npt", "npt-i", "npt-iso"), "npt"),
    **dict.fromkeys(("npt-a", "npt-aniso"), "npt-aniso"),
    **dict.fromkeys(("npt-t", "npt-tri"), "npt-tri"),
}
#: DP-GEN's damping times where none is given, ps.
_TAUT, _TAUP = 0.1, 0.5
#: Bounds of the virial deviation above this are none.
_NO_BOUND = 1e9
_BOUNDS = ("f_trust_lo", "f_trust_hi", "v_trust_lo", "v_trust_hi")

_LEFT = {
    "model_devi_skip": "a trajectory is judged from its first step",
    "model_devi_clean_traj": "no trajectories are written: frames in the window are in the ledger",
    "model_devi_merge_traj": "no trajectories are written: frames in the window are in the ledger",
    "model_devi_f_avg_relative": "take 'relative' in the 'fix' of a stage: deviation over the atom's own force",
    "model_devi_adapt_trust_lo": "a window by rank is none of ours; see trust: {auto: {target: ...}}",
    "model_devi_numb_candi_f": "belongs to model_devi_adapt_trust_lo",
    "model_devi_numb_candi_v": "belongs to model_devi_adapt_trust_lo",
    "model_devi_perc_candi_f": "belongs to model_devi_adapt_trust_lo",
    "model_devi_perc_candi_v": "belongs to model_devi_adapt_trust_lo",
    "model_devi_plumed": "put fix plumed into the lines 'lammps' of a stage",
    "model_devi_plumed_path": "put fix plumed into the lines 'lammps' of a stage",
    "use_ele_temp": "models have no electronic temperature here",
    "lmp_d3": "the sampler 'md' has the models alone; take the sampler 'template', with pair_style hybrid/overlay",
}
_JOB_LEFT = {
    "nbeads": "no path integrals; a walker is one classical trajectory",
    "pka_e": "no knock-on atom; give it a velocity in the lines 'lammps'",
    "ele_temps": "models have no electronic temperature here",
    "task_min": "a batch of any size is labelled once nobody can go on without it",
    "model_devi_plumed": "put fix plumed into the lines 'lammps' of a stage",
    "sys_rev_mat": "values by system: make a stage for each, with 'structures' and 'variables'",
}
_NO_KEY = "no key of model_devi_jobs in DP-GEN 0.14"


@dataclass(frozen=True)
class Script:
    """A LAMMPS template of DP-GEN: its path, and the variable that takes the place of each key of the matrix."""

    path: str
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Common:
    """What all jobs share.

    Attributes
    ----------
    param
        Plain values of param.json.
    lines
        LAMMPS lines of every stage.
    fix
        Keywords of fix dpgen of every stage.
    """

    param: Mapping[str, Any]
    systems: Systems
    lines: tuple[str, ...]
    fix: tuple[str, ...]


def stages(
    param: Keys, data: Mapping[str, Any], systems: Systems, account: Account
) -> tuple[list[dict[str, Any]], set[int]]:
    """Return the section ``stages``, and the systems that are explored."""
    common = Common(data, systems, _lammps_lines(param), _fix(param))
    _account_for_defaults(param)
    converted: list[dict[str, Any]] = []
    used: set[int] = set()
    previous: Mapping[str, Any] | None = None
    for number, (job, place) in enumerate(param.sections("model_devi_jobs")):
        plain = {key: value for key, value in job.items() if not key.startswith("_")}
        keys = Keys(plain, account, place)
        name = f"iter-{number:03d}"
        numbers = _expanded(keys.carried("sys_idx", "stages[].structures") or [], len(systems.files))
        used.update(numbers)
        new = _job_stages(name, keys, numbers, common)
        keys.unknown(_NO_KEY)
        if plain == previous:
            continue  # DP-GEN repeats a job for another iteration; a stage has as many generations as it needs
        previous = plain
        converted += new
    return converted, used


def _account_for_defaults(param: Keys) -> None:
    """Note the keys of the input that are values for all jobs."""
    for name in _BOUNDS:
        target = "stages[].trust" if name.startswith("f") else "stages[].fix"
        param.carried(f"model_devi_{name}", target)
    param.changed("model_devi_dt", "stages[].timestep", "fs instead of ps")
    param.carried("model_devi_taut", "stages[].thermostat_damping")
    param.carried("model_devi_taup", "stages[].barostat_damping")
    param.carried("model_devi_engine", "stages[].sampler", "LAMMPS")
    for key, remark in _LEFT.items():
        if param.get(key):
            param.left(key, remark)
        else:
            param.carried(key, "", "off here too" if not key.endswith("skip") else "from the first step here too")


def _lammps_lines(param: Keys) -> tuple[str, ...]:
    lines = []
    for key, word in (("model_devi_neidelay", "delay"), ("lmp_neigh_modify_one", "one")):
        value = param.carried(key, "stages[].lammps")
        if value is not None:
            lines.append(f"neigh_modify {word} {value}")
    return (*_masses(param), *lines)


def _masses(param: Keys) -> list[str]:
    """Return mass commands for elements whose mass is not the usual one, such as deuterium."""
    masses = param.get("mass_map", "auto")
    if isinstance(masses, str):
        param.carried("mass_map", "", "masses are those of the elements here too")
        return []
    usual = [float(atomic_masses[atomic_numbers[element]]) for element in param.get("type_map", [])]
    pairs = list(zip(masses, usual, strict=False))
    lines = [f"mass {index} {mass}" for index, (mass, own) in enumerate(pairs, start=1) if abs(mass - own) > 0.03 * own]
    if lines:
        param.carried("mass_map", "stages[].lammps", "where it is not the mass of the element")
    else:
        param.changed("mass_map", "", "the masses of the elements, not rounded")
    return lines


def _fix(param: Keys) -> tuple[str, ...]:
    """Return the keywords of fix dpgen that all stages have."""
    words = []
    for use, level, keyword in (("use_relative", "epsilon", "relative"), ("use_relative_v", "epsilon_v", "relative_v")):
        wanted = param.carried(use, "stages[].fix", f"keyword {keyword}")
        value = (
            param.carried(level, "stages[].fix", f"level of {keyword}") if wanted else param.left(level, f"no {use}")
        )
        if wanted and value is not None:
            words.append(f"{keyword} {value}")
    return tuple(words)


def _job_stages(name: str, job: Keys, numbers: Sequence[int], common: Common) -> list[dict[str, Any]]:
    """Return the stages of one job: one for each trust window among its systems."""
    job.left_all(_JOB_LEFT)
    settings = _sampler(job, common)
    every = job.carried(job.first("trj_freq", "t_freq", "traj_freq"), "stages[].every")
    if every is not None:
        settings["every"] = every
    levels = {}
    for bound in _BOUNDS:
        own = job.carried(f"model_devi_{bound}", "stages[].trust" if bound.startswith("f") else "stages[].fix")
        general = common.param.get(f"model_devi_{bound}")
        levels[bound] = next((level for level in (own, general) if level is not None), _NO_BOUND)
    windows: dict[tuple[float, ...], list[int]] = {}
    for number in numbers:
        windows.setdefault(tuple(bound_of(levels[bound], number) for bound in _BOUNDS), []).append(number)
    spread = [settings.get(name) for name in ("temperatures", "pressures", "steps")]
    conditions = prod(_length(values) for values in [*spread, *settings.get("conditions", {}).values()])
    made = []
    for letter, (window, members) in zip("abcdefghijklmnopqrstuvwxyz" * 40, windows.items(), strict=False):
        stage: dict[str, Any] = {"name": name if len(windows) == 1 else f"{name}-{letter}"}
        stage["structures"] = [common.systems.name(number) for number in members]
        stage["trajectories"] = conditions * sum(_count(common.systems, number) for number in members)
        made.append({**stage, **settings, "trust": {"lo": window[0], "hi": window[1]}, **_further(window, common)})
    return made


def _sampler(job: Keys, common: Common) -> dict[str, Any]:
    """Return the settings of the sampler."""
    if "template" in job:
        return _template(job)
    job.left("rev_mat", "belongs to a template")
    defaults = common.param
    _check(job)
    ensemble = _ENSEMBLES[job.carried(job.first("ensemble", "ens"), "stages[].ensemble")]
    timestep = job.changed("dt", "stages[].timestep", "fs instead of ps") or defaults["model_devi_dt"]
    steps = job.changed("nsteps", "stages[].time", "ps instead of steps")
    settings: dict[str, Any] = {"ensemble": ensemble, "temperatures": _listed(job, ("temps", "Ts"), "temperatures")}
    pressures = job.first("press", "Ps")
    if ensemble.startswith("npt"):
        settings["pressures"] = _listed(job, ("press", "Ps"), "pressures") or [0.0]
    else:
        job.left(pressures, f"{ensemble} has no pressure, in DP-GEN either")
    settings["time"] = f"{_short(steps * timestep)} ps"
    settings["timestep"] = f"{_short(timestep * 1000.0)} fs"
    taut = job.carried("taut", "stages[].thermostat_damping") or defaults.get("model_devi_taut") or _TAUT
    taup = job.carried("taup", "stages[].barostat_damping") or defaults.get("model_devi_taup") or _TAUP
    if ensemble != "nve":
        settings["thermostat_damping"] = taut
    if ensemble.startswith("npt"):
        settings["barostat_damping"] = taup
    delay = job.carried("neidelay", "stages[].lammps")
    lines = [line for line in common.lines if delay is None or " delay " not in line]
    lines += [] if delay is None else [f"neigh_modify delay {delay}"]
    if lines:
        settings["lammps"] = "".join(f"{line}\n" for line in lines)
    return settings


def _check(job: Keys) -> None:
    """Refuse a job without a template that lacks what DP-GEN needs.

    Raises
    ------
    ConfigError
        A key is missing, or the ensemble is none of DP-GEN's.
    """
    for names in (("ensemble", "ens"), ("nsteps",), ("temps", "Ts")):
        if job.get(job.first(*names)) is None:
            raise ConfigError(f"an entry of model_devi_jobs has neither {names[0]} nor a template; add it")
    ensemble = job.get(job.first("ensemble", "ens"))
    if ensemble not in _ENSEMBLES:
        raise ConfigError(f"model_devi_jobs: ensemble {ensemble!r}; DP-GEN's are {', '.join(_ENSEMBLES)}")


def _template(job: Keys) -> dict[str, Any]:
    """Return the settings of the sampler ``template``, with the path of DP-GEN's script and its revision matrix."""
    template = job.changed("template", "stages[].file", "lines that DP-GEN fills in are those of the sampler template")
    revised = job.changed("rev_mat", "stages[]", "temperatures, pressures, steps or conditions; input.plumed: by hand")
    for key in ("ensemble", "ens", "temps", "Ts", "press", "Ps", "nsteps", "dt", "neidelay", "taut", "taup"):
        job.left(key, "the script decides")
    settings, variables = template_settings((revised or {}).get("lmp") or {})
    file = str((template or {}).get("lmp", "template.lammps"))
    return {"sampler": "template", "file": Script(file, variables), **settings}


def _further(window: Sequence[float], common: Common) -> dict[str, str]:
    """Return the keywords of fix dpgen beside the window of the forces."""
    words = list(common.fix)
    if window[3] < _NO_BOUND:
        words.append(f"vtrust {_short(window[2])} {_short(window[3])}")
    return {"fix": " ".join(words)} if words else {}


def _listed(job: Keys, names: tuple[str, str], target: str) -> list[float]:
    value = job.carried(job.first(*names), f"stages[].{target}")
    return [] if value is None else value if isinstance(value, list) else [value]


def _expanded(indices: Sequence[int | str], n_systems: int) -> list[int]:
    """Return the numbers of systems; DP-GEN writes a range as "3-9:2", its end not included.

    Raises
    ------
    ConfigError
        There is no such system.
    """
    numbers: list[int] = []
    for index in indices:
        if isinstance(index, int):
            numbers.append(index)
            continue
        span, _, step = index.partition(":")
        first, _, last = span.partition("-")
        numbers += range(int(first), int(last), int(step or 1))
    beyond = [number for number in numbers if not 0 <= number < n_systems]
    if beyond:
        raise ConfigError(
            f"model_devi_jobs: sys_idx names system {beyond[0]}, but sys_configs has {n_systems}; DP-GEN would stop "
            "there too. Correct sys_idx"
        )
    return numbers


def _count(systems: Systems, number: int) -> int:
    return systems.counts[number] or len(systems.files[number])


def _length(values: Any) -> int:
    return len(values) if values else 1


def _short(value: float) -> str:
    return f"{value:.10g}"
