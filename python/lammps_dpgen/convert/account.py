"""The account of a conversion: what became of every key of a DP-GEN input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Fate(Enum):
    """What became of a key."""

    CARRIED = "carried over"
    CHANGED = "changed"
    LEFT = "not carried"


@dataclass(frozen=True)
class Entry:
    """One line of the account.

    Attributes
    ----------
    key
        Key of the DP-GEN input, with the sections that it stands in: ``model_devi_jobs[].temps``.
    target
        Key of the campaign, empty for what is not carried.
    remark
        What is different, or why it is not carried and what to do.
    """

    key: str
    fate: Fate
    target: str = ""
    remark: str = ""


@dataclass
class Account:
    """All entries so far, each once, in the order of the input."""

    entries: list[Entry] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Note an entry; one that is there already stays once."""
        if entry not in self.entries:
            self.entries.append(entry)

    def of(self, fate: Fate) -> list[Entry]:
        """Return the entries of one fate, those with the same target and remark as one with all their keys."""
        groups: dict[tuple[str, str], list[str]] = {}
        for entry in self.entries:
            if entry.fate is fate:
                groups.setdefault((entry.target, entry.remark), []).append(entry.key)
        return [Entry(_joined(keys), fate, target, remark) for (target, remark), keys in groups.items()]


def _joined(keys: list[str]) -> str:
    """Return keys as one text, the section that several share written once: ``fp.machine.{batch_type, local_root}``."""
    places: dict[str, list[str]] = {}
    for key in keys:
        place, dot, name = key.rpartition(".")
        places.setdefault(place + dot, []).append(name)
    texts = (
        f"{place}{{{', '.join(names)}}}" if len(names) > 1 and place else place + ", ".join(names)
        for place, names in places.items()
    )
    return ", ".join(texts)


class Keys:
    """The keys of one section of a DP-GEN input, each of which has to be accounted for.

    Keys with a leading underscore are DP-GEN's comments.
    """

    def __init__(self, data: Mapping[str, Any], account: Account, place: str = "") -> None:
        self._data = {key: value for key, value in data.items() if not key.startswith("_")}
        self._account = account
        self._place = place
        self._open = list(self._data)

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def names(self) -> list[str]:
        """Return all keys."""
        return list(self._data)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value without an entry in the account; a null counts as absent."""
        value = self._data.get(key)
        return default if value is None else value

    def first(self, *names: str) -> str:
        """Return the name, of several for the same thing, that the input uses; the first one if it uses none.

        Others that stand beside it are noted as left.
        """
        given = [name for name in names if self.get(name) is not None] or list(names)
        for name in names:
            if name != given[0]:
                self.left(name, f"{given[0]} stands for the same")
        return given[0]

    def carried(self, key: str, target: str, remark: str = "") -> Any:
        """Return a value that goes to `target` as it is; None if the key is not there."""
        return self._take(key, Fate.CARRIED, target, remark)

    def changed(self, key: str, target: str, remark: str) -> Any:
        """Return a value that means something else at `target`; None if the key is not there."""
        return self._take(key, Fate.CHANGED, target, remark)

    def left(self, key: str, remark: str) -> Any:
        """Return a value that goes nowhere; None if the key is not there."""
        return self._take(key, Fate.LEFT, "", remark)

    def left_all(self, reasons: Mapping[str, str]) -> None:
        """Note all keys that go nowhere, each for its reason."""
        for key, remark in reasons.items():
            self.left(key, remark)

    def rest_carried(self, target: str) -> None:
        """Note every key that nobody asked for as one that goes to `target` as it is."""
        for key in list(self._open):
            self.carried(key, target)

    def unknown(self, remark: str) -> None:
        """Note every key that nobody asked for."""
        for key in list(self._open):
            self.left(key, remark)

    def sections(self, key: str) -> Iterable[tuple[Mapping[str, Any], str]]:
        """Return the sections of a list, or the only one, and their place; the key itself is accounted for by them."""
        value = self._data.get(key)
        self._close(key)
        place = f"{self._place}{key}"
        if isinstance(value, Mapping):
            return [(value, f"{place}.")]
        if isinstance(value, list):
            return [(one, f"{place}[].") for one in value if isinstance(one, Mapping)]
        return []

    def inner(self, key: str) -> Keys:
        """Return the keys of the only section at `key`, none where there is no section; each is accounted for there."""
        for section, place in self.sections(key):
            return Keys(section, self._account, place)
        return Keys({}, self._account)

    def _take(self, key: str, fate: Fate, target: str, remark: str) -> Any:
        if key not in self._data:
            return None
        self._close(key)
        self._account.add(Entry(f"{self._place}{key}", fate, target, remark))
        return self._data[key]

    def _close(self, key: str) -> None:
        if key in self._open:
            self._open.remove(key)
