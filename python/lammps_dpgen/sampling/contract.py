"""The contract of a sampler, as tests that every sampler must pass; third parties run it on theirs.

Write a class that inherits from `SamplerContract`, override the fixtures, and let pytest collect it::

    class TestMySampler(SamplerContract):
        @pytest.fixture
        def sampler(self):
            return MySampler(MySettings(temperatures=[300, 600], steps=30))

        @pytest.fixture
        def models(self):
            return [Path("model_0.pb"), Path("model_1.pb")]

The trajectories are real: they run in LAMMPS, or wherever the sampler searches, with the models given. Keep them short.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.sampling.base import MAX_SEED, Sampler, SamplerSettings, TrajectoryEnd, TrajectoryPlan
from lammps_dpgen.sampling.recording import RecordingWalker
from lammps_dpgen.sampling.restart import restart_files, restart_step

SEED = 11

#: Elements that the models of the contract tests are unlikely to know, tried in turn.
FOREIGN = ("Og", "Ts", "Lv")

NewWalker = Callable[..., RecordingWalker]


def contract_starts(element: str) -> list[Frame]:
    """Return three small perturbed crystals of one element, one of them triclinic."""
    rng = np.random.default_rng(7)
    starts = []
    for number, repeat in enumerate([(1, 1, 1), (2, 1, 1), (2, 2, 2)]):
        atoms = bulk(element, cubic=number < 2) * repeat
        atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        starts.append(Frame.from_ase(atoms, FrameOrigin("bootstrap", structure=f"{element}{len(atoms)}/{number}")))
    return starts


class SamplerContract:
    """What a campaign relies on; see the module for how to use it.

    Attributes
    ----------
    safe_interval
        Steps between the restart files of a trajectory in these tests; a resumable sampler must come past it.
    """

    safe_interval: int = 10

    @pytest.fixture
    def sampler(self) -> Sampler:
        """Override: the sampler under test, with settings of a few steps."""
        raise NotImplementedError("override the fixture 'sampler'")

    @pytest.fixture
    def models(self) -> Sequence[Path]:
        """Override: files of two or more models that know the elements of the starts."""
        raise NotImplementedError("override the fixture 'models'")

    @pytest.fixture
    def type_map(self) -> tuple[str, ...]:
        """Override if the models are not for aluminium alone."""
        return ("Al",)

    @pytest.fixture
    def starts(self, type_map: tuple[str, ...]) -> list[Frame]:
        """Override for other start structures; at least two, the first one small."""
        return contract_starts(type_map[0])

    @pytest.fixture
    def new_walker(self, tmp_path: Path, models: Sequence[Path], type_map: tuple[str, ...]) -> NewWalker:
        """Return ``new_walker(name, **options)``, which makes a recording walker with a folder of its own."""
        files = [path.resolve() for path in models]

        def make(name: str, restart: Path | None = None, looks_at_most: int | None = None) -> RecordingWalker:
            folder = tmp_path / name
            folder.mkdir()
            return RecordingWalker(
                folder,
                files,
                type_map,
                restart=restart,
                safe_interval=self.safe_interval,
                looks_at_most=looks_at_most,
            )

        return make

    def test_settings_are_a_model(self, sampler: Sampler) -> None:
        """It has a name; its settings refuse unknown keys, and each is explained."""
        assert sampler.name
        assert issubclass(sampler.Settings, SamplerSettings)
        with pytest.raises(ValueError, match="no_such_setting"):
            sampler.Settings.model_validate({"no_such_setting": 1})
        unexplained = [name for name, field in sampler.Settings.model_fields.items() if not field.description]
        assert unexplained == []

    @pytest.mark.parametrize("number", [1, 2, 3, 7, 20])
    def test_plan_has_the_number_asked_for(self, sampler: Sampler, starts: list[Frame], number: int) -> None:
        """No trajectory more or less; all starts are used as soon as there are enough trajectories, and evenly."""
        plans = _plan(sampler, starts, number)
        assert len(plans) == number
        uses = [sum(plan.start.hash == start.hash for plan in plans) for start in starts]
        assert sum(uses) == number
        assert max(uses) - min(uses) <= 1

    def test_plan_depends_on_its_random_numbers_alone(self, sampler: Sampler, starts: list[Frame]) -> None:
        """A campaign that was killed plans the same, another round anew. NumPy's global state is left alone."""
        plans = _plan(sampler, starts, 6)
        np.random.seed(1)  # noqa: NPY002
        expected = np.random.RandomState(1).random_sample()
        assert _as_text(_plan(sampler, starts, 6)) == _as_text(plans)
        assert np.random.random_sample() == expected  # noqa: NPY002
        assert _as_text(_plan(sampler, starts, 6, SEED + 1)) != _as_text(plans)

    def test_seeds(self, sampler: Sampler, starts: list[Frame]) -> None:
        """Every trajectory has a seed of its own that LAMMPS takes."""
        seeds = [plan.seed for plan in _plan(sampler, starts, 20)]
        assert len(set(seeds)) == len(seeds)
        assert all(1 <= seed <= MAX_SEED for seed in seeds)

    def test_plans_survive_the_way_to_the_store(self, sampler: Sampler, starts: list[Frame]) -> None:
        """Plain data and the start make the same plan again."""
        for plan in _plan(sampler, starts, 5):
            again = TrajectoryPlan.from_json(json.loads(json.dumps(plan.to_json())), plan.start)
            assert again == plan
            assert all(name and np.isfinite(value) for name, value in plan.conditions.items())
            assert plan.n_steps >= 0

    def test_check(self, sampler: Sampler, starts: list[Frame], type_map: tuple[str, ...]) -> None:
        """It takes these starts, and refuses an element without a model, partial periodicity, and no start at all."""
        sampler.check(starts, type_map)
        foreign = next(element for element in FOREIGN if element not in type_map)
        other = replace(starts[0], species=(foreign,) * starts[0].n_atoms)
        with pytest.raises(ConfigError, match=foreign):
            sampler.check([*starts, other], type_map)
        with pytest.raises(ConfigError):
            sampler.check([replace(starts[0], pbc=(True, True, False))], type_map)
        with pytest.raises(ConfigError):
            sampler.check([], type_map)

    def test_explore_is_judged(self, sampler: Sampler, starts: list[Frame], new_walker: NewWalker) -> None:
        """Whatever the search passes through is looked at, at steps that rise, to the end of the plan."""
        for number, plan in enumerate(_plan(sampler, starts, len(starts))):
            walker = new_walker(f"judged-{number}")
            sampler.explore(plan, walker)
            steps = _looks(walker)
            assert len(steps) >= 2
            assert steps == sorted(set(steps))
            if plan.n_steps and walker.runs:
                assert walker.runs[-1].last_step == plan.n_steps
            for _, frame in walker.looks:
                assert sorted(frame.species) == sorted(plan.start.species)

    def test_same_plan_same_trajectory(self, sampler: Sampler, starts: list[Frame], new_walker: NewWalker) -> None:
        """The seed of the plan is all that is random."""
        plan = _plan(sampler, starts, 1)[0]
        walkers = [new_walker("one"), new_walker("two")]
        for walker in walkers:
            sampler.explore(plan, walker)
        one, two = walkers
        assert _looks(one) == _looks(two)
        for run, other in zip(one.runs, two.runs, strict=True):
            np.testing.assert_allclose(run.positions, other.positions, atol=1e-6)
        for (_, frame), (_, other_frame) in zip(one.looks, two.looks, strict=True):
            np.testing.assert_allclose(frame.positions, other_frame.positions, atol=1e-6)

    def test_nothing_is_left_outside_the_folder(
        self,
        sampler: Sampler,
        starts: list[Frame],
        new_walker: NewWalker,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A trajectory writes into its own folder and nowhere else, and does not change the start."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        plan = _plan(sampler, starts, 1)[0]
        before = Frame.from_json(plan.start.to_json())
        sampler.explore(plan, new_walker("inside"))
        assert list(elsewhere.iterdir()) == []
        assert plan.start.hash == before.hash
        assert Path.cwd() == elsewhere

    def test_end_of_the_trajectory(self, sampler: Sampler, starts: list[Frame], new_walker: NewWalker) -> None:
        """A search outside LAMMPS lets the end pass that the walker raises in a look."""
        plan = _plan(sampler, starts, 1)[0]
        walker = new_walker("ended", looks_at_most=1)
        try:
            sampler.explore(plan, walker)
        except TrajectoryEnd:
            assert len(walker.looks) == 1
        else:
            assert walker.looks == [], "the sampler went on after the walker had ended the trajectory"

    def test_resume(self, sampler: Sampler, starts: list[Frame], new_walker: NewWalker) -> None:
        """A resumable trajectory goes on at the step of the restart file, and ends where an uncut one does."""
        if not sampler.resumable:
            return
        plan = _plan(sampler, starts, 1)[0]
        whole = new_walker("whole")
        sampler.explore(plan, whole)
        saved = {step: path for path in restart_files(whole.folder) if (step := restart_step(path)) is not None}
        assert saved, f"no restart file after {whole.safe_interval} steps; use walker.safe_interval"
        first = min(saved)
        resumed = new_walker("resumed", restart=saved[first])
        sampler.explore(plan, resumed)
        assert _looks(resumed)[0] >= first
        assert resumed.runs[-1].last_step == whole.runs[-1].last_step
        np.testing.assert_allclose(resumed.runs[-1].positions, whole.runs[-1].positions, atol=1e-6)
        np.testing.assert_allclose(resumed.runs[-1].cell, whole.runs[-1].cell, atol=1e-6)

    def test_a_retry_begins_without_old_restarts(
        self, sampler: Sampler, starts: list[Frame], new_walker: NewWalker
    ) -> None:
        """What an earlier attempt has left cannot be taken for this one's."""
        if not sampler.resumable:
            return
        walker = new_walker("retry")
        for path in restart_files(walker.folder):
            path.write_bytes(b"left behind")
        sampler.explore(_plan(sampler, starts, 1)[0], walker)
        assert all(path.read_bytes() != b"left behind" for path in restart_files(walker.folder) if path.is_file())


def _plan(sampler: Sampler, starts: list[Frame], number: int, seed: int = SEED) -> list[TrajectoryPlan]:
    return sampler.plan(starts, number, np.random.default_rng(seed))


def _as_text(plans: list[TrajectoryPlan]) -> list[str]:
    return [plan.start.hash + json.dumps(plan.to_json(), sort_keys=True) for plan in plans]


def _looks(walker: RecordingWalker) -> list[int]:
    """Return the steps of all looks, in LAMMPS and outside."""
    return [step for run in walker.runs for step in run.steps] + [step for step, _ in walker.looks]
