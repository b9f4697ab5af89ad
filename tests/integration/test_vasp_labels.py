"""The labeler ``vasp`` with a stand-in for VASP (EMT): labels, and everything that can go wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import molecule

from lammps_dpgen.errors import ConfigError, LabelError
from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.labeling.ase import AseLabeler, AseSettings
from lammps_dpgen.labeling.contract import contract_frame
from lammps_dpgen.labeling.vasp import VaspLabeler, VaspSettings
from vasp_files import command, write_potcars
from vasp_stand_in import ENTROPY


@pytest.fixture(scope="session")
def potcars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_potcars(tmp_path_factory.mktemp("potcars"), ["Al", "Cu", "Mg_pv"])


def vasp(folder: Path, *arguments: str, **settings: Any) -> VaspLabeler:
    given = {"command": command(*arguments), "potcars": ["Al", "Cu"], "potcar_folder": str(folder)}
    return VaspLabeler(VaspSettings.model_validate(given | settings))


def emt(frame: Frame, folder: Path) -> Label:
    return AseLabeler(AseSettings(calculator="ase.calculators.emt:EMT")).label(frame, folder)


FRAME = contract_frame("Al", ["Cu", "Al", "Al"], (1, 2, 3))


class TestLabel:
    def test_every_atom_has_its_element(self, potcars: Path, tmp_path: Path) -> None:
        """The stand-in takes elements from the POTCARs' order alone; the label is EMT's, atom by atom."""
        label, expected = vasp(potcars).label(FRAME, tmp_path), emt(FRAME, tmp_path)
        assert label.energy == pytest.approx(expected.energy, abs=1e-7)
        np.testing.assert_allclose(label.forces, expected.forces, atol=1e-7)
        np.testing.assert_allclose(label.virial, expected.virial, atol=1e-6)

    def test_order_of_potcars_decides_nothing(self, potcars: Path, tmp_path: Path) -> None:
        labels = []
        for number, elements in enumerate((["Al", "Cu"], ["Cu", "Al"])):
            folder = tmp_path / str(number)
            folder.mkdir()
            labels.append(vasp(potcars, potcars=elements).label(FRAME, folder))
        assert labels[0].energy == labels[1].energy
        np.testing.assert_array_equal(labels[0].forces, labels[1].forces)
        assert labels[0].settings_hash == labels[1].settings_hash

    def test_xml_and_outcar_say_the_same(self, potcars: Path, tmp_path: Path) -> None:
        """Without vasprun.xml the OUTCAR is read; it has six decimals of the forces and five of the stress."""
        for name in "ab":
            (tmp_path / name).mkdir()
        xml = vasp(potcars).label(FRAME, tmp_path / "a")
        outcar = vasp(potcars, "--fault", "no-xml").label(FRAME, tmp_path / "b")
        assert not (tmp_path / "b" / "vasprun.xml").exists()
        assert outcar.energy == xml.energy
        np.testing.assert_allclose(outcar.forces, xml.forces, atol=1e-6)
        np.testing.assert_allclose(outcar.virial, xml.virial, atol=1e-5)

    def test_energy_is_the_free_energy(self, potcars: Path, tmp_path: Path) -> None:
        label = vasp(potcars).label(FRAME, tmp_path)
        assert f"{label.energy + 0.5 * ENTROPY:16.8f}" in (tmp_path / "vasprun.xml").read_text()
        assert label.energy == pytest.approx(emt(FRAME, tmp_path).energy, abs=1e-7)

    def test_label_names_its_potcars(self, potcars: Path, tmp_path: Path) -> None:
        label = vasp(potcars).label(FRAME, tmp_path)
        digest = VaspSettings.model_validate({"command": "x", "potcars": ["Al"], "potcar_folder": str(potcars)}).hash()
        assert label.code.startswith("vasp 6.4.2")
        assert "PBE: Al " in label.code
        assert digest != label.settings_hash

    def test_molecule_gets_a_box_and_no_virial(self, potcars: Path, tmp_path: Path) -> None:
        atoms = molecule("H2O")
        atoms.symbols = ["Al", "Cu", "Cu"]
        atoms.positions *= 2.5
        frame = Frame.from_ase(atoms)
        label, expected = vasp(potcars).label(frame, tmp_path), emt(frame, tmp_path)
        assert label.virial is None
        assert label.energy == pytest.approx(expected.energy, abs=1e-6)
        np.testing.assert_allclose(label.forces, expected.forces, atol=1e-6)
        assert (tmp_path / "KPOINTS").read_text().splitlines()[3].split() == ["1", "1", "1"]


CAUSES = {
    "crash": r"killed by signal 11: LAPACK: Routine ZPOTRF failed!.*see .*vasp\.out",
    "silent": r"no result: .*vasprun\.xml is missing; .*OUTCAR is missing; its last words are 'vasp\.6\.4\.2 stand-in",
    "truncated": r"no result: .*vasprun\.xml cannot be read \(XMLSyntaxError.*OUTCAR breaks off before its end",
    "exit-code": r"exit code 9: its last words are 'BAD TERMINATION.*vasp\.out",
    "disk-full": r"exit code 38: forrtl: No space left on device",
    "nan": r"forces on 1 of 6 atoms are not finite \(first: atom",
    "atoms": r"VASP computed 5 atoms \(5 forces\), the frame has 6",
    "moved": r"another structure than the frame",
    "unconverged": r"did not converge: it says so itself.*OUTCAR",
}


class TestFailures:
    @pytest.mark.parametrize("fault", CAUSES)
    def test_cause_and_evidence(self, potcars: Path, tmp_path: Path, fault: str) -> None:
        with pytest.raises(LabelError, match=CAUSES[fault]) as caught:
            vasp(potcars, "--fault", fault).label(FRAME, tmp_path)
        assert "\n" not in str(caught.value)

    def test_last_electronic_step_is_the_limit(self, potcars: Path, tmp_path: Path) -> None:
        """As DP-GEN decides, although the OUTCAR says that EDIFF was reached."""
        with pytest.raises(LabelError, match="9 electronic steps, and NELM = 9 allows no more"):
            vasp(potcars, incar={"NELM": 9}).label(FRAME, tmp_path)

    def test_what_vasp_refuses(self, potcars: Path, tmp_path: Path) -> None:
        with pytest.raises(LabelError, match=r"exit code 1: .*Error reading item MAGMOM"):
            vasp(potcars, incar={"MAGMOM": [1.0, 2.0]}).label(FRAME, tmp_path)

    def test_program_is_not_there(self, potcars: Path, tmp_path: Path) -> None:
        labeler = vasp(potcars, command="no_such_vasp -n 4")
        with pytest.raises(ConfigError, match="'no_such_vasp' of 'command' is not found in PATH"):
            labeler.check(["Al"])
        with pytest.raises(LabelError, match="'no_such_vasp' could not be started: No such file"):
            labeler.label(FRAME, tmp_path)
