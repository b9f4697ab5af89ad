"""Says what is wrong in a configuration: where, the value got, what is allowed, the nearest known key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from lammps_dpgen.config.parts import InlineSection, PartSection, settings_model

Location = tuple[int | str, ...]

_LONGEST_VALUE = 60


def problems(error: ValidationError, model: type[BaseModel], data: Any) -> list[tuple[Location, str]]:
    """Return location and explanation of every problem, in the order of the file's keys."""
    found: dict[Location, list[str]] = {}
    items = error.errors()
    for item in items:
        if item["type"] == "too_short" and any(item["loc"] == other["loc"][:-1][: len(item["loc"])] for other in items):
            continue  # pydantic leaves wrong items out before it counts them
        location = _in_data(item["loc"], data)
        if item["type"] == "extra_forbidden":
            text = _unknown_key(str(location[-1]), known_keys(model, location[:-1], data))
        elif item["type"] == "missing":
            location = (*_in_data(item["loc"][:-1], data), item["loc"][-1])
            text = f"missing; {_purpose(model, location, data)}"
        else:
            text = f"got {_shown(item['input'])}; {item['msg'].removeprefix('Value error, ')}"
        texts = found.setdefault(location, [])
        if text not in texts:
            texts.append(text)
    return [(location, " or ".join(texts)) for location, texts in found.items()]


def known_keys(model: type[BaseModel], location: Location, data: Any) -> list[str]:
    """Return the keys allowed at a place of the configuration."""
    models = _models_at(model, location, data)
    return [key for one in models for key in (one.own_keys() if issubclass(one, InlineSection) else one.model_fields)]


def _unknown_key(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown key; {hint}(known here: {', '.join(known)})"


def _purpose(model: type[BaseModel], location: Location, data: Any) -> str:
    for current in _models_at(model, location[:-1], data):
        field = current.model_fields.get(str(location[-1]))
        if field is not None and field.description:
            return "required: " + " ".join(field.description.split()).replace("``", "'")
    return "required"


def _models_at(model: type[BaseModel], location: Location, data: Any) -> list[type[BaseModel]]:
    """Return the models whose fields are the keys at `location`: one, or two where a part's settings lie inline."""
    models = _with_inline_settings(model, data)
    for step in location:
        parent, data = data, _child(data, step)
        if isinstance(step, int):
            models = [wide for narrow in models for wide in _with_inline_settings(narrow, data)]
            continue
        inner: list[type[BaseModel]] = []
        for current in models:
            if issubclass(current, PartSection) and step == "settings":
                inner += _settings_of(current.group, _child(parent, "name"))
            elif step in current.model_fields:
                for candidate in _models_in(current.model_fields[step].annotation):
                    inner += _with_inline_settings(candidate, data)
        models = inner
    return models


def _with_inline_settings(model: type[BaseModel], data: Any) -> list[type[BaseModel]]:
    if issubclass(model, InlineSection) and isinstance(data, dict):
        name = _child(data, model.key) or model.model_fields[model.key].default
        return [model, *_settings_of(model.group, name)]
    return [model]


def _settings_of(group: str, name: Any) -> list[type[BaseModel]]:
    try:
        return [settings_model(group, name)]
    except ValueError:
        return []


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _child(data: Any, step: int | str) -> Any:
    try:
        return data[step]
    except (KeyError, IndexError, TypeError):
        return None


def _in_data(location: Location, data: Any) -> Location:
    """Drop the steps that pydantic adds for the branches of a union: what is left are keys of the file."""
    kept: list[int | str] = []
    for step in location:
        is_key = isinstance(data, dict) and step in data
        if is_key or (isinstance(data, list) and isinstance(step, int)):
            kept.append(step)
            data = _child(data, step)
    return tuple(kept)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."
