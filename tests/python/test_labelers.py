"""Labelers: answers known by hand, then the contract that all of them share."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.units import kcal, mol

from lammps_dpgen import registry
from lammps_dpgen.errors import ConfigError, LabelError
from lammps_dpgen.execution.base import Task
from lammps_dpgen.execution.local import LocalExecutor
from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.labeling.ase import AseLabeler, AseSettings
from lammps_dpgen.labeling.contract import LabelerContract, contract_frame
from lammps_dpgen.labeling.lammps import LammpsLabeler, LammpsSettings
from lammps_dpgen.labeling.service import LabelService

EAM = {"pair_style": "eam/alloy", "pair_coeff": ["* * Al_zhou.eam.alloy Al"], "elements": ["Al"]}
MEAM = {
    "pair_style": "meam",
    "pair_coeff": ["* * library.meam AlS SiS MgS CuS FeS AlSiMgCuFe.meam AlS MgS"],
    "elements": ["Al", "Mg"],
}
LJ = {"pair_style": "lj/cut 6.0", "pair_coeff": ["1 1 0.01 3.0"], "elements": ["Ar"]}


def lammps(**settings: object) -> LammpsLabeler:
    return LammpsLabeler(LammpsSettings.model_validate(settings))


def pair(distance: float, *, cell: float = 30.0, axis: tuple[float, float, float] = (1.0, 0.0, 0.0)) -> Frame:
    positions = np.array([[0.0, 0.0, 0.0], np.array(axis) / np.linalg.norm(axis) * distance])
    return Frame(("Ar", "Ar"), positions, cell * np.eye(3))


def lennard_jones(r: float, epsilon: float = 0.01, sigma: float = 3.0) -> tuple[float, float]:
    """Energy and force (positive: repulsion) of two atoms, by hand."""
    s6 = (sigma / r) ** 6
    return 4 * epsilon * (s6 * s6 - s6), 24 * epsilon * (2 * s6 * s6 - s6) / r


class TestLammpsByHand:
    @pytest.mark.parametrize("r", [2.9, 3.3, 4.5])
    def test_two_atoms(self, tmp_path: Path, r: float) -> None:
        """E, f and the virial r f of a pair along a skew axis."""
        axis = np.array([2.0, -1.0, 0.5]) / np.linalg.norm([2.0, -1.0, 0.5])
        label = lammps(**LJ).label(pair(r, axis=tuple(axis)), tmp_path)
        energy, force = lennard_jones(r)
        assert label.energy == pytest.approx(energy, abs=1e-12)
        np.testing.assert_allclose(label.forces, [-force * axis, force * axis], atol=1e-12)
        np.testing.assert_allclose(label.virial, r * force * np.outer(axis, axis), atol=1e-9)

    def test_compression_has_a_positive_virial(self, tmp_path: Path) -> None:
        pressed = bulk("Al", a=3.8, cubic=True)
        pulled = bulk("Al", a=4.3, cubic=True)
        labeler = lammps(**EAM)
        assert np.trace(labeler.label(Frame.from_ase(pressed), tmp_path).virial) > 0
        assert np.trace(labeler.label(Frame.from_ase(pulled), tmp_path).virial) < 0

    def test_real_units(self, tmp_path: Path) -> None:
        """The same potential written in kcal/mol gives the same label in eV."""
        frame = contract_frame("Ar", ["Ar"])
        in_real = LJ | {"units": "real", "pair_coeff": [f"1 1 {0.01 / (kcal / mol)!r} 3.0"]}
        metal, real = (lammps(**s).label(frame, tmp_path) for s in (LJ, in_real))
        assert real.energy == pytest.approx(metal.energy, rel=1e-12)
        np.testing.assert_allclose(real.forces, metal.forces, atol=1e-12)
        np.testing.assert_allclose(real.virial, metal.virial, rtol=1e-9, atol=1e-9)

    def test_molecule_has_no_virial_and_needs_no_cell(self, tmp_path: Path) -> None:
        free = replace(pair(3.3), cell=np.zeros((3, 3)), pbc=(False, False, False))
        label = lammps(**LJ).label(free, tmp_path)
        assert label.virial is None
        assert label.energy == pytest.approx(lennard_jones(3.3)[0], abs=1e-12)

    @pytest.mark.parametrize("free", [0, 1, 2])
    def test_slab_agrees_with_ase(self, tmp_path: Path, free: int) -> None:
        """A tilted slab, free along any of the three cell vectors, against ASE's own Lennard-Jones."""
        atoms = fcc111("Ar", (2, 3, 2), a=5.0, vacuum=4.0)
        atoms.rattle(0.1, seed=1)
        order = [(2, 0, 1), (0, 2, 1), (0, 1, 2)][free]
        atoms = Atoms(atoms, cell=atoms.cell.array[list(order)], pbc=[i != free for i in range(3)])
        label = lammps(**LJ).label(Frame.from_ase(atoms), tmp_path)
        atoms.calc = LennardJones(sigma=3.0, epsilon=0.01, rc=6.0)
        pairs = 0.5 * sum(len(n) for n in _neighbors(atoms, 6.0))
        shift = lennard_jones(6.0)[0] * pairs  # ASE shifts the pair energy to zero at the cut-off
        assert label.energy == pytest.approx(atoms.get_potential_energy() + shift, abs=1e-9)
        np.testing.assert_allclose(label.forces, atoms.get_forces(), atol=1e-10)

    def test_wire(self, tmp_path: Path) -> None:
        """One periodic direction: a row of atoms, energy per atom as the sum over its neighbours."""
        row = Frame(("Ar",), np.array([[7.0, 8.0, 9.0]]), np.diag([0.0, 3.4, 0.0]), pbc=(False, True, False))
        label = lammps(**LJ).label(row, tmp_path)
        assert label.energy == pytest.approx(lennard_jones(3.4)[0], abs=1e-12)
        np.testing.assert_allclose(label.virial, np.diag([0.0, 3.4 * lennard_jones(3.4)[1], 0.0]), atol=1e-9)

    def test_known_crystal_energy(self, tmp_path: Path) -> None:
        """The MEAM that the DP-GEN paper compares with: -3.353 eV for fcc aluminium, 16.61 Å3 per atom."""
        atoms = bulk("Al", a=(4 * 16.61) ** (1 / 3))
        label = lammps(**MEAM).label(Frame.from_ase(atoms), tmp_path)
        assert label.energy == pytest.approx(-3.353, abs=5e-4)

    def test_flat_cell_is_refused(self, tmp_path: Path) -> None:
        flat = replace(pair(3.3), cell=np.array([[9.0, 0, 0], [0, 9.0, 0], [9.0, 9.0, 0]]))
        with pytest.raises(LabelError, match="not independent"):
            lammps(**LJ).label(flat, tmp_path)


