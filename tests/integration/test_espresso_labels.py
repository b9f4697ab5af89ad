"""The labeler ``espresso`` with pw.x itself, on cells and settings so small that a label takes a fraction of a second.

The pseudopotentials are made from CP2K's, which Debian has, by the script of the example.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read
from ase.units import GPa, Rydberg
from espresso_files import EXAMPLE, potentials_script, write_potentials

from conftest import BIN, start
from lammps_dpgen.errors import LabelError
from lammps_dpgen.frame import Frame
from lammps_dpgen.labeling.contract import LabelerContract, contract_frame
from lammps_dpgen.labeling.espresso import EspressoLabeler
from lammps_dpgen.labeling.espresso_settings import EspressoSettings

pytestmark = [
    pytest.mark.espresso,
    pytest.mark.skipif(
        shutil.which("pw.x") is None or not potentials_script().SOURCE.is_file(),
        reason="pw.x or CP2K's pseudopotentials are missing: apt-get install quantum-espresso cp2k-data",
    ),
]

#: Far from converged in cut-off and k-points, and converged to the last digits in the electronic steps. No plane wave
#: of FRAME has an energy within 1.9 % of the cut-off: none comes or goes in the finite differences. The density's
#: cut-off is high, since the energy of exchange and correlation is summed on a grid that does not move with the atoms.
CHEAP = {
    "pseudopotentials": ["Al", "Mg"],
    "cutoff": 108.5,
    "density_cutoff": 1000,
    "kspacing": 2.6,
    "energy_convergence": 1e-9,
}
FRAME = contract_frame("Al", ["Mg", "Al"], (1, 1, 2))
ONE = contract_frame("Al", ["Al"], (1, 1, 1))
#: Debian's pw.x belongs to Open MPI; the environment of the tests has another mpirun first in PATH.
OPEN_MPI = shutil.which("mpirun.openmpi")


@pytest.fixture(scope="module")
def pseudos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a pseudopotential of Al and one of Mg."""
    return write_potentials(tmp_path_factory.mktemp("pseudos"))


def espresso(pseudos: Path, **settings: Any) -> EspressoLabeler:
    return EspressoLabeler(EspressoSettings.model_validate({**CHEAP, "pseudo_folder": str(pseudos), **settings}))


def printed(folder: Path) -> str:
    return (folder / "espresso.pwo").read_text()


class TestContract(LabelerContract):
    energy_step = 1e-3
    force_tolerance = 2e-4
    virial_tolerance = 2e-3
    energy_tolerance = 1e-6

    @pytest.fixture
    def labeler(self, pseudos: Path) -> EspressoLabeler:
        return espresso(pseudos)

    @pytest.fixture
    def plain_settings(self, pseudos: Path) -> dict[str, Any]:
        return {**CHEAP, "pseudo_folder": str(pseudos)}

    @pytest.fixture
    def unconverged(self, pseudos: Path) -> EspressoLabeler:
        return espresso(pseudos, max_iterations=3)

    @pytest.fixture
    def frame(self) -> Frame:
        return FRAME


class TestLabel:
    def test_what_it_says(self, pseudos: Path, tmp_path: Path) -> None:
        """The free energy, in eV; program and pseudopotentials by name; no file of pw.x's own stays behind."""
        label = espresso(pseudos).label(FRAME, tmp_path)
        free, internal = (
            re.search(rf"{name} += +(-[0-9.]+) Ry", printed(tmp_path)) for name in ("! +total energy", r"E=F\+TS")
        )
        assert free is not None
        assert internal is not None
        assert label.energy == pytest.approx(float(free[1]) * Rydberg, abs=2e-5)  # ASE's Rydberg is that of 2006
        assert abs(label.energy - float(internal[1]) * Rydberg) > 1e-4
        assert re.fullmatch(
            r"pw\.x 6\S+ \(PBE: Al\.GTH-PBE-q3\.UPF [0-9a-f]{12}, Mg\.GTH-PBE-q2\.UPF [0-9a-f]{12}\)", label.code
        ) or not label.code.startswith("pw.x 6")
        assert sum(path.stat().st_size for path in tmp_path.rglob("scratch/*")) == 0

    def test_molecule_gets_a_box_and_no_virial(self, pseudos: Path, tmp_path: Path) -> None:
        atoms = Atoms("Al2", positions=[[0.0, 0.0, 0.0], [0.0, 0.0, 2.4]])
        label = espresso(pseudos, vacuum=4.0).label(Frame.from_ase(atoms), tmp_path)
        assert label.virial is None
        assert "number of k points=     1" in printed(tmp_path)
        assert label.forces[0, 2] < -0.1
        assert label.forces[1, 2] == pytest.approx(-label.forces[0, 2], abs=0.05)

    def test_magnetic_moments(self, pseudos: Path, tmp_path: Path) -> None:
        """The moment is written as a share of the three valence electrons, and two spins are computed."""
        label = espresso(pseudos, magmoms={"Al": 1.5}).label(FRAME, tmp_path)
        assert "starting_magnetization(1) = 0.5" in (tmp_path / "espresso.pwi").read_text()
        assert "total magnetization" in printed(tmp_path)
        assert np.isfinite(label.energy)

    def test_gpaw_says_nearly_the_same(self, pseudos: Path, tmp_path: Path) -> None:
        """Two codes, one with PAW data sets and one with norm-conserving pseudopotentials, both with three and two
        valence electrons for Al and Mg, in two perturbed Al2Mg2 cells at 250 eV and the same k-points.

        Force components differ by 0.013 eV/Å (root mean square 0.6) and the stress by 0.15 GPa; at 400 eV by 0.015
        and 0.16, so it is not the cut-off but the core. The tolerances are twice that. A wrong unit, sign or order of
        atoms, or the energy at zero width, would be far beyond it.
        """
        if importlib.util.find_spec("gpaw") is None:
            pytest.skip("GPAW is not installed; it is compiled with libxc and a BLAS, as .ci/run does it")
        from lammps_dpgen.labeling.gpaw import GpawLabeler
        from lammps_dpgen.labeling.gpaw_settings import GpawSettings

        common = {"cutoff": 250, "kspacing": 0.8}
        gpaw = GpawLabeler(GpawSettings.model_validate({**common, "setups": {"Al": "paw", "Mg": "2"}}))
        other = espresso(pseudos, **common, density_cutoff=None, energy_convergence=1e-6)
        energies = []
        for number, frame in enumerate(two_frames()):
            labels = []
            for labeler in (gpaw, other):
                folder = tmp_path / f"{labeler.name}-{number}"
                folder.mkdir()
                labels.append(labeler.label(frame, folder))
            one, two = labels
            assert np.sqrt((one.forces**2).mean()) > 0.4
            np.testing.assert_allclose(two.forces, one.forces, atol=0.05)
            assert np.sqrt(((two.forces - one.forces) ** 2).mean()) < 0.025
            assert one.virial is not None
            assert two.virial is not None
            np.testing.assert_allclose(two.virial / frame.volume / GPa, one.virial / frame.volume / GPa, atol=0.3)
            energies.append((one.energy, two.energy))
        # Of 0.06 eV per atom; 0.0016 eV per atom were seen.
        assert energies[1][0] - energies[0][0] == pytest.approx(energies[1][1] - energies[0][1], abs=4 * 0.003)


