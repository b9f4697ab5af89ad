"""The settings of the labeler ``espresso`` and the input that it writes; pw.x itself is not needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.io import read
from ase.units import Rydberg
from pydantic import ValidationError

from lammps_dpgen.errors import ConfigError, LabelError, MissingPartError
from lammps_dpgen.frame import Frame
from lammps_dpgen.labeling.cell import grouped_cell
from lammps_dpgen.labeling.espresso import EspressoLabeler
from lammps_dpgen.labeling.espresso_inputs import cutoffs, namelists, write_input
from lammps_dpgen.labeling.espresso_pseudos import read_header
from lammps_dpgen.labeling.espresso_settings import EspressoSettings

AL = Frame.from_ase(bulk("Al", a=4.05, cubic=True))
ALMG = Frame(("Mg", "Al"), np.array([[0.0, 0.0, 0.0], [1.5, 1.5, 2.0]]), np.diag([3.0, 3.0, 4.2]))

#: Headers of UPF files, versions 2 and 1, as Quantum ESPRESSO's own programs write them.
UPF_2 = """<UPF version="2.0.1">
<PP_HEADER element="{element}" pseudo_type="{kind}" functional="{functional}" z_valence="   3.000000000000000E+000"
  wfc_cutoff="{waves}" rho_cutoff="{density}" />
</UPF>
"""
UPF_1 = """<PP_HEADER>
   0                   Version Number
  Al                   Element
   NC                  Norm - Conserving pseudopotential
    F                  Nonlinear Core Correction
 SLA  PW   PBE  PBE    PBE  Exchange-Correlation functional
    3.00000000000      Z valence
   -4.18401581630      Total energy
   25.0000  100.000    Suggested cutoff for wfc and rho
