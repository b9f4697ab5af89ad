"""JSON schemas of the configuration files, with the settings of every part that is installed."""

from __future__ import annotations

import copy
from typing import Any

from pydantic import BaseModel

from lammps_dpgen import registry
from lammps_dpgen.config.bootstrap import BootstrapConfig
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.config.learn import LearnConfig
from lammps_dpgen.config.parts import StructureSection
from lammps_dpgen.config.stage import StageSection
from lammps_dpgen.config.validation import PropertySection, ValidationConfig

CONFIGURATIONS: dict[str, type[BaseModel]] = {
    "campaign": CampaignConfig,
    "learn": LearnConfig,
    "bootstrap": BootstrapConfig,
    "validation": ValidationConfig,
}


def json_schema(which: str) -> dict[str, Any]:
    """Return the JSON schema of the configuration file ``campaign``, ``learn``, ``bootstrap`` or ``validation``.

    Labelers, trainers, structure generators, samplers and properties appear with their own settings, chosen by their
    name.
    """
    schema = CONFIGURATIONS[which].model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = f"lammps-dpgen {which}"
    definitions = schema["$defs"]
    for section, group in (("LabelerSection", registry.LABELERS), ("TrainerSection", registry.TRAINERS)):
        if section in definitions:
            definitions[section] = _choice(definitions, definitions[section], group, "name", inline=False)
    for inline in (StructureSection, StageSection, PropertySection):
        if inline.__name__ in definitions:
            section = definitions[inline.__name__]
            definitions[inline.__name__] = _choice(definitions, section, inline.group, inline.key, inline=True)
    return schema


def _choice(
    definitions: dict[str, Any], section: dict[str, Any], group: str, key: str, *, inline: bool
) -> dict[str, Any]:
    """Return one variant of a section per registered part, its settings beside the key or under ``settings``."""
    variants = []
    for name in registry.registered(group):
        settings = registry.load(group, name).Settings.model_json_schema(ref_template="#/$defs/{model}")
        definitions.update(settings.pop("$defs", {}))
        variant = copy.deepcopy(section)
        variant["title"] = name
        variant["properties"][key]["const"] = name
        if inline:
            variant["properties"].update(settings["properties"])
            named = [] if section["properties"][key].get("default") == name else [key]
            needed = [*section.get("required", []), *named, *settings.get("required", [])]
            variant["required"] = list(dict.fromkeys(needed))
            variant["additionalProperties"] = False
        else:
            variant["properties"]["settings"] = settings
            if settings.get("required"):
                variant["required"] = [*variant["required"], "settings"]
        variants.append(variant)
    return {"oneOf": variants, "description": section.get("description", "")}
