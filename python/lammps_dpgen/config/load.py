"""Reads configuration files: YAML in, validated settings out, or every problem at once with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from lammps_dpgen.config.base import Section
from lammps_dpgen.config.problems import Location, problems
from lammps_dpgen.errors import ConfigError

AnySection = TypeVar("AnySection", bound=Section)


def load_config(path: Path | str, model: type[AnySection]) -> AnySection:
    """Read and validate a YAML file; relative paths in it are meant from its folder.

    Raises
    ------
    ConfigError
        The file cannot be read, is no YAML, or has problems: all of them, with line, key, value and what is allowed.
    """
    path = Path(path)
    root, data = _parse(path)
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(data).__name__}; see docs/configuration.md")
    found = _repeated_keys(root, ())
    try:
        config = model.model_validate(data, context={"folder": path.absolute().parent})
    except ValidationError as error:
        found += problems(error, model, data)
    if found:
        raise ConfigError(_message(path, root, found))
    return config


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a YAML configuration file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def _parse(path: Path) -> tuple[yaml.Node | None, Any]:
    """Return the file's nodes, which know their lines, and its plain data."""
    text = _text(path)
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigError(f"{where}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error


def _repeated_keys(node: yaml.Node | None, location: Location) -> list[tuple[Location, str]]:
    """Return the keys that stand twice in one mapping; YAML would silently take the last one."""
    found: list[tuple[Location, str]] = []
    if isinstance(node, yaml.MappingNode):
        seen: dict[Any, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            inner = (*location, key.value)
            if key.value in seen:
                found.append((inner, f"stands twice, first in line {seen[key.value]}; keep one"))
            seen.setdefault(key.value, key.start_mark.line + 1)
            found += _repeated_keys(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            found += _repeated_keys(value, (*location, number))
    return found


def _line(node: yaml.Node | None, location: Location) -> int | None:
    """Return the line of the key at `location`; of the section, where the key is missing; None for the whole file."""
    line = None
    for step in location:
        if isinstance(node, yaml.MappingNode):
            matching = [(key, value) for key, value in node.value if key.value == str(step)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            matching = [(node.value[step], node.value[step])]
        else:
            matching = []
        if not matching:
            return line
        key, node = matching[-1]
        line = key.start_mark.line + 1
    return line


def _message(path: Path, root: yaml.Node | None, found: list[tuple[Location, str]]) -> str:
    count = "1 problem" if len(found) == 1 else f"{len(found)} problems"
    lines = [f"{path}: {count}"]
    placed = [(_line(root, location), location, text) for location, text in found]
    for line, location, text in sorted(placed, key=lambda item: item[0] or 0):
        where = f"line {line}, " if line else ""
        lines.append(f"  {where}{_key_path(location)}: {text}")
    return "\n".join(lines)


def _key_path(location: Location) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return text.removeprefix(".") or "the whole file"
