"""Labels and generations, with an executor that answers from a script: what is paid, recorded, rejected and reused."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pytest

from lammps_dpgen.config.bootstrap import BootstrapConfig
from lammps_dpgen.errors import ConfigError, LearningError, StoreError
from lammps_dpgen.execution.base import Outcome, Task
from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.learning import labels
from lammps_dpgen.learning.checks import check_part
from lammps_dpgen.learning.generations import publish_generation, train_generation, training_seed
from lammps_dpgen.learning.labels import LabelResult, label_frames
from lammps_dpgen.learning.models import adopt_models, link_generation
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

Answer = Callable[[Task], dict[str, Any] | str]


class ScriptedExecutor:
    """Answers one task per poll by a function of the task: a value, or the text of an error."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.tasks: list[Task] = []
        self.cancelled = ""
        self._waiting: list[Task] = []

    def submit(self, task: Task) -> None:
        self.tasks.append(task)
        self._waiting.append(task)

    def poll(self) -> list[Outcome]:
        if not self._waiting:
            return []
        task = self._waiting.pop(0)
        answer = self.answer(task)
        error = answer if isinstance(answer, str) else None
        return [
            Outcome(task, None if isinstance(answer, str) else answer, error, attempts=1 + task.retries, seconds=2.0)
        ]

    @property
    def open_tasks(self) -> int:
        return len(self._waiting)

    def cancel(self, reason: str) -> list[Outcome]:
        self.cancelled = reason
        return []

    def __enter__(self) -> ScriptedExecutor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@pytest.fixture
def config(tmp_path: Path) -> BootstrapConfig:
    return BootstrapConfig.model_validate(
        {
            "run_folder": "run",
            "type_map": ["Al"],
            "models": 2,
            "structures": [{"generator": "prototype", "element": "Al"}],
            "labeler": {"name": "ase", "settings": {"calculator": "ase.calculators.emt:EMT"}},
            "trainer": {"name": "deepmd"},
        },
        context={"folder": tmp_path},
    )


@pytest.fixture
def run(config: BootstrapConfig) -> RunFolder:
    return RunFolder(config.run_folder).create()


@pytest.fixture
def ledger(config: BootstrapConfig, run: RunFolder) -> Iterator[Ledger]:
    with Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger:
        yield ledger


def frame(number: int) -> Frame:
    return Frame(("Al", "Al"), np.array([[0.0, 0.0, 0.0], [2.0, 2.0, 0.01 * number]]), 4.0 * np.eye(3))


def label_of(config: BootstrapConfig) -> Answer:
    def answer(task: Task) -> dict[str, Any]:
        n_atoms = len(task.payload["frame"]["species"])
        return Label(-1.0, np.zeros((n_atoms, 3)), np.eye(3), "hand", config.labeler.settings_hash, 0.5).to_json()

    return answer


def add_labels(config: BootstrapConfig, run: RunFolder, ledger: Ledger, *numbers: int) -> None:
    frames = [frame(number) for number in numbers]
    ledger.add_frames(frames)
    label_frames(ScriptedExecutor(label_of(config)), ledger, frames, config.labeler, run.labels)


