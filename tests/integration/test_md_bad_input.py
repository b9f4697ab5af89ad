"""Wrong input to ``lammps-dpgen md``: one clear message, the right exit code, and no rank that hangs."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from learning_runs import ATOMS, LEARN, NVT, PAIR, Work, fix

from lammps_dpgen.cli.main import main
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

SCRIPT = ATOMS + PAIR + fix("trust 0.02 5.0 stop candidates 2") + NVT.format(t=900) + "run 20\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a script and a configuration that names initial models which are not there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.x").write_text(SCRIPT)
    configure(tmp_path)
    return tmp_path


def configure(folder: Path, **change: object) -> None:
    (folder / "learn.yaml").write_text(yaml.safe_dump({**LEARN, "initial_models": ["0.pb", "1.pb"], **change}))


def refusal(capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    """Return what the command says, which must fail with this code and without a traceback."""
    assert main(["md", "in.x", "--config", "learn.yaml"]) == code
    message = capsys.readouterr().err
    assert message.startswith("lammps-dpgen: ")
    assert "Traceback" not in message
    return message


def test_unknown_key(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(folder, safe_pionts={"keep": 2})
    message = refusal(capsys)
    assert "safe_pionts" in message
    assert "safe_points" in message


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (SCRIPT.replace("fix dp all", "fix watch all"), "set 'fix: watch' in the configuration"),
        (SCRIPT.replace("fix dp all dpgen", "fix dp all other"), "in.x has no fix dpgen; add 'fix dp all dpgen N"),
        (SCRIPT.replace("run 20", "minimize 0 0 5 5"), "in.x never runs MD: it has no run command"),
    ],
)
def test_script_in_which_nothing_can_be_learnt(
    folder: Path, capsys: pytest.CaptureFixture[str], script: str, expected: str
) -> None:
    (folder / "in.x").write_text(script)
    assert expected in refusal(capsys)
    assert not (folder / "run" / "ledger.db").exists()


def test_no_script(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "in.x").unlink()
    assert "in.x: no such file" in refusal(capsys)


def test_models_that_are_not_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "0.pb" in refusal(capsys)


def test_no_models_and_nothing_to_make_them_from(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(folder, initial_models=[])
    assert "give structures" in refusal(capsys, code=3)


def test_run_folder_of_another_configuration(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ledger.open(RunFolder(folder / "run").create().ledger, config_hash="0" * 64).close()
    assert "another configuration" in refusal(capsys)


def test_two_jobs_in_one_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunFolder(folder / "run").create().lock():
        assert "is in use by process" in refusal(capsys)


def test_processes_that_form_no_job(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    message = refusal(capsys)
    assert "the launcher started 4 processes" in message
    assert not (folder / "run").exists()


@pytest.mark.parametrize("ranks", [1, 2])
def test_system_that_is_too_large_to_label(work: Work, ranks: int) -> None:
    work.configure(selection={"max_atoms": 31})
    run = work.md(SCRIPT, ranks, check=False)
    assert run.returncode == 2
    assert run.output.count("the frames have 32 atoms, but selection.max_atoms allows 31") == 1
    assert work.last("end")["reason"] == "error"


def test_error_of_the_script_on_two_ranks(work: Work) -> None:
    run = work.md(SCRIPT.replace("run 20", "runn 20\nrun 20"), 2, check=False)
    assert run.returncode == 3
    assert run.output.count("Unknown command: runn") == 1
    assert "log.lammps" in run.output
    assert "Traceback" not in run.output


def test_error_that_lammps_raises_on_one_rank_only(work: Work) -> None:
    """A potential file is read by rank 0; the others wait for it in a broadcast."""
    pair = "pair_style eam/alloy\npair_coeff * * absent.eam.alloy Al\n"
    run = work.md(SCRIPT.replace(PAIR, pair), 2, check=False, timeout=120)
    assert run.returncode == 3
    assert work.last("end")["reason"] == "error"
    assert "absent.eam.alloy" in run.output
    assert "Traceback" not in run.output


def test_fix_that_never_looks(work: Work) -> None:
    script = ATOMS + PAIR + NVT.format(t=300) + "run 5\n" + fix("trust 0.02 5.0")
    run = work.md(script, check=False)
    assert run.returncode == 2
    assert "never looked at a step" in run.output


def test_error_of_all_ranks_before_lammps(work: Work) -> None:
    work.configure(labeller={})
    run = work.md(SCRIPT, 2, check=False)
    assert run.returncode == 2
    assert run.output.count("labeller") == 1
