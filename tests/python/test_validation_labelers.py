"""Labelers as potentials: the numbers of LAMMPS' own pair style, and what cannot be computed without a virial."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from validation_potentials import ALUMINIUM, crystal, findings, value

from lammps_dpgen.validation.bulk import BulkProperty
from lammps_dpgen.validation.elastic import ElasticProperty
from lammps_dpgen.validation.failures import UnsuitableError
from lammps_dpgen.validation.potential import Potential
from lammps_dpgen.validation.potentials import make_potential
from lammps_dpgen.validation.vacancies import VacanciesProperty

#: Two strains of each kind: the fit needs no more, and each strained cell is one label.
STRAINS = {"normal": [-0.01, 0.01], "shear": [-0.02, 0.02], "relax_atoms": False}


def labels(folder: Path, name: str, **settings: Any) -> Potential:
    return make_potential("labels", {"labeler": {"name": name, "settings": settings}}, folder)


def test_crystal_and_elastic_constants_are_those_of_the_pair_style(tmp_path: Path) -> None:
    """ASE's optimisers on labels find the crystal that LAMMPS' own minimiser finds, and the same constants."""
    aluminium = [crystal("Al", a=4.0)]
    one, other = labels(tmp_path, "lammps", **ALUMINIUM), make_potential("EAM", ALUMINIUM)
    assert one.identity != other.identity
    found = [findings(BulkProperty, potential, aluminium) for potential in (one, other)]
    for quantity, digits in (("E", 1e-7), ("V0", 1e-3), ("a", 1e-4)):
        by_labels, by_style = (value(each, "Al", quantity) for each in found)
        assert by_labels == pytest.approx(by_style, abs=digits)
    found = [findings(ElasticProperty, potential, aluminium, **STRAINS) for potential in (one, other)]
    for quantity in ("C_11", "C_12", "C_44", "B_V", "G_V"):
        by_labels, by_style = (value(each, "Al", quantity) for each in found)
        assert by_labels == pytest.approx(by_style, rel=2e-4)


class TestWithoutVirial:
    """The labeler gives energies and forces alone."""

    @pytest.fixture
    def potential(self, tmp_path: Path) -> Potential:
        return labels(tmp_path, "ase", calculator="ase.calculators.emt:EMT", stress="no")

    def test_no_cell_relaxes(self, potential: Potential) -> None:
        with pytest.raises(UnsuitableError, match="no virial"):
            findings(BulkProperty, potential, [crystal("Al")])

    def test_there_are_no_elastic_constants(self, potential: Potential) -> None:
        with pytest.raises(UnsuitableError, match="no virial"):
            findings(ElasticProperty, potential, [crystal("Al", relax="none")], **STRAINS)

    def test_what_needs_no_stress_is_computed(self, potential: Potential) -> None:
        held = [crystal("Al", a=3.994, relax="none")]
        assert value(findings(BulkProperty, potential, held), "Al", "E") == pytest.approx(0.0, abs=0.01)
        settings: dict[str, Any] = {"repeat": (2, 2, 2), "cell": "fixed", "force": 0.01}
        assert 0.2 < value(findings(VacanciesProperty, potential, held, **settings), "Al", "E_vf") < 2.0


@pytest.mark.gpaw
@pytest.mark.skipif(importlib.util.find_spec("gpaw") is None, reason="GPAW is not installed; .ci/run compiles it")
def test_gpaw_as_a_potential(tmp_path: Path) -> None:
    """A crystal relaxed by labels of GPAW, far from converged, is where the pressure vanishes."""
    potential = labels(tmp_path, "gpaw", cutoff=160, kspacing=1.5, setups={"Al": "paw"})
    (found,) = [potential.crystal(crystal("Al", relax="iso"))]
    assert 10.0 < found.volume_per_atom < 25.0
    assert abs(found.stress.trace() / 3.0) < 1e-4 / 160.0
