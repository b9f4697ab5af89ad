"""DeePMD-kit's PyTorch backend, through its command line in a process of its own.

Its entry points keep distributed state and compiled models per process, so that calling them repeatedly in one process
would not be safe; the start-up is paid for each training.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from lammps_dpgen.errors import TrainingError
from lammps_dpgen.training.deepmd_tensorflow import LOG, Trained

MODEL = "model.pth"


def train_pytorch(steps: int, folder: Path, *, warm_start: str | None, skip_neighbor_stat: bool) -> Trained:
    """Train ``folder/input.json`` and freeze the model.

    Parameters
    ----------
    warm_start
        Checkpoint (``.pt``) or None.

    Raises
    ------
    TrainingError
        DeePMD-kit failed: the last line that it wrote.
    """
    checkpoint = f"model.ckpt-{steps}.pt"
    options = ["--skip-neighbor-stat"] if skip_neighbor_stat else []
    if warm_start is not None:
        options += ["--init-model", warm_start]
    seconds = {
        "loop": _call(["train", "input.json", *options], folder),
        "freeze": _call(["freeze", "-c", checkpoint, "-o", MODEL], folder),
    }
    return Trained(folder / MODEL, str(folder / checkpoint), seconds)


def _call(arguments: list[str], folder: Path) -> float:
    """Run ``dp --pt`` in the folder, append its output to the log, and return the seconds it took."""
    begin = time.perf_counter()
    with (folder / LOG).open("ab") as log:
        command = [sys.executable, "-m", "deepmd", "--pt", *arguments]
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
    if done.returncode:
        lines = [line.strip() for line in (folder / LOG).read_text(errors="replace").splitlines() if line.strip()]
        last = lines[-1][:400] if lines else "no output"
        raise TrainingError(
            f"DeePMD-kit (dp --pt {arguments[0]}) ended with code {done.returncode}: {last} (log: {folder / LOG})"
        )
    return round(time.perf_counter() - begin, 4)
