"""Keeps what TensorFlow and DeePMD-kit print while they are loaded off the screen, and nothing else.

They write to file descriptor 2 from C++, where Python's ``sys.stderr`` has no say.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Lines that are no news to anybody: CPU features, one-off hints, and the CUDA library that a CPU machine lacks.
_NOISE = re.compile(
    rb"^(WARNING: All log messages before absl::InitializeLog|[IW]\d{4} .*(port|cpu_feature_guard|mlir\S*|cudart_stub"
    rb"|computation_placer|cuda_\w+)\.cc:"
    rb"|To enable the following instructions:|To get the best performance, it is recommended to adjust the number of"
    rb"|implib-gen: libcuda|DeePMD-kit: (Cannot find|Error message:) libcuda"
    rb"|DeePMD-kit WARNING: Environmental variable \w+_THREADS is not set)"
)


#: Threads that load models would give each other's held output back as the original one.
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Hold back what is written to standard error inside; at the end show it, less the known noise.

    A file takes it and no pipe, so that no amount of output can block the program.
    """
    sys.stderr.flush()
    with _ONE_AT_A_TIME, tempfile.TemporaryFile() as held:
        original = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
            held.seek(0)
            for line in held:
                if line.strip() and not _NOISE.match(line):
                    os.write(2, line)


@contextmanager
def divert_library_output(path: Path) -> Iterator[None]:
    """Append what libraries print inside, on standard output and error, to a file; Python's own output stays.

    DeePMD-kit's pair style prints about each model that it loads, TensorFlow about anything, past Python and LAMMPS.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    streams, kept = (sys.stdout, sys.stderr), (os.dup(1), os.dup(2))
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(fd), "w", buffering=1, errors="replace") for fd in kept)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    try:
        yield
    finally:
        sys.stdout.close()
        sys.stderr.close()
        sys.stdout, sys.stderr = streams
        for number, original in zip((1, 2), kept, strict=True):
            os.dup2(original, number)
            os.close(original)


def silence_exit() -> None:
    """Send what libraries print while the process ends, after all work is done and said, to nowhere."""
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
