"""Writes docs/configuration.md and docs/schema/*.json from the models.

Run as ``python -m lammps_dpgen.config.reference docs``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lammps_dpgen import registry
from lammps_dpgen.config.schema import CONFIGURATIONS, json_schema

INTRODUCTION = """\
# Configuration files

<!-- Made by `python -m lammps_dpgen.config.reference docs` from the models in lammps_dpgen/config; edit these. -->

Four files, all YAML, are read by lammps-dpgen: `campaign.yaml` for `lammps-dpgen run`, `learn.yaml` for
`lammps-dpgen md`, `boot.yaml` for `lammps-dpgen bootstrap`, and `validation.yaml` for `lammps-dpgen validate`.
A file is validated as a whole before anything starts, and all its problems are told at once, each with its line, the
value found and what is allowed. Unknown keys are refused.

Energies are in eV, lengths in Å, forces in eV/Å, angles in degrees. A duration is a number of seconds or a text such as
`90min`, `2h` or `1h 30min`. Relative paths start at the folder of the file that names them.

A run folder belongs to one configuration, as far as that decides results: `type_map`, `models`, `seed`, and name and
settings of labeler and trainer. These cannot change while the folder is in use; everything else may.

Editors complete and check the files when they know the schemas `docs/schema/campaign.json`, `learn.json`,
`bootstrap.json` and `validation.json` (also printed by `lammps-dpgen schema campaign` and so on), for example by a
first line

```yaml
# yaml-language-server: $schema=schema/learn.json
```
"""

EXAMPLE = """\
```yaml
# learn.yaml
run_folder: run
fix: dpgen                    # fix dpgen all dpgen 10 run/models/0.pb run/models/1.pb ... in the script
type_map: [Al]
structures:                   # generation 0 is made of these where the run folder has none
  - generator: prototype
    element: Al
    repeat: [2, 2, 2]
    perturb: {displacement: 0.1, cell: 2.0}
    number: 10
labeler:
  name: lammps
  settings:
    pair_style: eam/alloy
    pair_coeff: ["* * Al_zhou.eam.alloy Al"]
    elements: [Al]
trainer:
  name: deepmd
selection: {batch: 10}
limits: {labels: 200, wall_time: 2h}
```
"""

CAMPAIGN = """\
`lammps-dpgen run` reads `campaign.yaml`; `lammps-dpgen init` writes one to begin with, and [Campaigns](campaign.md)
explains it. These keys have the meaning that they have in `learn.yaml`: {shared}. Here `structures` are required, and
stages select them by name. The others:
"""

_PARTS = (
    ("Labelers", registry.LABELERS, "the reference method, under `labeler`"),
    ("Trainers", registry.TRAINERS, "under `trainer`"),
    ("Structure generators", registry.STRUCTURES, "each an item of `structures`, its settings beside `generator`"),
    ("Samplers", registry.SAMPLERS, "of a stage of a campaign, under `sampler`, their settings beside it"),
    ("Properties", registry.PROPERTIES, "of a validation, each an item of `properties`, its settings beside it"),
)

#: Parts of this package; others have pages of their own.
_OWN = "lammps_dpgen."


def markdown() -> str:
    """Return the reference of all keys, with unit, default and meaning."""
    names = ("learn", "bootstrap", "campaign")
    learn, bootstrap, campaign = (CONFIGURATIONS[name].model_json_schema() for name in names)
    parts = [INTRODUCTION, "## learn.yaml\n", EXAMPLE, *_tables(learn, learn["$defs"], "")]
    parts += ["## boot.yaml\n", "`lammps-dpgen bootstrap` reads these keys, with the meaning that they have above:\n"]
    parts += [", ".join(f"`{key}`" for key in bootstrap["properties"]) + ".\n"]
    shared = [key for key in campaign["properties"] if key in learn["properties"]]
    parts += ["## campaign.yaml\n", CAMPAIGN.format(shared=", ".join(f"`{key}`" for key in shared))]
    own = {key: field for key, field in campaign["properties"].items() if key not in shared}
    parts += _tables({**campaign, "properties": own}, campaign["$defs"], "")
    validation = CONFIGURATIONS["validation"].model_json_schema()
    parts += ["## validation.yaml\n", "`lammps-dpgen validate` reads it; [Validation](validation.md) explains it.\n"]
    parts += _tables(validation, validation["$defs"], "")
    for title, group, where in _PARTS:
        parts.append(f"## {title}\n\nThe built-in ones; {where}.\n")
        for name, point in registry.registered(group).items():
            if point.value.startswith(_OWN):
                parts += _part(name, registry.load(group, name).Settings.model_json_schema())
    return "\n".join(parts)


def _part(name: str, schema: dict[str, Any]) -> Iterator[str]:
    text = schema.get("description", "").split("Examples\n")[0].strip().replace("``", "`")
    yield f"### `{name}`\n\n{text}\n"
    yield from _tables(schema, schema.get("$defs", {}), "", heading="####")


def _tables(schema: dict[str, Any], definitions: dict[str, Any], prefix: str, heading: str = "###") -> Iterator[str]:
    """Yield a table of the keys of a section, then those of the sections inside it."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    inner: list[tuple[str, dict[str, Any]]] = []
    for key, field in schema["properties"].items():
        section = _section(field, definitions)
        if section is not None:
            mark = "[]." if field.get("type") == "array" else "."
            inner.append((f"{prefix}{key}{mark}", section))
        default = _default(key, field, schema, section)
        rows.append(f"| `{prefix}{key}` | {_value(field, section)} | {default} | {_text(field, section)} |")
    yield "\n".join(rows) + "\n"
    for name, section in inner:
        yield f"{heading} `{name.rstrip('.').removesuffix('[]')}`\n\n{section.get('description', '')}\n"
        yield from _tables(section, definitions, name, heading)