class TestLabels:
    def test_each_frame_is_paid_once(self, config: BootstrapConfig, run: RunFolder, ledger: Ledger) -> None:
        executor = ScriptedExecutor(label_of(config))
        frames = [frame(0), frame(1), frame(0)]
        ledger.add_frames(frames)
        seen: list[LabelResult] = []
        label_frames(executor, ledger, frames, config.labeler, run.labels, on_result=seen.append)
        assert len(executor.tasks) == len(seen) == 2
        assert ledger.counts().frames["labelled"] == 2
        again = label_frames(executor, ledger, [*frames, frame(0)], config.labeler, run.labels)
        assert len(executor.tasks) == 2
        assert [result.reused for result in again] == [True, True]

    def test_many_labels_wait_as_frames(
        self, config: BootstrapConfig, run: RunFolder, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The executor never has more than so many of them, and all come in the end."""
        monkeypatch.setattr(labels, "MOST_OPEN", 3)
        executor = ScriptedExecutor(label_of(config))
        frames = [frame(number) for number in range(10)]
        ledger.add_frames(frames)
        most: list[int] = []
        results = label_frames(
            executor, ledger, frames, config.labeler, run.labels, on_result=lambda _: most.append(executor.open_tasks)
        )
        assert len(executor.tasks) == len(results) == len({result.frame.hash for result in results}) == 10
        assert max(most) == 2  # beside the one whose result came

    def test_the_result_is_in_the_ledger_when_it_is_told(
        self, config: BootstrapConfig, run: RunFolder, ledger: Ledger
    ) -> None:
        ledger.add_frames([frame(0)])

        def look(result: LabelResult) -> None:
            assert ledger.find_label(result.frame.hash, config.labeler.settings_hash) is not None

        executor = ScriptedExecutor(label_of(config))
        assert len(label_frames(executor, ledger, [frame(0)], config.labeler, run.labels, on_result=look)) == 1

    def test_a_failed_label_stops_nobody(self, config: BootstrapConfig, run: RunFolder, ledger: Ledger) -> None:
        good, bad = label_of(config), frame(1).hash
        executor = ScriptedExecutor(lambda task: "no convergence" if task.id == bad else good(task))
        frames = [frame(0), frame(1), frame(2)]
        ledger.add_frames(frames)
        results = {r.frame.hash: r for r in label_frames(executor, ledger, frames, config.labeler, run.labels)}
        assert results[bad].error == "no convergence"
        assert ledger.counts().frames == {"offered": 0, "selected": 0, "labelled": 2, "set_aside": 1, "dropped": 0}
        (failure,) = ledger.failures()
        assert (failure.frame_hash, failure.cause, failure.attempts, failure.seconds) == (bad, "no convergence", 2, 2.0)

    def test_a_label_of_other_settings_is_refused(
        self, config: BootstrapConfig, run: RunFolder, ledger: Ledger
    ) -> None:
        good = label_of(config)
        executor = ScriptedExecutor(lambda task: {**dict(good(task)), "settings_hash": "0" * 64})
        ledger.add_frames([frame(0)])
        with pytest.raises(LearningError, match="settings hash 000000000000"):
            label_frames(executor, ledger, [frame(0)], config.labeler, run.labels)
        assert ledger.counts().labels == 0


def test_checks_are_told_in_the_parts_own_words(config: BootstrapConfig, run: RunFolder) -> None:
    executor = ScriptedExecutor(lambda task: {})
    check_part(executor, config.labeler, ["Al"], run.labels)
    check_part(executor, config.trainer, ["Al"], run.training)
    assert [task.payload for task in executor.tasks] == [{"elements": ["Al"]}] * 2
    with pytest.raises(ConfigError, match="labeler: no file x"):
        check_part(ScriptedExecutor(lambda task: "no file x"), config.labeler, ["Al"], run.labels)
    with pytest.raises(ConfigError, match="trainer: no torch"):
        check_part(ScriptedExecutor(lambda task: "no torch"), config.trainer, ["Al"], run.training)


class Trainings:
    """Answers training tasks with models that carry their seed; some fail, some diverge."""

    def __init__(self, *, failing: Mapping[int, int] | None = None, diverging: int | None = None) -> None:
        self.failing, self.diverging = dict(failing or {}), diverging

    def __call__(self, task: Task) -> dict[str, Any] | str:
        index = task.payload["index"]
        if self.failing.get(index, 0) > 0:
            self.failing[index] -= 1
            return "diverged at step 40"
        task.folder.mkdir(parents=True, exist_ok=True)
        model = task.folder / "model.pb"
        model.write_text(f"model {task.payload['seed']} {task.payload['warm_start']}\n")
        rmse = float("nan") if index == self.diverging else 0.1
        return {
            "model": str(model),
            "warm_start": str(task.folder / "model.ckpt"),
            "curve": [[100, rmse, 0.01, 1e-4]],
            "steps": 100,
            "seconds": {"loop": 1.5, "freeze": 0.5},
        }


def train(executor: ScriptedExecutor, ledger: Ledger, run: RunFolder, config: BootstrapConfig, **change: Any) -> Any:
    settings = {"number": 0, "reason": "test", "warm_start": False, **change}
    return train_generation(executor, ledger, run, config, **settings)


class TestGenerations:
    def test_two_generations(self, config: BootstrapConfig, run: RunFolder, ledger: Ledger) -> None:
        add_labels(config, run, ledger, 0, 1)
        executor = ScriptedExecutor(Trainings())
        first = publish_generation(ledger, run, train(executor, ledger, run, config))
        assert [task.payload["old_systems"] for task in executor.tasks] == [(), ()]
        assert len({task.payload["seed"] for task in executor.tasks}) == 2
        assert (run.path / first.models[0].path).read_text() == run.model_link(0).read_text()

        add_labels(config, run, ledger, 2)
        executor = ScriptedExecutor(Trainings())
        trained = train(executor, ledger, run, config, number=1, warm_start=True)
        assert run.model_link(0).resolve().parent.name == "g000"  # not published yet
        job = executor.tasks[1].payload
        assert job["warm_start"] == str(run.training_of(0, 1) / "model.ckpt")
        assert job["old_systems"] == (str(run.data_of(0) / "Al2"),)
        assert job["new_systems"] == (str(run.data_of(1) / "Al2"),)
        assert np.load(run.data_of(1) / "Al2" / "set.000" / "coord.npy").shape == (1, 6)
        second = publish_generation(ledger, run, trained, force_rmse_before=0.2, force_rmse_after=0.1)
        assert run.model_link(0).resolve().parent.name == "g001"
        assert ledger.latest_generation() == replace(second, created=ledger.generations()[1].created)
        assert (second.n_labels, second.force_rmse_before, second.force_rmse_after) == (3, 0.2, 0.1)

    def test_data_that_was_deleted_is_written_again(
        self, config: BootstrapConfig, run: RunFolder, ledger: Ledger
    ) -> None:
        add_labels(config, run, ledger, 0, 1)
        publish_generation(ledger, run, train(ScriptedExecutor(Trainings()), ledger, run, config))
        before = np.load(run.data_of(0) / "Al2" / "set.000" / "coord.npy")
        shutil.rmtree(run.data)
        add_labels(config, run, ledger, 2)
        train(ScriptedExecutor(Trainings()), ledger, run, config, number=1)
        np.testing.assert_array_equal(np.load(run.data_of(0) / "Al2" / "set.000" / "coord.npy"), before)

    @pytest.mark.parametrize("trainings", [Trainings(failing={1: 1}), Trainings(failing={0: 1, 1: 1})])
    def test_a_rejected_training_is_repeated_from_scratch(
        self, trainings: Trainings, config: BootstrapConfig, run: RunFolder, ledger: Ledger
    ) -> None:
        add_labels(config, run, ledger, 0)
        publish_generation(ledger, run, train(ScriptedExecutor(Trainings()), ledger, run, config))
        add_labels(config, run, ledger, 1)
        executor = ScriptedExecutor(trainings)
        told: list[tuple[str, dict[str, Any]]] = []
        n_failing = len(trainings.failing)
        train(executor, ledger, run, config, number=1, warm_start=True, on_event=lambda k, d: told.append((k, dict(d))))
        assert len(executor.tasks) == 2 + n_failing
        again = executor.tasks[-1].payload
        assert again["warm_start"] is None
        assert len({task.payload["seed"] for task in executor.tasks}) == len(executor.tasks)
        rejected = [data for kind, data in told if kind == "training_rejected"]
        assert [data["cause"] for data in rejected] == ["diverged at step 40"] * n_failing
        assert [data["seconds"] for kind, data in told if kind == "training"] == [2.0, 2.0]

    @pytest.mark.parametrize(
        ("trainings", "cause"),
        [
            (Trainings(failing={0: 9}), "model 0 .* in 2 attempts: diverged at step 40"),
            (Trainings(diverging=1), "model 1 .* not finite"),
        ],
    )
    def test_after_that_learning_stops_and_everything_is_kept(
        self, trainings: Trainings, cause: str, config: BootstrapConfig, run: RunFolder, ledger: Ledger
    ) -> None:
        add_labels(config, run, ledger, 0)
        executor = ScriptedExecutor(trainings)
        with pytest.raises(LearningError, match=cause):
            train(executor, ledger, run, config)
        assert executor.cancelled
        assert ledger.latest_generation() is None
        assert ledger.counts().untrained == 1

    def test_a_restart_uses_what_was_trained(self, config: BootstrapConfig, run: RunFolder, ledger: Ledger) -> None:
        add_labels(config, run, ledger, 0)
        with pytest.raises(LearningError):
            train(ScriptedExecutor(Trainings(failing={1: 9})), ledger, run, config)
        executor = ScriptedExecutor(Trainings())
        publish_generation(ledger, run, train(executor, ledger, run, config))
        assert [task.payload["index"] for task in executor.tasks] == [1]

    def test_another_attempt_has_other_seeds(self, config: BootstrapConfig, run: RunFolder, ledger: Ledger) -> None:
        add_labels(config, run, ledger, 0)
        first, second = ScriptedExecutor(Trainings()), ScriptedExecutor(Trainings())
        train(first, ledger, run, config)
        train(second, ledger, run, config, attempt=1)
        assert not {t.payload["seed"] for t in first.tasks} & {t.payload["seed"] for t in second.tasks}

    def test_nothing_new_to_learn(self, config: BootstrapConfig, run: RunFolder, ledger: Ledger) -> None:
        with pytest.raises(LearningError, match="no new label"):
            train(ScriptedExecutor(Trainings()), ledger, run, config)

    def test_changed_models_are_refused(self, config: BootstrapConfig, run: RunFolder, ledger: Ledger) -> None:
        add_labels(config, run, ledger, 0)
        generation = publish_generation(ledger, run, train(ScriptedExecutor(Trainings()), ledger, run, config))
        (run.path / generation.models[1].path).write_text("something else\n")
        with pytest.raises(StoreError, match=r"model_1\.pb has SHA-256"):
            link_generation(run, generation)

    def test_models_from_elsewhere(self, run: RunFolder, ledger: Ledger, tmp_path: Path) -> None:
        for name in ("a.pb", "b.pb"):
            (tmp_path / name).write_text(name)
        adopt_models(ledger, run, [tmp_path / "a.pb", tmp_path / "b.pb"], ["Al"])
        (tmp_path / "a.pb").unlink()
        assert run.model_link(0).read_text() == "a.pb"
        latest = ledger.latest_generation()
        assert latest is not None
        assert (latest.number, latest.reason, latest.n_labels) == (0, "initial models", 0)


def test_seeds_are_all_different_and_fit_in_31_bits() -> None:
    seeds = {training_seed(1, g, i, a, r) for g in range(5) for i in range(4) for a in range(3) for r in range(3)}
    assert len(seeds) == 5 * 4 * 3 * 3
    assert all(0 <= seed < 2**31 for seed in seeds)
