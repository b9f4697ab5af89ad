"""docs/configuration.md and docs/schema are what the models say, and what they show works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lammps_dpgen.config import LearnConfig, load_config
from lammps_dpgen.config.reference import EXAMPLE, markdown
from lammps_dpgen.config.schema import CONFIGURATIONS, json_schema

DOCS = Path(__file__).parents[2] / "docs"
REMEDY = "run 'python -m lammps_dpgen.config.reference docs' and commit what it wrote"


def test_reference_page_is_up_to_date() -> None:
    assert (DOCS / "configuration.md").read_text() == markdown(), REMEDY


@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
def test_schemas_are_up_to_date(name: str) -> None:
    assert json.loads((DOCS / "schema" / f"{name}.json").read_text()) == json_schema(name), REMEDY


def test_every_key_is_explained() -> None:
    empty = [line for line in markdown().splitlines() if re.match(r"\| `.*\|\s*\|$", line)]
    assert empty == []


def test_example_is_a_valid_configuration(tmp_path: Path) -> None:
    (tmp_path / "learn.yaml").write_text(EXAMPLE.removeprefix("```yaml\n").removesuffix("```\n"))
    config = load_config(tmp_path / "learn.yaml", LearnConfig)
    assert config.limits.wall_time == 7200.0
    assert config.labeler.name == "lammps"


@pytest.mark.parametrize("name", sorted(CONFIGURATIONS))
def test_schema_holds_together(name: str) -> None:
    schema = json_schema(name)
    for reference in references(schema):
        assert reference.removeprefix("#/$defs/") in schema["$defs"]
    if name == "validation":
        properties = {v["properties"]["property"]["const"]: v for v in schema["$defs"]["PropertySection"]["oneOf"]}
        assert "max_index" in properties["surfaces"]["properties"]
        return
    variants = schema["$defs"]["LabelerSection"]["oneOf"]
    by_name = {variant["properties"]["name"]["const"]: variant for variant in variants}
    assert "pair_style" in by_name["lammps"]["properties"]["settings"]["properties"]
    assert "settings" in by_name["lammps"]["required"]
    generators = {v["properties"]["generator"]["const"]: v for v in schema["$defs"]["StructureSection"]["oneOf"]}
    assert "repeat" in generators["prototype"]["properties"]
    assert generators["prototype"]["additionalProperties"] is False


def references(data: Any) -> Iterator[str]:
    if isinstance(data, dict):
        if isinstance(data.get("$ref"), str):
            yield data["$ref"]
        for value in data.values():
            yield from references(value)
    elif isinstance(data, list):
        for value in data:
            yield from references(value)
