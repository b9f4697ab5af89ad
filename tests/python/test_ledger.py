"""What the ledger says on any database: each change all or nothing, each label exactly once, each refusal with why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledger_records import KINDS, SETTINGS, labelled, make_frame, make_generation, make_label, new_location
from sqlalchemy import event, insert, update

from lammps_dpgen.errors import StoreError
from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.store import rows, schema
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation, ModelRecord


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture(params=KINDS)
def location(request: pytest.FixtureRequest, path: Path) -> Path | str:
    return new_location(request.param, path)


@pytest.fixture
def ledger(location: Path | str) -> Iterator[Ledger]:
    with Ledger.open(location, config_hash="c" * 64) as opened:
        yield opened


@pytest.fixture
def sqlite_ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path, config_hash="c" * 64) as opened:
        yield opened


class TestFrames:
    def test_a_frame_comes_back_exactly(self, ledger: Ledger, location: Path | str) -> None:
        origin = FrameOrigin("md", "candidate", "heat", "fcc", 2, 1, 5000, 10.0, 300.5, -0.25, 0.0712, float("nan"), 3)
        frame = make_frame(1, pbc=(True, False, True), origin=origin, spread=np.array([0.1, 1 / 3, 1e-300, 0.0712]))
        ledger.add_frames([frame])
        with Ledger.open(location, config_hash=None) as reader:
            (stored,) = reader.frames()
        assert stored.state == "selected"
        assert stored.cause == ""
        assert stored.number == 1
        assert stored.hash == stored.frame.hash == frame.hash
        assert stored.frame.species == frame.species
        assert stored.frame.pbc == frame.pbc
        assert np.array_equal(stored.frame.positions, frame.positions)
        assert np.array_equal(stored.frame.cell, frame.cell)
        assert stored.frame.spread is not None
        assert np.array_equal(stored.frame.spread, frame.spread)  # type: ignore[arg-type]
        assert repr(stored.frame.origin) == repr(origin)  # NaN included

    def test_a_known_frame_is_not_added_again(self, ledger: Ledger) -> None:
        frames = [make_frame(seed) for seed in (1, 2, 1)]
        hashes = ledger.add_frames(frames)
        assert hashes == [frame.hash for frame in frames]
        ledger.set_frame_state(hashes[0], "dropped", "trusted by newer models")
        assert ledger.add_frames([make_frame(3), make_frame(1)]) == [make_frame(3).hash, hashes[0]]
        assert [(stored.hash, stored.state) for stored in ledger.frames()] == [
            (hashes[0], "dropped"),
            (hashes[1], "selected"),
            (make_frame(3).hash, "selected"),
        ]

    def test_an_offered_frame_waits_and_is_selected_or_dropped(self, ledger: Ledger) -> None:
        frames = [make_frame(seed) for seed in range(4)]
        hashes = ledger.add_frames(frames[:3], "offered")
        ledger.add_frames([frames[0], frames[3]])  # chosen: the offered one is there already
        ledger.add_frames(frames[:2], "offered")
        ledger.set_frame_states([(hashes[1], "selected", ""), (hashes[2], "dropped", "trusted by newer models")])
        assert [(stored.state, stored.cause) for stored in ledger.frames()] == [
            ("selected", ""),
            ("selected", ""),
            ("dropped", "trusted by newer models"),
            ("selected", ""),
        ]
        with pytest.raises(StoreError, match="is selected and cannot become offered"):
            ledger.set_frame_state(hashes[0], "offered")
        (waiting,) = ledger.add_frames([make_frame(9)], "offered")
        with pytest.raises(StoreError, match="is offered and cannot become set_aside"):
            ledger.set_frame_states([(hashes[1], "dropped", ""), (waiting, "set_aside", "")])
        assert ledger.frames("dropped")[0].hash == hashes[2]  # nothing of a refused change is kept

    def test_the_states_of_some_frames(self, ledger: Ledger) -> None:
        hashes = ledger.add_frames([make_frame(seed) for seed in range(600)])  # more than one piece of a query
        ledger.set_frame_state(hashes[599], "set_aside", "no convergence")
        states = ledger.frame_states([*hashes, "f" * 64])
        assert states == dict.fromkeys(hashes, "selected") | {hashes[599]: "set_aside"}
        assert ledger.frame_states([]) == {}

    def test_nothing_to_add(self, ledger: Ledger) -> None:
        assert ledger.add_frames([]) == []

    def test_states_and_their_causes(self, ledger: Ledger) -> None:
        first, second = ledger.add_frames([make_frame(1), make_frame(2)])
        ledger.set_frame_state(first, "set_aside", "no convergence")
        assert [stored.cause for stored in ledger.frames("set_aside")] == ["no convergence"]
        ledger.set_frame_state(first, "selected")
        assert [stored.hash for stored in ledger.frames("selected")] == [first, second]
        assert [stored.cause for stored in ledger.frames()] == ["", ""]

    @pytest.mark.parametrize("state", ["selected", "set_aside", "dropped"])
    def test_a_labelled_frame_stays_labelled(self, ledger: Ledger, state: Any) -> None:
        (frame_hash,) = labelled(ledger, 1)
        with pytest.raises(StoreError, match=f"is labelled and cannot become {state}"):
            ledger.set_frame_state(frame_hash, state)
        ledger.set_frame_state(frame_hash, "labelled")

    def test_only_a_label_makes_a_frame_labelled(self, ledger: Ledger) -> None:
        (frame_hash,) = ledger.add_frames([make_frame(1)])
        with pytest.raises(StoreError, match="only its label"):
            ledger.set_frame_state(frame_hash, "labelled")
        with pytest.raises(StoreError, match="allowed are offered, selected, set_aside, dropped"):
            ledger.add_frames([make_frame(2)], state="labelled")

    def test_an_unknown_frame(self, ledger: Ledger) -> None:
        for call in (
            lambda: ledger.set_frame_state("f" * 64, "dropped"),
            lambda: ledger.record_label("f" * 64, make_label(make_frame(1))),
            lambda: ledger.record_failure("f" * 64, SETTINGS, "cause", 1, 0.0),
        ):
            with pytest.raises(StoreError, match="add it with add_frames first"):
                call()
        assert ledger.find_label("f" * 64, SETTINGS) is None


class TestLabels:
    def test_a_label_comes_back_exactly(self, ledger: Ledger) -> None:
        frame = make_frame(1)
        ledger.add_frames([frame])
        label = make_label(frame)
        assert ledger.record_label(frame.hash, label) is True
        found = ledger.find_label(frame.hash, SETTINGS)
        assert found is not None
        assert (found.energy, found.code, found.seconds) == (label.energy, label.code, label.seconds)
        assert np.array_equal(found.forces, label.forces)
        assert found.virial is not None
        assert np.array_equal(found.virial, label.virial)  # type: ignore[arg-type]
        (stored,) = ledger.labels()
        assert (stored.number, stored.frame_hash, stored.frame.hash) == (1, frame.hash, frame.hash)
        assert (stored.trained_in, stored.generation_judged, stored.force_rmse) == (None, None, None)
        assert ledger.counts().frames["labelled"] == 1

    def test_a_molecule_has_no_virial(self, ledger: Ledger) -> None:
        frame = make_frame(1)
        ledger.add_frames([frame])
        ledger.record_label(frame.hash, make_label(frame, virial=False))
        assert ledger.labels()[0].label.virial is None

    def test_exactly_once(self, ledger: Ledger) -> None:
        frame = make_frame(1)
        ledger.add_frames([frame])
        assert ledger.record_label(frame.hash, make_label(frame, seed=1)) is True
        assert ledger.record_label(frame.hash, make_label(frame, seed=2)) is False
        assert [stored.label.energy for stored in ledger.labels()] == [make_label(frame, seed=1).energy]
        assert ledger.record_label(frame.hash, make_label(frame, seed=3, settings_hash="other")) is True
        assert ledger.counts().labels == 2
        assert [stored.label.settings_hash for stored in ledger.labels("other")] == ["other"]

    def test_forces_that_do_not_fit_the_frame(self, ledger: Ledger) -> None:
        frame = make_frame(1)
        ledger.add_frames([frame])
        with pytest.raises(StoreError, match=r"forces of shape \(6, 3\), expected \(4, 3\)"):
            ledger.record_label(frame.hash, make_label(make_frame(1, n_atoms=6)))
        assert ledger.counts().labels == 0
        assert ledger.counts().frames["selected"] == 1

    def test_a_failure_sets_the_frame_aside(self, ledger: Ledger) -> None:
        (frame_hash,) = ledger.add_frames([make_frame(1)])
        ledger.record_failure(frame_hash, SETTINGS, "no convergence", 2, 12.5)
        (failure,) = ledger.failures()
        assert (failure.frame_hash, failure.cause, failure.attempts, failure.seconds) == (
            frame_hash, "no convergence", 2, 12.5
        )  # fmt: skip
        (stored,) = ledger.frames("set_aside")
        assert stored.cause == "no convergence"
        ledger.record_label(frame_hash, make_label(stored.frame))  # it came after all
        assert ledger.frames()[0].state == "labelled"
        ledger.record_failure(frame_hash, "other", "no convergence", 1, 1.0)  # with other settings: no matter
        assert ledger.frames()[0].state == "labelled"

    def test_the_error_of_the_models_that_chose_a_frame(self, ledger: Ledger) -> None:
        (frame_hash,) = labelled(ledger, 1)
        figures = {"force_rmse": 0.1, "force_error_max": 0.3, "energy_error_per_atom": float("nan")}
        for _ in range(2):  # again after a kill
            ledger.record_model_error(frame_hash, SETTINGS, generation=0, **figures)
        (stored,) = ledger.labels()
        assert (stored.generation_judged, stored.force_rmse, stored.force_error_max) == (0, 0.1, 0.3)
        assert stored.energy_error_per_atom is None
        with pytest.raises(StoreError, match="generation 0 was judged"):
            ledger.record_model_error(frame_hash, SETTINGS, generation=1, **figures)
        with pytest.raises(StoreError, match="it has no label"):
            ledger.record_model_error(frame_hash, "other", generation=0, **figures)

    def test_labels_by_number_and_by_generation(self, ledger: Ledger) -> None:
        labelled(ledger, 5)
        ledger.add_generation(make_generation(0), [1, 3])
        ledger.add_generation(make_generation(1), [2])
        assert [stored.number for stored in ledger.labels(SETTINGS, trained_in=0)] == [1, 3]
        assert ledger.labels("other", trained_in=0) == ledger.labels(numbers=[]) == []
        assert [stored.number for stored in ledger.labels(numbers=[5, 2, 99])] == [2, 5]
        assert ledger.label_numbers(SETTINGS) == [1, 2, 3, 4, 5]
        assert (ledger.count_labels(SETTINGS), ledger.count_labels("other")) == (5, 0)

    def test_the_news_since_the_last_question(self, ledger: Ledger) -> None:
        hashes = labelled(ledger, 3)
        first = ledger.labelled_frames(SETTINGS, limit=2)
        assert [(number, frame_hash, frame.hash) for number, frame_hash, frame in first] == [
            (1, hashes[0], hashes[0]),
            (2, hashes[1], hashes[1]),
        ]
        assert [number for number, _, _ in ledger.labelled_frames(SETTINGS, after=2)] == [3]
        assert ledger.labelled_frames(SETTINGS, after=3) == ledger.labelled_frames("other") == []

    def test_models_are_never_judged_on_what_they_were_trained_on(self, ledger: Ledger) -> None:
        (frame_hash,) = labelled(ledger, 1)
        ledger.add_generation(make_generation(0), [1])
        with pytest.raises(StoreError, match="generation 0 was trained on it"):
            ledger.record_model_error(
                frame_hash, SETTINGS, generation=0, force_rmse=0.1, force_error_max=0.2, energy_error_per_atom=0.0
            )


class TestGenerations:
    def test_a_generation_comes_back_and_marks_its_labels(self, ledger: Ledger) -> None:
        labelled(ledger, 3)
        curve = [(0, 1.5, 0.2, 1e-3), (100, 0.5, 0.1, 1e-4)]
        model = ModelRecord(
            "models/g000/model_0.pb", "a" * 64, "training/g000/model_0/model.ckpt", curve, {"loop": 3.5}, 100
        )
        created = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
        first = Generation(0, (model,), ("Al", "Mg"), None, 0.05, 2, created, "bootstrap")
        ledger.add_generation(first, [1, 2])
        assert ledger.generations() == [first]
        assert ledger.latest_generation() == first
        assert [stored.trained_in for stored in ledger.labels()] == [0, 0, None]
        assert [stored.number for stored in ledger.labels(untrained=True)] == [3]
        second = make_generation(1, force_rmse_before=0.2, force_rmse_after=float("nan"), n_labels=3)
        ledger.add_generation(second, [3])
        assert ledger.latest_generation() == make_generation(
            1, force_rmse_before=0.2, n_labels=3, created=second.created
        )
        assert [generation.number for generation in ledger.generations()] == [0, 1]
        assert ledger.labels(SETTINGS, untrained=True) == []

    def test_none_yet(self, ledger: Ledger) -> None:
        assert ledger.latest_generation() is None
        assert ledger.generations() == []

    @pytest.mark.parametrize(
        ("generation", "numbers", "message"),
        [
            (make_generation(1), [1], "the next one is 0"),
            (make_generation(0), [1, 99], "1 of them do not exist or were trained"),
            (Generation(0, (), ("Al",)), [1], "no models"),
        ],
    )
    def test_a_refused_generation_leaves_no_trace(
        self, ledger: Ledger, generation: Generation, numbers: list[int], message: str
    ) -> None:
        labelled(ledger, 1)
        with pytest.raises(StoreError, match=message):
            ledger.add_generation(generation, numbers)
        assert ledger.generations() == []
        assert ledger.labels()[0].trained_in is None

    def test_a_label_is_new_in_one_generation_only(self, ledger: Ledger) -> None:
        labelled(ledger, 1)
        ledger.add_generation(make_generation(0), [1])
        with pytest.raises(StoreError, match="trained on before"):
            ledger.add_generation(make_generation(1), [1])
        with pytest.raises(StoreError, match="the next one is 1"):
            ledger.add_generation(make_generation(0), [])
        assert ledger.labels()[0].trained_in == 0


def test_events_in_order_and_by_kind(ledger: Ledger, tmp_path: Path) -> None:
    before = datetime.now(timezone.utc) - timedelta(seconds=1)
    ledger.add_event("pause", 120, reason="failed", max_devi_f=np.float64(0.2), steps=np.arange(2), file=tmp_path)
    ledger.add_event("start")
    first, second = ledger.events()
    assert first.data == {"reason": "failed", "max_devi_f": 0.2, "steps": [0, 1], "file": str(tmp_path)}
    assert (first.kind, first.step, second.step, second.data) == ("pause", 120, -1, {})
    assert before < first.time < datetime.now(timezone.utc) + timedelta(seconds=1)
    assert ledger.events("start") == [second]


def test_everything_is_there_after_reopening(location: Path | str) -> None:
    with Ledger.open(location, config_hash="c") as ledger:
        labelled(ledger, 2)
        ledger.add_event("start")
    with Ledger.open(location, config_hash="c") as ledger:
        assert len(ledger.labels()) == 2
        assert [event.kind for event in ledger.events()] == ["start"]


def test_another_configuration(location: Path | str) -> None:
    Ledger.open(location, config_hash="a" * 64).close()
    with pytest.raises(StoreError, match=r"another configuration \(hash aaaaaaaaaaaa, this one bbbbbbbbbbbb\)"):
        Ledger.open(location, config_hash="b" * 64)


def test_ten_thousand_labels(sqlite_ledger: Ledger) -> None:
    """What is asked again and again is answered from indexes: SQLite's own plan says so."""
    ledger = sqlite_ledger
    frames = [make_frame(seed, n_atoms=2) for seed in range(10_000)]
    hashes = ledger.add_frames(frames)
    _record_all(ledger, frames)
    for number in range(20):
        ledger.add_generation(make_generation(number), range(1 + 495 * number, 1 + 495 * (number + 1)))
    counts = ledger.counts()
    assert (counts.labels, counts.untrained, counts.generations, counts.frames["labelled"]) == (10_000, 100, 20, 10_000)
    plans = _plans_of(
        ledger,
        lambda: (
            ledger.counts(),
            ledger.labels(untrained=True),
            ledger.labels("s", trained_in=3),
            ledger.find_label(hashes[5], "s"),
            ledger.frame_states(hashes[:5]),
            ledger.count_labels("s"),
            ledger.labelled_frames("s", after=9_990),
            ledger.label_figures(judged_since=3),
        ),
    )
    assert len(plans) >= 12
    for plan in plans:
        assert "SCAN frames USING COVERING INDEX" in plan or "SCAN frames" not in plan
        assert "SCAN labels USING COVERING INDEX" in plan or "SCAN labels" not in plan
    assert [stored.frame_hash for stored in ledger.labels(untrained=True)] == hashes[-100:]
    assert len(ledger.labels()) == 10_000


def _record_all(ledger: Ledger, frames: list[Frame]) -> None:
    """Record labels in one transaction, so that the test is not ten thousand commits long."""
    with ledger._database.write() as connection:
        labels = [rows.label_row(number, make_label(frame)) for number, frame in enumerate(frames, start=1)]
        connection.execute(insert(schema.labels), labels)
        connection.execute(update(schema.frames).values(state="labelled"))


def _plans_of(ledger: Ledger, calls: Any) -> list[str]:
    """Return SQLite's query plan of every SELECT that the calls make."""
    engine, asked = ledger._database._engine, []

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if statement.startswith("SELECT"):
            asked.append((statement, parameters))

    calls()
    event.remove(engine, "before_cursor_execute", note)
    plans = []
    with ledger._database.read() as connection:
        for statement, parameters in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append("; ".join(str(row[-1]) for row in plan))
    return plans
