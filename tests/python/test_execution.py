"""The contract of executors, and what the local one promises beyond it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lammps_dpgen.errors import ExecutionError
from lammps_dpgen.execution.base import Outcome, Task
from lammps_dpgen.execution.environment import available_cores, clean_environment, without_secrets
from lammps_dpgen.execution.local import LocalExecutor

LIMIT = 60.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something that another process does; the limit only ends a test that has failed."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited in vain for {what}")


def finish(executor: LocalExecutor) -> dict[str, Outcome]:
    """Poll until nothing is open."""
    outcomes: list[Outcome] = []

    def step() -> bool:
        outcomes.extend(executor.poll())
        return executor.open_tasks == 0

    until(step, "the outcomes")
    outcomes += executor.poll()
    assert len({outcome.task.id for outcome in outcomes}) == len(outcomes)
    return {outcome.task.id: outcome for outcome in outcomes}


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pids_in(path: Path) -> list[int]:
    until(path.exists, f"the process numbers in {path}")
    return [int(word) for word in path.read_text().split()]


@pytest.fixture
def executor() -> Iterator[LocalExecutor]:
    with LocalExecutor(width=2, name="test") as made:
        yield made


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., Task]:
    def make(call: str, payload: dict[str, Any] | None = None, id: str = "one", **more: Any) -> Task:
        service, method = call.split(".")
        more.setdefault("service_settings", {})
        more.setdefault("retries", 0)
        folder = tmp_path / "tasks" / id
        return Task(id, f"worker_services:{service}", method=method, payload=payload or {}, folder=folder, **more)

    return make


def warm_up(executor: LocalExecutor, task: Callable[..., Task]) -> None:
    """Have a worker ready, so that a short time limit is not spent on the start of Python."""
    executor.submit(task("Trouble.nothing"))
    assert finish(executor)["one"].error is None


def test_a_task_returns_its_value_and_leaves_no_folder(executor: LocalExecutor, task: Callable[..., Task]) -> None:
    executor.submit(task("Arithmetic.add", {"a": 2.5}, service_settings={"offset": 0.1}))
    outcome = finish(executor)["one"]
    assert outcome.error is None
    assert outcome.value is not None
    assert outcome.value["sum"] == 2.6
    assert outcome.attempts == 1
    assert outcome.seconds > 0
    assert outcome.log is None
    assert not outcome.task.folder.exists()


def test_numbers_that_are_not_finite_arrive(executor: LocalExecutor, task: Callable[..., Task]) -> None:
    executor.submit(task("Arithmetic.add", {"a": float("inf")}))
    value = finish(executor)["one"].value
    assert value is not None
    assert value["sum"] == float("inf")


def test_a_kept_folder_holds_the_log(executor: LocalExecutor, task: Callable[..., Task]) -> None:
    executor.submit(task("Arithmetic.add", {"a": 1.0}, keep_folder=True))
    outcome = finish(executor)["one"]
    assert outcome.log is not None
    assert outcome.log.read_text().startswith("adding 1.0 in ")
    assert (outcome.task.folder / "scratch").exists()


def test_settings_model_is_made_from_the_settings(executor: LocalExecutor, task: Callable[..., Task]) -> None:
    executor.submit(task("Configured.multiply", {"a": 3.0}, service_settings={"factor": 2.0}))
    executor.submit(task("Configured.multiply", {"a": 3.0}, id="bad", service_settings={"factor": "x"}))
    outcomes = finish(executor)
    assert outcomes["one"].value == {"product": 6.0}
    assert "ValidationError" in str(outcomes["bad"].error)


def test_many_tasks_share_warm_workers(executor: LocalExecutor, task: Callable[..., Task]) -> None:
    for number in range(200):
        executor.submit(task("Arithmetic.add", {"a": number}, id=f"task-{number}"))
    assert executor.open_tasks > 150
    values = {key: outcome.value for key, outcome in finish(executor).items()}
    assert {key: value["sum"] for key, value in values.items() if value} == {f"task-{n}": n for n in range(200)}
    workers = {value["pid"] for value in values.values() if value}
    assert len(workers) <= 2
    assert sum(value["calls"] == 1 for value in values.values() if value) == len(workers)


def test_another_service_does_not_cool_the_warm_ones(executor: LocalExecutor, task: Callable[..., Task]) -> None:
    pids = []
    for id, settings in (("a", {"offset": 0.0}), ("b", {"offset": 1.0}), ("c", {"offset": 0.0})):
        executor.submit(task("Arithmetic.add", {"a": 1.0}, id=id, service_settings=settings))
        value = finish(executor)[id].value
        assert value is not None
        pids.append(value["pid"])
    assert pids[0] == pids[2] != pids[1]


def test_a_payload_larger_than_a_pipe(executor: LocalExecutor, task: Callable[..., Task]) -> None:
    executor.submit(task("Arithmetic.add", {"a": 1.0, "positions": [0.1] * 1_000_000}))
    outcome = finish(executor)["one"]
    assert outcome.error is None


@pytest.mark.parametrize(
    ("method", "cause"),
    [
        ("fail", "the reference did not converge in 100 iterations"),
        ("bug", "KeyError: 'missing'"),
        ("leave", "SystemExit: 3"),
        ("hard_exit", "ended by itself with exit code 7"),
        ("killed", "killed by SIGKILL"),
        ("crash", "killed by SIGSEGV"),
        ("not_plain", "no plain data"),
        ("not_a_dictionary", "returned a list, expected a dictionary"),
        ("absent", "AttributeError"),
    ],
)
def test_a_failure_has_a_cause_and_a_log(
    executor: LocalExecutor, task: Callable[..., Task], method: str, cause: str
) -> None:
    executor.submit(task(f"Trouble.{method}"))
    executor.submit(task("Arithmetic.add", {"a": 1.0}, id="bystander"))
    outcomes = finish(executor)
    outcome = outcomes["one"]
    assert outcome.value is None
    assert cause in str(outcome.error)
    assert "\n" not in str(outcome.error)
    assert outcome.log is not None
    assert outcome.log.exists()
    assert outcomes["bystander"].error is None
    executor.submit(task("Arithmetic.add", {"a": 1.0}, id="afterwards"))
    assert finish(executor)["afterwards"].error is None


def test_the_log_of_a_failure_shows_output_and_traceback(executor: LocalExecutor, task: Callable[..., Task]) -> None:
    executor.submit(task("Trouble.fail"))
    outcome = finish(executor)["one"]
    assert outcome.log is not None
    text = outcome.log.read_text()
    assert "words for the log" in text
    assert "Traceback" in text


def test_a_service_that_cannot_be_imported(executor: LocalExecutor, tmp_path: Path) -> None:
    executor.submit(Task("one", "no_such_module:Class", {}, "run", {}, tmp_path / "one", retries=0))
    assert "ModuleNotFoundError: No module named 'no_such_module'" in str(finish(executor)["one"].error)


def test_nothing_reaches_the_terminal(
    executor: LocalExecutor, task: Callable[..., Task], capfd: pytest.CaptureFixture[str]
) -> None:
    executor.submit(task("Arithmetic.add", {"a": 1.0}))
    executor.submit(task("Trouble.crash", id="two"))
    finish(executor)
    assert capfd.readouterr() == ("", "")


def test_a_retry_begins_in_an_empty_folder(executor: LocalExecutor, task: Callable[..., Task], tmp_path: Path) -> None:
    executor.submit(task("Trouble.once", {"mark": str(tmp_path / "mark")}, retries=1))
    outcome = finish(executor)["one"]
    assert outcome.error is None
    assert outcome.attempts == 2
    assert outcome.value == {"left": ["task.log"]}


@pytest.mark.parametrize("method", ["fail", "killed"])
def test_retries_are_counted(executor: LocalExecutor, task: Callable[..., Task], method: str) -> None:
    executor.submit(task(f"Trouble.{method}", retries=2))
    outcome = finish(executor)["one"]
    assert outcome.error is not None
    assert outcome.attempts == 3


def test_the_time_limit_kills_what_the_task_has_started(
    executor: LocalExecutor, task: Callable[..., Task], tmp_path: Path
) -> None:
    warm_up(executor, task)
    executor.submit(task("Trouble.hang", {"pids": str(tmp_path / "pids")}, timeout=2.0))
    outcome = finish(executor)["one"]
    assert "time limit of 2 s" in str(outcome.error)
    for pid in pids_in(tmp_path / "pids"):
        until(lambda pid=pid: not alive(pid), "the end of the process")


def test_a_retry_follows_a_time_limit(executor: LocalExecutor, task: Callable[..., Task], tmp_path: Path) -> None:
    warm_up(executor, task)
    executor.submit(
        task("Trouble.hang_or_answer", {"pids": str(tmp_path / "pids")}, timeout=2.0, retries=1, growth=10.0)
    )
    outcome = finish(executor)["one"]
    assert outcome.value == {}
    assert outcome.attempts == 2


def test_the_time_limit_grows(executor: LocalExecutor, task: Callable[..., Task], tmp_path: Path) -> None:
    executor.submit(task("Trouble.hang", {"pids": str(tmp_path / "pids")}, timeout=0.5, retries=1, growth=1.5))
    assert finish(executor)["one"].error == "it ran longer than its time limit of 0.75 s and was killed"


@pytest.mark.parametrize("victim", ["worker", "guard"])
def test_a_worker_killed_from_outside_is_replaced(
    executor: LocalExecutor, task: Callable[..., Task], tmp_path: Path, victim: str
) -> None:
    executor.submit(task("Trouble.hang", {"pids": str(tmp_path / "pids")}))
    worker, child = pids_in(tmp_path / "pids")
    os.kill(worker if victim == "worker" else os.getsid(worker), signal.SIGKILL)
    assert "killed" in str(finish(executor)["one"].error)
    until(lambda: not alive(worker) and not alive(child), "the end of the worker and its child")
    executor.submit(task("Arithmetic.add", {"a": 1.0}))
    assert finish(executor)["one"].error is None


def test_cancel_kills_and_reports_everything(
    executor: LocalExecutor, task: Callable[..., Task], tmp_path: Path
) -> None:
    for number in range(4):
        executor.submit(task("Trouble.hang", {"pids": str(tmp_path / f"pids-{number}")}, id=str(number), retries=3))
    running = [*pids_in(tmp_path / "pids-0"), *pids_in(tmp_path / "pids-1")]
    cancelled = executor.cancel("the wall time is over")
    assert sorted(outcome.task.id for outcome in cancelled) == ["0", "1", "2", "3"]
    assert {outcome.error for outcome in cancelled} == {"the wall time is over"}
    assert executor.open_tasks == 0
    assert executor.poll() == []
    for pid in running:
        until(lambda pid=pid: not alive(pid), "the end of the process")
    executor.submit(task("Arithmetic.add", {"a": 1.0}, id="0"))
    assert finish(executor)["0"].error is None


def test_cancel_keeps_what_was_finished(executor: LocalExecutor, task: Callable[..., Task], tmp_path: Path) -> None:
    executor.submit(task("Trouble.hang", {"pids": str(tmp_path / "pids")}, id="hangs"))
    executor.submit(task("Arithmetic.add", {"a": 1.0}, id="done"))
    pipes = [place.worker._answers for place in executor._places]
    until(lambda: select.select(pipes, [], [], 0)[0], "an answer that nobody has read")
    assert {outcome.task.id for outcome in executor.cancel("enough")} == {"hangs"}
    assert {outcome.task.id for outcome in executor.poll()} == {"done"}


def test_leaving_kills_everything(task: Callable[..., Task], tmp_path: Path) -> None:
    with LocalExecutor(width=1) as executor:
        executor.submit(task("Trouble.hang", {"pids": str(tmp_path / "pids")}))
        running = pids_in(tmp_path / "pids")
    for pid in running:
        until(lambda pid=pid: not alive(pid), "the end of the process")
    with pytest.raises(ExecutionError, match="closed"):
        executor.submit(task("Arithmetic.add"))


def test_killing_the_controller_leaves_no_orphan(tmp_path: Path) -> None:
    """SIGKILL cannot be caught: only the workers themselves can see that nobody is left."""
    script = f"""
