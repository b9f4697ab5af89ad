"""DP-GEN's LAMMPS template with its revision matrix, as a script for the sampler ``template``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Keys of revision matrices that mean what the sampler has a word for, without the prefix V_.
_KNOWN = {
    "TEMP": ("temperatures", "dpgen_temperature"),
    "PRES": ("pressures", "dpgen_pressure"),
    "NSTEPS": ("steps", "dpgen_steps"),
}


def template_settings(matrix: Mapping[str, Sequence[Any]]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the sampler's settings for a revision matrix, and the LAMMPS variable that takes the place of each key.

    DP-GEN runs every combination of the values, and so do the settings. Variables begin with ``rev_`` or ``dpgen_``, so
    that none has the name of one that the script itself defines.
    """
    settings: dict[str, Any] = {}
    variables = {}
    for key, values in matrix.items():
        name = key.strip("${}").removeprefix("V_")
        known = _KNOWN.get(name)
        listed = list(values)
        if known and known[0] not in settings:
            settings[known[0]], variables[key] = listed, known[1]
        elif len(listed) > 1 and all(isinstance(value, (int, float)) for value in listed):
            settings.setdefault("conditions", {})[name.lower()] = listed
            variables[key] = f"dpgen_{name.lower()}"
        else:
            settings.setdefault("variables", {})[f"rev_{name}"] = listed[0]
            variables[key] = f"rev_{name}"
    return settings, variables


def adapted(text: str, variables: Mapping[str, str]) -> str:
    """Return a script in which DP-GEN's own lines and the keys of the revision matrix are those of the sampler."""
    for key in sorted(variables, key=len, reverse=True):
        text = text.replace(key, f"${{{variables[key]}}}")
    return "".join(f"{_adapted_line(line)}\n" for line in text.splitlines())


def _adapted_line(line: str) -> str:
    """Return a line in the sampler's form; DP-GEN fills the same lines in itself."""
    match line.split()[:2]:
        case ["pair_style", "deepmd"]:
            return "pair_style deepmd ${dpgen_model}"
        case ["pair_coeff", *_]:
            return "pair_coeff * * ${dpgen_elements}\nfix dpgen all dpgen ${dpgen_fix}"
        case ["dump", "dpgen_dump"]:
            return f"# {line.strip()}  (frames are stored by the campaign)"
        case ["fix", "dpgen_plm"]:
            files = "plumedfile ${dpgen_home}/input.plumed outfile ${dpgen_folder}/output.plumed"
            return f"fix dpgen_plm all plumed {files}"
        case ["read_data", _]:
            return "read_data ${dpgen_data}"
        case _:
            return line
