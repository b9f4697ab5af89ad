"""The command line: what it takes, what it says, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lammps_dpgen import __version__
from lammps_dpgen.cli import parallel
from lammps_dpgen.cli.main import _expand_lists, exit_code, main, split_variables
from lammps_dpgen.cli.parallel import check_job
from lammps_dpgen.errors import ConfigError, GoOnLater, InstallationError, LearningError

COMMAND = [sys.executable, "-m", "lammps_dpgen.cli"]


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lammps-dpgen {__version__}\n"
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for command in ("md", "bootstrap", "status", "stop", "export", "import", "report", "devi", "doctor", "schema"):
        assert command in text


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from lammps_dpgen.cli.main import main; code = main(['--help']); "
        "heavy = {'numpy', 'ase', 'tensorflow', 'deepmd', 'lammps', 'mpi4py', 'sqlalchemy', 'matplotlib'}; "
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "HEAVY []" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "rest", "variables"),
    [
        ([], [], {}),
        (["md", "in.x", "-var", "T", "300"], ["md", "in.x"], {"T": ["300"]}),
        (
            ["md", "in.x", "-var", "T", "300", "400", "-c", "l.yaml"],
            ["md", "in.x", "-c", "l.yaml"],
            {"T": ["300", "400"]},
        ),
        (["md", "-var", "a", "1", "-var", "b", "-2", "-.5"], ["md"], {"a": ["1"], "b": ["-2", "-.5"]}),
        (["md", "-var", "flag", "-x", "--config", "c"], ["md", "--config", "c"], {"flag": ["-x"]}),
    ],
)
def test_variables(arguments: list[str], rest: list[str], variables: dict[str, list[str]]) -> None:
    assert split_variables(arguments) == (rest, variables)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-var"], "needs a name"),
        (["-var", "T"], "needs a name"),
        (["-var", "T", "1", "-var", "T", "2"], "given twice"),
    ],
)
def test_wrong_variables(arguments: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        split_variables(arguments)


def test_variables_belong_to_md(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "learn", "-var", "T", "300"]) == 2
    assert "-var belongs to" in capsys.readouterr().err


def test_lists_of_models() -> None:
    words = ["devi", "-m", "a", "b", "-i", "t", "--models", "c"]
    assert _expand_lists(words) == ["devi", "-m", "a", "-m", "b", "-i", "t", "--models", "c"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["md", "none.in", "--config", "none.yaml"], "none.in: no such file"),
        (["bootstrap", "none.yaml"], "none.yaml: no such file"),
        (["report", "."], "has no ledger.db"),
        (["devi", "-m", "a.pb", "-i", "none.xyz"], "none.xyz: no such file or folder"),
        (["devi", "-m", "a.pb", "-i", ".", "--trust-v", "0", "1"], "--trust-v needs --trust"),
        (["devi", "-m", "a.pb", "-i", ".", "--trust", "1"], "--trust"),
        (["schema", "lern"], "learn"),
        (["mdd"], "md"),
    ],
)
def test_wrong_input_is_one_message_and_exit_code_2(
    arguments: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert expected in told.err
    assert "Traceback" not in told.err
    assert told.out == ""


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--debug", "bootstrap", "none.yaml"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_exit_codes() -> None:
    assert (exit_code(ConfigError("x")), exit_code(LearningError("x")), exit_code(ValueError("x"))) == (2, 3, 1)
    assert (exit_code(KeyboardInterrupt("Ctrl-C")), exit_code(GoOnLater("SIGUSR1"))) == (130, 75)


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "bootstrap"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["title"] == "lammps-dpgen bootstrap"
    assert "structures" in schema["required"]


def test_ranks_that_form_no_job_are_refused() -> None:
    check_job(2, "MPICH 5", {"PMI_SIZE": "2"})
    check_job(1, "MPICH 5", {"PMI_SIZE": "1"})
    check_job(1, "MPICH 5", {})
    with pytest.raises(InstallationError, match=r"started 4 processes \(OMPI_COMM_WORLD_SIZE\)") as caught:
        check_job(1, "MPICH 5", {"OMPI_COMM_WORLD_SIZE": "4"})
    assert "MPICH 5" in str(caught.value)
    assert "-n 4 lammps-dpgen" in str(caught.value)


def test_srun_with_a_pmi_that_nobody_speaks() -> None:
    with pytest.raises(InstallationError, match=r"started 8 processes \(SLURM_STEP_NUM_TASKS\)") as caught:
        check_job(1, "MPICH 5", {"SLURM_STEP_NUM_TASKS": "8"})
    assert "'srun --mpi=pmi2 lammps-dpgen ...'" in str(caught.value)
    assert "-n 8 lammps-dpgen" in str(caught.value)


def test_bootstrap_under_mpirun_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv(parallel.SIZE_VARIABLES[0], "2")
    assert main(["bootstrap", "none.yaml"]) == 2
    assert "run it without mpirun" in capsys.readouterr().err


PROGRAM = """\
import sys
from lammps_dpgen.cli.parallel import run_on_ranks
from lammps_dpgen.errors import ConfigError

def work(world):
    if sys.argv[1] == "all" or world.rank == 1:
        raise ConfigError("the cause")
    world.Barrier()
    return 0

sys.exit(run_on_ranks(work, debug=False))
"""


@pytest.mark.mpi
def test_error_of_all_ranks_is_told_once(mpirun, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "program.py").write_text(PROGRAM)
    run = mpirun(tmp_path / "program.py", 2, "all", check=False, timeout=60)
    assert run.returncode == 2
    assert run.output.count("lammps-dpgen: the cause") == 1
    assert "lammps-dpgen (rank" not in run.output


@pytest.mark.mpi
def test_error_of_one_rank_ends_all(mpirun, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "program.py").write_text(PROGRAM)
    run = mpirun(tmp_path / "program.py", 2, "one", check=False, timeout=60)
    assert run.returncode != 0
    assert "lammps-dpgen (rank 1): the cause" in run.output


@pytest.mark.mpi
def test_foreign_launcher(clean_env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "in.x").write_text("print hello\n")
    (tmp_path / "learn.yaml").write_text("fix: a\n")
    command = [*COMMAND, "md", "in.x", "--config", "learn.yaml"]
    env = {**clean_env, "OMPI_COMM_WORLD_SIZE": "2"}
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 2
    assert "belongs to another MPI than the one in use, MPICH" in result.stderr
