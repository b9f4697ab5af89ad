"""Names by which sections of a configuration refer to each other."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence


def check_distinct(what: str, names: Iterable[str]) -> None:
    """Raise ValueError, which pydantic reports, if a name stands more than once."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        named = ", ".join(map(repr, twice))
        raise ValueError(f"more than one of the {what} is named {named}; give each a 'name' of its own")


def check_known(what: str, wanted: Iterable[str], names: Sequence[str]) -> None:
    """Raise ValueError, which pydantic reports, if a wanted name is none of those that are there."""
    for name in wanted:
        if name in names:
            continue
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"none of the {what} is named {name!r}{hint} (there are: {', '.join(names)})")
