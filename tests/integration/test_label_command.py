"""``lammps-dpgen label``: a file goes in, labels come out, and nothing is paid twice."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import dpdata
import numpy as np
import psutil
import pytest
import yaml
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write

from conftest import Run, start
from lammps_dpgen.frame import Frame
from lammps_dpgen.store.ledger import Ledger
from vasp_files import command, write_potcars

N_FRAMES = 6
EMT_LABELER = {"name": "ase", "log_file": "labels.log", "settings": {"calculator": "ase.calculators.emt:EMT"}}


def frames(number: int = N_FRAMES) -> list[Atoms]:
    """Perturbed Al-Cu cells with a note in each, and one molecule-like cluster."""
    rng = np.random.default_rng(1)
    images = []
    for index in range(number):
        atoms = bulk("Al", cubic=True) * (1, 1, 1 + index % 2)
        atoms.symbols[0] = "Cu"
        atoms.positions += rng.normal(0, 0.08, atoms.positions.shape)
        atoms.info["note"] = f"frame {index}"
        images.append(atoms)
    return images


class Case:
    """A folder with frames and a configuration, and the command in it."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder, self.env = folder, env

    def write(self, images: list[Atoms], **config: Any) -> None:
        write(self.folder / "frames.extxyz", images, format="extxyz")
        (self.folder / "x.yaml").write_text(yaml.safe_dump(config))

    @property
    def words(self) -> list[str]:
        return [sys.executable, "-m", "lammps_dpgen.cli", "label", "frames.extxyz", "--config", "x.yaml"]

    def run(self, *arguments: str, code: int = 0) -> Run:
        run = start([*self.words, *arguments], self.folder, self.env, 300.0, check=False)
        assert run.returncode == code, run.output
        return run

    def labelled(self, name: str = "frames-labelled.extxyz") -> list[Atoms]:
        return read(self.folder / name, index=":")

    def paid(self) -> Counter[str]:
        """Labels by frame hash, as the workers themselves noted them."""
        log = self.folder / "labels.log"
        return Counter(line.split()[0] for line in log.read_text().splitlines()) if log.is_file() else Counter()


@pytest.fixture
def case(tmp_path: Path, clean_env: dict[str, str]) -> Case:
    return Case(tmp_path, clean_env)


class TestLabels:
    def test_file(self, case: Case) -> None:
        """Energies, forces and stress of the reference, read back by ASE, frames in order and with their notes."""
        images = frames()
        case.write([*images, images[2]], labeler=EMT_LABELER)
        run = case.run("--deepmd", "data")
        assert f"7 of 7 frames labelled, {N_FRAMES} of them now" in run.output
        labelled = case.labelled()
        assert [atoms.info["note"] for atoms in labelled] == [f"frame {i}" for i in (*range(N_FRAMES), 2)]
        for given, found in zip([*images, images[2]], labelled, strict=True):
            given.calc = EMT()
            assert found.get_potential_energy() == pytest.approx(given.get_potential_energy(), abs=1e-7)
            np.testing.assert_allclose(found.get_forces(), given.get_forces(), atol=1e-7)
            np.testing.assert_allclose(found.get_stress(), given.get_stress(), atol=1e-7)
        assert set(case.paid().values()) == {1}
        names = sorted(path.name for path in (case.folder / "data").iterdir())
        assert names == ["Al3Cu1", "Al7Cu1"]
        systems = [dpdata.LabeledSystem(str(case.folder / "data" / name), fmt="deepmd/npy") for name in names]
        assert [len(system) for system in systems] == [4, 3]

    def test_a_second_time_costs_nothing(self, case: Case) -> None:
        case.write(frames(), labeler=EMT_LABELER)
        case.run()
        before = (case.folder / "frames-labelled.extxyz").read_bytes()
        assert f"{N_FRAMES} of {N_FRAMES} frames labelled, 0 of them now" in case.run().output
        assert set(case.paid().values()) == {1}
        assert (case.folder / "frames-labelled.extxyz").read_bytes() == before

    def test_more_frames_later(self, case: Case) -> None:
        case.write(frames(3), labeler=EMT_LABELER)
        case.run("-o", "out.extxyz", "--run-folder", "folder")
        case.write(frames(5), labeler=EMT_LABELER)
        assert "5 of 5 frames labelled, 2 of them now" in case.run("-o", "out.extxyz", "--run-folder", "folder").output
        assert set(case.paid().values()) == {1}

    def test_learn_yaml_will_do(self, case: Case) -> None:
        """The file of a learning run, of which only its labeler counts; its run folder is not touched."""
        from learning_runs import LEARN

        images = [bulk("Al", cubic=True)]
        case.write(images, **LEARN)
        case.run()
        assert not (case.folder / "run").exists()
        assert case.labelled()[0].get_forces().shape == (4, 3)

    def test_clusters_have_no_stress(self, case: Case) -> None:
        cluster = Atoms("Al4", positions=2.8 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]]))
        case.write([cluster], labeler=EMT_LABELER)
        case.run()
        assert "stress" not in case.labelled()[0].calc.results


