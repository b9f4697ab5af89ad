"""What is read from a script before LAMMPS reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.learning.session import check_script, script_lines

FIX = "fix dp all dpgen 10 models/0.pb models/1.pb types Al\n"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script in the working directory: included files are found from there, as LAMMPS does."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "in.x"


def test_lines_of_included_files_stand_where_they_are_read(script: Path) -> None:
    script.write_text("units metal\ninclude potential.inc  # comment\nrun 5\njump rest.inc\n")
    Path("potential.inc").write_text("pair_style zero 5.0\n")
    Path("rest.inc").write_text("run 6\n")
    code = [line for line in script_lines(script) if line]
    assert code == [
        "units metal",
        "include potential.inc",
        "pair_style zero 5.0",
        "run 5",
        "jump rest.inc",
        "run 6",
    ]


def test_files_that_include_each_other_are_read_once(script: Path) -> None:
    script.write_text("include other.inc\nrun 1\n")
    Path("other.inc").write_text("jump in.x\nrun 2\njump SELF again\nnext t\n")
    code = script_lines(Path("in.x"))
    assert code.count("run 1") == code.count("run 2") == 1


def test_names_that_are_no_files_are_left_to_lammps(script: Path) -> None:
    script.write_text("include ${name}\njump SELF again\ninclude absent.inc\nrun 3\n")
    assert script_lines(script)[-1] == "run 3"


@pytest.mark.parametrize(
    "text",
    [
        FIX + "run 100\n",
        "variable id index dp\nfix ${id} all dpgen 10 models/0.pb models/1.pb types Al\nrun 100\n",
        "include fix.inc\n  run 100 every 10 NULL\n",
        FIX + 'if "$(atoms) > 5" then "run 100"\n',
        FIX + "label again\nrun\t10\nnext t\njump SELF again\n",
    ],
)
def test_scripts_that_can_learn(script: Path, text: str) -> None:
    Path("fix.inc").write_text(FIX.replace("models/1.pb", "&\n models/1.pb"))
    script.write_text(text)
    check_script(script, "dp")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("run 100\n", "has no fix dpgen; add 'fix dp all dpgen"),
        ("# " + FIX + "run 100\n", "has no fix dpgen"),
        (FIX.replace("fix dp", "fix watch") + "run 100\n", "set 'fix: watch'"),
        (FIX + "minimize 0 0 1 1\n", "never runs MD"),
        (FIX + "# run 100\n", "never runs MD"),
    ],
)
def test_scripts_in_which_nothing_can_be_learnt(script: Path, text: str, expected: str) -> None:
    script.write_text(text)
    with pytest.raises(ConfigError, match=expected):
        check_script(script, "dp")
