"""What a property is; third parties register theirs in the entry point group ``lammps_dpgen.properties``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from lammps_dpgen.part import PartSettings
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.potential import Potential


class PropertySettings(PartSettings):
    """Base class of a property's settings; with the crystals, their hash tells results apart."""

    #: Fields that only decide which pieces there are and stand in their payloads: changing them keeps stored results.
    only_pieces: ClassVar[frozenset[str]] = frozenset()

    def hash(self) -> str:
        """SHA-256 of the settings that decide the results of pieces."""
        text = json.dumps(self.model_dump(mode="json", exclude=set(self.only_pieces)), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Piece:
    """A part of a property that one worker computes for one potential, and that is stored when it is done.

    Attributes
    ----------
    name
        Unique within the property, readable: "Al", "Al/vacancy/0".
    payload
        Plain data, all that the worker needs besides the settings of the property: with these and the potential it
        decides the result, so its hash is part of the name under which the result is stored.
    """

    name: str
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One number of a property, or the cause why there is none.

    Attributes
    ----------
    part
        Table of the report: "Bulk", "Elastic constants", "Surfaces".
    subject
        What it is a property of: the name of a crystal, with details as far as needed, such as "Al" or
        "Mg (1 0 -1 1) termination 2". References are found by subject and quantity.
    quantity
        Symbol, such as "C_11".
    unit
        "" for a plain number.
    value
        None where `failure` says why.
    error
        One standard error of a measured mean; None where the number is exact within its definition.
    definition
        How it was computed: supercell, strain, relaxation.
    failure
        Cause why there is no value.
    note
        What a reader has to know beside the number, such as that a phonon mode is imaginary.
    """

    part: str
    subject: str
    quantity: str
    unit: str = ""
    value: float | None = None
    error: float | None = None
    definition: str = ""
    failure: str = ""
    note: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Subject and quantity: what references and other potentials are matched by."""
        return self.subject, self.quantity

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Series:
    """A line or a group of points of a chart; the report adds the name of the potential.

    Attributes
    ----------
    x
        Numbers, or words for bars.
    y
        Numbers, as many; None breaks the line.
    error
        Standard errors, as many, or none.
    style
        "line", "points" or "dashed".
    """

    name: str
    x: Sequence[float] | Sequence[str]
    y: Sequence[float | None]
    error: Sequence[float] = ()
    style: Literal["line", "points", "dashed"] = "line"


@dataclass(frozen=True)
class Chart:
    """A picture as plain data; those of several potentials with the same `id` are drawn as one.

    Attributes
    ----------
    kind
        "lines": series over x. "bars": groups of bars, x are words. "parity": y against x with the diagonal; a panel
        for each potential.
    ticks
        Positions and labels along x, such as the special points of a band path; vertical lines are drawn there.
    zero_line
        Draw a horizontal line at 0.
    keys
        Of "bars": subject and quantity of each word of the first series, so that references get bars as well.
    """

    id: str
    part: str
    title: str
    caption: str
    x_label: str
    y_label: str
    kind: Literal["lines", "bars", "parity"]
    series: tuple[Series, ...]
    ticks: tuple[tuple[float, str], ...] = ()
    zero_line: bool = False
    keys: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Findings:
    """What a property found for one potential."""

    rows: tuple[Row, ...]
    charts: tuple[Chart, ...] = ()


@dataclass(frozen=True)
class Result:
    """Outcome of a piece: `value` as :meth:`Property.compute` returned it, or None and the cause."""

    value: dict[str, Any] | None
    failure: str = ""


class Property(Protocol):
    """A property of a potential.

    It is made in the main process, which asks for :meth:`pieces` and :meth:`findings`, and again in the workers, which
    compute pieces. The pieces do not depend on the potential, so that the rows of all potentials match.
    """

    #: Name in the configuration.
    name: ClassVar[str]
    #: Raised whenever the same settings give other numbers than before: stored results of other versions do not count.
    version: ClassVar[int]
    #: Class of its settings; its docstring and field descriptions are the reference page.
    Settings: ClassVar[type[PropertySettings]]

    def __init__(self, settings: Any, crystals: Sequence[Crystal]) -> None: ...

    def pieces(self) -> list[Piece]:
        """Return what there is to compute; at least one piece.

        Raises
        ------
        ConfigError
            The property makes no sense for one of the crystals.
        """
        ...

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Compute one piece; returns plain data (JSON: numbers, texts, lists, dictionaries).

        Raises
        ------
        PropertyError
            Why there is no result; this is stored like a result. Any other error is one of the program.
        """
        ...

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return rows and charts, given the results of all pieces by their names; never raises for a failed one."""
        ...


@runtime_checkable
class FollowsReference(Protocol):
    """What a property has besides, whose pieces build on what the reference potential found.

    The reference potential is the one that is compared with, or else the first. Its results of `reference_pieces` come
    before everything else; :meth:`Property.pieces` and :meth:`Property.findings` are called after `follow`.
    """

    def reference_pieces(self) -> list[Piece]:
        """Return what the reference potential computes first; may be empty."""
        ...

    def follow(self, results: Mapping[str, Result]) -> None:
        """Take the results of `reference_pieces` by their names."""
        ...
