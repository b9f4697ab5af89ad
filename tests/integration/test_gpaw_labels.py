"""The labeler ``gpaw`` with GPAW itself, on cells and settings so small that a label takes half a second."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.io import read

from conftest import start
from lammps_dpgen.errors import ConfigError, LabelError
from lammps_dpgen.frame import Frame
from lammps_dpgen.labeling.ase import AseLabeler, AseSettings
from lammps_dpgen.labeling.contract import LabelerContract, contract_frame
from lammps_dpgen.labeling.gpaw import GpawLabeler
from lammps_dpgen.labeling.gpaw_settings import GpawSettings

pytestmark = [
    pytest.mark.gpaw,
    pytest.mark.skipif(
        importlib.util.find_spec("gpaw") is None,
        reason="GPAW is not installed; it is compiled with libxc and a BLAS, as .ci/run does it",
    ),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "05-gpaw-labels"

#: Far from converged in cut-off and k-points, and converged to the last digits in the electronic steps. No plane wave
#: of FRAME has an energy within 0.6 % of the cut-off: none comes or goes in the finite differences of the stress.
CHEAP = {
    "cutoff": 123,
    "kspacing": 2.6,
    "setups": {"Al": "paw", "Mg": "2"},
    "energy_convergence": 1e-8,
    "density_convergence": 1e-6,
    "eigenstates_convergence": 1e-9,
}


def gpaw(**settings: Any) -> GpawLabeler:
    return GpawLabeler(GpawSettings.model_validate(CHEAP | settings))


FRAME = contract_frame("Al", ["Mg", "Al"], (1, 1, 2))
ONE = contract_frame("Al", ["Al"], (1, 1, 1))


class TestContract(LabelerContract):
    energy_step = 1e-3
    force_tolerance = 1e-4
    virial_tolerance = 2e-3
    energy_tolerance = 1e-6

    @pytest.fixture
    def labeler(self) -> GpawLabeler:
        return gpaw()

    @pytest.fixture
    def plain_settings(self) -> dict[str, Any]:
        return CHEAP

    @pytest.fixture
    def unconverged(self) -> GpawLabeler:
        return gpaw(max_iterations=3)

    @pytest.fixture
    def frame(self) -> Frame:
        return FRAME


def text(folder: Path) -> str:
    return (folder / "gpaw.txt").read_text()


def number(folder: Path, name: str) -> float:
    match = re.search(rf"{name}: +(-?[0-9.]+)", text(folder))
    assert match, f"no {name} in gpaw.txt"
    return float(match.group(1))


class TestLabel:
    def test_gpaw_by_hand_says_the_same(self, tmp_path: Path) -> None:
        """GPAW called without this labeler, with the frame as it is: energy, forces in the frame's order, virial."""
        cell = np.array([[2.9, 0.1, 0.0], [0.0, 3.0, 0.1], [0.2, 0.0, 4.2]])
        frame = Frame(("Mg", "Al"), np.array([[0.05, 0.0, 0.0], [1.4, 1.6, 2.1]]), cell)
        label = gpaw(kpoints=[2, 1, 1]).label(frame, tmp_path)
        arguments = {
            "mode": {"name": "pw", "ecut": 123},
            "xc": "PBE",
            "kpts": {"size": [2, 1, 1], "gamma": True},
            "occupations": {"name": "methfessel-paxton", "width": 0.25, "order": 1},
            "setups": {"Mg": "2"},
            "convergence": {"density": 1e-6, "eigenstates": 1e-9},
            "txt": str(tmp_path / "by_hand.txt"),
        }
        settings = AseSettings.model_validate({"calculator": "gpaw:GPAW", "arguments": arguments, "stress": "required"})
        expected = AseLabeler(settings).label(frame, tmp_path)
        assert label.energy == pytest.approx(expected.energy, abs=1e-5)
        np.testing.assert_allclose(label.forces, expected.forces, atol=1e-4)
        np.testing.assert_allclose(label.virial, expected.virial, atol=1e-3)

    def test_energy_is_the_free_energy(self, tmp_path: Path) -> None:
        label = gpaw().label(ONE, tmp_path)
        assert label.energy == pytest.approx(number(tmp_path, "Free energy"), abs=1e-6)
        assert abs(label.energy - number(tmp_path, "Extrapolated")) > 1e-4

    def test_label_names_its_setups(self, tmp_path: Path) -> None:
        code = gpaw().label(FRAME, tmp_path).code
        assert re.fullmatch(r"gpaw [0-9.]+\S* \(PBE: Al\.PBE [0-9a-f]{12}, Mg\.2\.PBE [0-9a-f]{12}\)", code)

    def test_setups_decide_the_valence(self, tmp_path: Path) -> None:
        for name, setup, electrons in (("two", "2", 2.0), ("ten", "paw", 10.0)):
            folder = tmp_path / name
            folder.mkdir()
            with pytest.raises(LabelError, match=r"did not converge \(max_iterations = 1\)"):
                gpaw(setups={"Mg": setup}, max_iterations=1).label(replace(ONE, species=("Mg",)), folder)
            assert number(folder, "Valence electrons") == electrons

    def test_molecule_gets_a_box_and_no_virial(self, tmp_path: Path) -> None:
        """Two atoms far from others: the forces are along the bond, opposite, and the same elsewhere in space."""
        atoms = Atoms("Al2", positions=[[0.0, 0.0, 0.0], [0.0, 0.0, 2.4]])
        label = gpaw(vacuum=4.0).label(Frame.from_ase(atoms), tmp_path)
        assert label.virial is None
        assert "Monkhorst-Pack size: [1, 1, 1]" in text(tmp_path)
        assert label.forces[0, 2] < -0.1
        assert label.forces[1, 2] == pytest.approx(-label.forces[0, 2], abs=0.05)
        assert np.abs(label.forces[:, :2]).max() < 0.01

    def test_magnetic_moments(self, tmp_path: Path) -> None:
        """A hydrogen atom with a moment is lower in energy than one without."""
        energies = []
        for name, moments in (("with", {"H": 1.0}), ("without", {})):
            folder = tmp_path / name
            folder.mkdir()
            atom = Frame.from_ase(Atoms("H", positions=[[0.0, 0.0, 0.0]]))
            label = gpaw(setups={}, magmoms=moments, width=0.01, vacuum=4.0).label(atom, folder)
            energies.append(label.energy)
        assert "Spin-components: 2" in text(tmp_path / "with")
        assert energies[0] < energies[1] - 0.5

    def test_a_composition_has_its_own_settings(self, tmp_path: Path) -> None:
        labeler = gpaw(
            max_iterations=1, compositions={"Al": {"cutoff": 120, "kpoints": [1, 1, 2], "keywords": {"nbands": 8}}}
        )
        with pytest.raises(LabelError, match="did not converge"):
            labeler.label(ONE, tmp_path)
        assert "Cutoff: 120.0 eV" in text(tmp_path)
        assert "Monkhorst-Pack size: [1, 1, 2]" in text(tmp_path)
        assert re.search(r"^Bands: +8$", text(tmp_path), re.MULTILINE)


