"""What cannot be computed says why: each case through the worker's service, as the report gets it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ase import Atoms
from validation_potentials import ALUMINIUM, crystal

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.validation.alloys import AlloysProperty, AlloysSettings
from lammps_dpgen.validation.base import Result
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.elastic import ElasticProperty, ElasticSettings
from lammps_dpgen.validation.service import PieceService, make_property


def pair(style: str, coefficients: str) -> dict[str, Any]:
    return {"pair_style": style, "pair_coeff": [f"1 1 {coefficients}"], "elements": ["Al"]}


#: Nearest neighbours bind; fcc at a = 3.96 Å is the minimum.
MORSE = pair("morse 3.4", "0.3 1.6 2.8")
#: Atoms that attract each other the more, the nearer they are.
SINK = pair("born 6.0", "0.0 0.3 0.0 50.0 0.0")
#: Atoms that only repel each other.
BLAST = pair("born 9.0", "0.0 0.3 0.0 -5000.0 0.0")
#: exp(1200) is more than a double holds.
NO_NUMBER = pair("morse 3.4", "0.3 1000.0 3.4")

UNKNOWN = {**pair("no/such/style", "1.0"), "plugins": "no"}


def told(tmp_path: Path, potential: dict[str, Any], name: str, one: Crystal, **settings: Any) -> str:
    """Return the causes of all pieces of a property, none of which may have a value."""
    service = PieceService(name="it", settings=potential)
    found = []
    for number, piece in enumerate(make_property(name, settings, (one,)).pieces()):
        folder = tmp_path / str(number)
        folder.mkdir()
        task = {"property": name, "settings": settings, "piece": {"name": piece.name, "payload": piece.payload}}
        answer = service.compute(task, folder)
        assert answer["value"] is None
        found.append(answer["failure"])
    return "; ".join(found)


def bct() -> Crystal:
    """A crystal between bcc and fcc, where nothing holds it."""
    atoms = crystal("Al", crystal="bcc", a=3.2).atoms.copy()
    atoms.set_cell(atoms.cell.array * [[0.95], [0.95], [1.15]], scale_atoms=True)
    return Crystal("bct", atoms, "", "aniso")


@pytest.mark.parametrize(
    ("potential", "name", "one", "settings", "cause"),
    [
        pytest.param(MORSE, "bulk", bct(), {}, "bct is not stable: it has become another structure", id="decays"),
        pytest.param(
            MORSE,
            "vacancies",
            crystal("Al", a=3.96),
            {"repeat": (3, 3, 3), "force": 1e-18},
            "forces up to .* are left after",
            id="does not converge",
        ),
        pytest.param(SINK, "bulk", crystal("Al"), {}, "the cell has collapsed", id="collapses"),
        pytest.param(BLAST, "bulk", crystal("Al"), {}, "torn apart", id="is torn apart"),
        pytest.param(NO_NUMBER, "bulk", crystal("Al"), {}, "numbers that are not finite", id="NaN"),
        pytest.param(
            {**MORSE, "pair_style": "no/such/style", "plugins": "no"},
            "bulk",
            crystal("Al"),
            {},
            "no/such/style",
            id="pair style",
        ),
        pytest.param(MORSE, "bulk", crystal("Cu"), {}, "has no Cu", id="element"),
        pytest.param(
            {"labeler": {"name": "lammps", "settings": ALUMINIUM}},
            "liquid",
            crystal("Al", a=4.05, relax="none"),
            {"temperatures": (1000.0,), "atoms": 32},
            "needs a LAMMPS pair style",
            id="MD of a labeler",
        ),
        pytest.param(
            {**MORSE, "units": "real"},
            "liquid",
            crystal("Al", relax="none"),
            {"temperatures": (1000.0,), "atoms": 32},
            "needs a potential in LAMMPS' metal units",
            id="MD in other units",
        ),
    ],
)
def test_the_cause_is_told(
    tmp_path: Path, potential: dict[str, Any], name: str, one: Crystal, settings: dict[str, Any], cause: str
) -> None:

    text = told(tmp_path, potential, name, one, **settings)
    assert re.search(cause, text), text


def test_a_negative_modulus_is_noted(tmp_path: Path) -> None:
    """fcc that is stretched beyond the inflection of the bonds has numbers, and a note that it is unstable."""
    part = ElasticProperty(ElasticSettings(relax_atoms=False), (crystal("Al", a=4.6, relax="none"),))
    (piece,) = part.pieces()
    service = PieceService(name="it", settings=pair("morse 3.6", "0.3 1.6 2.8"))
    task = {"property": "elastic", "settings": {"relax_atoms": False}}
    answer = service.compute({**task, "piece": {"name": piece.name, "payload": piece.payload}}, tmp_path)
    rows = part.findings({piece.name: Result(answer["value"], answer["failure"])}).rows
    assert all("unstable: the elastic tensor has an eigenvalue of -" in row.note for row in rows)


def test_elements_without_a_reference_phase_are_refused_before_anything_is_computed(tmp_path: Path) -> None:
    Atoms(["Al", "O"], scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[4.0] * 3, pbc=True).write(
        tmp_path / "oxide.vasp"
    )
    with pytest.raises(ConfigError, match="no reference phase for O"):
        AlloysProperty(AlloysSettings(files=(str(tmp_path / "oxide.vasp"),)), ()).pieces()


@pytest.mark.parametrize(
    ("name", "settings", "one", "cause"),
    [
        ("faults", {}, crystal("Fe"), "Fe is bcc"),
        ("interstitials", {"sites": ("th",)}, crystal("Po", crystal="sc", a=3.3), "no place th; found"),
        ("surfaces", {"miller": ((1, 0, -1, 0),)}, crystal("Al"), "Al is no hcp or dhcp"),
    ],
)
def test_properties_that_make_no_sense_for_the_structure(
    name: str, settings: dict[str, Any], one: Crystal, cause: str
) -> None:
    with pytest.raises(ConfigError, match=cause):
        make_property(name, settings, (one,)).pieces()