import sys, time
from pathlib import Path
from lammps_dpgen.execution.base import Task
from lammps_dpgen.execution.local import LocalExecutor
sys.path.insert(0, {str(Path(__file__).parent)!r})
with LocalExecutor(width=1) as executor:
    payload = dict(pids={str(tmp_path / "pids")!r})
    executor.submit(Task("one", "worker_services:Trouble", dict(), "hang", payload, Path({str(tmp_path / "task")!r})))
    time.sleep(600)
"""
    controller = subprocess.Popen([sys.executable, "-c", script])
    running = pids_in(tmp_path / "pids")
    running.append(os.getsid(running[0]))
    assert all(alive(pid) for pid in running)
    controller.kill()
    controller.wait()
    for pid in running:
        until(lambda pid=pid: not alive(pid), "the end of the orphan")


def test_a_worker_is_no_rank_of_the_job_around_it(task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch) -> None:
    ranks = {
        "PMI_RANK": "0", "PMI_FD": "7", "PMIX_RANK": "0", "HYDI_CONTROL_FD": "8", "MPIR_CVAR_X": "1",
        "MPI_LOCALRANKID": "0", "OMPI_COMM_WORLD_RANK": "1", "PRTE_X": "1", "SLURM_STEP_ID": "0", "SLURM_PROCID": "1",
    }  # fmt: skip
    kept = {"SLURM_JOB_ID": "42", "OMPI_ALLOW_RUN_AS_ROOT": "1", "VASP_PP_PATH": "/pot", "MPICH_NOT_A_RANK": "1"}
    for name, value in {**ranks, **kept}.items():
        monkeypatch.setenv(name, value)
    with LocalExecutor(width=1, threads=3) as executor:
        executor.submit(task("Surroundings.environment"))
        value = finish(executor)["one"].value
    assert value is not None
    for environment in (value["own"], value["child"]):
        assert not ranks.keys() & environment.keys()
        assert kept.items() <= environment.items()
        assert environment["OMP_NUM_THREADS"] == "3"
        assert environment["DP_INTRA_OP_PARALLELISM_THREADS"] == "3"
        assert environment["TF_CPP_MIN_LOG_LEVEL"] == "3"


def test_a_task_has_its_own_session_no_stdin_and_leaves_the_working_directory(
    task: Callable[..., Task],
) -> None:
    with LocalExecutor(width=1) as executor:
        executor.submit(task("Surroundings.process"))
        value = finish(executor)["one"].value
        executor.submit(task("Surroundings.where"))
        after = finish(executor)["one"].value
    assert value is not None
    assert value["session"] != os.getsid(0)
    assert value["stdin"] == ""
    assert after == {"cwd": os.getcwd()}


def test_poll_returns_at_once(executor: LocalExecutor, task: Callable[..., Task], tmp_path: Path) -> None:
    executor.submit(task("Trouble.hang", {"pids": str(tmp_path / "pids")}))
    assert executor.poll() == []
    assert executor.open_tasks == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"payload": {"a": object()}}, "no plain data"),
        ({"service": "worker_services.Arithmetic"}, "expected 'package.module:Class'"),
        ({"id": "busy"}, "open already"),
    ],
)
def test_a_task_that_cannot_be_sent_is_refused(
    executor: LocalExecutor, task: Callable[..., Task], tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    executor.submit(task("Trouble.hang", {"pids": str(tmp_path / "pids")}, id="busy"))
    values = vars(task("Arithmetic.add", {"a": 1.0})) | change
    with pytest.raises(ExecutionError, match=message):
        executor.submit(Task(**values))
    assert executor.open_tasks == 1


@pytest.mark.parametrize("wrong", [{"width": 0}, {"width": 1, "threads": 0}])
def test_width_and_threads_are_at_least_one(wrong: dict[str, int]) -> None:
    with pytest.raises(ExecutionError, match="expected at least 1"):
        LocalExecutor(**wrong)


def test_clean_environment_begins_from_what_is_given() -> None:
    environment = clean_environment(1, {"HOME": "/home", "PMI_SIZE": "2"})
    assert environment["HOME"] == "/home"
    assert "PMI_SIZE" not in environment
    assert environment["DP_INTER_OP_PARALLELISM_THREADS"] == "1"


def test_secrets_of_the_environment_stay_out_of_texts() -> None:
    """By the names of the variables; logins in addresses too. Short values and other variables stay."""
    environment = {"CLUSTER_TOKEN": "xyzzy-1", "MY_API_KEY": "abcdef", "DB_PASSWORD": "12", "HOME": "/home/me"}
    said = "xyzzy-1 abcdef 12 /home/me postgresql://me:pw@host/db"
    assert without_secrets(said, environment) == "(left out) (left out) 12 /home/me postgresql://host/db"


def test_a_cause_tells_no_secrets(task: Callable[..., Task], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where a program that fails says what is in its environment: neither the cause nor the log has it."""
    monkeypatch.setenv("CLUSTER_TOKEN", "xyzzy-secret")
    with LocalExecutor(1) as executor:
        executor.submit(task("Trouble.tell_environment"))
        outcome = finish(executor)["one"]
    assert outcome.error == "the program said CLUSTER_TOKEN=(left out)"
    assert outcome.log is not None
    assert "xyzzy" not in outcome.log.read_text()


def test_available_cores_follow_the_affinity() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from lammps_dpgen.execution.environment import available_cores; print(available_cores())"
    )
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no processor affinity")
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "1"
    assert available_cores() >= 1