def _neighbors(atoms: Atoms, cutoff: float) -> list[list[int]]:
    from ase.neighborlist import neighbor_list

    i = neighbor_list("i", atoms, cutoff)
    return [list(np.flatnonzero(i == k)) for k in range(len(atoms))]


class TestLammpsErrors:
    def test_lammps_speaks_for_itself(self, tmp_path: Path) -> None:
        labeler = lammps(**EAM | {"pair_style": "eam/aloy", "plugins": "no"})
        with pytest.raises(LabelError, match="Unrecognized pair style 'eam/aloy'"):
            labeler.label(contract_frame("Al", ["Al"]), tmp_path)
        assert "Unrecognized" in (tmp_path / "log.lammps").read_text()

    def test_missing_file_names_similar_ones(self) -> None:
        labeler = lammps(**EAM | {"pair_coeff": ["* * Al_zou.eam.alloy Al"]})
        with pytest.raises(ConfigError, match=r"'Al_zou.eam.alloy'.*Al_zhou.eam.alloy"):
            labeler.check(["Al"])

    def test_check_runs_lammps(self) -> None:
        with pytest.raises(ConfigError, match=r"trial run.*Incorrect args for pair coeff"):
            lammps(**LJ | {"pair_coeff": ["1 1 0.01"]}).check(["Ar"])

    def test_unknown_element(self) -> None:
        with pytest.raises(ConfigError, match="no LAMMPS type for Mg; 'elements' lists Al"):
            lammps(**EAM).check(["Al", "Mg"])

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"elements": ["Al", "Foo"]}, "Foo"),
            ({"pair_coeff": ['* * "open Al']}, "quotes come in pairs"),
            ({"units": "lj"}, "metal"),
            ({"pair_coef": []}, "pair_coef"),
        ],
    )
    def test_bad_settings(self, change: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            LammpsSettings.model_validate(EAM | change)


class TestLammpsFiles:
    def test_next_to_the_configuration(self, tmp_path: Path) -> None:
        """A file beside the configuration comes before LAMMPS' own, and folders may have blanks in their names."""
        folder = tmp_path / "my configuration"
        folder.mkdir()
        settings = LammpsSettings.model_validate(EAM)
        source = _potential("Al_zhou.eam.alloy")
        (folder / "mine.eam.alloy").write_bytes(source.read_bytes())
        mine = EAM | {"pair_coeff": ["* * mine.eam.alloy Al"]}
        found = LammpsSettings.model_validate(mine, context={"folder": folder})
        assert str(folder) in found.pair_coeff[0]
        frame = contract_frame("Al", ["Al"])
        energies = [LammpsLabeler(s).label(frame, tmp_path).energy for s in (settings, found)]
        assert energies[0] == energies[1]

    def test_hash_knows_the_content_and_not_the_place(self, tmp_path: Path) -> None:
        hashes = []
        for number, text in enumerate([b"one", b"one", b"two"]):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / "p.eam").write_bytes(text)
            settings = EAM | {"pair_coeff": ["* * p.eam Al"]}
            hashes.append(LammpsSettings.model_validate(settings, context={"folder": folder}).hash())
        assert hashes[0] == hashes[1] != hashes[2]

    def test_an_element_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "Al").write_text("notes")
        settings = LammpsSettings.model_validate(EAM, context={"folder": tmp_path})
        assert settings.pair_coeff == tuple(EAM["pair_coeff"])