class TestKilled:
    def test_goes_on(self, case: Case) -> None:
        """Killed with half of the labels there: those are not computed again."""
        images = frames(8)
        write(case.folder / "known.extxyz", images_with_labels(images), format="extxyz")
        labeler = {"name": "replay", "log_file": "labels.log", "settings": {"datasets": "known.extxyz", "seconds": 0.5}}
        case.write(images, labeler=labeler, execution={"width": 1})
        with subprocess.Popen(
            case.words, cwd=case.folder, env=case.env, stdout=subprocess.DEVNULL, start_new_session=True
        ) as process:
            deadline = time.monotonic() + 120
            while case.paid().total() < 3:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.02)
            workers = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGKILL)
        psutil.wait_procs(workers, timeout=30)
        with Ledger.open(case.folder / "frames-labelled.run" / "ledger.db", config_hash=None) as ledger:
            there = {stored.frame_hash for stored in ledger.labels()}
        assert 2 <= len(there) < 8
        case.run()
        paid = case.paid()
        assert len(case.labelled()) == 8
        assert all(paid[frame_hash] == 1 for frame_hash in there)
        assert paid.total() <= 9  # the one that was running may have been paid twice

    def test_interrupt(self, case: Case) -> None:
        """Ctrl-C ends it in order, and leaves no worker."""
        images = frames(8)
        write(case.folder / "known.extxyz", images_with_labels(images), format="extxyz")
        settings = {"datasets": "known.extxyz", "seconds": 0.5}
        case.write(images, labeler={"name": "replay", "log_file": "labels.log", "settings": settings})
        with subprocess.Popen(
            case.words,
            cwd=case.folder,
            env=case.env,
            stdout=subprocess.PIPE,
            text=True,
            # A shell that starts the tests in the background has its children ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            deadline = time.monotonic() + 120
            while case.paid().total() < 2:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            workers = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "interrupted; labels are kept in" in said
        assert not psutil.wait_procs(workers, timeout=30)[1]
        assert "8 of 8 frames labelled" in case.run().output


def images_with_labels(images: list[Atoms]) -> list[Atoms]:
    labelled = []
    for atoms in images:
        atoms = atoms.copy()
        atoms.calc = EMT()
        atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
        labelled.append(atoms)
    return labelled


class TestFailures:
    def test_some_frames(self, case: Case) -> None:
        """Frames without a label are told with their cause; the others are written."""
        images = frames(4)
        write(case.folder / "known.extxyz", images_with_labels(images[:3]), format="extxyz")
        labeler = {"name": "replay", "retries": 0, "settings": {"datasets": "known.extxyz"}}
        case.write(images, labeler=labeler)
        run = case.run(code=1)
        assert "no label: frame 4 (Al7Cu): none of the 1 frames of Al7Cu in the dataset is this one" in run.output
        assert "3 of 4 frames labelled" in run.output
        assert [atoms.info["note"] for atoms in case.labelled()] == ["frame 0", "frame 1", "frame 2"]
        again = case.run(code=1)
        assert "frame 4 (Al7Cu): none of the 1 frames" in again.output
        assert "0 of them now" in again.output

    def test_vasp_that_is_mended(self, case: Case) -> None:
        """VASP fails until its node is mended: the cause and its evidence stay, and then --retry-failed helps."""
        (case.folder / "broken").touch()
        script = case.folder / "vasp.sh"
        vasp = " ".join(f"'{word}'" for word in command())
        broken = f"[ -e '{case.folder}/broken' ] && echo 'forrtl: No space left on device' && exit 38"
        script.write_text(f"#!/bin/sh\n{broken}\nexec {vasp}\n")
        script.chmod(0o755)
        potcars = write_potcars(case.folder / "potcars", ["Al", "Cu"])
        settings = {"command": str(script), "potcars": ["Al", "Cu"], "potcar_folder": potcars.name}
        images = frames(2)
        case.write(images, type_map=["Cu", "Al"], labeler={"name": "vasp", "retries": 0, "settings": settings})
        run = case.run(code=1)
        assert "exit code 38: forrtl: No space left on device" in run.output
        folder = case.folder / "frames-labelled.run" / "labels" / Frame.from_ase(images[0]).hash[:16]
        assert {"POSCAR", "INCAR", "KPOINTS", "POTCAR", "vasp.out"} <= {path.name for path in folder.iterdir()}
        assert not (case.folder / "frames-labelled.extxyz").exists()
        (case.folder / "broken").unlink()
        assert "0 of them now" in case.run(code=1).output
        case.run("--retry-failed")
        for given, found in zip(images, case.labelled(), strict=True):
            given.calc = EMT()
            assert found.get_potential_energy() == pytest.approx(given.get_potential_energy(), abs=1e-7)
            assert found.info["label_code"].startswith("vasp 6.4.2")
        assert list((case.folder / "frames-labelled.run" / "labels").iterdir()) == []


class TestBadInput:
    @pytest.mark.parametrize(
        ("config", "arguments", "message"),
        [
            ({"labeler": {"name": "vsap"}}, [], "did you mean 'vasp'"),
            ({"labeler": EMT_LABELER, "typemap": ["Al"]}, [], "did you mean 'type_map'"),
            ({}, [], "labeler"),
            ({"labeler": EMT_LABELER, "type_map": ["Al"]}, [], r"frame 1 \(Al3Cu\) has Cu, which type_map lacks"),
            ({"labeler": EMT_LABELER}, ["-o", "frames.extxyz"], "is the file of the frames"),
            ({"labeler": EMT_LABELER}, ["-o", "nowhere/out.extxyz"], "has no folder"),
            (
                {"labeler": {"name": "vasp", "settings": {"command": "true", "potcars": ["Al"], "potcar_folder": "."}}},
                [],
                "no POTCARs of functional PBE",
            ),
        ],
    )
    def test_told_before_anything_is_paid(
        self, case: Case, config: dict[str, Any], arguments: list[str], message: str
    ) -> None:
        case.write(frames(1), **config)
        run = case.run(*arguments, code=2)
        assert re.search(message, run.output), run.output
        assert "Traceback" not in run.output
        assert not case.paid()

    def test_other_settings_in_the_same_folder(self, case: Case) -> None:
        case.write(frames(1), labeler=EMT_LABELER)
        case.run()
        case.write(frames(1), labeler={"name": "ase", "settings": {"calculator": "ase.calculators.emt.EMT"}})
        assert "belongs to another configuration" in case.run(code=2).output

    def test_no_frames(self, case: Case) -> None:
        case.write(frames(1), labeler=EMT_LABELER)
        (case.folder / "frames.extxyz").unlink()
        assert "no such file" in case.run(code=2).output

    def test_a_cell_without_volume(self, case: Case) -> None:
        flat = bulk("Al", cubic=True)
        flat.cell[2] = 0.0
        flat.pbc = (True, True, False)
        case.write([flat], labeler=EMT_LABELER)
        assert "has no volume" in case.run(code=2).output
