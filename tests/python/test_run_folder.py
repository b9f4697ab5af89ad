"""The run folder: its lock, its links, its status."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from lammps_dpgen.errors import StoreError
from lammps_dpgen.store import lock
from lammps_dpgen.store.run_folder import RunFolder, sha256

HOLDER = """
import sys, time
from lammps_dpgen.store.run_folder import RunFolder
with RunFolder(sys.argv[1]).lock():
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run").create()


def start_holder(folder: RunFolder) -> subprocess.Popen[str]:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder.path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def left_by(folder: RunFolder, *, age: float = 0.0, **change: object) -> None:
    """Leave a lock as a job that was killed leaves it."""
    with folder.lock():
        owner = folder.lock_owner()
    assert owner is not None
    folder.lock_file.write_text(json.dumps(dataclasses.asdict(dataclasses.replace(owner, **change))))  # type: ignore[arg-type]
    then = time.time() - age
    os.utime(folder.lock_file, (then, then))


def test_paths_are_those_of_the_design(folder: RunFolder) -> None:
    base = folder.path
    assert folder.ledger == base / "ledger.db"
    assert folder.models_of(3) == base / "models" / "g003"
    assert folder.data_of(12) == base / "data" / "g012"
    assert folder.training_of(0, 2) == base / "training" / "g000" / "model_2"
    assert folder.model_link(1) == base / "models" / "1.pb"
    assert sorted(path.name for path in base.iterdir()) == ["data", "labels", "models", "training"]
    folder.create()  # again


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made"):
        RunFolder(tmp_path / "file" / "run").create()