</PP_HEADER>
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder with pseudopotentials of Al and Mg that consist of a header."""
    pseudos = tmp_path / "pseudos"
    pseudos.mkdir()
    upf(pseudos / "Al.pbe-n.UPF")
    upf(pseudos / "mg_pbe_v1.upf", element="Mg", functional=" SLA  PW   PBX  PBC")
    return pseudos


def upf(
    path: Path, element: str = "Al", kind: str = "NC", functional: str = "PBE", waves: Any = 0, density: Any = 0
) -> None:
    path.write_text(UPF_2.format(element=element, kind=kind, functional=functional, waves=waves, density=density))


def settings(folder: Path, **changes: Any) -> EspressoSettings:
    given = {"pseudo_folder": str(folder), "pseudopotentials": ["Al", "Mg"], "command": "true", **changes}
    return EspressoSettings.model_validate(given, context={"folder": folder})


def asked(chosen: EspressoSettings, frame: Frame = ALMG) -> dict[str, dict[str, Any]]:
    return namelists(chosen, grouped_cell(frame, chosen.vacuum))


def test_the_default_is_the_protocol_of_the_paper(folder: Path) -> None:
    """600 eV, Methfessel-Paxton 0.25 eV, 1e-6 eV; 20 points for 4.05 Å: 2π / 4.05 Å / 0.08 1/Å = 19.4."""
    chosen = settings(folder)
    system, electrons = asked(chosen)["system"], asked(chosen)["electrons"]
    assert system["ecutwfc"] * Rydberg == pytest.approx(600.0)
    assert system["ecutrho"] * Rydberg == pytest.approx(2400.0)
    assert (system["occupations"], system["smearing"]) == ("smearing", "methfessel-paxton")
    assert system["degauss"] * Rydberg == pytest.approx(0.25)
    assert system["nosym"] is True
    assert electrons["conv_thr"] * Rydberg == pytest.approx(1e-6)
    assert electrons["electron_maxstep"] == 100
    assert chosen.mesh(grouped_cell(AL, 12.0)) == (20, 20, 20)
    assert "nspin" not in system


class TestCutoffs:
    def test_all_frames_get_the_same(self, folder: Path) -> None:
        """What Mg needs counts for frames of aluminium too: their energies go into the same model."""
        upf(folder / "mg_pbe_v1.upf", element="Mg", waves=60.0, density=500.0)
        for elements in (["Al"], ["Al", "Mg"]):
            assert cutoffs(settings(folder), elements) == pytest.approx((60.0 * Rydberg, 500.0 * Rydberg))

    def test_own_ones_replace_those_of_the_paper(self, folder: Path) -> None:
        pseudos = {"Al": {"cutoff": 300}, "Mg": {"file": "mg_pbe_v1.upf", "cutoff": 350, "density_cutoff": 2000}}
        assert cutoffs(settings(folder, pseudopotentials=pseudos), ["Al"]) == (350.0, 2000.0)
        assert cutoffs(settings(folder, pseudopotentials=pseudos, cutoff=500), ["Al"]) == (500.0, 2000.0)
        assert cutoffs(settings(folder, cutoff=500, density_cutoff=3000), ["Al"]) == (500.0, 3000.0)

    def test_augmented_ones_need_a_denser_grid(self, folder: Path) -> None:
        upf(folder / "Al.pbe-n.UPF", kind="PAW")
        assert cutoffs(settings(folder), ["Mg"]) == (600.0, 4800.0)


class TestInput:
    def test_ase_reads_the_frame_back(self, folder: Path, tmp_path: Path) -> None:
        """Atoms grouped by element, the same crystal; links to the pseudopotentials by element."""
        chosen, cell = settings(folder, kspacing=0.8), grouped_cell(ALMG, 12.0)
        write_input(chosen, cell, tmp_path)
        atoms = read(tmp_path / "espresso.pwi", format="espresso-in")
        assert atoms.get_chemical_symbols() == ["Al", "Mg"]
        np.testing.assert_allclose(atoms.cell.array, cell.lattice, atol=1e-12)
        np.testing.assert_allclose(atoms.positions, cell.fractional @ cell.lattice, atol=1e-9)
        assert (tmp_path / "Al.UPF").resolve() == folder / "Al.pbe-n.UPF"
        assert (tmp_path / "Mg.upf").resolve() == folder / "mg_pbe_v1.upf"
        assert "K_POINTS automatic\n3 3 2  0 0 0" in (tmp_path / "espresso.pwi").read_text()

    def test_mesh_of_monkhorst_and_pack(self, folder: Path, tmp_path: Path) -> None:
        """Half a step aside where the number is even; an odd one has Γ in any case."""
        write_input(settings(folder, kspacing=0.8, gamma_centred=False), grouped_cell(ALMG, 12.0), tmp_path)
        assert "3 3 2  0 0 1" in (tmp_path / "espresso.pwi").read_text()

    def test_molecule(self, folder: Path) -> None:
        upf(folder / "O.UPF", element="O")
        upf(folder / "H.UPF", element="H")
        chosen = settings(folder, pseudopotentials=["O", "H"])
        cell = grouped_cell(Frame.from_ase(molecule("H2O")), chosen.vacuum)
        assert chosen.mesh(cell) == (1, 1, 1)
        assert namelists(chosen, cell)["control"]["tstress"] is False

    def test_moments_are_shares_of_the_valence(self, folder: Path, tmp_path: Path) -> None:
        chosen = settings(folder, magmoms={"Mg": -0.75})
        write_input(chosen, grouped_cell(ALMG, 12.0), tmp_path)
        text = (tmp_path / "espresso.pwi").read_text()
        assert "nspin            = 2" in text
        assert "starting_magnetization(1) = 0.0" in text
        assert "starting_magnetization(2) = -0.25" in text
        assert "nspin" not in asked(chosen, AL)["system"]

    def test_other_variables(self, folder: Path) -> None:
        given = {
            "system": {"Hubbard_U": {"Mg": 4.0}, "nosym": None, "lda_plus_u": True},
            "electrons": {"mixing_beta": 0.3},
        }
        found = asked(settings(folder, input=given))
        assert found["system"]["Hubbard_U(2)"] == 4.0
        assert "Hubbard_U(1)" not in found["system"]
        assert "nosym" not in found["system"]
        assert found["electrons"]["mixing_beta"] == 0.3

    def test_a_composition_has_its_own(self, folder: Path) -> None:
        change = {"cutoff": 700, "width": 0.0, "kpoints": [1, 1, 2], "magmoms": {}, "input": {"system": {"nbnd": 9}}}
        chosen = settings(folder, compositions={"Mg-Al": change}, magmoms={"Al": 1.0})
        system = asked(chosen)["system"]
        assert system["ecutwfc"] * Rydberg == pytest.approx(700.0)
        assert (system["occupations"], system["nbnd"]) == ("fixed", 9)
        assert "nspin" not in system
        assert chosen.mesh(grouped_cell(ALMG, 12.0)) == (1, 1, 2)
        other = asked(chosen, AL)["system"]
        assert other["ecutwfc"] * Rydberg == pytest.approx(600.0)
        assert other["nspin"] == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"system": {"ecutwfc": 30}}, "the setting for it is cutoff"),
        ({"control": {"Calculation": "relax"}}, "one single point"),
        ({"electrons": {"mixing_bta": 0.3}}, "did you mean 'mixing_beta'"),
        ({"ions": {"upscale": 1}}, "no namelist of a single point"),
    ],
)
def test_refused_variables(folder: Path, given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(folder, input=given)


class TestPseudopotentials:
    def test_headers(self, folder: Path) -> None:
        upf(folder / "Al.pbe-n.UPF", kind="US", functional="SLA PW PSX PSC", waves="3.0D+01")
        header = read_header(folder / "Al.pbe-n.UPF")
        assert (header.element, header.functional, header.valence, header.augmented) == ("Al", "PBESOL", 3.0, True)
        assert header.cutoff == pytest.approx(30.0 * Rydberg)
        (folder / "old.UPF").write_text(UPF_1)
        header = read_header(folder / "old.UPF")
        assert (header.element, header.functional, header.valence, header.augmented) == ("Al", "PBE", 3.0, False)
        assert (header.cutoff, header.density_cutoff) == pytest.approx((25.0 * Rydberg, 100.0 * Rydberg))

    @pytest.mark.parametrize(
        ("pseudos", "words"),
        [
            (["Al", "Mg", "Si"], "no pseudopotential of Si in"),
            ({"Al": "Al.pbe.UPF"}, r"no pseudopotential 'Al\.pbe\.UPF' in .* \(of Al there are Al\.pbe-n\.UPF\)"),
            ({"Al": "mg_pbe_v1.upf"}, r"is a pseudopotential of Mg, expected Al"),
        ],
    )
    def test_missing_or_wrong(self, folder: Path, pseudos: Any, words: str) -> None:
        with pytest.raises(ConfigError, match=words):
            EspressoLabeler(settings(folder, pseudopotentials=pseudos)).check(list(pseudos))

    def test_several(self, folder: Path) -> None:
        upf(folder / "Al.pbe-spn.UPF")
        with pytest.raises(MissingPartError, match=r"2 pseudopotentials of Al \(Al\.pbe-n\.UPF, Al\.pbe-spn\.UPF\)"):
            settings(folder).hash()

    def test_another_functional(self, folder: Path) -> None:
        upf(folder / "Al.pbe-n.UPF", functional="SLA PZ NOGX NOGC")
        with pytest.raises(ConfigError, match="made for the functional PZ, the settings say PBE"):
            EspressoLabeler(settings(folder)).check(["Mg"])
        EspressoLabeler(settings(folder, functional="LDA", pseudopotentials=["Al"])).check(["Al"])

    def test_gth_files_are_refused(self, folder: Path) -> None:
        """pw.x reads them, but its stress is not that of its energy."""
        (folder / "Al.gth").write_text("Al\n13 3 0\n10 11 1 0 2001 0.0\n")
        with pytest.raises(ConfigError, match=r"but not the\s+stress.*UPF"):
            EspressoLabeler(settings(folder, pseudopotentials={"Al": "Al.gth"})).check(["Al"])

    @pytest.mark.parametrize("text", ["", '<UPF><PP_HEADER element="Al" /></UPF>'])
    def test_broken(self, folder: Path, text: str) -> None:
        (folder / "Al.pbe-n.UPF").write_text(text)
        with pytest.raises(ConfigError, match=r"is empty|cannot be read"):
            EspressoLabeler(settings(folder)).check(["Al"])

    def test_no_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ESPRESSO_PSEUDO", raising=False)
        monkeypatch.setattr("lammps_dpgen.labeling.espresso_pseudos._ase", lambda: None)
        with pytest.raises(MissingPartError, match=r"no folder of pseudopotentials is known.*ESPRESSO_PSEUDO"):
            EspressoSettings(pseudopotentials={"Al": "Al.UPF"}).hash()

    def test_folder_of_the_environment(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ESPRESSO_PSEUDO", str(folder))
        assert settings(folder, pseudo_folder=None).pseudo("Al") == folder / "Al.pbe-n.UPF"


def test_a_frame_with_another_element_is_no_label(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="no pseudopotential for Mg"):
        EspressoLabeler(settings(folder, pseudopotentials=["Al"])).label(ALMG, tmp_path)


def test_program_is_not_there(folder: Path) -> None:
    with pytest.raises(MissingPartError, match=r"labeler espresso: the program 'no_such_pw\.x'"):
        EspressoLabeler(settings(folder, command="no_such_pw.x -nk 2")).check(["Al"])


def test_hash(folder: Path, tmp_path: Path) -> None:
    """Content counts, not where files lie, nor how the work is shared out; settings survive the way to a worker."""
    plain = settings(folder).hash()
    assert settings(folder, command="srun pw.x -nk 4", omp_threads=2).hash() == plain
    assert (
        settings(folder, input={"control": {"verbosity": "high"}}).hash()
        == settings(folder, input={"control": {}}).hash()
    )
    assert settings(folder, cutoff=500).hash() != plain
    assert settings(folder, input={"electrons": {"mixing_beta": 0.3}}).hash() != plain
    sent = json.loads(settings(folder).model_dump_json())
    assert EspressoSettings.model_validate(sent).hash() == plain
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for path in folder.iterdir():
        (elsewhere / path.name).write_bytes(path.read_bytes())
    assert settings(elsewhere).hash() == plain
    upf(elsewhere / "Al.pbe-n.UPF", waves=1.0)
    assert settings(elsewhere).hash() != plain