def _section(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any] | None:
    """Return the section that a field holds, alone or in a list."""
    holder = field.get("items", field) if field.get("type") == "array" else field
    for candidate in (holder, *holder.get("anyOf", [])):
        reference = candidate.get("$ref", "").removeprefix("#/$defs/")
        if "properties" in definitions.get(reference, {}):
            found: dict[str, Any] = definitions[reference]
            return found
    return None


def _value(field: dict[str, Any], section: dict[str, Any] | None) -> str:
    if section is not None:
        return "list of sections" if field.get("type") == "array" else "section"
    choices = [choice for choice in field.get("anyOf", [field]) if choice.get("type") != "null"]
    return " or ".join(dict.fromkeys(_one_value(choice) for choice in choices)).replace("|", "\\|")


def _one_value(field: dict[str, Any]) -> str:
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if "pattern" in field:
        return str(field.get("description", "duration"))
    kind = str(field.get("type", "any value"))
    if kind == "array":
        item = field.get("items", {})
        return f"list, each {_one_value(item)}" if item else "list"
    names = {"string": "text", "object": "keys and values", "boolean": "true or false"}
    return names.get(kind, kind) + _bounds(field)


def _bounds(field: dict[str, Any]) -> str:
    limits = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
    told = [f"{sign} {_plain(field[key])}" for key, sign in limits if key in field]
    return f" {', '.join(told)}" if told else ""


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _default(key: str, field: dict[str, Any], schema: dict[str, Any], section: dict[str, Any] | None) -> str:
    if key in schema.get("required", []):
        return "required"
    value = field.get("default")
    if value is None or value in ([], {}, "") or (section is not None and isinstance(value, dict)):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}`".replace("|", "\\|")


def _text(field: dict[str, Any], section: dict[str, Any] | None) -> str:
    text = " ".join(field.get("description", (section or {}).get("description", "")).split())
    return text.replace("``", "`").replace("|", "\\|").replace("*", "\\*")


def write(folder: Path) -> None:
    """Write the reference page and the schemas into the documentation folder."""
    (folder / "configuration.md").write_text(markdown(), encoding="utf-8")
    (folder / "schema").mkdir(exist_ok=True)
    for name in CONFIGURATIONS:
        text = json.dumps(json_schema(name), indent=2, ensure_ascii=False)
        (folder / "schema" / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
