"""What a template says about itself: the commands and variables of a LAMMPS script, read without running it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

#: Variables that every template gets, besides one for each condition.
GIVEN = {
    "dpgen_data": "data file of the start structure",
    "dpgen_model": "model 0, which drives the run",
    "dpgen_models": "folder of the links to the models",
    "dpgen_fix": "all that follows 'fix dpgen all dpgen'",
    "dpgen_elements": "elements of the LAMMPS types",
    "dpgen_seed": "seed of this trajectory",
    "dpgen_steps": "its number of steps",
    "dpgen_folder": "its folder, for the files that the script writes",
    "dpgen_home": "folder of the template, for the files that the script reads",
    "dpgen_resumed": "yes if the trajectory goes on from a restart file, no if it begins",
    "dpgen_restart": "this LAMMPS restart file, or NULL",
    "dpgen_save": "arguments of the command 'restart': interval and two files",
}

#: Commands that cannot be in a template, and why.
_REFUSED = {
    "quit": "it would end the whole campaign; let the script come to its end, or jump over the rest",
    "temper": "replicas cannot be stopped one by one; see 'fix dpgen', Replicas",
    "neb": "replicas cannot be stopped one by one; see 'fix dpgen', Replicas",
    "prd": "replicas cannot be stopped one by one; see 'fix dpgen', Replicas",
    "tad": "replicas cannot be stopped one by one; see 'fix dpgen', Replicas",
    "hyper": "it needs the run for itself; see 'fix dpgen', Replicas",
}

_USED = re.compile(r"\$\{(\w+)\}|\bv_(\w+)")
_DEFINED = re.compile(r"^\s*variable\s+(\w+)\s+(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class TemplateScript:
    """A LAMMPS script for many trajectories.

    Attributes
    ----------
    text
        As it stands in the file.
    """

    text: str

    @cached_property
    def lines(self) -> list[str]:
        """Commands without comments, continued lines joined."""
        joined = re.sub(r"&[ \t]*\n", " ", self.text)
        lines = (line.partition("#")[0].strip() for line in joined.splitlines())
        return [line for line in lines if line]

    @cached_property
    def used(self) -> frozenset[str]:
        """Names of the variables that it uses."""
        return frozenset(a or b for line in self.lines for a, b in _USED.findall(line))

    def has_command(self, name: str) -> bool:
        """Tell whether a command is there, also inside ``if "..." then "..."``."""
        return any(re.search(rf"(^|[\"'])\s*{name}(\s|[\"']|$)", line) for line in self.lines)

    def problems(self, conditions: Collection[str]) -> list[str]:
        """Return what keeps it from being a template; nothing if it is one.

        Parameters
        ----------
        conditions
            Variables that it gets beside `GIVEN`, all of which it has to use.
        """
        found = [f"has the command {name}: {reason}" for name, reason in _REFUSED.items() if self.has_command(name)]
        if not self.has_command("run"):
            found.append("never runs MD: it has no run command")
        if not any(line.split() == ["units", "metal"] for line in self.lines):
            found.append("lacks the line 'units metal': models and trust windows are in eV and Å")
        if not self.used & {"dpgen_data", "dpgen_restart"}:
            found.append("never reads the start structure; add 'read_data ${dpgen_data}'")
        if not self.used & {"dpgen_model", "dpgen_models"}:
            found.append("uses no model; add 'pair_style deepmd ${dpgen_model}' and 'pair_coeff * * ${dpgen_elements}'")
        return found + self._problems_of_fix() + self._problems_of_variables(conditions)

    def _problems_of_fix(self) -> list[str]:
        right = "'fix dpgen all dpgen ${dpgen_fix}'"
        fixes = [line.split() for line in self.lines if re.match(r"fix\s+\S+\s+\S+\s+dpgen(\s|$)", line)]
        if not fixes:
            return [f"has no fix dpgen, so nobody looks; add {right} before its run command"]
        wrong = [" ".join(words) for words in fixes if words[1] != "dpgen" or words[4:] != ["${dpgen_fix}"]]
        return [f"has the line '{line}'; the campaign knows the fix as {right}" for line in wrong]

    def _problems_of_variables(self, conditions: Collection[str]) -> list[str]:
        known = {*GIVEN, *conditions}
        found = []
        for name in sorted(name for name in self.used if name.startswith("dpgen_")):
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                found.append(f"uses the variable {name}, which the settings do not give{hint}")
        for name in conditions:
            if name not in self.used:
                found.append(f"does not use the variable {name}, so that this condition would have no effect")
        for name, style in _DEFINED.findall("\n".join(self.lines)):
            if name in known and style != "index":
                found.append(
                    f"defines {name} in style {style}; it is given from outside, only a default in style "
                    "index can stand in the script"
                )
        return found
