"""DeePMD-kit's TensorFlow backend, called in this process: its start-up is paid once for many trainings.

DeePMD-kit's entry points work on TensorFlow's default graph and in the current folder, so each call gets a fresh graph
and runs inside the training's folder. Its log goes into the folder's ``train.log``.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lammps_dpgen.errors import TrainingError
from lammps_dpgen.native.convert import Conversion
from lammps_dpgen.noise import quiet_loading
from lammps_dpgen.training.deepmd_input import CHECKPOINT

LOG = "train.log"
MODEL = "model.pb"
_INFO = logging.INFO
_THREADS = ("OMP_NUM_THREADS", "DP_INTRA_OP_PARALLELISM_THREADS", "DP_INTER_OP_PARALLELISM_THREADS")


@dataclass(frozen=True)
class Trained:
    """What a backend leaves: the frozen model, what the next training can start from, and seconds by part."""

    model: Path
    checkpoint: str
    seconds: dict[str, float] = field(default_factory=dict)


def train_tensorflow(
    steps: int,
    folder: Path,
    *,
    warm_start: str | None,
    shortest: float | None,
    compress_step: float | None,
) -> Trained:
    """Train ``folder/input.json``, freeze the model, compress it where asked, and convert it for the native kernel.

    Parameters
    ----------
    warm_start
        Checkpoint prefix, or a frozen model (``.pb``).
    shortest
        Shortest distance between atoms of the data in Å, which the compressed model's table needs; None: DeePMD-kit
        counts neighbours itself.
    compress_step
        Step of the table, or None.

    Raises
    ------
    TrainingError
        DeePMD-kit failed, or a weight is not finite.
    """
    seconds = {"import": 0.0, "start": 0.0, "loop": 0.0, "freeze": 0.0, "convert": 0.0, "compress": 0.0}
    with _timed(seconds, "import"):
        _load()
    with _inside(folder), _logged(folder / LOG):
        with _timed(seconds, "start"), _loop_timed(seconds):
            _train(warm_start, shortest)
        seconds["start"] -= seconds["loop"]
        prefix = str(folder / f"{CHECKPOINT}-{steps}")
        _check_weights(prefix, folder)
        with _timed(seconds, "freeze"):
            _freeze(prefix)
        with _timed(seconds, "convert"):
            conversion = _convert()  # a compressed file no longer holds the weights
        if compress_step is not None:
            with _timed(seconds, "compress"):
                _compress(compress_step)
        with suppress(OSError):  # a model without it is as good
            conversion.store_beside(folder / MODEL)
    return Trained(folder / MODEL, prefix, {part: round(value, 4) for part, value in seconds.items()})


def _load() -> None:
    """Import DeePMD-kit; where nobody has said how many threads to use, it is one, which repeats bit for bit."""
    for name in _THREADS:
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_loading():
        import deepmd.tf.entrypoints  # noqa: F401


def _train(warm_start: str | None, shortest: float | None) -> None:
    from deepmd.tf.entrypoints import train_dp
    from deepmd.tf.env import GLOBAL_ENER_FLOAT_PRECISION, tf

    tf.reset_default_graph()
    if shortest is not None:
        # What DeePMD-kit's own neighbour statistics would leave in the graph for the compression.
        tf.constant(shortest, name="train_attr/min_nbor_dist", dtype=GLOBAL_ENER_FLOAT_PRECISION)
    frozen = warm_start is not None and warm_start.endswith(".pb")
    train_dp(
        INPUT="input.json",
        init_model=None if frozen else warm_start,
        init_frz_model=warm_start if frozen else None,
        restart=None,
        output="out.json",
        mpi_log="master",
        log_level=_INFO,
        log_path=None,
        skip_neighbor_stat=shortest is not None,
    )


def _freeze(prefix: str) -> None:
    from deepmd.tf.entrypoints import freeze
    from deepmd.tf.env import tf

    tf.reset_default_graph()
    freeze(checkpoint_folder=prefix, output=MODEL)
    tf.reset_default_graph()


def _convert() -> Conversion:
    """Return what the native kernel needs of the frozen model, while DeePMD-kit is loaded."""
    from deepmd.tf.env import tf

    conversion = Conversion.of(Path(MODEL))
    tf.reset_default_graph()
    return conversion


def _compress(step: float) -> None:
    from deepmd.tf.entrypoints import compress
    from deepmd.tf.env import tf

    tf.reset_default_graph()
    scratch = Path("model-compression")
    compress(
        input=MODEL,
        output="compressed.pb",
        extrapolate=5,
        step=step,
        frequency="-1",
        checkpoint_folder=str(scratch),
        training_script=None,
        mpi_log="master",
        log_path=None,
        log_level=_INFO,
    )
    tf.reset_default_graph()
    os.replace("compressed.pb", MODEL)
    shutil.rmtree(scratch)


def _check_weights(prefix: str, folder: Path) -> None:
    """Refuse weights that are not finite: the learning curve may end before they went wrong."""
    from deepmd.tf.env import tf

    reader: Any = tf.train.load_checkpoint(prefix)
    for name in reader.get_variable_to_shape_map():
        if not np.isfinite(reader.get_tensor(name)).all():
            raise TrainingError(f"the training diverged: '{name}' is not finite; lower start_lr (log: {folder / LOG})")


@contextmanager
def _timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    begin = time.perf_counter()
    try:
        yield
    finally:
        seconds[part] += time.perf_counter() - begin


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work in a folder and come back (``contextlib.chdir`` needs Python 3.11)."""
    home = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(home)


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Send DeePMD-kit's log, and whatever it prints from Python, into a file; put its logger back afterwards."""
    logger = logging.getLogger("deepmd")
    before = (list(logger.handlers), logger.level, logger.propagate)
    # DeePMD-kit makes its console handler anew in each call, on the standard error stream of that moment.
    with path.open("a") as file, redirect_stderr(file), redirect_stdout(file):
        try:
            yield
        except TrainingError:
            raise
        except Exception as error:
            text = " ".join(str(error).split())[:400]
            raise TrainingError(f"DeePMD-kit failed: {type(error).__name__}: {text} (log: {path})") from error
        finally:
            logger.handlers[:], logger.propagate = before[0], before[2]
            logger.setLevel(before[1])


class _LoopStart(logging.Handler):
    """Notes when DeePMD-kit says that the first step begins."""

    def __init__(self) -> None:
        super().__init__()
        self.moment: float | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one line of the log."""
        if self.moment is None and str(record.msg).startswith("start training"):
            self.moment = time.perf_counter()


@contextmanager
def _loop_timed(seconds: dict[str, float]) -> Iterator[None]:
    """Measure the training loop within DeePMD-kit's one call."""
    logger = logging.getLogger("deepmd.tf.train.trainer")
    begin = _LoopStart()
    logger.addHandler(begin)
    try:
        yield
    finally:
        logger.removeHandler(begin)
        if begin.moment is not None:
            seconds["loop"] += time.perf_counter() - begin.moment