class TestLock:
    def test_it_names_its_owner_and_goes_at_the_end(self, folder: RunFolder) -> None:
        with folder.lock() as held:
            owner = folder.lock_owner()
            assert owner is not None
            assert owner.pid == os.getpid()
            assert lock.owner_runs(owner) is True
            held.check()
        assert not folder.lock_file.exists()
        assert folder.lock_owner() is None
        assert [path.name for path in folder.path.iterdir() if "lock" in path.name] == []

    def test_it_goes_when_the_job_fails(self, folder: RunFolder) -> None:
        with pytest.raises(ZeroDivisionError), folder.lock():
            _ = 1 / 0
        assert not folder.lock_file.exists()

    def test_a_second_job_is_told_who_holds_it(self, folder: RunFolder) -> None:
        holder = start_holder(folder)
        try:
            with pytest.raises(StoreError, match=rf"process {holder.pid} on \S+, heartbeat \d+ s ago"), folder.lock():
                pass
        finally:
            holder.kill()
            holder.wait()

    @pytest.mark.parametrize("reaped", [True, False])
    def test_a_killed_job_is_replaced_at_once(
        self, folder: RunFolder, reaped: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        holder = start_holder(folder)
        holder.kill()
        if reaped:
            holder.wait()
        else:
            os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the process table
        assert folder.lock_file.exists()
        with folder.lock() as held:
            held.check()
        assert f"left by process {holder.pid}" in caplog.text
        holder.wait()

    def test_a_process_number_used_again_is_not_the_owner(self, folder: RunFolder) -> None:
        left_by(folder, started=1.0e9)
        with folder.lock() as held:
            held.check()

    @pytest.mark.parametrize("elsewhere", [{"host": "another-machine"}, {"processes": "another boot pid:[1]"}])
    def test_another_machine_is_judged_by_its_heartbeat(self, folder: RunFolder, elsewhere: dict[str, str]) -> None:
        left_by(folder, age=100.0, pid=999_999_999, **elsewhere)
        with pytest.raises(StoreError, match=r"heartbeat 1\d\d s ago.*delete the lock file or wait"), folder.lock():
            pass
        long_ago = time.time() - lock.STALE_AFTER - 10.0
        os.utime(folder.lock_file, (long_ago, long_ago))
        with folder.lock() as held:
            held.check()

    def test_a_lock_that_cannot_be_read_is_judged_by_its_age(self, folder: RunFolder) -> None:
        folder.lock_file.write_text("half a lo")
        with pytest.raises(StoreError, match="cannot be named"), folder.lock():
            pass
        os.utime(folder.lock_file, (1.0, 1.0))
        with folder.lock() as held:
            held.check()

    def test_the_heart_beats(self, folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lock, "HEARTBEAT", 0.01)
        with folder.lock():
            os.utime(folder.lock_file, (1.0, 1.0))
            end = time.monotonic() + 30
            while folder.lock_file.stat().st_mtime == 1.0:
                assert time.monotonic() < end
                time.sleep(0.01)

    def test_a_job_that_slept_too_long_notices_and_leaves_the_new_lock_alone(
        self, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lock, "HEARTBEAT", 0.01)
        with folder.lock() as held:
            other = folder.path / "other"
            other.write_text("the lock of another job")
            os.utime(other, (1.0, 1.0))
            other.replace(folder.lock_file)
            time.sleep(0.1)
            with pytest.raises(StoreError, match="no longer this job's"):
                held.check()
        assert folder.lock_file.read_text() == "the lock of another job"
        assert folder.lock_file.stat().st_mtime == 1.0

    @pytest.mark.parametrize("links", [True, False])
    def test_of_many_jobs_that_take_over_one_wins(
        self, folder: RunFolder, monkeypatch: pytest.MonkeyPatch, links: bool
    ) -> None:
        if not links:
            monkeypatch.setattr(os, "link", _no_links)
        left_by(folder, started=1.0e9)
        results: list[str] = []
        begin, end = threading.Barrier(8), threading.Event()

        def job() -> None:
            begin.wait()
            try:
                with folder.lock():
                    results.append("held")
                    end.wait(30)
            except StoreError:
                results.append("refused")
                if results.count("refused") == 7:
                    end.set()

        threads = [threading.Thread(target=job) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == ["held"] + ["refused"] * 7

    def test_a_disk_without_hard_links(self, folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "link", _no_links)
        with folder.lock() as held:
            held.check()
            with pytest.raises(StoreError, match="in use"), folder.lock():
                pass
        assert not folder.lock_file.exists()

    def test_a_folder_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot be written"), RunFolder(tmp_path / "none").lock():
            pass


def _no_links(*_: object) -> None:
    raise PermissionError("no hard links here")


def test_links_follow_the_generation(folder: RunFolder) -> None:
    for generation in (0, 1):
        folder.models_of(generation).mkdir()
        models = [folder.models_of(generation) / f"model_{index}.pb" for index in range(2)]
        for index, model in enumerate(models):
            model.write_text(f"generation {generation} model {index}")
        links = folder.link_models([model.relative_to(folder.path) for model in models])
        assert [link.read_text() for link in links] == [model.read_text() for model in models]
    assert links == [folder.model_link(0), folder.model_link(1)]
    assert not links[0].readlink().is_absolute()
    assert sorted(path.name for path in folder.models.iterdir()) == ["0.pb", "1.pb", "g000", "g001"]


def test_links_have_the_suffix_of_the_models(folder: RunFolder) -> None:
    """DeePMD-kit knows the backend of a model by the suffix of the name it is given, here that of the link."""
    models = [folder.models_of(0) / f"model_{i}.pth" for i in range(2)]
    models[0].parent.mkdir()
    for model in models:
        model.write_text(model.name)
    assert folder.link_models(models) == [folder.models / "0.pth", folder.models / "1.pth"]
    assert folder.model_link(1, ".pth").read_text() == "model_1.pth"
    assert not folder.model_link(1).exists()


def test_no_link_is_touched_when_a_model_is_missing(folder: RunFolder) -> None:
    model = folder.models / "a.pb"
    model.write_text("model")
    folder.link_models([model])
    with pytest.raises(StoreError, match="does not exist"):
        folder.link_models([folder.models / "gone.pb", model])
    assert folder.model_link(0).read_text() == "model"


def test_status_is_replaced_and_is_strict_json(folder: RunFolder) -> None:
    assert folder.read_status() is None
    folder.write_status({"phase": "md", "max_devi_f": float("nan"), "step": 10, "lo": np.float64(0.05)})
    folder.write_status({"phase": "labels", "max_devi_f": float("inf"), "models": [Path("a.pb")]})
    assert folder.read_status() == {"phase": "labels", "max_devi_f": None, "models": ["a.pb"]}
    assert "NaN" not in folder.status.read_text()
    assert [path.name for path in folder.path.iterdir() if "status" in path.name] == ["status.json"]


def test_status_is_always_complete_for_a_reader(folder: RunFolder) -> None:
    text = "x" * 100_000
    folder.write_status({"number": 0, "text": text})
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            folder.write_status({"number": number, "text": text})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(100):
            status = folder.read_status()
            assert status is not None
            assert len(status["text"]) == len(text)
    finally:
        stop.set()
        writer.join()


def test_sha256_of_a_file(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "model.pb").write_bytes(content)
    assert sha256(tmp_path / "model.pb") == hashlib.sha256(content).hexdigest()
    with pytest.raises(StoreError, match="cannot be read"):
        sha256(tmp_path / "none.pb")
