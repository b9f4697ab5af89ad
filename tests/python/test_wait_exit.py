"""``execution.wait: exit``: when a run gives up waiting for the queue, and what its pilots do without it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_learning_steps import ScriptedExecutor

from lammps_dpgen.config.execution import ExecutionSettings
from lammps_dpgen.errors import GoOnLater
from lammps_dpgen.execution.base import Task
from lammps_dpgen.execution.box import Claim, Result, TaskBox
from lammps_dpgen.execution.cluster import ClusterExecutor
from lammps_dpgen.execution.parsl_pilot import ALIVE, LEFT, Node
from lammps_dpgen.execution.sessions import LeftPilots, Session, clear_sessions
from lammps_dpgen.learning.patience import Patience

POOL = {"provider": "slurm", "jobs": 2}


def settings(**more: Any) -> ExecutionSettings:
    return ExecutionSettings.model_validate({"engine": "parsl", "labels": POOL, "wait": "exit", **more})


def task(name: str) -> Task:
    return Task(name, "worker_services:Arithmetic", {}, "add", {"a": 1.0}, Path(name))


class TestPatience:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        now = [1000.0]
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        return now

    @pytest.fixture
    def executor(self) -> ScriptedExecutor:
        executor = ScriptedExecutor(lambda task: {})
        for name in "abc":
            executor.submit(task(name))
        return executor

    def test_it_ends_when_nothing_has_come_for_long(self, clock: list[float], executor: ScriptedExecutor) -> None:
        patience = Patience(executor, settings(exit_after=10))
        for _ in range(10):
            patience.look()
            clock[0] += 1.0
        executor.poll()  # a label has come: it goes on waiting
        for _ in range(11):
            patience.look()
            clock[0] += 1.0
        with pytest.raises(GoOnLater, match=r"wait: exit, with 2 jobs for labels left in the queue"):
            patience.look()

    def test_it_stays_while_others_work(self, clock: list[float], executor: ScriptedExecutor) -> None:
        works = True
        patience = Patience(executor, settings(exit_after=10), lambda: not works)
        for _ in range(30):
            patience.look()
            clock[0] += 1.0
        works = False
        for _ in range(10):
            patience.look()
            clock[0] += 1.0
        with pytest.raises(GoOnLater):
            patience.look()

    def test_time_between_two_waits_does_not_count(self, clock: list[float], executor: ScriptedExecutor) -> None:
        patience = Patience(executor, settings(exit_after=10))
        patience.look()
        clock[0] += 1000.0  # a training, with labels of an earlier batch still on their way
        patience.look()
        clock[0] += 9.0
        patience.look()

    def test_others_wait_for_ever(self, clock: list[float], executor: ScriptedExecutor) -> None:
        patience = Patience(executor, settings(wait="stay"))
        for _ in range(3):
            patience.look()
            clock[0] += 290.0

    @pytest.mark.parametrize("execution", [{}, {"engine": "parsl", "labels": {"provider": "local"}}])
    def test_there_has_to_be_a_queue(self, execution: dict[str, Any]) -> None:
        with pytest.raises(
            ValueError, match=r"wait: exit leaves labels in the queue of a scheduler, and here there are"
        ):
            ExecutionSettings.model_validate({**execution, "wait": "exit"})


class TestPilots:
    """A pilot whose controller has left takes the tasks of the box, in real processes."""

    @pytest.fixture
    def box(self, tmp_path: Path) -> TaskBox:
        box = TaskBox(tmp_path / "tasks").create()
        for name in "abcd":
            work = {**vars(task(name)), "folder": str(tmp_path / name), "retries": 0}
            path = [str(Path(__file__).parent), *sys.path]
            request = {"task": work, "attempt": 1, "threads": 1, "heartbeat": 1.0, "path": path, "cwd": str(tmp_path)}
            box.write_request(name, request)
        return box

    def run_pilot(self, box: TaskBox, session: Path) -> subprocess.CompletedProcess[str]:
        words = [str(box.folder), str(session), Node(1, 2, 0, None).to_text(), "--", "no pool is started"]
        command = [sys.executable, "-m", "lammps_dpgen.execution.parsl_pilot", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def test_tasks_that_nobody_has_begun(self, box: TaskBox, tmp_path: Path) -> None:
        """One is done already, one is in work elsewhere; the other two are run, and the pilot ends."""
        box.write_result("a", Result(1, {"sum": 7.0}, None, 1.0))
        other = Claim.take(box, "b", 1)
        assert other is not None
        session = Session.begin(tmp_path / "sessions", "slurm")
        session.leave()
        ended = self.run_pilot(box, session.folder)
        assert ended.returncode == 0, ended.stderr
        results = {key: box.result(key) for key in "abcd"}
        assert [result and result.value and result.value["sum"] for result in results.values()] == [7.0, None, 1.0, 1.0]
        assert box.keys_of_claims() == {"b"}
        assert not box.keys_waiting()

    def test_a_controller_that_was_killed_leaves_nothing_to_do(self, box: TaskBox, tmp_path: Path) -> None:
        session = Session.begin(tmp_path / "sessions", "slurm")
        assert self.run_pilot(box, session.folder).returncode == 0
        assert box.keys_waiting() == set("abcd")

    def test_pilots_that_were_left_stay_in_the_queue(
        self, box: TaskBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        programs = tmp_path / "bin"
        programs.mkdir()
        for name, answer in {"squeue": "12 PD pilot\n13 CD pilot\n99 R other\n", "scancel": ""}.items():
            (programs / name).write_text(f"#!/bin/sh\necho {name} $@ >> {tmp_path}/asked\nprintf '{answer}'\n")
            (programs / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        left, killed = (Session.begin(tmp_path / "sessions", "slurm") for _ in range(2))
        for number in ("12", "13"):
            left.note_job(number)
        killed.note_job("14")
        for session in (left, killed):
            (session.folder / ALIVE).write_text("1")
        left.leave()
        found = clear_sessions(tmp_path / "sessions", box, "slurm")
        assert {session.was_left for session in found} == {True, False}
        assert (tmp_path / "asked").read_text() == "scancel 14\n"
        assert (left.folder / LEFT).exists()
        pilots = LeftPilots([session for session in found if session.was_left], "slurm", 1000.0)
        assert [pilots.count(), pilots.count()] == [1, 1]
        assert (tmp_path / "asked").read_text().count("squeue") == 1


def test_results_of_checks_outlive_a_controller_that_leaves(tmp_path: Path) -> None:
    """What a labeler said of its settings has not to be asked of the queue at every start; a label is recorded."""
    check = Task("check", "worker_services:Arithmetic", {}, "add", {}, tmp_path / "check", kept=True)
    label = Task("label", "worker_services:Arithmetic", {}, "add", {}, tmp_path / "label")

    def ask(leaves: bool) -> set[str]:
        """Return the tasks whose result was at hand."""
        executor = ClusterExecutor({"engine": "none"}, tmp_path / "x", stays=True)
        executor._open_broker = lambda: None  # type: ignore[method-assign]
        for one in (check, label):
            executor.submit(one)
        found = {outcome.task.id for outcome in executor.poll()}
        executor.poll()
        for key in executor._jobs:  # what pilots do
            executor._box.write_result(key, Result(1, {"sum": 1.0}, None, 1.0))
        error = GoOnLater("x") if leaves else KeyboardInterrupt("x")
        executor.__exit__(type(error), error, None)
        return found

    assert ask(leaves=True) == set()
    assert ask(leaves=True) == {"check", "label"}
    assert ask(leaves=True) == {"check"}
    assert ask(leaves=False) == {"check", "label"}
    assert ask(leaves=True) == set()
