"""What every section of a configuration file is, and the types that several of them use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, WithJsonSchema

from lammps_dpgen.part import config_folder

_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"\s*(\d+(?:\.\d*)?)\s*(s|min|h|d)\s*")


class Section(BaseModel):
    """A section of a configuration file: unknown keys are refused, values never change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


def parse_duration(value: Any) -> float:
    """Return seconds from a number of seconds or a text such as "90min", "2h", "1h 30min"."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    else:
        text = str(value)
        parts = _DURATION.findall(text)
        if not parts or _DURATION.sub("", text):
            raise ValueError(
                "a duration is a number of seconds or a text such as '90min', '2h', '1h 30min' (s, min, h, d)"
            )
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not seconds > 0.0:
        raise ValueError("a duration must be above 0")
    return seconds


def resolve_path(value: Any, info: ValidationInfo) -> Path:
    """Return an absolute path; a relative one is meant from the folder of the configuration file."""
    if not isinstance(value, (str, Path)) or not str(value):
        raise ValueError("a path is a text")
    return (config_folder(info) / Path(value).expanduser()).absolute()


#: Seconds; in the file a number of seconds or a text such as "2h".
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^(\s*\d+(\.\d*)?\s*(s|min|h|d)\s*)+$"},
            ]
        }
    ),
]

#: Absolute path; in the file relative to the folder of the file.
FilePath = Annotated[Path, BeforeValidator(resolve_path), WithJsonSchema({"type": "string", "minLength": 1})]