def _potential(name: str) -> Path:
    from lammps_dpgen.labeling.files import find_file
    from lammps_dpgen.labeling.lammps_library import potential_folders

    path = find_file(name, potential_folders())
    assert path is not None
    return path


def test_lammps_stays_private(tmp_path: Path) -> None:
    """Neither TensorFlow nor a LAMMPS without plugins is left to the process that labels."""
    code = (
        "import sys, json, pathlib\n"
        "from lammps_dpgen.labeling.service import LabelService\n"
        f"LabelService(name='lammps', settings=json.loads({json.dumps(EAM)!r})).check({{'elements': ['Al']}}, '.')\n"
        "assert 'tensorflow' not in sys.modules and 'lammps' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=120)


class TestLammpsEamContract(LabelerContract):
    @pytest.fixture
    def plain_settings(self) -> dict[str, Any]:
        return EAM

    @pytest.fixture
    def labeler(self) -> LammpsLabeler:
        return lammps(**EAM)


class TestLammpsMeamContract(LabelerContract):
    @pytest.fixture
    def labeler(self) -> LammpsLabeler:
        return lammps(**MEAM)

    @pytest.fixture
    def frame(self) -> Frame:
        return contract_frame("Al", ["Al", "Mg", "Al"])


class TestAseContract(LabelerContract):
    @pytest.fixture
    def labeler(self) -> AseLabeler:
        return AseLabeler(AseSettings(calculator="ase.calculators.emt:EMT"))

    @pytest.fixture
    def plain_settings(self) -> dict[str, Any]:
        return {"calculator": "ase.calculators.emt:EMT"}

    @pytest.fixture
    def frame(self) -> Frame:
        return contract_frame("Cu", ["Cu", "Al"])


class TestAse:
    def test_same_as_ase_itself(self, tmp_path: Path) -> None:
        frame = contract_frame("Cu", ["Cu", "Ni"])
        label = AseLabeler(AseSettings(calculator="ase.calculators.emt.EMT")).label(frame, tmp_path)
        atoms = frame.to_ase()
        atoms.calc = EMT()
        assert label.energy == atoms.get_potential_energy(force_consistent=True)
        np.testing.assert_array_equal(label.forces, atoms.get_forces())
        np.testing.assert_allclose(label.virial, -atoms.get_stress(voigt=False) * atoms.get_volume())
        assert "emt" in label.code

    def test_arguments_reach_the_calculator(self, tmp_path: Path) -> None:
        arguments = {"sigma": 3.0, "epsilon": 0.01, "rc": 12.0, "smooth": False}
        labeler = AseLabeler(AseSettings(calculator="ase.calculators.lj:LennardJones", arguments=arguments))
        shift = lennard_jones(12.0)[0]
        assert labeler.label(pair(3.3), tmp_path).energy == pytest.approx(lennard_jones(3.3)[0] - shift, abs=1e-12)

    def test_no_stress_wanted(self, tmp_path: Path) -> None:
        labeler = AseLabeler(AseSettings(calculator="ase.calculators.emt:EMT", stress="no"))
        assert labeler.label(contract_frame("Cu", ["Cu"]), tmp_path).virial is None

    def test_stress_required_where_there_is_none(self) -> None:
        labeler = AseLabeler(AseSettings(calculator="ase.calculators.qmmm:ForceQMMM", stress="required"))
        with pytest.raises(ConfigError, match="refused its arguments"):
            labeler.check(["Al"])
        labeler = AseLabeler(AseSettings(calculator="ase.calculators.test:FreeElectrons", stress="required"))
        with pytest.raises(ConfigError, match="gives no stress"):
            labeler.check(["Al"])

    @pytest.mark.parametrize("path", ["ase.calculators.emt:EMTT", "no_such_package.sub:Calc"])
    def test_cannot_import(self, path: str) -> None:
        with pytest.raises(ConfigError, match=r"cannot import calculator.*package\.module:Name"):
            AseLabeler(AseSettings(calculator=path)).check(["Al"])

    @pytest.mark.parametrize("path", ["EMT", "os; rm -rf /:x", ""])
    def test_no_import_path(self, path: str) -> None:
        with pytest.raises(ValueError, match="is no import path"):
            AseSettings(calculator=path)

    def test_trial_can_be_switched_off(self) -> None:
        AseLabeler(AseSettings(calculator="ase.calculators.emt:EMT", trial=False)).check(["Mg"])
        with pytest.raises(ConfigError, match="EMT-potential for Mg"):
            AseLabeler(AseSettings(calculator="ase.calculators.emt:EMT")).check(["Mg"])


@pytest.mark.models
def test_deepmd_as_reference_through_both_labelers(tmp_path: Path) -> None:
    """A Deep Potential as the reference: LAMMPS loads its plugin when the pair style asks for it, ASE its file."""
    folder = Path(__file__).parents[1] / "data" / "almg"
    frame = contract_frame("Al", ["Al", "Mg"])
    in_lammps = LammpsSettings.model_validate(
        {"pair_style": "deepmd model_0.pb", "pair_coeff": ["* * Al Mg"], "elements": ["Al", "Mg"]},
        context={"folder": folder},
    )
    in_ase = AseSettings.model_validate(
        {"calculator": "deepmd.calculator:DP", "arguments": {"model": "model_0.pb"}}, context={"folder": folder}
    )
    one, two = LammpsLabeler(in_lammps).label(frame, tmp_path), AseLabeler(in_ase).label(frame, tmp_path)
    assert one.energy == pytest.approx(two.energy, abs=1e-8)
    np.testing.assert_allclose(one.forces, two.forces, atol=1e-8)
    np.testing.assert_allclose(one.virial, two.virial, atol=1e-7)


class TestService:
    def test_label_and_its_own_log(self, tmp_path: Path) -> None:
        """Plain data in and out; one line per completed label, none for a failure."""
        log = tmp_path / "labels.log"
        service = LabelService(name="lammps", settings=EAM, log_file=str(log))
        frame = contract_frame("Al", ["Al"])
        payload = json.loads(json.dumps({"frame": frame.to_json()}))
        label = Label.from_json(json.loads(json.dumps(service.label(payload, tmp_path))))
        np.testing.assert_array_equal(label.forces, lammps(**EAM).label(frame, tmp_path).forces)
        bad = replace(frame, positions=np.zeros_like(frame.positions))
        with pytest.raises(LabelError):
            service.label({"frame": bad.to_json()}, tmp_path)
        lines = [line.split() for line in log.read_text().splitlines()]
        assert [(line[0], int(line[2])) for line in lines] == [(frame.hash, os.getpid())]

    def test_check(self, tmp_path: Path) -> None:
        service = LabelService(name="ase", settings={"calculator": "ase.calculators.emt:EMT"})
        assert service.check({"elements": ["Cu"]}, tmp_path) == {}
        with pytest.raises(ConfigError, match="Mg"):
            service.check({"elements": ["Mg"]}, tmp_path)

    def test_in_worker_processes(self, tmp_path: Path) -> None:
        """Side by side in two workers: the same labels as here, a failure of one frame is that frame's alone."""
        log = tmp_path / "labels.log"
        frames = {f"frame {i}": Frame.from_ase(bulk("Al", a=3.9 + 0.05 * i, cubic=True)) for i in range(6)}
        bad = replace(frames["frame 2"], positions=np.zeros((4, 3)))
        frames["frame 2"] = bad
        outcomes = {}
        with LocalExecutor(2) as executor:
            for name, frame in frames.items():
                executor.submit(
                    Task(
                        id=name,
                        service="lammps_dpgen.labeling.service:LabelService",
                        service_settings={"name": "lammps", "settings": EAM, "log_file": str(log)},
                        method="label",
                        payload={"frame": frame.to_json()},
                        folder=tmp_path / name,
                        retries=1,
                    )
                )
            while executor.open_tasks:
                outcomes.update({outcome.task.id: outcome for outcome in executor.poll()})
                time.sleep(0.02)
        failed = outcomes.pop("frame 2")
        assert failed.value is None
        assert "not finite" in str(failed.error)
        assert failed.attempts == 2
        assert (tmp_path / "frame 2" / "log.lammps").exists()
        here = lammps(**EAM)
        for name, outcome in outcomes.items():
            label = Label.from_json(outcome.value)
            assert label.energy == pytest.approx(here.label(frames[name], tmp_path).energy, abs=1e-10)
        logged = [line.split()[0] for line in log.read_text().splitlines()]
        assert sorted(logged) == sorted(frames[name].hash for name in outcomes)

    def test_unknown_labeler_names_the_nearest(self) -> None:
        with pytest.raises(ConfigError, match=r"'lamps'.*'lammps'"):
            registry.make(registry.LABELERS, "lamps", {})

    def test_wrong_settings(self) -> None:
        with pytest.raises(ConfigError, match="pair_coeff"):
            registry.make(registry.LABELERS, "lammps", {"pair_style": "eam/alloy"})


def test_the_how_to_works(tmp_path: Path) -> None:
    """The files in docs/how-to-add-a-labeler.md, installed as a package, are found by name and pass their tests."""
    page = (Path(__file__).parents[2] / "docs" / "how-to-add-a-labeler.md").read_text(encoding="utf-8")
    module, tests = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    registration = re.search(r'entry-points."(.*?)"\]\n(\w+) = "(.*?)"', page)
    settings = re.search(r"settings: \{(.*?)\}", page)
    assert registration is not None
    assert settings is not None
    group, name, value = registration.groups()
    (tmp_path / "morse_labeler.py").write_text(module, encoding="utf-8")
    (tmp_path / "test_morse.py").write_text(tests, encoding="utf-8")
    metadata = tmp_path / "morse_labeler-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: morse-labeler\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")
    plain = dict(item.split(": ") for item in settings.group(1).split(", "))
    (tmp_path / "test_name.py").write_text(
        "from lammps_dpgen import registry\n"
        f"def test_name():\n    registry.make(registry.LABELERS, {name!r}, {plain!r}).check(['Al'])\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "17 passed" in done.stdout
