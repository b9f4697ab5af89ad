"""Frames that wait for a label are judged again by newer models: analytic models, so that the deviation is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from lammps_dpgen.campaign.pool import Pool
from lammps_dpgen.config.learn import LearnConfig
from lammps_dpgen.config.selection import SelectionSettings
from lammps_dpgen.ensemble import Ensemble, ModelDeviation
from lammps_dpgen.frame import FloatArray, Frame, FrameOrigin
from lammps_dpgen.learning.learned_frames import LearnedFrames
from lammps_dpgen.learning.learner import Learner
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.learning.second_look import SecondLook, TrustBounds
from lammps_dpgen.learning.selection import Selection, select
from lammps_dpgen.monitor.journal import Journal
from lammps_dpgen.monitor.view import open_view
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation
from lammps_dpgen.store.run_folder import RunFolder

NOW = 5


def models(folder: Path, *strengths: float) -> Ensemble:
    """Models whose forces are proportional to their strength."""
    paths = []
    for number, strength in enumerate(strengths):
        paths.append(folder / f"{number}.model")
        paths[-1].write_text(f"dpgen-analytic\ntype_map Al\ncutoff 4.5\nepsilon {strength}\n")
    return Ensemble(paths)


def frame(rattle: float, generation: int = NOW - 1, seed: int = 0) -> Frame:
    atoms = bulk("Al", a=4.05, cubic=True) * (2, 2, 2)
    atoms.rattle(rattle, seed=seed)
    origin = FrameOrigin(
        "md",
        "candidate",
        generation=generation,
        step=100,
        time=0.1,
        temperature=300.0,
        pressure=1.0,
        max_devi_f=0.07,
        max_devi_v=0.01,
    )
    return replace(Frame.from_ase(atoms, origin), spread=np.full(len(atoms), 0.07))


@pytest.fixture(name="ensemble")
def _ensemble(tmp_path: Path) -> Ensemble:
    return models(tmp_path, 0.9, 1.1)


def spread(ensemble: Ensemble, one: Frame) -> FloatArray:
    """Population spread of two models: half the length of the difference of their forces, per atom."""
    first, second = ensemble.predict(one).forces
    return np.asarray(np.linalg.norm(first - second, axis=1) / 2)


class TestSecondLook:
    def test_deviation_of_the_newest_models(self, ensemble: Ensemble) -> None:
        old = frame(0.05)
        expected = spread(ensemble, old)
        new, cause = SecondLook(ensemble, NOW, TrustBounds(0.5 * expected.max()))(old)
        assert cause == ""
        assert new.hash == old.hash
        assert new.spread == pytest.approx(expected)
        assert new.origin.max_devi_f == pytest.approx(expected.max())
        assert new.origin == replace(
            old.origin, generation=NOW, max_devi_f=new.origin.max_devi_f, max_devi_v=new.origin.max_devi_v
        )
        assert new.origin.max_devi_v != old.origin.max_devi_v

    def test_trusted_by_now(self, ensemble: Ensemble) -> None:
        old = frame(0.05)
        largest = float(spread(ensemble, old).max())
        look = SecondLook(ensemble, NOW, TrustBounds(1.001 * largest))
        assert look(old)[1] == f"trusted by generation 5: deviation {largest:.4g} eV/Å"

    def test_at_the_bound_it_is_a_candidate(self, ensemble: Ensemble) -> None:
        """As in the fix: accurate is what lies below lo."""
        old = frame(0.05)
        judged = SecondLook(ensemble, NOW, TrustBounds(1.0))(old)[0].origin.max_devi_f
        assert SecondLook(ensemble, NOW, TrustBounds(judged))(old)[1] == ""

    def test_frames_of_the_newest_models_cost_nothing(self, ensemble: Ensemble) -> None:
        looks: list[int] = []
        look = SecondLook(ensemble, NOW, TrustBounds(1e9), meanwhile=lambda: looks.append(1))
        fresh = frame(0.05, generation=NOW)
        assert look(fresh) == (fresh, "")
        assert not looks
        look(frame(0.05, generation=-1))
        assert looks == [1]

    def test_virial_speaks_against_trust(self, ensemble: Ensemble) -> None:
        old = frame(0.05)
        virial = SecondLook(ensemble, NOW, TrustBounds(1e9))(old)[0].origin.max_devi_v
        assert virial > 0
        assert SecondLook(ensemble, NOW, TrustBounds(1e9, lo_v=0.99 * virial))(old)[1] == ""
        assert SecondLook(ensemble, NOW, TrustBounds(1e9, lo_v=1.01 * virial))(old)[1]

    def test_relative_deviation(self, ensemble: Ensemble) -> None:
        """Spread over mean is 0.1 for strengths 0.9 and 1.1, where the level is small beside the forces."""
        judged, _ = SecondLook(ensemble, NOW, TrustBounds(0.05, relative=1e-6))(frame(0.05))
        assert judged.origin.max_devi_f == pytest.approx(0.1, rel=1e-3)

    def test_not_a_number_is_not_trusted(self, ensemble: Ensemble) -> None:
        judged = SecondLook(ensemble, NOW, TrustBounds(1.0))(frame(0.05))[0]
        assert not TrustBounds(1.0).trust(_deviation(float("nan"), judged.origin.max_devi_v))


def _deviation(force: float, virial: float) -> ModelDeviation:
    return ModelDeviation(virial, virial, virial, force, force, force, np.zeros(1))


@pytest.mark.parametrize(
    ("keywords", "bounds"),
    [
        ("", TrustBounds(0.05)),
        ("atomic yes vtrust 0.01 0.03", TrustBounds(0.05, lo_v=0.01)),
        ("relative 0.2 stride adaptive relative_v 1.5", TrustBounds(0.05, relative=0.2, relative_v=1.5)),
    ],
)
def test_keywords_of_the_fix(keywords: str, bounds: TrustBounds) -> None:
    assert TrustBounds.of_fix(0.05, keywords) == bounds


class TestSelection:
    def choose(self, ensemble: Ensemble, frames: Sequence[Frame], lo: float, *labelled: Frame) -> Selection:
        settings = SelectionSettings(batch=10)
        known = LearnedFrames(settings)
        known.add(labelled)
        look = SecondLook(ensemble, NOW, TrustBounds(lo))
        return select(frames, settings=settings, rng=np.random.default_rng(0), labelled=known, second_look=look)

    def test_trusted_frames_are_dropped_and_counted(self, ensemble: Ensemble) -> None:
        calm, wild, fresh = frame(0.03), frame(0.12, seed=1), frame(0.03, generation=NOW, seed=2)
        lo = 1.01 * float(spread(ensemble, calm).max())
        assert spread(ensemble, wild).max() > lo
        chosen = self.choose(ensemble, [calm, wild, fresh], lo)
        assert [one.hash for one in chosen.frames] == [wild.hash, fresh.hash]
        assert (chosen.n_trusted, chosen.n_offered, chosen.n_selected) == (1, 3, 2)
        assert [(one.hash, cause[:23]) for one, cause in chosen.dropped] == [(calm.hash, "trusted by generation 5")]
        assert chosen.frames[0].origin.max_devi_f == pytest.approx(spread(ensemble, wild).max())

    def test_duplicates_are_not_judged_again(self, ensemble: Ensemble) -> None:
        first, labelled = frame(0.12), frame(0.12, seed=3)
        near = replace(first, positions=first.positions + 0.001)
        chosen = self.choose(ensemble, [first, first, near, labelled], 0.001, labelled)
        assert (chosen.n_duplicates, chosen.n_trusted, chosen.n_selected) == (3, 0, 1)

    def test_ledger_takes_the_new_deviation(self, ensemble: Ensemble, tmp_path: Path) -> None:
        """What is compared with the error later is the deviation of the models whose error it is."""
        old = frame(0.12)
        with Ledger.open(tmp_path / "ledger.db", config_hash="c") as ledger:
            ledger.add_frames([old], "offered")
            chosen = self.choose(ensemble, [old], 0.001)
            ledger.add_frames(chosen.frames)
            (stored,) = ledger.frames("selected")
            assert stored.frame.origin == chosen.frames[0].origin
            assert stored.frame.origin.generation == NOW
            assert stored.frame.spread == pytest.approx(spread(ensemble, old))
            ledger.add_frames([old])  # a selected frame stays as it is
            assert ledger.frames("selected")[0].frame.origin.generation == NOW


class TestLearner:
    """A round of learning of which nothing is left to label: neither labeler nor trainer is asked."""

    @pytest.fixture(name="learner")
    def _learner(self, ensemble: Ensemble, tmp_path: Path) -> Iterator[Learner]:
        config = LearnConfig.model_validate(
            {
                "run_folder": "run",
                "fix": "dp",
                "type_map": ["Al"],
                "models": 2,
                "structures": [{"generator": "prototype", "element": "Al"}],
                "labeler": {"name": "ase", "settings": {"calculator": "ase.calculators.emt:EMT"}},
                "trainer": {"name": "deepmd"},
            },
            context={"folder": tmp_path},
        )
        run = RunFolder(config.run_folder).create()
        with Ledger.open(run.ledger, config_hash="c") as ledger, Journal(run.journal) as journal:
            learner = Learner(config, run, ledger, Logbook(ledger, journal), open_view())
            learner.ensemble = ensemble
            learner.generation = Generation(NOW, (), ("Al",))
            yield learner

    def test_no_label_is_paid_for_what_is_trusted_by_now(self, learner: Learner) -> None:
        pool, frames = Pool(learner.ledger, 10), [frame(0.05), frame(0.05, seed=1)]
        pool.offer(frames)
        assert not learner.learn(pool.frames(), "candidates", 100, bounds=TrustBounds(1e9))
        pool.settle(frames, learner.selection, learnt=False)
        (event,) = learner.ledger.events("selection")
        assert (event.data["n_offered"], event.data["n_trusted"], event.data["n_selected"]) == (2, 2, 0)
        dropped = learner.ledger.frames("dropped")
        assert {stored.hash for stored in dropped} == {one.hash for one in frames}
        assert all(stored.cause.startswith("trusted by generation 5") for stored in dropped)
        assert not pool.frames()
