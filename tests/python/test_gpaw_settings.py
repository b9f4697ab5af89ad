"""The settings of the labeler ``gpaw`` and what it asks of GPAW; GPAW itself is not needed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from ase.build import bulk, molecule
from pydantic import ValidationError

from lammps_dpgen.cli import findings
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame
from lammps_dpgen.labeling import gpaw_setups
from lammps_dpgen.labeling.cell import grouped_cell
from lammps_dpgen.labeling.gpaw import GpawLabeler, gpaw_keywords
from lammps_dpgen.labeling.gpaw_settings import GpawSettings

AL = Frame.from_ase(bulk("Al", a=4.05, cubic=True))


def keywords(frame: Frame = AL, **settings: Any) -> dict[str, Any]:
    valid = GpawSettings.model_validate(settings)
    return gpaw_keywords(valid, grouped_cell(frame, valid.vacuum))


def test_the_default_is_the_protocol_of_the_paper() -> None:
    """20 x 20 x 20 points for 4.05 Å: 2π / 4.05 Å / 0.08 1/Å = 19.4."""
    asked = keywords()
    assert asked["xc"] == "PBE"
    assert asked["mode"] == {"name": "pw", "ecut": 600.0}
    assert asked["kpts"] == {"size": (20, 20, 20), "gamma": True}
    assert asked["occupations"] == {"name": "methfessel-paxton", "width": 0.25, "order": 1}
    assert asked["convergence"]["energy"] == {"name": "energy", "tol": 1e-6, "relative": False}
    assert asked["setups"] == {"Al": "paw"}


def test_mesh_is_made_for_each_cell() -> None:
    long = Frame.from_ase(bulk("Al", a=4.05, cubic=True) * (1, 1, 3))
    assert keywords(long, kspacing=0.5)["kpts"]["size"] == (4, 4, 2)
    assert keywords(Frame.from_ase(molecule("H2O")))["kpts"]["size"] == (1, 1, 1)
    assert keywords(kpoints=[3, 2, 1], gamma_centred=False)["kpts"] == {"size": (3, 2, 1)}


def test_other_keywords() -> None:
    asked = keywords(
        keywords={"nbands": "120%", "convergence": {"forces": 0.001}, "charge": 1.0},
        compositions={"Al": {"keywords": {"charge": None}, "width": 0.0, "cutoff": 400}},
    )
    assert asked["nbands"] == "120%"
    assert asked["convergence"]["forces"] == 0.001
    assert asked["convergence"]["density"] == 1e-4
    assert "charge" not in asked
    assert asked["occupations"] == {"name": "methfessel-paxton", "width": 0.0}
    assert asked["mode"]["ecut"] == 400


def test_moments_switch_spin_on() -> None:
    assert "spinpol" not in keywords(magmoms={"Fe": 2.3})
    assert keywords(magmoms={"Al": 1.0})["spinpol"] is True
    assert keywords(magmoms={"Al": 1.0}, keywords={"spinpol": False})["spinpol"] is False
    assert "spinpol" not in keywords(magmoms={"Al": 1.0}, compositions={"Al": {"magmoms": {}}})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"keywords": {"kpts": [1, 1, 1]}}, "'kpts' is no other keyword; the setting for it is kspacing or kpoints"),
        ({"keywords": {"convergence": {"maximum iterations": 5}}}, "what has not converged is no label"),
        ({"keywords": {"convergence": {"energy": 1e-3}}}, "the setting for it is energy_convergence"),
        ({"keywords": {"convergence": 1e-3}}, "is no mapping"),
        ({"compositions": {"Al": {"keywords": {"txt": "-"}}}}, "'txt' is no other keyword"),
        ({"kpoints": [0, 1, 1]}, "at least one k-point"),
        ({"setups": {"Alu": "paw"}}, "Alu: no chemical symbol"),
        ({"setups": {"Al": "sg15"}}, "'sg15' is no PAW data set"),
        ({"cutoff": -1}, "greater than 0"),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        GpawSettings.model_validate(settings)


def test_numbers_are_names_of_setups() -> None:
    assert keywords(Frame.from_ase(bulk("Mg")), setups={"Mg": 2})["setups"] == {"Mg": "2"}


def test_hash() -> None:
    plain = GpawSettings().hash()
    assert GpawSettings.model_validate({"keywords": {"parallel": {"domain": 1}}}).hash() == plain
    assert GpawSettings.model_validate({"compositions": {"Mg-Al": {}}}).hash() == (
        GpawSettings.model_validate({"compositions": {"Al-Mg": {}}}).hash()
    )
    others = ({"cutoff": 500}, {"kspacing": 0.1}, {"keywords": {"nbands": 9}}, {"xc": "LDA"}, {"magmoms": {"Al": 1}})
    assert len({plain, *(GpawSettings.model_validate(other).hash() for other in others)}) == 1 + len(others)


@pytest.fixture
def no_gpaw(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python fail to import GPAW, in this process and in those that it asks."""
    said = "labeler gpaw: GPAW cannot be imported (No module named 'gpaw'); install it"
    answer = subprocess.CompletedProcess([], 1, "", f"{said}\n")
    monkeypatch.setattr(gpaw_setups.subprocess, "run", lambda *arguments, **options: answer)
    monkeypatch.setitem(sys.modules, "gpaw", None)
    monkeypatch.setitem(sys.modules, "gpaw.cgpaw", None)
    gpaw_setups._ask.cache_clear()


@pytest.mark.usefixtures("no_gpaw")
def test_without_gpaw() -> None:
    with pytest.raises(ConfigError, match=r"GPAW cannot be imported.*pip install gpaw.*libxc-dev"):
        GpawLabeler(GpawSettings()).check(["Al"])
    with pytest.raises(ConfigError, match="GPAW cannot be imported"):
        GpawSettings.model_validate({"setups": ["Al"]}).hash()
    found = {finding.found: finding for finding in findings._parts() if finding.part == "labelers"}
    assert found["gpaw cannot be used"].verdict == "ok"
    assert "install it" in found["gpaw cannot be used"].advice
    assert not any("gpaw" in text and "lammps" in text for text in found)


def test_the_protocol_is_written_into_the_frame_s_cell() -> None:
    """A left-handed, sheared cell of the same crystal asks for the same mesh."""
    sheared = np.array([[1, 0, 0], [3, 1, 0], [0, -2, 1]]) @ AL.cell
    other = Frame(AL.species, AL.positions, sheared[[1, 0, 2]])
    assert keywords(other)["kpts"] == keywords()["kpts"]
