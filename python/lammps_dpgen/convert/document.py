"""The text of a converted campaign.yaml: the sections, with the account as comments where it belongs."""

from __future__ import annotations

import textwrap
from typing import Any

import yaml

from lammps_dpgen.convert.account import Entry, Fate
from lammps_dpgen.convert.campaign import Conversion

_WIDTH = 116

#: Keys of the campaign that stand in no section of that name.
_ELSEWHERE = {"lammps-dpgen import": "initial_structures"}


def campaign_text(conversion: Conversion, source: str, name: str = "campaign.yaml") -> str:
    """Return the text of the file.

    Parameters
    ----------
    source
        Names of the files it was made from.
    name
        Name of the file it becomes.
    """
    lines = [*_comment(f"Made from {source} by 'lammps-dpgen convert'. Check it with 'lammps-dpgen run --dry-run'.")]
    if conversion.todo:
        lines += ["#", "# To complete:", *(line for one in conversion.todo for line in _comment(one, "- "))]
    if conversion.imports:
        lines += ["#", "# DP-GEN begins with labelled data. Import them first, if their settings are the labeler's:"]
        lines += [f"#   lammps-dpgen import run {data} -c {name} --same-settings" for data in conversion.imports]
    left = conversion.account.of(Fate.LEFT)
    if left:
        lines += ["#", "# Not carried over:", *(line for entry in left for line in _comment(_told(entry), "- "))]
    silent = [entry for fate in (Fate.CARRIED, Fate.CHANGED) for entry in conversion.account.of(fate)]
    silent = [entry for entry in silent if _section(entry) not in conversion.sections]
    if silent:
        lines += [
            "#",
            "# With nothing to write for them:",
            *(line for one in silent for line in _comment(_told(one), "- ")),
        ]
    for section, content in conversion.sections.items():
        lines += ["", *_origin(section, conversion), _yaml({section: content})]
    return "\n".join(lines).rstrip() + "\n"


def _origin(section: str, conversion: Conversion) -> list[str]:
    """Return the comments above a section: which keys it has from DP-GEN, and what is different."""
    account = conversion.account
    carried = [entry.key for entry in account.of(Fate.CARRIED) if _section(entry) == section]
    changed = [entry for entry in account.of(Fate.CHANGED) if _section(entry) == section]
    lines = _comment(f"From {', '.join(carried)}.") if carried else []
    return lines + [line for entry in changed for line in _comment(_told(entry), "- ")]


def _section(entry: Entry) -> str:
    return _ELSEWHERE.get(entry.target, entry.target.partition(".")[0].partition("[")[0].partition(",")[0])


def _told(entry: Entry) -> str:
    return f"{entry.key}: {entry.remark}" if entry.remark else entry.key


def _comment(text: str, mark: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=f"# {mark}", subsequent_indent="# " + " " * len(mark))


class _Dumper(yaml.SafeDumper):
    """Short lists in one line, texts of several lines as blocks."""


def _list(dumper: yaml.SafeDumper, values: list[Any]) -> yaml.Node:
    plain = all(isinstance(value, (str, int, float, list)) for value in values)
    short = plain and sum(len(str(value)) + 2 for value in values) < 90
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=short)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


def _number(dumper: yaml.SafeDumper, value: float) -> yaml.Node:
    """Write numbers as YAML 1.1 reads them: 1e-06 without a point would be a text."""
    text = repr(value)
    if "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


_Dumper.add_representer(list, _list)
_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)
_Dumper.ignore_aliases = lambda self, data: True  # type: ignore[method-assign]


def _yaml(section: dict[str, Any]) -> str:
    return yaml.dump(section, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True).rstrip()
