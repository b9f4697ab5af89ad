"""The report, made from run folders that are written through the real ledger."""

from __future__ import annotations

import io
import json
import re
import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from lammps_dpgen.config.trust import TrustAuto
from lammps_dpgen.errors import StoreError
from lammps_dpgen.frame import Frame, FrameOrigin, Label
from lammps_dpgen.learning.calibration import TrustCalibration
from lammps_dpgen.report import build, print_summary
from lammps_dpgen.report.calibration import audit, calibrate, fit, judged
from lammps_dpgen.report.costs import GenerationCost, measured_seconds, wall_by_generation
from lammps_dpgen.report.html import render
from lammps_dpgen.report.label_arrays import LabelArrays
from lammps_dpgen.report.looks import Looks, envelope, read_looks
from lammps_dpgen.report.record import read_run
from lammps_dpgen.report.selections import selections, selections_text
from lammps_dpgen.report.summary import summarise
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Event, Generation, ModelRecord

LO, HI = 0.05, 0.15
SETTINGS_HASH = "f" * 64
HEADER = "step,time,temperature,max_devi_v,min_devi_v,avg_devi_v,max_devi_f,min_devi_f,avg_devi_f,class,generation\n"
SECONDS = {"md": 40.0, "deviation": 20.0, "labels": 10.0, "training": 50.0, "other": 5.0}


def row(step: int, deviation: float, generation: int, temperature: float = 300.0) -> str:
    kind = "accurate" if deviation < LO else "candidate" if deviation < HI else "failed"
    return f"{step},{step * 0.002:g},{temperature:.2f},0,0,0,{deviation:.6e},0,0,{kind},{generation}\n"


@dataclass
class WrittenRun:
    """A run folder, and the truth about it."""

    folder: Path
    labels: int = 0
    pauses: int = 0
    rollbacks: int = 0
    late_failures: int = 0


class RunWriter:
    """Plays a learning run: each generation drives MD until its deviation is too large; a better one follows."""

    def __init__(self, folder: Path, n_generations: int = 4, looks_each: int = 120, batch: int = 6) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.run = WrittenRun(folder)
        self.random = np.random.default_rng(7)
        self.n_generations, self.looks_each, self.batch = n_generations, looks_each, batch
        self.step = 0
        self.rows: list[str] = []

    def write(self, extra: dict[str, Any] | None = None, end: bool = True) -> WrittenRun:
        with Ledger.open(self.run.folder / "ledger.db", config_hash="c" * 64) as ledger:
            ledger.add_event("start", trust=[LO, HI])
            numbers = self._label(ledger, self.batch, -1, np.nan)
            self._generation(ledger, 0, numbers)
            for generation in range(self.n_generations):
                last = generation == self.n_generations - 1
                ledger.add_event("resume" if generation else "run", step=self.step)
                self._md(ledger, generation, last)
                if not last:
                    numbers = self._label(ledger, self.batch, generation, 0.4 / (generation + 1))
                    self._generation(ledger, generation + 1, numbers)
            ledger.record_failure(
                ledger.add_frames([self._frame(0, 0.1)])[0], SETTINGS_HASH, "no <convergence>", 2, 3.0
            )
            if end:
                ledger.add_event("end", step=self.step, reason="script", seconds=SECONDS)
        (self.run.folder / "deviation.csv").write_text(HEADER + "".join(self.rows))
        if extra is not None:
            (self.run.folder / "summary_extra.json").write_text(json.dumps(extra))
        return self.run

    def _md(self, ledger: Ledger, generation: int, last: bool) -> None:
        level = 0.03 if last else 0.035
        for i in range(self.looks_each):
            rise = 1.0 if last else 1.0 + 6.0 * (i / self.looks_each) ** 4
            deviation = min(level * rise * float(np.exp(self.random.normal(0, 0.08))), 0.149)
            if i == self.looks_each - 1 and generation == 1:
                deviation = 0.4
            self.rows.append(row(self.step, deviation, generation, 300 + self.step / 10))
            self.step += 10
        if last:
            return
        failed = generation == 1
        ledger.add_event(
            "pause", step=self.step - 10, reason="failed" if failed else "candidates", max_devi_f=deviation
        )
        self.run.pauses += 1
        if failed:
            ledger.add_event("rollback", step=self.step - 10, to_step=self.step - 210, every=1)
            self.run.rollbacks += 1

    def _frame(self, generation: int, deviation: float) -> Frame:
        positions = self.random.uniform(0, 4, (4, 3))
        reason = "candidate" if deviation < HI else "failed"
        origin = FrameOrigin("md", reason, generation=generation, step=self.step, max_devi_f=deviation)
        return Frame(("Al",) * 4, positions, 4.05 * np.eye(3), origin=origin)

    def _label(self, ledger: Ledger, n: int, generation: int, scale: float) -> list[int]:
        deviations = self.random.uniform(0.4 * LO, 1.2 * HI, n) if generation >= 0 else np.full(n, np.nan)
        for frame in [self._frame(generation, float(d)) for d in deviations]:
            ledger.add_frames([frame])
            forces = self.random.normal(0, 1, (4, 3))
            ledger.record_label(frame.hash, Label(-13.4, forces, None, "lammps 20250722", SETTINGS_HASH, 0.5))
            if generation >= 0:
                error = frame.origin.max_devi_f * float(np.exp(self.random.normal(0.2, 0.5)))
                ledger.record_model_error(
                    frame.hash,
                    SETTINGS_HASH,
                    generation=generation,
                    force_rmse=error / 2,
                    force_error_max=error,
                    energy_error_per_atom=0.01 * scale,
                )
            ledger.add_event("label", frame=frame.hash, seconds=0.5, error=None)
        self.run.labels += n
        return [label.number for label in ledger.labels(untrained=True)]

    def _generation(self, ledger: Ledger, number: int, labels: list[int]) -> None:
        models = []
        for index in range(4):
            steps = 600
            curve = [(s, 0.5 / (number + 1) * float(np.exp(-s / 300)) + 0.02, 0.01, 1e-3) for s in range(0, steps, 20)]
            sha = f"{number:032x}{index:032x}"[::-1]
            path = f"models/g{number:03d}/model_{index}.pb"
            models.append(ModelRecord(path, sha, None, curve, {"start": 1.0, "loop": 3.0, "freeze": 1.5}, steps))
            ledger.add_event("training", generation=number, index=index, seconds=5.5, steps=steps, rmse=curve[-1][1])
        before = None if number == 0 else 0.3 / number
        generation = Generation(
            number,
            tuple(models),
            ("Al",),
            before,
            0.1 / (number + 1),
            self.run.labels,
            reason="candidates" if number else "bootstrap",
        )
        ledger.add_generation(generation, labels)
        ledger.add_event(
            "generation",
            number=number,
            force_rmse_before=before,
            force_rmse_after=0.1 / (number + 1),
            n_labels=self.run.labels,
        )
        if number:
            ledger.add_event(
                "swap", step=self.step - 10, generation=number, energy_jump_per_atom=1e-3, force_jump_max=0.1
            )