def two_frames() -> list[Frame]:
    """Return two perturbed cells of Al2Mg2, the second one strained."""
    rng = np.random.default_rng(5)
    first = bulk("Al", cubic=True, a=4.2)
    first.symbols = "AlMgAlMg"
    first.positions += rng.uniform(-0.2, 0.2, (4, 3))
    second = first.copy()
    second.positions += rng.uniform(-0.15, 0.15, (4, 3))
    second.set_cell(second.cell.array @ (np.eye(3) + 0.04 * rng.uniform(-1.0, 1.0, (3, 3))), scale_atoms=True)
    return [Frame.from_ase(first), Frame.from_ase(second)]


class TestFailures:
    def test_not_converged(self, pseudos: Path, tmp_path: Path) -> None:
        with pytest.raises(
            LabelError, match=r"exit code 2: it did not converge .*3 iterations.*max_iterations.*espresso\.pwo"
        ):
            espresso(pseudos, max_iterations=3).label(FRAME, tmp_path)

    def test_pw_s_own_error(self, pseudos: Path, tmp_path: Path) -> None:
        with pytest.raises(LabelError, match=r"pw\.x ended with exit code 1: Error in routine .*bands.*espresso\.pwo"):
            espresso(pseudos, input={"system": {"nbnd": 1}}).label(FRAME, tmp_path)

    def test_atoms_in_one_place(self, pseudos: Path, tmp_path: Path) -> None:
        with pytest.raises(LabelError, match=r"pw\.x"):
            espresso(pseudos).label(replace(FRAME, positions=np.zeros((2, 3))), tmp_path)


@pytest.mark.skipif(OPEN_MPI is None, reason="no mpirun.openmpi: apt-get install quantum-espresso brings it")
class TestLaunchers:
    def test_two_ranks_inside_an_mpi_job(self, pseudos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The variables of the job around do not reach pw.x; two ranks give what one gives."""
        for name, value in (("PMI_RANK", "0"), ("PMI_SIZE", "4"), ("OMPI_COMM_WORLD_RANK", "1"), ("PMIX_RANK", "1")):
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT", "1")
        monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        labels = []
        for name, command in (("one", "pw.x"), ("two", f"{OPEN_MPI} -n 2 --oversubscribe pw.x -nk 2")):
            (tmp_path / name).mkdir()
            labels.append(espresso(pseudos, command=command).label(FRAME, tmp_path / name))
        assert "running on     2 processors" in printed(tmp_path / "two")
        assert labels[1].energy == pytest.approx(labels[0].energy, abs=1e-6)
        assert labels[1].settings_hash == labels[0].settings_hash

    def test_the_launcher_of_another_mpi(self, pseudos: Path, tmp_path: Path) -> None:
        """MPICH's mpirun starts Open MPI's pw.x twice in the same folder, where one removes the other's files."""
        with pytest.raises(LabelError, match=r"pw\.x"):
            espresso(pseudos, command=f"{BIN / 'mpirun'} -n 2 pw.x").label(FRAME, tmp_path)


def test_example(tmp_path: Path, clean_env: dict[str, str]) -> None:
    """The example's potentials and frames through the command and a worker process; then they cost nothing."""
    for name in ("frames.extxyz", "label.yaml"):
        shutil.copy(EXAMPLE / name, tmp_path)
    start([sys.executable, EXAMPLE / "make_potentials.py"], tmp_path, clean_env, 60.0, True)
    words = [sys.executable, "-m", "lammps_dpgen.cli", "label", "frames.extxyz", "--config", "label.yaml"]
    run = start(words, tmp_path, clean_env, 300.0, True)
    assert "3 of 3 frames labelled, 3 of them now" in run.output
    for atoms in read(tmp_path / "frames-labelled.extxyz", ":"):
        assert atoms.info["label_code"].startswith("pw.x ")
        assert np.abs(atoms.get_forces().sum(axis=0)).max() < 0.05
        assert np.isfinite(atoms.get_stress()).all()
    assert "3 of 3 frames labelled" in start(words, tmp_path, clean_env, 60.0, True).output
