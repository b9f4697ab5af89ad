"""``lammps-dpgen doctor``: finds what is there, and says what to do where something is not."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
from pathlib import Path

import pytest

from lammps_dpgen import registry
from lammps_dpgen.cli import findings
from lammps_dpgen.cli.findings import Finding, lammps_date
from lammps_dpgen.cli.main import main
from lammps_dpgen.deepmd_library import DeepmdInstallation
from lammps_dpgen.errors import InstallationError


def by_part(found: list[Finding]) -> dict[str, Finding]:
    return {finding.part: finding for finding in found}


def only(monkeypatch: pytest.MonkeyPatch, output: str, error: str = "", code: int = 0) -> None:
    """Let every program that the doctor starts answer with the given text."""
    monkeypatch.setattr(findings, "_run", lambda command: subprocess.CompletedProcess(command, code, output, error))


GOOD = """\
LAMMPS (22 Jul 2025 - Update 2)
MPI version: MPICH Version:      5.0.2
Fix styles:

ave/time        dpgen           nve
"""


def test_this_installation_is_healthy(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    found = {finding["part"]: finding for finding in report["findings"]}
    assert report["problems"] == 0, [f for f in report["findings"] if f["verdict"] == "problem"]
    assert code == 0
    assert found["DeePMD backends"]["found"].startswith("tensorflow")
    assert "known to LAMMPS" in found["fix dpgen"]["found"]
    assert "lammps" in found["labelers"]["found"]
    assert "deepmd" in found["trainers"]["found"]
    assert found["MPI of LAMMPS"]["found"] == found["MPI of mpi4py"]["found"]


def test_lines_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    broken = [Finding("LAMMPS", "22 Jul 2025"), Finding("fix dpgen", "not known", "problem", "reinstall it")]
    monkeypatch.setattr("lammps_dpgen.cli.doctor.examine", lambda: broken)
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["ok       LAMMPS: 22 Jul 2025", "problem  fix dpgen: not known  -> reinstall it"]


def test_lammps_that_does_not_know_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    text = GOOD.replace("dpgen ", "").replace("LAMMPS (", "Open of file x/dpgenplugin.so failed: no symbol\nLAMMPS (")
    only(monkeypatch, text)
    finding = by_part(list(findings._lammps()))["fix dpgen"]
    assert finding.verdict == "problem"
    assert "x/dpgenplugin.so failed: no symbol" in finding.found


def test_plugin_for_another_lammps(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, GOOD.replace("22 Jul 2025 - Update 2", "29 Aug 2024"))
    finding = by_part(list(findings._lammps()))["plugin built for LAMMPS"]
    assert finding.verdict == "problem"
    assert "but 29 Aug 2024 is running" in finding.found
    assert "rebuild" in finding.advice


def test_lammps_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "", "lmp: libmpi.so.12: cannot open shared object file\n", 127)
    (finding,) = findings._lammps()
    assert finding.verdict == "problem"
    assert "libmpi.so.12" in finding.found


def test_other_mpi(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "Open MPI v4.1.4, package: Debian\n")
    (finding,) = findings._mpi_of_lammps(GOOD)
    assert finding.verdict == "problem"
    assert finding.found == "MPICH 5.0.2, but mpi4py uses Open MPI v4.1.4, package: Debian"
    assert "pip install mpich" in finding.advice


def test_broken_labeler_of_another_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(group: str, name: str) -> object:
        raise InstallationError(f"the labeler '{name}' (x:Y) cannot be imported: ImportError: no x")

    monkeypatch.setattr(registry, "load", load)
    found = list(findings._parts())
    assert all(finding.verdict == "problem" for finding in found)
    assert any("no x; mend or uninstall" in finding.advice for finding in found)


def test_a_look_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr(findings, "find_deepmd", broken)
    (found,) = findings._safely(findings._deepmd)
    assert (found.part, found.verdict) == ("deepmd", "problem")
    assert "disk on fire" in found.found


@pytest.mark.parametrize("text", ["22 Jul 2025", "22Jul2025", "22 July 2025 - Update 2", "version 20250722"])
def test_lammps_dates(text: str) -> None:
    assert lammps_date(text) == (2025, 7, 22)


def test_unknown_date() -> None:
    assert lammps_date("unknown") is None


def test_foreign_mpirun_in_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "mpirun"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = by_part(list(findings._mpi()))["mpirun in PATH"]
    assert finding.verdict == "warning"
    assert finding.found == str(other)


def test_a_framework_of_another_version_cannot_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("libdeepmd_backend_tf.so", "run_config.ini"):
        (tmp_path / name).touch()
    (tmp_path / "run_config.ini").write_text("[CONFIG]\nTF_VERSION = 2.21.0\n")
    installation = DeepmdInstallation(tmp_path / "libdeepmd_c.so", "3.2.0")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.21.1")
    assert [backend.name for backend in installation.backends()] == ["tensorflow"]
    assert not installation.misfits()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.20.0")
    assert not installation.backends()
    assert installation.misfits() == [
        "DeePMD-kit 3.2.0 was built for tensorflow 2.21.0, 2.20.0 is installed; pip install tensorflow==2.21.0"
    ]
