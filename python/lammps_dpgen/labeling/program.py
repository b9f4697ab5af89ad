"""Programs of DFT codes: how a command is written in the settings, found, and run to its end in a folder."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import WithJsonSchema

from lammps_dpgen.errors import LabelError, MissingPartError
from lammps_dpgen.execution.environment import clean_environment

#: JSON schema of a list of texts.
TEXTS = {"type": "array", "items": {"type": "string"}}
#: In the file a text or a list of texts.
Command = Annotated[tuple[str, ...], WithJsonSchema({"anyOf": [{"type": "string"}, TEXTS]})]

_GUARD = Path(__file__).with_name("program_guard.py")
_LONGEST = 300


def split_command(command: Any) -> Any:
    """Return a text split into words as a shell would, and anything else as it is; raises ValueError."""
    if not isinstance(command, str):
        return command
    try:
        return tuple(shlex.split(command))
    except ValueError as error:
        raise ValueError(f"this is no command: {error}; quotes come in pairs") from error


def absolute_command(command: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """Make a path such as ./run.sh absolute, from `folder`: programs run in folders of their own."""
    program = Path(command[0]).expanduser()
    if "/" not in command[0] or program.is_absolute():
        return (str(program), *command[1:])
    return (str((folder / program).absolute()), *command[1:])


def find_program(command: Sequence[str], labeler: str) -> str:
    """Return the path of the program that a command starts.

    Raises
    ------
    MissingPartError
        It is not there.
    """
    path = shutil.which(command[0])
    if path is None:
        raise MissingPartError(
            f"labeler {labeler}: the program {command[0]!r} of 'command' is not found in PATH; load its module or "
            "source its environment before lammps-dpgen starts, or give its full path. No shell is involved: put shell "
            "syntax into a script, and name the script"
        )
    return path


def run_program(
    code: str,
    command: Sequence[str],
    folder: Path,
    output: Path,
    *,
    threads: int,
    complaint: Callable[[], str],
    errors: Path | None = None,
) -> None:
    """Run a program to its end in `folder`, with what it prints in the file `output`.

    The program and all it starts have a process group of their own, which is ended when this process is, for instance
    at the time limit of the label. Its environment is that of the worker, without the variables of an MPI job around.

    Parameters
    ----------
    code
        What errors call the program.
    threads
        OpenMP threads of each rank.
    complaint
        Returns the program's own words about what went wrong, for an exit code that is not 0.
    errors
        File for what it prints on its standard error stream. Default: `output`.

    Raises
    ------
    LabelError
        It could not be started, or its exit code is not 0: with its own words, and where they stand.
    """
    request: dict[str, Any] = {"command": list(command), "folder": str(folder), "output": str(output)}
    if errors is not None:
        request["errors"] = str(errors)
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(_GUARD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environment(threads),
        start_new_session=True,
    ) as guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        guard.stdin.write(json.dumps(request).encode() + b"\n")
        guard.stdin.flush()
        answer = guard.stdout.read()
    if not answer:
        raise LabelError(f"the process that guards {code} was killed from outside; see {output}")
    ended = json.loads(answer)
    if "error" in ended:
        raise LabelError(f"{code}'s command {command[0]!r} could not be started: {ended['error']}")
    if ended["code"] != 0:
        how = f"exit code {ended['code']}" if ended["code"] > 0 else f"killed by signal {-ended['code']}"
        raise LabelError(f"{code} ended with {how}: {complaint()}; see {output}")


def plain_lines(path: Path, ornament: re.Pattern[str]) -> list[str]:
    """Return the lines of a text file, none where it is missing: without what `ornament` matches and empty ones."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return []
    plain = (ornament.sub(" ", line).strip() for line in text.splitlines())
    return [line for line in plain if line]


def one_line(lines: Sequence[str]) -> str:
    """Return lines as one, cut where it is too long for a cause."""
    text = " ".join(lines)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
