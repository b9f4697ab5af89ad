"""``lammps-dpgen doctor``: finds what is there, and says what to do where something is not."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
from pathlib import Path

import pytest

from lammps_dpgen import registry
from lammps_dpgen.cli import findings, findings_mpi
from lammps_dpgen.cli.finding import Finding
from lammps_dpgen.cli.findings import lammps_date
from lammps_dpgen.cli.main import main
from lammps_dpgen.deepmd_library import DeepmdInstallation
from lammps_dpgen.errors import InstallationError


def by_part(found: list[Finding]) -> dict[str, Finding]:
    return {finding.part: finding for finding in found}


def only(monkeypatch: pytest.MonkeyPatch, output: str, error: str = "", code: int = 0) -> None:
    """Let every program that the doctor starts answer with the given text."""
    for module in (findings, findings_mpi):
        monkeypatch.setattr(
            module, "run_clean", lambda command: subprocess.CompletedProcess(command, code, output, error)
        )


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
    name, _, file = found["MPI of mpi4py"]["found"].partition(" (")
    assert found["MPI of LAMMPS"]["found"] == name
    assert Path(file.rstrip(")")).name.startswith("libmpi.so")


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
    (finding,) = findings.mpi_of_lammps(GOOD)
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


def test_a_site_mpi_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "Open MPI v4.1.4, package: Debian\n/opt/site/lib/libmpi.so.40\n")
    (finding,) = findings.mpi_of_lammps(GOOD)
    assert finding.verdict == "problem"
    assert finding.advice.startswith("/opt/site/lib/libmpi.so.40 is the site's MPI: unload its module")


class TestLauncher:
    """What the doctor says when a launcher has started it several times."""

    def look(self, monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Finding]:
        monkeypatch.setattr(findings_mpi.shutil, "which", lambda name: None)
        return by_part(list(findings_mpi.launcher(environment)))

    def test_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.look(monkeypatch) == {}

    def test_a_job_of_many_tasks_without_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        finding = self.look(monkeypatch, SLURM_NTASKS="8")["launcher"]
        assert (finding.verdict, finding.found) == ("ok", "none; the job of Slurm has 8 tasks")
        assert "srun --mpi=pmi2 lammps-dpgen" in finding.advice

    def test_processes_that_are_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A real MPI, which finds nothing of the launcher that these variables tell of."""
        finding = self.look(monkeypatch, SLURM_STEP_NUM_TASKS="4", SLURM_PROCID="0")["launcher"]
        assert finding.verdict == "problem"
        assert finding.found == "4 processes (SLURM_STEP_NUM_TASKS), each in an MPI job of 1 rank of its own"
        assert "'srun --mpi=pmi2 lammps-dpgen ...'" in finding.advice

    def test_an_mpi_that_aborts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(findings_mpi, "_ASK_SIZE", "raise SystemExit('PMI: version 3 asked, 1 given')")
        finding = self.look(monkeypatch, PMI_SIZE="4")["launcher"]
        assert finding.found == "MPI does not start in 4 processes (PMI_SIZE): PMI: version 3 asked, 1 given"

    def test_an_mpi_that_hangs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(findings_mpi, "_ASK_SIZE", "import time; time.sleep(60)")
        monkeypatch.setattr(findings_mpi, "_PATIENCE", 0.2)
        finding = self.look(monkeypatch, PMI_SIZE="4")["launcher"]
        assert finding.verdict == "problem"
        assert "did not find each other in 0.2 s" in finding.found

    @pytest.mark.parametrize(
        ("answer", "verdict", "said"),
        [
            ("srun: MPI types are...\nsrun: none\nsrun: pmi2\n", "ok", "start runs with srun --mpi=pmi2"),
            (
                "MPI plugin types are...\n\tpmix\n\tnone\nspecific pmix plugin versions available: pmix_v4\n",
                "warning",
                "pmix",
            ),
        ],
    )
    def test_what_srun_speaks(self, monkeypatch: pytest.MonkeyPatch, answer: str, verdict: str, said: str) -> None:
        monkeypatch.setattr(findings_mpi, "mpi_of_python", lambda: ("MPICH 5.0.2", ""))
        monkeypatch.setattr(
            findings_mpi, "run_clean", lambda command: subprocess.CompletedProcess(command, 0, answer, "")
        )
        (finding,) = findings_mpi._srun("srun")
        assert finding.verdict == verdict
        assert said in finding.found
        assert (verdict == "ok") == ("mpirun" not in finding.advice)

    def test_the_first_of_several_reports(self) -> None:
        assert findings_mpi.is_first({})
        assert findings_mpi.is_first({"PMI_RANK": "0", "SLURM_PROCID": "1"})  # ranks of mpirun share a task of Slurm
        assert not findings_mpi.is_first({"SLURM_PROCID": "3"})


def test_conda_in_the_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    conda = tmp_path / "conda"
    for folder in ("bin", "lib", "conda-meta"):
        (conda / folder).mkdir(parents=True)
    (conda / "lib" / "libdeepmd_c.so").touch()
    (conda / "bin" / "lmp").write_text("#!/bin/sh\n")
    (conda / "bin" / "lmp").chmod(0o755)
    monkeypatch.setenv("PATH", str(conda / "bin"))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(conda / "lib"))
    found = by_part(list(findings_mpi.others()))
    assert found["lmp in PATH"].found == f"{conda / 'bin' / 'lmp'} (of conda)"
    assert found["LD_LIBRARY_PATH"].found == f"{conda / 'lib'} (of conda) has libdeepmd_c.so"
    assert {finding.verdict for finding in found.values()} == {"warning"}


def test_conda_has_installed_it_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta" / "deepmd-kit-3.2.0-0.json").touch()
    monkeypatch.setattr(findings_mpi.sys, "prefix", str(tmp_path))
    (finding,) = findings_mpi._conda()
    assert finding.found == f"deepmd-kit-3.2.0-0 in {tmp_path}"
    assert "virtual environment of its own" in finding.advice


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
    finding = by_part(list(findings.others()))["mpirun in PATH"]
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
