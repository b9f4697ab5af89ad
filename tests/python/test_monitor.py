"""The terminal view and the journal."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lammps_dpgen.errors import StoreError
from lammps_dpgen.monitor.campaign_lines import percent
from lammps_dpgen.monitor.campaign_state import Doing, StageProgress, WalkerProgress
from lammps_dpgen.monitor.journal import Journal, read_journal
from lammps_dpgen.monitor.lines import LineView
from lammps_dpgen.monitor.live import LiveView
from lammps_dpgen.monitor.panel import rows
from lammps_dpgen.monitor.state import Progress, Totals, deviation_class, duration

WINDOW = (0.05, 0.15)


class HandClock:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class CountingStream(io.StringIO):
    """Counts how often something is written."""

    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def test_journal_keeps_events_in_order(tmp_path: Path) -> None:
    with Journal(tmp_path / "log.jsonl") as journal:
        journal.write("start", trust=(0.05, 0.15))
        journal.write("pause", step=np.int64(30), max_devi_f=np.float64(0.2), run=tmp_path)
    start, pause = read_journal(tmp_path / "log.jsonl")
    assert start["kind"] == "start"
    assert start["trust"] == [0.05, 0.15]
    assert (pause["step"], pause["max_devi_f"], pause["run"]) == (30, 0.2, str(tmp_path))
    assert pause["time"].endswith("+00:00")


def test_journal_line_is_on_disk_before_write_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log.jsonl")
    journal.write("start")
    assert len(read_journal(tmp_path / "log.jsonl")) == 1
    journal.close()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_journal_writes_null_for_what_is_not_finite(tmp_path: Path, bad: float) -> None:
    with Journal(tmp_path / "log.jsonl") as journal:
        journal.write("pause", max_devi_f=bad, nested={"all": [bad, 1.0]}, array=np.array([bad]))
    line = (tmp_path / "log.jsonl").read_text()
    event = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert event["max_devi_f"] is None
    assert event["nested"] == {"all": [None, 1.0]}
    assert event["array"] == [None]


def test_journal_survives_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with Journal(path) as journal:
        journal.write("start")
        journal.write("pause", step=10)
    path.write_bytes(path.read_bytes()[:-9])
    assert [event["kind"] for event in read_journal(path)] == ["start"]
    with Journal(path) as journal:
        journal.write("start")
    assert [event["kind"] for event in read_journal(path)] == ["start", "start"]


def test_missing_journal_is_empty_and_unwritable_one_is_an_error(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none.jsonl") == []
    with pytest.raises(StoreError, match=r"cannot write the journal .*missing"):
        Journal(tmp_path / "missing" / "log.jsonl")


@pytest.mark.parametrize(
    ("deviation", "kind"),
    [(0.0499, "accurate"), (0.05, "candidate"), (0.1499, "candidate"), (0.15, "failed"), (math.nan, "failed")],
)
def test_class_of_a_deviation_has_half_open_bounds(deviation: float, kind: str) -> None:
    assert deviation_class(deviation, WINDOW) == kind


def test_durations() -> None:
    assert [duration(s) for s in (0, 59.6, 61, 3600 + 62)] == ["0:00", "1:00", "1:01", "1:01:02"]


def test_time_left_counts_md_alone_at_least_and_everything_at_most() -> None:
    clock = HandClock()
    state = Progress(clock)
    assert state.time_left() is None
    state.enter("MD", "")
    state.look(0, 100, 300.0, 0.01, WINDOW)
    clock.now = 10.0
    state.look(20, 100, 300.0, 0.01, WINDOW)
    state.enter("training", "")
    clock.now = 40.0
    # 20 of 100 steps took 10 s of MD and 40 s in all: the other 80 take four times as long
    assert state.time_left() == pytest.approx((40.0, 160.0))


def test_time_left_starts_anew_with_the_next_run_command() -> None:
    clock = HandClock()
    state = Progress(clock)
    state.enter("MD", "")
    for step, last in ((0, 100), (100, 100), (100, 300)):
        state.look(step, last, 300.0, 0.01, WINDOW)
        clock.now += 50.0
    state.look(200, 300, 300.0, 0.01, WINDOW)
    assert state.time_left() == pytest.approx((50.0, 50.0))


def test_lines_do_not_flood() -> None:
    clock, stream = HandClock(), io.StringIO()
    view = LineView(stream, clock)
    view.phase("MD", "100000 steps")
    for step in range(0, 100_000, 10):
        clock.now = step / 100
        view.md(step, 100_000, 300.0, 0.02, WINDOW)
    lines = stream.getvalue().splitlines()
    # 1000 s of MD: a line for each 5 % (50 s), one for the phase
    assert 20 <= len(lines) <= 22
    assert "step 5000/100000" in lines[2]
    assert "window 0.05 to 0.15" in lines[2]


def test_md_lines_keep_their_distance_across_short_pauses() -> None:
    clock, stream = HandClock(), io.StringIO()
    view = LineView(stream, clock)
    for pause in range(20):
        view.phase("MD")
        view.md(100 * pause, 2000, 300.0, 0.02, WINDOW)
        clock.now += 1.0
        view.phase("labels")
    assert stream.getvalue().count("MD step") == 2


def test_lines_tell_each_phase_once_and_every_message() -> None:
    stream = io.StringIO()
    view = LineView(stream, HandClock())
    for _ in range(3):
        view.phase("labels", "12 frames")
    for done in range(13):
        view.labels(done, 12, 0)
        view.labels(done, 12, 0)
    view.message("energy jump 0.3 meV/atom")
    view.close()
    text = stream.getvalue()
    assert text.count("labels: 12 frames") == 1
    assert text.count("labels 12/12") == 1
    assert len(text.splitlines()) == 5  # phase, first and last label, message, end
    assert "energy jump" in text


def test_lines_can_be_written_where_only_ascii_can() -> None:
    raw = io.BytesIO()
    view = LineView(io.TextIOWrapper(raw, encoding="ascii"), HandClock())
    view.phase("MD")
    view.md(0, 10, 300.0, 0.02, WINDOW)
    assert b"deviation 0.0200 eV/?" in raw.getvalue()


def filled(clock: HandClock) -> Progress:
    state = Progress(clock)
    state.enter("MD", "30000 steps of a script with a very long name indeed, line 22")
    for i in range(100):
        state.look(10 * i, 30_000, 300.0 + i, 0.01 * 1.05**i, WINDOW)
        clock.now += 0.1
    state.label(10, 12, 1)
    for model in range(4):
        state.train(3, model, 100 * model, 600, 0.1)
    state.count(Totals(3, 64, max_labels=400, wall_limit=900.0))
    state.say("paused at step 990: a message that is longer than any sensible terminal is wide, by far, on purpose")
    return state


@pytest.mark.parametrize("width", [12, 30, 65, 69, 100])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_rows_fit(width: int, ascii_only: bool) -> None:
    table = rows(filled(HandClock()), width, ascii_only)
    assert len(table) == 9
    assert all(len(text) <= width for _, text in table)


def test_rows_say_the_class_in_words_and_in_colour() -> None:
    table = dict(rows(filled(HandClock()), 100))
    assert "1.252 eV/Å failed" in table["deviation"].plain
    assert "window 0.05 to 0.15" in table["deviation"].plain
    assert len(table["looks"]) == 60
    styles = [str(span.style) for span in table["looks"].spans]
    assert {"green", "yellow", "bold red"} >= set(styles)
    assert styles[-1] == "bold red"
    assert "labels 64/400" in table["so far"].plain


def test_many_models_share_one_bar() -> None:
    state = filled(HandClock())
    for model in range(32):
        state.train(4, model, 300, 600, 0.1 + model / 100)
    assert "32 models rmse 0.410" in dict(rows(state, 60))["training"].plain


@pytest.mark.parametrize("width", [20, 44, 80, 200])
def test_live_view_never_wraps(width: int) -> None:
    clock, stream = HandClock(), CountingStream()
    view = LiveView(stream, "runs/demo", clock, width=width, height=24)
    view.state = filled(clock)
    page = io.StringIO()
    Console(file=page, width=width).print(view.panel())
    lines = page.getvalue().splitlines()
    assert len(lines) == 11  # eight rows, one message, the frame
    assert all(len(line) <= width for line in lines)
    view.close()


def test_live_view_is_redrawn_at_most_eight_times_a_second() -> None:
    clock, stream = HandClock(), CountingStream()
    view = LiveView(stream, "runs/demo", clock, width=80, height=24)
    before = stream.writes
    for step in range(10_000):
        clock.now = step / 10_000
        view.md(step, 10_000, 300.0, 0.02, WINDOW)
    frames = stream.writes - before
    view.close()
    view.close()
    assert 0 < frames <= 8


# --- campaigns ------------------------------------------------------------------------------------------------------


def stage_of(round_number: int = 1, n_stages: int = 3, **states: int) -> StageProgress:
    return StageProgress("bulk-hot", 2, n_stages, round_number, 2, 10, states, 17, 0.9721, 0.99)


def some_walkers(number: int, step: int = 300) -> list[WalkerProgress]:
    doing: list[Doing] = ["waiting", "MD", "MD", "MD"]
    return [
        WalkerProgress(
            i, doing[i % 4], i + 1, "Al-fcc/supercell-with-a-long-name", "600 K, 1 bar", step, 3000, 0.2, WINDOW
        )
        for i in range(number)
    ]


def filled_campaign(clock: HandClock, n_walkers: int) -> Progress:
    state = filled(clock)
    state.stage(stage_of(done=12, running=n_walkers, parked=1, waiting=3, set_aside=1))
    state.walkers(some_walkers(n_walkers))
    return state


@pytest.mark.parametrize("width", [12, 30, 65, 100])
@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("n_walkers", [0, 1, 8, 1000])
def test_rows_of_a_campaign_fit(width: int, ascii_only: bool, n_walkers: int) -> None:
    table = rows(filled_campaign(HandClock(), n_walkers), width, ascii_only)
    assert all(len(text) <= width for _, text in table)
    assert len(table) <= 8 + 9 + 1  # rows, eight walkers and the others, one message
    if ascii_only:
        assert all(text.plain.replace("Å", "A").replace("…", ".").isascii() for _, text in table)


def test_rows_of_a_campaign_say_how_far_it_is() -> None:
    table = rows(filled_campaign(HandClock(), 1000), 100)
    named = dict(table)
    assert "2 of 3  bulk-hot  round 1, 2 of at most 10 generations" in named["stage"].plain
    assert named["runs"].plain.endswith("12 done  1 000 running  1 parked  1 set aside  3 waiting")
    assert "97.2 % of looks, 99.0 % wanted  pool 17" in named["accurate"].plain
    assert "0.200 failed" in named["walkers"].plain
    assert "… and 992 more: 744 MD, 248 waiting" in table[-2][1].plain
    assert "step" not in named


def test_live_panel_of_a_campaign_fits_a_small_terminal() -> None:
    clock, stream = HandClock(), CountingStream()
    view = LiveView(stream, "campaign.yaml", clock, width=80, height=18)
    view.state = filled_campaign(clock, 1000)
    page = io.StringIO()
    Console(file=page, width=80).print(view.panel())
    assert len(page.getvalue().splitlines()) <= 18
    view.close()


def test_time_left_is_that_of_the_round() -> None:
    clock = HandClock()
    state = Progress(clock)
    state.stage(stage_of(running=2, waiting=2))
    walkers = [WalkerProgress(i, "MD", i + 1, step=0, last_step=1000) for i in range(2)]
    state.walkers(walkers)
    state.advance()
    assert state.time_left() is None
    clock.now = 10.0
    walkers[:] = [WalkerProgress(i, "MD", i + 1, step=500, last_step=1000) for i in range(2)]
    state.advance()
    # Both made half a trajectory in 10 s, all of it MD; three trajectories of four are left for two walkers.
    assert state.time_left() == pytest.approx((30.0, 30.0))
    walkers[:] = [WalkerProgress(i, "waiting", i + 1, step=500, last_step=1000) for i in range(2)]
    clock.now = 20.0
    state.advance()
    assert state.time_left() == pytest.approx((30.0, 60.0))
    state.stage(stage_of(2, running=2, waiting=2))
    assert state.time_left() is None


def test_time_left_counts_parked_trajectories_as_done_at_least_and_as_not_begun_at_most() -> None:
    clock = HandClock()
    state = Progress(clock)
    state.stage(stage_of(running=2))
    state.walkers([WalkerProgress(i, "MD", i + 1, step=200, last_step=1000) for i in range(2)])  # resumed ones
    state.advance()
    clock.now = 10.0
    state.walkers([WalkerProgress(i, "MD", i + 1, step=700, last_step=1000) for i in range(2)])
    state.advance()
    state.stage(stage_of(running=1, parked=1))
    state.walkers([WalkerProgress(0, "MD", 1, step=700, last_step=1000), WalkerProgress(1)])
    # One trajectory was made in 20 s of MD: the one that runs needs 0.3 of that, both together 1.3 times 10 s.
    assert state.time_left() == pytest.approx((6.0, 13.0))


def test_lines_of_a_campaign_are_changes_and_a_summary_each_minute() -> None:
    clock, stream = HandClock(), io.StringIO()
    view = LineView(stream, clock)
    walkers = some_walkers(1000)
    view.stage(stage_of())  # nothing is planned yet
    for second in range(301):
        clock.now = float(second)
        view.stage(stage_of(1 + second // 200, running=1000))
        view.walkers(walkers)
        view.tick()
    lines = [line[10:] for line in stream.getvalue().splitlines()]
    assert [line for line in lines if "walkers" not in line] == [
        "stage 2/3 bulk-hot, round 1: 1 000 trajectories",
        "stage 2/3 bulk-hot, round 2: 1 000 trajectories",
    ]
    assert len(lines) == 2 + 4  # after 60, 120, 180 s, and 60 s after the second round began
    assert "accurate 97.2 % (99.0 % wanted), walkers: 750 MD, 250 waiting, pool 17" in lines[1]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100 %"),
        (0.99999, "99.9 %"),
        (0.972, "97.2 %"),
        (0.5, "50 %"),
        (0.03, "3.0 %"),
        (1e-6, "< 0.1 %"),
        (0.0, "0 %"),
    ],
)
def test_shares_never_claim_too_much(share: float, text: str) -> None:
    assert percent(share) == text
