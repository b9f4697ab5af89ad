"""The labeler ``vasp`` with a stand-in for VASP (EMT): the contract of all labelers, and in the executor's workers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from lammps_dpgen.execution.base import Outcome, Task
from lammps_dpgen.execution.local import LocalExecutor
from lammps_dpgen.frame import Frame
from lammps_dpgen.labeling.contract import LabelerContract, contract_frame
from lammps_dpgen.labeling.service import SERVICE
from lammps_dpgen.labeling.vasp import VaspLabeler, VaspSettings
from vasp_files import command, write_potcars

FRAME = contract_frame("Al", ["Cu", "Al", "Al"], (1, 2, 3))


@pytest.fixture(scope="session")
def potcars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_potcars(tmp_path_factory.mktemp("potcars"), ["Al", "Cu"])


class TestContract(LabelerContract):
    """Forces have eight decimals in a vasprun.xml, and so has the energy, hence the step."""

    energy_step = 1e-3
    force_tolerance = 2e-4
    virial_tolerance = 2e-3

    @pytest.fixture
    def plain_settings(self, potcars: Path) -> dict[str, Any]:
        return {"command": command(), "potcars": ["Al", "Cu"], "potcar_folder": str(potcars)}

    @pytest.fixture
    def labeler(self, plain_settings: dict[str, Any]) -> VaspLabeler:
        return VaspLabeler(VaspSettings.model_validate(plain_settings))

    @pytest.fixture
    def unconverged(self, plain_settings: dict[str, Any]) -> VaspLabeler:
        """The stand-in takes all the electronic steps that NELM allows."""
        return VaspLabeler(VaspSettings.model_validate({**plain_settings, "incar": {"NELM": 3}}))

    @pytest.fixture
    def frame(self) -> Frame:
        return contract_frame("Al", ["Cu", "Al"], (1, 2, 2))


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 60.0
    while not path.is_file() or not path.read_text().endswith("\n"):
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.02)
    return path.read_text()


def gone(numbers: list[int], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(psutil.pid_exists(n) and psutil.Process(n).status() != psutil.STATUS_ZOMBIE for n in numbers):
            return True
        time.sleep(0.05)
    return False


class TestWorker:
    """Through the executor, as a learning run does it."""

    def task(self, potcars: Path, tmp_path: Path, *arguments: str, timeout: float = 120.0) -> Task:
        settings = {"command": command(*arguments), "potcars": ["Al", "Cu"], "potcar_folder": str(potcars)}
        return Task(
            id="one",
            service=SERVICE,
            service_settings={"name": "vasp", "settings": settings},
            method="label",
            payload={"frame": FRAME.to_json()},
            folder=tmp_path / "label",
            timeout=timeout,
            retries=0,
        )

    def outcome(self, executor: LocalExecutor) -> Outcome:
        while not (outcomes := executor.poll()):
            time.sleep(0.02)
        return outcomes[0]

    def test_time_limit_ends_all_processes(self, potcars: Path, tmp_path: Path) -> None:
        with LocalExecutor(1, name="vasp") as executor:
            executor.submit(self.task(potcars, tmp_path, "--fault", "hang", timeout=20.0))
            pids = [int(word) for word in wait_for(tmp_path / "label" / "ranks.pid").split()]
            assert os.getpgid(pids[0]) == pids[0]
            outcome = self.outcome(executor)
            assert outcome.error is not None
            assert "time limit" in outcome.error
            assert gone(pids)

    def test_killed_worker_takes_vasp_along(self, potcars: Path, tmp_path: Path) -> None:
        with LocalExecutor(1, name="vasp") as executor:
            executor.submit(self.task(potcars, tmp_path, "--fault", "hang"))
            pids = [int(word) for word in wait_for(tmp_path / "label" / "ranks.pid").split()]
            worker = next(
                p for p in psutil.Process().children(recursive=True) if "execution.worker" in str(p.cmdline())
            )
            os.killpg(worker.pid, signal.SIGKILL)
            assert gone(pids)

    def test_folders_and_secrets(self, potcars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A success leaves no folder, a failure leaves VASP's files, and neither tells what is in the environment."""
        monkeypatch.setenv("CLUSTER_TOKEN", "xyzzy-secret")
        with LocalExecutor(1, name="vasp") as executor:
            executor.submit(self.task(potcars, tmp_path))
            assert self.outcome(executor).error is None
            assert not (tmp_path / "label").exists()
            executor.submit(self.task(potcars, tmp_path, "--fault", "disk-full"))
            outcome = self.outcome(executor)
        assert outcome.error is not None
        assert {"POSCAR", "INCAR", "KPOINTS", "POTCAR", "vasp.out"} <= {p.name for p in (tmp_path / "label").iterdir()}
        written = outcome.error + "".join(p.read_text() for p in (tmp_path / "label").iterdir())
        assert "xyzzy" not in written
