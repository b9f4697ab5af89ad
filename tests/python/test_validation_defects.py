"""Point defects: the places are found, and the energies are those of the paper's MEAM column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from validation_potentials import crystal, findings, lennard_jones, meam, value

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.defects import inequivalent_sites, repeats
from lammps_dpgen.validation.interstitial_sites import interstitial_sites
from lammps_dpgen.validation.interstitials import InterstitialsProperty, InterstitialsSettings
from lammps_dpgen.validation.vacancies import VacanciesProperty, VacanciesSettings

ALLOY = Crystal("Al3Mg", Atoms("MgAl3", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
                               cell=[4.1] * 3, pbc=True))  # fmt: skip


def test_vacancy_of_aluminium_is_that_of_table_1(tmp_path: Path) -> None:
    found = findings(VacanciesProperty, meam(tmp_path), [crystal("Al")], repeat=(7, 7, 7), cell="fixed")
    assert round(value(found, "Al", "E_vf"), 2) == 0.67
    assert "342 atoms" in found.rows[0].definition


def test_vacancy_of_magnesium_is_that_of_table_s8(tmp_path: Path) -> None:
    found = findings(VacanciesProperty, meam(tmp_path), [crystal("Mg")], repeat=(3, 3, 3))
    assert round(value(found, "Mg", "E_vf"), 2) == 0.87


def test_tetrahedral_interstitial_of_aluminium_is_that_of_table_1(tmp_path: Path) -> None:
    found = findings(InterstitialsProperty, meam(tmp_path), [crystal("Al")], repeat=(7, 7, 7), sites=["th"])
    assert round(value(found, "Al", "E_if_th"), 2) == 3.32


def test_octahedral_interstitial_of_aluminium_is_that_of_table_1(tmp_path: Path) -> None:
    found = findings(InterstitialsProperty, meam(tmp_path), [crystal("Al")], repeat=(7, 7, 7), sites=["oh"])
    assert round(value(found, "Al", "E_if_oh"), 2) == 2.77
    assert "unstable there" in found.rows[0].note  # it becomes a <100> dumbbell


def test_vacancy_of_a_pair_potential_costs_the_bonds_of_an_atom(tmp_path: Path) -> None:
    """Unrelaxed: N - 1 atoms keep their energy but for the bonds cut, so that E_vf = -E_0 of a pair potential."""
    potential, argon = lennard_jones(tmp_path), crystal("Ar", relax="iso")
    bulk_energy = potential.crystal(argon).energy_per_atom
    relaxed = value(findings(VacanciesProperty, potential, [argon], repeat=(6, 6, 6), cell="fixed"), "Ar", "E_vf")
    assert relaxed == pytest.approx(-bulk_energy, rel=0.02)
    assert relaxed < -bulk_energy


def test_all_inequivalent_sites_of_an_alloy_have_a_piece() -> None:
    pieces = VacanciesProperty(VacanciesSettings(), [ALLOY]).pieces()
    assert [piece.name for piece in pieces] == ["Al3Mg site 1", "Al3Mg site 2"]
    assert sorted(piece.payload["references"].popitem()[0] for piece in pieces) == ["Al", "Mg"]
    assert [count for _, count in inequivalent_sites(ALLOY.atoms)] == [1, 3]


def test_a_vacancy_pays_the_energy_of_the_element_that_it_gives_back(tmp_path: Path) -> None:
    potential = meam(tmp_path)
    found = findings(VacanciesProperty, potential, [ALLOY], repeat=(1, 1, 1), cell="fixed")
    assert all(0.0 < (row.value or 0.0) < 3.0 for row in found.rows)


@pytest.mark.parametrize(
    ("atoms", "names"),
    [
        (bulk("Al"), {"oh": 0.5, "th": 0.25 * np.sqrt(3)}),
        (bulk("Mg"), {"oh": None, "th": None}),
        (bulk("Fe"), {"th": 0.25 * np.sqrt(5)}),
    ],
)
def test_places_between_atoms_are_found(atoms: Atoms, names: dict[str, float | None]) -> None:
    sites = {site.name: site for site in interstitial_sites(atoms)}
    assert set(sites) == set(names)
    a = float(atoms.cell.lengths()[0]) * (np.sqrt(2) if atoms.symbols[0] == "Al" else 2 / np.sqrt(3))
    for name, distance in names.items():
        if distance is not None:
            assert sites[name].distance == pytest.approx(distance * a, rel=1e-3)


def test_octahedral_place_of_bcc_is_there_too() -> None:
    pieces = InterstitialsProperty(InterstitialsSettings(repeat=(2, 2, 2)), [crystal("Fe")]).pieces()
    assert {piece.payload["quantity"] for piece in pieces} == {"E_if_oh", "E_if_th"}
    (octahedral,) = [piece for piece in pieces if piece.payload["quantity"] == "E_if_oh"]
    assert "2 neighbours at 1.44 Å" in octahedral.payload["note"]


def test_a_place_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match="no place 5-fold; found: oh"):
        InterstitialsProperty(InterstitialsSettings(sites=("5-fold",)), [crystal("Al")]).pieces()


def test_the_supercell_is_as_long_as_asked() -> None:
    assert repeats(crystal("Al"), VacanciesSettings(length=12.0)) == (3, 3, 3)
    assert repeats(crystal("Mg"), VacanciesSettings(length=10.0)) == (4, 4, 2)
