"""Times, temperatures and pressures in the settings of samplers."""

from __future__ import annotations

import re
from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_PICOSECONDS = {"fs": 1e-3, "ps": 1.0, "ns": 1e3}
_TIME = re.compile(r"\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*(fs|ps|ns)\s*")


def parse_time(value: Any, unit: str) -> float:
    """Return a time in `unit` from a number in that unit or a text such as "2 ps", "500 fs", "1 ns".

    Raises
    ------
    ValueError
        It is no time, or not above 0.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        time = float(value)
    else:
        match = _TIME.fullmatch(str(value))
        if match is None:
            raise ValueError(f"a time is a number of {unit} or a text such as '2 ps', '500 fs', '1 ns'; got {value!r}")
        time = float(match[1]) * _PICOSECONDS[match[2]] / _PICOSECONDS[unit]
    if not time > 0.0:
        raise ValueError(f"a time must be above 0, got {value!r}")
    return time


def _schema() -> WithJsonSchema:
    text = {"type": "string", "description": "time", "pattern": r"^\s*\d+(\.\d*)?([eE][+-]?\d+)?\s*(fs|ps|ns)\s*$"}
    return WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, text]})


class OneOrMore:
    """Annotation of a tuple that may be given as a single value, for pydantic and for its JSON schema."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Make a list of a single value first."""
        return core_schema.no_info_before_validator_function(_as_list, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Allow both."""
        several = handler(schema)
        return {"anyOf": [several["items"], several]}


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, (int, float, str)) and not isinstance(value, bool) else value


#: ps; in the file a number of ps or a text such as "2 ps".
Picoseconds = Annotated[float, BeforeValidator(partial(parse_time, unit="ps")), _schema()]
#: fs; in the file a number of fs or a text such as "2 fs".
Femtoseconds = Annotated[float, BeforeValidator(partial(parse_time, unit="fs")), _schema()]
#: Numbers, one or several.
Numbers = Annotated[tuple[float, ...], Field(min_length=1), OneOrMore()]
#: K, one or several, above 0.
Temperatures = Annotated[tuple[Annotated[float, Field(gt=0.0)], ...], Field(min_length=1), OneOrMore()]
#: bar, one or several.
Pressures = Numbers
