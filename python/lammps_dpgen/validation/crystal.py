"""A crystal that properties are computed of: where it starts, and how it is relaxed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from ase import Atoms

from lammps_dpgen.frame import Frame

#: How a crystal gets its lattice constants.
Relaxation = Literal["none", "iso", "aniso", "tri", "lammps"]


@dataclass(frozen=True)
class Crystal:
    """A crystal before its relaxation by a potential.

    Attributes
    ----------
    name
        Subject of the rows.
    atoms
        Conventional cell (fcc: 4 atoms) of a prototype, or the cell of a file.
    prototype
        "fcc", "hcp", "bcc", "dhcp", "sc", "diamond"; "" where it came from a file.
    relaxation
        "iso", then the next ones up to this: "aniso" means iso, then aniso, from there. "lammps" is iso and aniso by
        LAMMPS' own fix box/relax, as far as its line search goes.
    """

    name: str
    atoms: Atoms
    prototype: str = ""
    relaxation: Relaxation = "aniso"

    @property
    def elements(self) -> tuple[str, ...]:
        """Elements in it, in alphabetical order."""
        return tuple(sorted(set(self.atoms.get_chemical_symbols())))

    @property
    def hash(self) -> str:
        """SHA-256 of all of it."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return plain data; floats round-trip exactly."""
        frame = Frame.from_ase(self.atoms).to_json()
        del frame["origin"]
        return {"name": self.name, "atoms": frame, "prototype": self.prototype, "relaxation": self.relaxation}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Crystal:
        """Inverse of :meth:`to_json`."""
        frame = Frame.from_json({**data["atoms"], "origin": {"source": "validation"}})
        return cls(data["name"], frame.to_ase(), data["prototype"], data["relaxation"])
