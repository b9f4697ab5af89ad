"""Known noise of libraries is held back; everything else reaches the screen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lammps_dpgen.noise import quiet_loading

NOISE = [
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
    "I0000 00:00:1795352053.841569   11152 port.cc:153] oneDNN custom operations are on.",
    "DeePMD-kit: Cannot find libcudart.so.12",
    "DeePMD-kit: Error message: libcudart.so.12: cannot open shared object file: No such file or directory",
    "implib-gen: libcudart.so.12: failed to load library 'libcudart.so.12' via callback 'DP_cudart_dlopen'",
    "DeePMD-kit WARNING: Environmental variable OMP_NUM_THREADS is not set. Tune OMP_NUM_THREADS",
]
NEWS = ["E0000 00:00:1 1 x.cc:1] out of memory", "DeePMD-kit Error: invalid model", "terminate called after throwing"]


def test_noise_is_dropped_and_news_is_not(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_loading():
        for line in [*NOISE, *NEWS]:
            os.write(2, f"{line}\n".encode())
    assert capfd.readouterr().err.splitlines() == NEWS


def test_news_comes_out_when_loading_fails(capfd: pytest.CaptureFixture[str]) -> None:
    def load() -> None:
        os.write(2, b"the cause\n")
        raise RuntimeError

    with pytest.raises(RuntimeError), quiet_loading():
        load()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "the cause\nafter\n"


def test_what_is_said_before_the_exit_is_seen() -> None:
    program = (
        "import atexit, os, sys\n"
        "from lammps_dpgen.noise import silence_exit\n"
        "atexit.register(os.write, 2, b'late\\n')\n"
        "print('told', file=sys.stderr)\n"
        "silence_exit()\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stderr == "told\n"