def write_parity(folder: Path, n: int = 400) -> tuple[float, float]:
    """Write predictions whose errors are known exactly; returns the two force RMSE."""
    random = np.random.default_rng(3)
    forces, energy = random.normal(0, 1, (n, 3)), random.normal(-3.35, 0.02, n // 4)
    sign = np.where(np.arange(3 * n).reshape(n, 3) % 2, 1.0, -1.0)
    np.savez(
        folder / "parity.npz",
        forces_ref=forces,
        forces_first=forces + 0.2 * sign,
        forces_last=forces - 0.05 * sign,
        energy_ref=energy,
        energy_first=energy + 0.01,
        energy_last=energy - 0.001,
        what="200 held-out frames",
    )
    return 0.2, 0.05


@pytest.fixture(scope="module")
def melt(tmp_path_factory: pytest.TempPathFactory) -> WrittenRun:
    """A finished run with its report, for tests that only read."""
    run = RunWriter(tmp_path_factory.mktemp("runs") / "melt").write({"force_rmse_random": 0.031, "fcc_share": 0.0425})
    write_parity(run.folder)
    build(run.folder)
    return run


# --- the page -------------------------------------------------------------------------------------------------------


def test_report_of_a_whole_run(melt: WrittenRun) -> None:
    page = (melt.folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 6
    assert "no &lt;convergence&gt;" in page, "what comes from outside is escaped"
    assert "fcc share" in page
    assert "200 held-out frames" in page
    assert not list(melt.folder.glob("*.part"))


def test_report_needs_nothing_but_itself(melt: WrittenRun) -> None:
    page = (melt.folder / "report.html").read_text(encoding="utf-8")
    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", page)
    assert len(sources) == 6
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "<script" not in page
    assert "@import" not in page


def test_summary_says_what_happened(melt: WrittenRun) -> None:
    run = melt
    summary = json.loads((run.folder / "summary.json").read_text())
    assert summary["labels"] == run.labels == 24
    assert summary["generations"] == 4
    assert summary["pauses"] == run.pauses == 3
    assert summary["rollbacks"] == run.rollbacks == 1
    assert summary["failed_last_fifth"] == 0
    assert summary["seconds"] == SECONDS
    assert summary["failed_labels"] == 1
    assert summary["force_rmse_first"] == pytest.approx(0.2)
    assert summary["force_rmse_last"] == pytest.approx(0.05)
    assert summary["force_rmse_random"] == 0.031
    assert summary["fcc_share"] == 0.0425


def test_force_rmse_comes_from_the_best_source(tmp_path: Path) -> None:
    run = RunWriter(tmp_path / "melt").write()
    summary = summarise(read_run(run.folder))
    assert summary["force_rmse_first"] == pytest.approx(0.3)
    assert summary["force_rmse_last"] == pytest.approx(0.1)
    assert "different frames" in summary["force_rmse_basis"]
    assert summary["force_rmse_random"] is None
    first, last = write_parity(run.folder)
    summary = summarise(read_run(run.folder))
    assert summary["force_rmse_first"] == pytest.approx(first)
    assert summary["force_rmse_last"] == pytest.approx(last)
    assert summary["force_rmse_basis"] == "200 held-out frames"
    extra = {"force_rmse_first": 0.4, "force_rmse_last": 0.1, "force_rmse_basis": "solid and liquid frames"}
    (run.folder / "summary_extra.json").write_text(json.dumps(extra))
    summary = summarise(read_run(run.folder))
    assert (summary["force_rmse_first"], summary["force_rmse_last"]) == (0.4, 0.1)
    assert summary["force_rmse_basis"] == "solid and liquid frames"


def test_killed_run_has_a_report_too(tmp_path: Path) -> None:
    run = RunWriter(tmp_path / "melt", n_generations=2).write(end=False)
    with (run.folder / "deviation.csv").open("a") as file:
        file.write("99990,199.98,300.0,0,0,0,1.2")
    page = build(run.folder).read_text(encoding="utf-8")
    assert "no end written" in page
    summary = json.loads((run.folder / "summary.json").read_text())
    assert set(summary["seconds"].values()) == {None}
    assert summary["sessions_killed_or_running"] == 1


def test_report_of_a_run_that_has_only_begun(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", config_hash="c" * 64) as ledger:
        ledger.add_event("start", trust=[LO, HI])
    page = build(tmp_path).read_text(encoding="utf-8")
    assert "<img" not in page
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["failed_last_fifth"] is None
    assert summary["force_rmse_first"] is None
    print_summary(tmp_path, Console(file=io.StringIO()))


def test_folder_without_a_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no run in .*ledger\.db"):
        build(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("summary_extra.json", "{", "is no JSON"),
        ("summary_extra.json", "[1]", "one JSON object, got list"),
        ("parity.npz", "nothing", "cannot be read"),
        ("deviation.csv", "step,time\n1,2\n", "no column temperature"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    run = RunWriter(tmp_path / "melt", n_generations=1).write()
    (run.folder / name).write_text(content)
    with pytest.raises(StoreError, match=message) as caught:
        build(run.folder)
    assert name in str(caught.value)


def test_page_stays_small_for_a_long_run(tmp_path: Path) -> None:
    run = RunWriter(tmp_path / "long", n_generations=3, looks_each=40_000).write()
    write_parity(run.folder, n=50_000)
    random = np.random.default_rng(5)
    n = 100_000
    deviation = random.lognormal(-2.5, 0.5, n)
    error, none = deviation * random.lognormal(0.2, 0.5, n), np.zeros(n, dtype=np.int64)
    figures = LabelArrays(deviation, error, none, none, (), np.zeros(n, bool))
    record = replace(read_run(run.folder), labels=figures)
    assert len(render(record, summarise(record))) < 3_000_000


def test_text_summary_fits_one_screen(melt: WrittenRun) -> None:
    screen = io.StringIO()
    print_summary(melt.folder, Console(file=screen, width=80))
    text = screen.getvalue()
    assert len(text.splitlines()) <= 20
    assert "0.2000 -> 0.0500 eV/Å  (4.0 times better)" in text
    assert "0.0310 with as many random labels" in text
    assert "0.0425" in text


def test_figures_of_the_labels_are_those_of_the_ledger(melt: WrittenRun) -> None:
    figures = read_run(melt.folder).labels
    with Ledger.open(melt.folder / "ledger.db", config_hash=None) as ledger:
        labels = ledger.labels()
    assert len(figures.trained_in) == len(labels) == melt.labels
    for i, label in enumerate(labels):
        assert figures.trained_in[i] == label.trained_in
        if label.generation_judged is None:
            assert figures.generation_judged[i] == -1
            assert np.isnan(figures.force_error_max[i])
            continue
        assert figures.generation_judged[i] == label.generation_judged
        assert figures.max_devi_f[i] == label.frame.origin.max_devi_f
        assert figures.force_error_max[i] == label.force_error_max


# --- looks ----------------------------------------------------------------------------------------------------------


def looks_of(rows: list[str], folder: Path) -> Looks:
    (folder / "deviation.csv").write_text(HEADER + "".join(rows))
    looks = read_looks(folder / "deviation.csv")
    assert looks is not None
    return looks


def test_only_failures_in_the_last_fifth_count(tmp_path: Path) -> None:
    steps = range(0, 1001, 10)
    looks = looks_of([row(s, 0.3 if s in (100, 800, 810, 1000) else 0.01, 0) for s in steps], tmp_path)
    assert looks.failed_in_last(0.2) == 2  # 810 and 1000; step 800 ends the first four fifths
    assert looks.failed_in_last(1.0) == 4


def test_steps_that_start_again_go_on_along_the_axis(tmp_path: Path) -> None:
    first, second = range(0, 101, 10), range(0, 51, 10)
    looks = looks_of([row(s, 0.01, 0) for s in first] + [row(s, 0.01, 0) for s in second], tmp_path)
    assert looks.done[-1] == 150
    assert (np.diff(looks.done) >= 0).all()
    # step 90 happened in the first pass, the step 20 after it can only be of the second
    assert looks.place([20, 90, 20, 40]) == [20, 90, 120, 140]
    assert np.isnan(looks.place([5000])[0])


def test_torn_rows_are_left_out(tmp_path: Path) -> None:
    rows = [row(0, 0.01, 0), "10,0.02,30", row(20, 0.2, 1), "30,0.06,,0,0,0,nan,0,0,failed,1\n", "40,0.1"]
    looks = looks_of(rows, tmp_path)
    # the torn row took its successor's place on the line, as after a kill; the last one is unfinished
    assert looks.step.tolist() == [0, 30]
    assert np.isnan(looks.max_devi_f[1])
    assert np.isnan(looks.temperature[1])
    assert looks.counts_by_generation() == {0: (1, 0, 0), 1: (0, 0, 1)}


def test_envelope_loses_no_peak() -> None:
    random = np.random.default_rng(1)
    x = np.arange(0, 1_000_000, 10)
    y = random.lognormal(size=len(x))
    y[[77, 50_000]] = 1e6, np.nan
    at, low, high = envelope(x, y, 900)
    assert len(at) <= 900
    assert high.max() == 1e6
    assert low.min() == np.nanmin(y)
    assert (low <= high).all()


# --- calibration and cost -------------------------------------------------------------------------------------------


def test_quarters_of_the_calibration() -> None:
    deviation = np.array([0.10, 0.10, 0.02, 0.02, 0.02, np.nan, 0.10])
    error = np.array([0.10, 0.02, 0.08, 0.20, 0.02, 0.50, 0.31])
    none = np.full(7, -1)
    figures = LabelArrays(deviation, error, none, none, (), np.zeros(7, bool))
    counts = calibrate(figures, (LO, HI))
    assert (counts.hits, counts.false_alarms, counts.misses, counts.trusted) == (2, 1, 2, 1)
    assert (counts.bad_misses, counts.above_twice_bad, counts.judged) == (1, 1, 6)


def test_quarters_around_a_target() -> None:
    """Of a window that follows the errors, an error is large from the target on."""
    deviation, error = np.array([0.10, 0.10, 0.02, 0.02, 0.02]), np.array([0.10, 0.25, 0.18, 0.21, 0.45])
    none = np.full(5, -1)
    counts = calibrate(LabelArrays(deviation, error, none, none, (), np.zeros(5, bool)), (LO, HI), target=0.2)
    assert (counts.hits, counts.false_alarms, counts.misses, counts.trusted) == (1, 1, 2, 1)
    assert (counts.bound, counts.bad, counts.bad_misses, counts.above_twice_bad) == (0.2, 0.4, 1, 0)


def test_fit_of_the_labels_is_that_of_the_window(tmp_path: Path) -> None:
    """The page shows the lines that the last window was made of, and the path of the window."""
    run = RunWriter(tmp_path / "melt", n_generations=6, batch=12).write()
    settings = TrustAuto(target=0.2, confidence=0.95, half_life=3)
    with Ledger.open(run.folder / "ledger.db", config_hash="c" * 64) as ledger:
        calibration = TrustCalibration(settings, (LO, HI))
        assert calibration.update(ledger.label_figures()) != (LO, HI)
        ledger.add_event("trust", **calibration.figures())
    record = read_run(run.folder)
    assert record.window == calibration.window
    found = fit(record.labels, record.of_kind("trust"))
    assert found is not None
    assert found.relation == calibration.relation
    assert (found.confidence, found.target) == (0.95, 0.2)
    assert found.above < 0.15
    page = render(record, summarise(record))
    assert "for a target of 0.2 eV/Å" in page
    assert "The window that follows the errors" in page
    assert "The typical error is" in page


def test_a_deviation_of_other_models_than_the_error_is_no_point(tmp_path: Path) -> None:
    run = RunWriter(tmp_path / "melt").write()
    before = read_run(run.folder).labels
    with sqlite3.connect(run.folder / "ledger.db") as database:
        database.execute("UPDATE frames SET generation = generation + 1 WHERE generation = 0")
    after = read_run(run.folder).labels
    assert judged(before).sum() - judged(after).sum() == (before.generation_judged == 0).sum() > 0


def test_selections_are_added_up() -> None:
    now = datetime.now(timezone.utc)
    counts = {"n_offered": 9, "n_selected": 4, "n_duplicates": 1, "n_bad_box": 0, "n_too_close": 0}
    events = [Event(1, now, "selection", 10, counts), Event(2, now, "selection", 20, {**counts, "n_trusted": 3})]
    found = selections(events)
    assert found is not None
    assert (found["n_offered"], found["n_selected"], found["n_trusted"], found["n_too_large"]) == (18, 8, 3, 0)
    text = "of 18 offered frames 8 were selected, 2 were as good as known, 3 were trusted by newer models"
    assert selections_text(found) == text
    assert selections([]) is None


def test_audit_counts_the_failures_among_the_frames_that_were_trusted() -> None:
    n = 32
    error, audited = np.full(n, 0.04), np.ones(n, bool)
    error[[3, 30]] = [0.3, np.nan]  # one miss; one whose models were never judged
    error[31], audited[31] = 0.9, False  # labelled because it was doubted
    figures = LabelArrays(np.full(n, 0.02), error, *[np.full(n, -1)] * 2, (), audited)
    result = audit(figures, (LO, HI))
    assert result is not None
    assert (result.audited, result.misses, result.rate) == (30, 1, 1 / 30)
    # Probability 2.5 % to see so few, or so many: 1 - (1 - low)^30, and (1 - high)^30 + 30 high (1 - high)^29.
    assert result.low == pytest.approx(1 - 0.975 ** (1 / 30), rel=1e-6)
    few = (1 - result.high) ** 30 + 30 * result.high * (1 - result.high) ** 29
    assert few == pytest.approx(0.025, rel=1e-4)
    assert audit(replace(figures, audited=np.zeros(n, bool)), (LO, HI)) is None


def events(*items: tuple[float, str, dict[str, Any]]) -> list[Event]:
    start = datetime(2026, 1, 1, tzinfo=timezone.utc)
    return [Event(i, start + timedelta(seconds=t), kind, -1, data) for i, (t, kind, data) in enumerate(items)]


def test_time_belongs_to_what_it_ended_with() -> None:
    story = events(
        (0, "start", {}), (1, "label", {}), (3, "training", {}), (4, "generation", {"number": 0}),
        (9, "run", {}), (19, "pause", {}), (20, "selection", {}), (24, "label", {}), (30, "training", {}),
        (31, "generation", {"number": 1}), (32, "swap", {}), (33, "resume", {}), (40, "pause", {}),
        (500, "start", {}), (510, "run", {}), (530, "end", {"seconds": SECONDS}),
    )  # fmt: skip
    assert wall_by_generation(story) == [
        GenerationCost(-1, md=0, labels=1, training=3, swap=0),
        GenerationCost(0, md=10, labels=5, training=7, swap=0),
        GenerationCost(1, md=27, labels=0, training=0, swap=2),
    ]


def test_measured_seconds_add_up_over_sessions() -> None:
    story = events(
        (0, "start", {}), (1, "end", {"seconds": SECONDS}), (2, "start", {}), (3, "end", {"seconds": SECONDS})
    )
    assert measured_seconds(story) == {part: 2 * value for part, value in SECONDS.items()}
    assert set(measured_seconds(story[:1]).values()) == {None}
