"""The trust window that follows the measured errors, on data whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from lammps_dpgen.config.trust import TrustAuto
from lammps_dpgen.error_relation import ErrorRelation, fit_relation
from lammps_dpgen.learning.calibration import TrustCalibration
from lammps_dpgen.store.records import LabelFigures

START = (0.05, 0.15)
DATA = Path(__file__).parents[1] / "data"
PAIR = ("max_devi_f", "force_error_max")
NORMAL_90 = 1.2816  # quantile of the normal distribution


@dataclass(frozen=True)
class Truth:
    """ln error = ln(factor 0.1 eV/Å) + exponent ln(d / 0.1 eV/Å) + offset of the generation + noise."""

    factor: float = 3.0
    exponent: float = 0.8
    scatter: float = 0.25
    between: float = 0.2

    def draw(
        self, generations: int, each: int, seed: int = 0, window: tuple[float, float] = START, first: int = 0
    ) -> list[LabelFigures]:
        """Labels of candidates in a window, and one in ten an audit from far below it."""
        rng = np.random.default_rng(seed)
        labels = []
        for generation in range(first, first + generations):
            offset = rng.normal(0.0, self.between)
            for _ in range(each):
                audit = rng.random() < 0.1
                deviation = float(np.exp(rng.uniform(*np.log(window)))) * (0.3 if audit else 1.0)
                error = self.typical(deviation) * float(np.exp(offset + rng.normal(0.0, self.scatter)))
                labels.append(figures(deviation, error, generation, "audit" if audit else "md"))
        return labels

    def typical(self, deviation: float) -> float:
        return float(self.factor * 0.1 * (deviation / 0.1) ** self.exponent)

    def lo(self, target: float) -> float:
        """Deviation at which 90 % of the frames of a new generation are below the target."""
        typical = target / float(np.exp(NORMAL_90 * np.hypot(self.scatter, self.between)))
        return float(0.1 * (typical / (self.factor * 0.1)) ** (1 / self.exponent))

    def hi(self, target: float) -> float:
        return float(0.1 * (2 * target / (self.factor * 0.1)) ** (1 / self.exponent))


def figures(deviation: float | None, error: float | None, generation: int, source: str = "md") -> LabelFigures:
    return LabelFigures(deviation, source, generation + 1, generation, error, "lammps", generation)


def fit(labels: list[LabelFigures], half_life: float = 1000.0) -> ErrorRelation:
    deviation, error = (np.array([getattr(label, name) for label in labels], dtype=np.float64) for name in PAIR)
    generation = np.array([label.generation_judged for label in labels], dtype=np.int64)
    relation = fit_relation(deviation, error, generation, half_life=half_life)
    assert relation is not None
    return relation


def window(labels: list[LabelFigures], updates: int = 20, **settings: float) -> tuple[float, float]:
    """The window that holds after the same labels were told so often that no step is bounded any more."""
    calibration = TrustCalibration(TrustAuto.model_validate({"target": 0.3, **settings}), START)
    for _ in range(updates):
        calibration.update(labels)
    return calibration.window


class TestRelation:
    def test_without_scatter(self) -> None:
        """Error = 3 times deviation, exactly: the error is 0.3 eV/Å at a deviation of 0.1 eV/Å."""
        truth = Truth(exponent=1.0, scatter=0.0, between=0.0)
        relation = fit(truth.draw(5, 20))
        assert relation.exponent == pytest.approx(1.0, abs=1e-4)
        assert relation.factor == pytest.approx(3.0, rel=1e-4)
        assert relation.deviation_at(0.3) == pytest.approx(0.1, rel=1e-3)
        assert relation.scatter < 0.01

    def test_known_answer(self) -> None:
        truth = Truth()
        relation = fit(truth.draw(60, 25))
        assert relation.exponent == pytest.approx(truth.exponent, abs=3 * relation.exponent_error)
        assert relation.exponent_error < 0.05
        assert relation.scatter == pytest.approx(truth.scatter, rel=0.1)
        assert relation.between == pytest.approx(truth.between, rel=0.3)
        typical = float(relation.typical(relation.centre))
        assert typical == pytest.approx(truth.typical(relation.centre), rel=0.1)
        assert relation.deviation_at(0.3, 0.9) == pytest.approx(truth.lo(0.3), rel=0.1)
        assert relation.deviation_at(0.6) == pytest.approx(truth.hi(0.3), rel=0.1)

    @pytest.mark.parametrize("error", [0.03, 0.1, 0.3, 2.0])
    @pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
    def test_deviation_is_the_inverse_of_the_quantile(self, error: float, confidence: float) -> None:
        relation = fit(Truth().draw(8, 20))
        deviation = relation.deviation_at(error, confidence)
        assert deviation is not None
        assert float(relation.quantile(deviation, confidence)) == pytest.approx(error, rel=1e-9)

    def test_labels_chosen_by_their_deviation_do_not_bias(self) -> None:
        """Candidates alone, cut off at both ends of a window, tell the same as all frames would."""
        truth = Truth(between=0.0)
        labels = [label for label in truth.draw(60, 40) if 0.06 < (label.max_devi_f or 0) < 0.12]
        relation = fit(labels)
        assert relation.exponent == pytest.approx(truth.exponent, abs=3 * relation.exponent_error)
        assert float(relation.typical(0.08)) == pytest.approx(truth.typical(0.08), rel=0.05)

    def test_differences_between_generations_are_no_slope(self) -> None:
        """Later generations have smaller deviations and understate the error more; a common line would be flat."""
        labels = []
        for generation in range(8):
            truth, scale = Truth(exponent=1.0, factor=1.5 * 1.4**generation, between=0.0), 0.7**generation
            labels += truth.draw(1, 25, generation, (0.5 * scale, 1.0 * scale), first=generation)
        deviation, error = (np.log([getattr(one, name) for one in labels]) for name in PAIR)
        assert np.polyfit(deviation, error, 1)[0] < 0.4
        assert fit(labels).exponent == pytest.approx(1.0, abs=0.15)

    def test_outliers_do_not_move_it(self) -> None:
        labels = Truth().draw(30, 20)
        spoilt = [
            label._replace(force_error_max=40 * (label.force_error_max or 0)) if number % 25 == 0 else label
            for number, label in enumerate(labels)
        ]
        clean, dirty = (fit(one).deviation_at(0.3, 0.9) for one in (labels, spoilt))
        assert dirty == pytest.approx(clean, rel=0.15)

    def test_labels_without_figures_do_not_count(self) -> None:
        labels = Truth().draw(4, 15)
        nothing = [figures(value, 0.1, 3) for value in (float("nan"), 0.0, float("inf"))]
        assert fit([*labels, *nothing]) == fit(labels)

    def test_too_few_labels_tell_nothing(self) -> None:
        def number(values: list[int]) -> ErrorRelation | None:
            d = np.linspace(0.1, 0.2, len(values))
            return fit_relation(d, 2 * d, np.array(values, dtype=np.int64))

        assert number([]) is None
        assert number([0, 0, 0, 0, 0]) is None
        assert number([0, 1, 2, 3, 4, 5, 6, 7, 8]) is None  # one label each: no scatter within a generation
        assert number([0] * 7) is not None

    @pytest.mark.parametrize(("generations", "each"), [(2, 12), (4, 12), (10, 20)])
    def test_promise_is_kept_for_the_next_generation(self, generations: int, each: int) -> None:
        """Of frames with a deviation of lo, which a new generation judges, 90 % have an error below the target."""
        truth, above = Truth(), []
        for seed in range(400):
            lo = fit(truth.draw(generations, each, seed)).deviation_at(0.3, 0.9)
            assert lo is not None
            rng = np.random.default_rng(10_000 + seed)
            above.append(truth.typical(lo) * np.exp(rng.normal(0, truth.between) + rng.normal(0, truth.scatter)) > 0.3)
        assert 0.03 < np.mean(above) < 0.13

    @pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95])
    def test_promise_is_kept_by_real_labels(self, confidence: float) -> None:
        """Ten learning runs of aluminium: what two or more generations promise holds for the next one."""
        table = np.loadtxt(DATA / "error_relation" / "labels.csv", delimiter=",", skiprows=1)
        above: list[bool] = []
        for run in np.unique(table[:, 0]):
            _, generation, deviation, error = table[table[:, 0] == run].T
            for number in range(2, int(generation.max()) + 1):
                before, now = generation < number, generation == number
                relation = fit_relation(deviation[before], error[before], generation[before].astype(np.int64))
                assert relation is not None
                above += list(error[now] > relation.quantile(deviation[now], confidence))
        assert len(above) == 492
        assert np.mean(above) == pytest.approx(1 - confidence, rel=0.2)


class TestWindow:
    def test_known_answer(self) -> None:
        truth = Truth()
        lo, hi = window(truth.draw(60, 25), half_life=1000)
        assert lo == pytest.approx(truth.lo(0.3), rel=0.15)
        assert hi == pytest.approx(truth.hi(0.3), rel=0.15)

    def test_stays_with_few_labels(self) -> None:
        calibration = TrustCalibration(TrustAuto(target=0.3), START)
        assert calibration.update([]) == START
        assert calibration.update(Truth().draw(1, 100)) == START
        assert "1 generation" in calibration.figures()["reason"]
        assert calibration.update(Truth().draw(2, 11)) == START
        assert "22 labels" in calibration.figures()["reason"]
        assert calibration.update(Truth().draw(2, 30)) != START

    def test_a_small_target_narrows_it_step_by_step_and_not_below_lowest(self) -> None:
        calibration = TrustCalibration(TrustAuto(target=0.02), START)
        labels = Truth().draw(20, 20)
        path = [calibration.update(labels) for _ in range(4)]
        assert [lo for lo, _ in path] == pytest.approx([0.025, 0.0125, 0.01, 0.01])
        assert all(hi >= 1.5 * lo for lo, hi in path)
        assert "lowest" in calibration.figures()["reason"]

    def test_all_accurate(self) -> None:
        """Errors far below the target: the window rises, but trusts no deviation that was never measured."""
        labels = Truth(factor=0.5).draw(20, 20)
        calibration = TrustCalibration(TrustAuto(target=2.0), START)
        path = [calibration.update(labels) for _ in range(5)]
        assert path[0] == pytest.approx((0.1, 0.3), rel=0.01)
        assert path[-1] == pytest.approx((0.15, 0.3), rel=0.03)

    def test_an_error_that_does_not_depend_on_the_deviation_moves_nothing(self) -> None:
        calibration = TrustCalibration(TrustAuto(target=0.3), START)
        assert calibration.update(Truth(exponent=0.0).draw(30, 20)) == START
        assert "whether the error rises" in calibration.figures()["reason"]

    def test_small_changes_are_left_alone(self) -> None:
        truth = Truth()
        labels = truth.draw(40, 20)
        lo, hi = window(labels)
        calibration = TrustCalibration(TrustAuto(target=0.3), (1.05 * lo, 0.95 * hi))
        assert calibration.update(labels) == (1.05 * lo, 0.95 * hi)
        assert "less than" in calibration.figures()["reason"]

    def test_newer_generations_count_more(self) -> None:
        """Models that become better ensembles: the factor falls from 6 to 2, and the window follows."""
        old, new = Truth(factor=6.0), Truth(factor=2.0)
        labels = [*old.draw(20, 20), *new.draw(15, 20, seed=1, first=20)]
        assert window(labels, half_life=3)[0] == pytest.approx(new.lo(0.3), rel=0.25)
        assert window(labels, half_life=1000)[0] < 0.5 * new.lo(0.3)

    def test_labels_of_other_models_do_not_count(self) -> None:
        """A deviation of generation 3 and an error of generation 4 are no pair."""
        labels = Truth().draw(8, 20)
        odd = [label._replace(generation=0, force_error_max=9.0) for label in labels if label.generation == 5]
        assert window([*labels, *odd]) == window(labels)

    def test_labels_of_the_bootstrap_do_not_count(self) -> None:
        labels = Truth().draw(8, 20)
        boot = [LabelFigures(None, "bootstrap", 0, None, None, "lammps", -1)] * 30
        assert window([*boot, *labels]) == window(labels)

    def test_what_is_too_old_is_not_needed(self) -> None:
        labels = Truth().draw(50, 12)
        calibration = TrustCalibration(TrustAuto(target=0.3, half_life=2), START)
        oldest = calibration.oldest(49)
        assert oldest == 37
        recent = [label for label in labels if label.generation >= oldest]
        assert window(recent, half_life=2) == window(labels, half_life=2)

    def test_event(self) -> None:
        calibration = TrustCalibration(TrustAuto(target=0.3), START)
        before = calibration.figures()
        assert (before["lo"], before["hi"], before["reason"], before["n"]) == (*START, "start", 0)
        calibration.update(Truth().draw(10, 20))
        event = calibration.figures()
        assert event["trust"] == [event["lo"], event["hi"]] == list(calibration.window)
        assert event["n"] == 200
        assert event["target"] == 0.3
        assert event["factor"] == pytest.approx(3.3, rel=0.25)
        assert {"exponent", "scatter", "between", "centre", "confidence", "half_life"} <= set(event)
