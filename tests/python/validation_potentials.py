"""Potentials and crystals that tests of the validation share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lammps_dpgen.config.validation import CrystalSection
from lammps_dpgen.validation.base import Findings, Property, Result, Row
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.crystals import crystal_of
from lammps_dpgen.validation.potential import Potential
from lammps_dpgen.validation.potentials import make_potential

MEAM = {
    "pair_style": "meam",
    "pair_coeff": ["* * library.meam AlS SiS MgS CuS FeS AlSiMgCuFe.meam AlS MgS"],
    "elements": ["Al", "Mg"],
}

ALUMINIUM = {"pair_style": "eam/alloy", "pair_coeff": ["* * Al_zhou.eam.alloy Al"], "elements": ["Al"]}

#: eV, Å: Lennard-Jones with the mass of argon, cut between shells of the fcc crystal.
LJ_EPSILON, LJ_SIGMA, LJ_CUTOFF = 0.0104, 3.4, 7.6
LENNARD_JONES = {
    "pair_style": f"lj/cut {LJ_CUTOFF}",
    "pair_coeff": [f"1 1 {LJ_EPSILON} {LJ_SIGMA}"],
    "elements": ["Ar"],
}


def meam(folder: Path) -> Potential:
    return make_potential("MEAM", MEAM, folder=folder)


def aluminium(folder: Path) -> Potential:
    return make_potential("EAM", ALUMINIUM, folder=folder)


def lennard_jones(folder: Path) -> Potential:
    return make_potential("LJ", LENNARD_JONES, folder=folder)


def crystal(element: str, **more: Any) -> Crystal:
    return crystal_of(CrystalSection(name=more.pop("name", element), element=element, **more))


def findings(kind: type[Property], potential: Potential, crystals: Sequence[Crystal], **settings: Any) -> Findings:
    """What the property finds, its pieces computed one after another as a worker does."""
    made = kind(kind.Settings(**settings), crystals)
    worker = kind(kind.Settings(**settings), ())
    results = {piece.name: Result(worker.compute(potential, piece)) for piece in made.pieces()}
    return made.findings(results)


def value(found: Findings, subject: str, quantity: str) -> float:
    """The value of a row that must be there once."""
    (row,) = [row for row in found.rows if row.key == (subject, quantity)]
    assert isinstance(row, Row)
    assert row.value is not None, row.failure
    return row.value
