"""``lammps-dpgen status``: runs in every state, read without touching them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest
from ledger_records import labelled, make_generation

from lammps_dpgen.cli.main import main
from lammps_dpgen.monitor.campaign_state import StageProgress, WalkerProgress
from lammps_dpgen.monitor.lines import LineView
from lammps_dpgen.monitor.recording import RecordingView
from lammps_dpgen.monitor.state import Totals
from lammps_dpgen.monitor.status import RunStatus, read_run_status
from lammps_dpgen.monitor.status_rows import status_rows
from lammps_dpgen.monitor.tail import SIZE, last_events, last_lines, last_look
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

COLUMNS = "step,time,temperature,max_devi_v,min_devi_v,avg_devi_v,max_devi_f,min_devi_f,avg_devi_f,class,generation\n"
ROW = "{0},0.1,{1},0,0,0,{2},0,0,{3},0\n"

#: A learning run as far as its folder shows, then killed.
KILLED = """
import os, signal, sys
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder
run = RunFolder(sys.argv[1])
with run.lock(), Ledger.open(run.ledger, config_hash="0" * 64) as ledger:
    ledger.add_event("start", script="in.x")
    os.kill(os.getpid(), signal.SIGKILL)
"""


class HandClock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run").create()


@pytest.fixture
def ledger(run: RunFolder) -> Ledger:
    return Ledger.open(run.ledger, config_hash="0" * 64)


def text_of(status: RunStatus) -> str:
    return "\n".join(f"{name}: {text.plain}" for name, text in status_rows(status))


def recording(run: RunFolder, clock: HandClock) -> RecordingView:
    return RecordingView(LineView(io.StringIO(), clock), run, "in.x", clock)


def test_states(run: RunFolder, ledger: Ledger) -> None:
    assert read_run_status(run.path).state == "new"
    labelled(ledger, 3)
    ledger.add_event("bootstrap")
    assert read_run_status(run.path).state == "killed"
    ledger.add_generation(make_generation(0), [1, 2])
    assert read_run_status(run.path).state == "prepared"
    ledger.add_event("start", script="in.x")
    ledger.add_event("run", 0, last=100, trust=[0.05, 0.15])
    assert read_run_status(run.path).state == "killed"
    with run.lock():
        status = read_run_status(run.path)
        assert status.state == "running"
        assert status.lock is not None
        assert status.lock["pid"] == os.getpid()
        assert "left unknown" in text_of(status)
    for reason, cause, state, about in (
        ("end of script", "", "finished", "the script ran to its end"),
        ("limit of 9 labels reached", "", "stopped", "limit of 9 labels reached"),
        ("interrupted", "SIGTERM", "stopped", "interrupted by SIGTERM"),
        ("error", "LAMMPS stopped", "failed", "LAMMPS stopped"),
    ):
        ledger.add_event("start", script="in.x")
        ledger.add_event("end", 100, reason=reason, cause=cause, seconds={"md": 2.0})
        status = read_run_status(run.path)
        assert (status.state, status.about) == (state, about)
    assert status.seconds == {"md": 8.0}
    assert status.starts == 5
    assert status.labels == {"done": 3, "failed": 0, "waiting": 0, "untrained": 1}
    assert (status.generation, status.window, status.last_step) == (0, [0.05, 0.15], 100)


def test_killed_is_said_at_once(run: RunFolder, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(run.path)], check=False)
    assert killed.returncode < 0
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    assert main(["status", str(run.path)]) == 0
    said = capsys.readouterr().out
    assert "was killed; the same command goes on where it was" in said
    assert ": gone, heartbeat" in said
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_live_figures(run: RunFolder, ledger: Ledger) -> None:
    ledger.add_event("start", script="in.x")
    clock = HandClock()
    with run.lock():
        view = recording(run, clock)
        view.phase("MD", "in.x")
        view.totals(Totals(generation=1, n_labels=7, max_labels=50))
        for step in (0, 10, 20):
            clock.now += 2.0
            view.md(step, 100, 300.0 + step, 0.07, (0.05, 0.15))
        status = read_run_status(run.path)
        assert (status.phase, status.step, status.last_step, status.temperature) == ("MD", 20, 100, 320.0)
        assert (status.max_devi_f, status.frame_class, status.window) == (0.07, "candidate", [0.05, 0.15])
        assert status.time_left == [16.0, 16.0]
        assert "left 0:16" in text_of(status)
        assert status.limits["labels"] == 50
        view.phase("labels", "4 frames")
        clock.now += 2.0
        view.labels(2, 4, 1)
        status = read_run_status(run.path)
        assert status.labels_of_pause == {"done": 2, "total": 4, "failed": 1}
        assert status.time_left is None
        view.phase("training", "generation 2")
        clock.now += 2.0
        view.training(2, 0, 50, 100, float("nan"))
        view.message("hello")
        status = read_run_status(run.path)
        assert status.training == {
            "generation": 2,
            "models": [{"index": 0, "step": 50, "steps": 100, "force_rmse": None}],
        }
        view.reached(20)
        view.close()
    assert [one["text"] for one in read_run_status(run.path).messages] == ["hello"]
    json.dumps(read_run_status(run.path).to_json(), allow_nan=False)


def test_live_figures_of_a_campaign(run: RunFolder, ledger: Ledger) -> None:
    ledger.add_event("start", walkers=1000)
    clock = HandClock()
    with run.lock():
        view = recording(run, clock)
        states = {"done": 3, "running": 1000, "waiting": 20}
        view.stage(StageProgress("bulk-hot", 1, 2, 1, 0, 10, states, 5, float("nan"), 0.99))
        walkers = [
            WalkerProgress(i, "MD", i, "Al-fcc", "600 K", 10 * i, 20_000, 0.07, (0.05, 0.15)) for i in range(1000)
        ]
        view.walkers(walkers)
        view.phase("MD", "bulk-hot")
        status = read_run_status(run.path)
        assert status.stage is not None
        assert (status.stage["name"], status.stage["trajectories"]) == ("bulk-hot", states)
        assert status.stage["accurate_share"] is None
        assert status.walkers is not None
        assert (status.walkers["number"], status.walkers["doing"]["MD"]) == (1000, 1000)
        assert len(status.walkers["first"]) == 8
        text = text_of(status)
        assert "1 of 2  bulk-hot  round 1" in text
        assert "0.070 candidate" in text
        assert "of 1 000: 1 000 MD" in text
        assert "left of this round unknown" in text
        json.dumps(status.to_json(), allow_nan=False)
        view.close()
    assert read_run_status(run.path).walkers is None


@pytest.mark.parametrize("stage", [None, 3, {}, {"name": "x"}, {"name": 1, "number": "?"}])
@pytest.mark.parametrize("walkers", [None, [], {"first": [1, {}]}, {"number": 3}])
def test_status_of_another_making_is_no_obstacle(
    run: RunFolder, ledger: Ledger, stage: object, walkers: object
) -> None:
    ledger.add_event("start")
    now = datetime.now(timezone.utc).isoformat()
    with run.lock():
        run.write_status({"time": now, "stage": stage, "walkers": walkers})
        assert text_of(read_run_status(run.path))


def test_figures_of_an_earlier_start_are_not_shown(run: RunFolder, ledger: Ledger) -> None:
    clock = HandClock()
    view = recording(run, clock)
    view.phase("MD", "old.x")
    view.close()
    ledger.add_event("start", script="new.x")
    status = read_run_status(run.path)
    assert (status.title, status.phase) == ("new.x", "")


def test_writing_is_rare_and_never_in_the_way(run: RunFolder) -> None:
    clock = HandClock()
    view = recording(run, clock)
    view.phase("MD")
    written = run.status.stat().st_ino
    for step in range(1000):
        view.md(step, 1000, 300.0, 0.1, (0.05, 0.15))
    assert run.status.stat().st_ino == written
    run.status.unlink()
    run.status.mkdir()  # a file that cannot be replaced
    clock.now += 10.0
    view.md(1000, 1000, 300.0, 0.1, (0.05, 0.15))
    view.phase("done")


def test_ends_of_long_files(tmp_path: Path) -> None:
    path = tmp_path / "deviation.csv"
    assert last_look(path) is None
    path.write_text(COLUMNS)
    assert last_look(path) is None
    rows = "".join(ROW.format(step, 300, 0.1, "candidate") for step in range(100_000))
    path.write_text(COLUMNS + rows + "\n" + ROW.format(7, "nan", "inf", "failed") + "100000,0.1")
    look = last_look(path)
    assert look is not None
    assert (look.step, look.max_devi_f, look.frame_class) == (7, float("inf"), "failed")
    assert sum(len(line) + 1 for line in last_lines(path)) <= SIZE
    journal = tmp_path / "log.jsonl"
    journal.write_text('{"kind": "a"}\n{"ki\n{"kind": "b"}\n[]\n{"kind": "c"')
    assert [event["kind"] for event in last_events(journal, 5)] == ["a", "b"]


def test_newest_look_of_a_killed_run(run: RunFolder, ledger: Ledger) -> None:
    ledger.add_event("start", script="in.x")
    run.deviation.write_text(COLUMNS + ROW.format(40, 310, 0.2, "failed"))
    status = read_run_status(run.path)
    assert (status.step, status.temperature, status.max_devi_f, status.frame_class) == (40, 310.0, 0.2, "failed")


def test_ledger_that_cannot_be_read(run: RunFolder) -> None:
    run.ledger.write_text("no database")
    status = read_run_status(run.path)
    assert "counts are missing" in status.notes[0]
    assert "unknown" in text_of(status)


def test_page_names_every_field() -> None:
    page = (Path(__file__).parents[2] / "docs" / "run-folder-commands.md").read_text()
    assert [name for name in RunStatus.__dataclass_fields__ if f"`{name}`" not in page] == []


def test_command(run: RunFolder, ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(run.path), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["version"] == 1
    assert set(data) == set(RunStatus.__dataclass_fields__)
    assert main(["status", str(run.path), "--json", "--follow"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert main(["status", str(run.path), "--follow"]) == 0
    assert "nothing has been learnt yet" in capsys.readouterr().out
    assert main(["status", str(tmp_path)]) == 2
    assert "it has no ledger.db" in capsys.readouterr().err