class TestFailures:
    def test_not_converged(self, tmp_path: Path) -> None:
        with pytest.raises(LabelError, match=r"did not converge \(max_iterations = 3\).*see .*gpaw\.txt") as caught:
            gpaw(max_iterations=3).label(ONE, tmp_path)
        assert str(caught.value).endswith(str(tmp_path / "gpaw.txt"))
        assert "iter:   3" in text(tmp_path)

    def test_gpaw_s_own_error(self, tmp_path: Path) -> None:
        with pytest.raises(LabelError, match=r"GPAW: AtomsTooClose: .*see .*gpaw\.txt"):
            gpaw().label(replace(FRAME, positions=np.zeros((2, 3))), tmp_path)

    @pytest.mark.parametrize(
        ("settings", "species", "words"),
        [
            ({"setups": {}}, ["Og"], r"no setup Og\.PBE for Og \(looked into .*GPAW_SETUP_PATH"),
            ({"setups": {"Al": "no_such"}}, ["Al"], r"no setup Al\.no_such\.PBE"),
            ({"setups": {}, "xc": "PBEE"}, ["Al"], "does not know the functional xc = 'PBEE'"),
            ({"setups": {}, "keywords": {"n_bands": 4}}, ["Al"], "refuses its keywords .*n_bands"),
            ({"setups": {}, "compositions": {"Al": {"keywords": {"mixr": 1}}}}, ["Al", "Mg"], "refuses .*mixr"),
        ],
    )
    def test_check_refuses(self, settings: dict[str, Any], species: Sequence[str], words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            gpaw(**settings).check(list(species))


class TestHash:
    def test_named_setups_count_by_content(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = GpawSettings.model_validate({"setups": ["Al"]}).hash()
        assert GpawSettings.model_validate({"setups": {"Al": "paw"}}).hash() == plain
        (tmp_path / "Al.mine.PBE").write_text("one")
        monkeypatch.setenv("GPAW_SETUP_PATH", str(tmp_path))
        assert GpawSettings.model_validate({"setups": {"Al": "mine"}}).hash() != plain

    def test_in_a_rank_of_an_mpi_job(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The controller needs the hash; GPAW must not be loaded there, nor believe that it is a rank."""
        monkeypatch.setenv("PMI_RANK", "0")
        code = (
            "import sys; from lammps_dpgen.labeling.gpaw_settings import GpawSettings; "
            "print(GpawSettings(setups=['Mg']).hash(), 'gpaw' in sys.modules)"
        )
        run = start([sys.executable, "-c", code], Path.cwd(), dict(os.environ), 60.0, True)
        assert re.fullmatch(r"[0-9a-f]{64} False\n", run.output)


def test_example(tmp_path: Path, clean_env: dict[str, str]) -> None:
    """The example's frames through the command and a worker process; a second time they cost nothing."""
    for name in ("frames.extxyz", "label.yaml"):
        shutil.copy(EXAMPLE / name, tmp_path)
    words = [sys.executable, "-m", "lammps_dpgen.cli", "label", "frames.extxyz", "--config", "label.yaml"]
    run = start(words, tmp_path, clean_env, 300.0, True)
    assert "3 of 3 frames labelled, 3 of them now" in run.output
    for atoms in read(tmp_path / "frames-labelled.extxyz", ":"):
        assert atoms.info["label_code"].startswith("gpaw ")
        assert np.abs(atoms.get_forces().sum(axis=0)).max() < 0.05
        assert np.isfinite(atoms.get_stress()).all()
    assert "3 of 3 frames labelled" in start(words, tmp_path, clean_env, 60.0, True).output
