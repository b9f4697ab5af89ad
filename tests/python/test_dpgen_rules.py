"""The decisions of DP-GEN 0.14: the same sets as its own functions gave on the same files, and its rules by hand."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.learning.dpgen_files import read_dump, read_model_devi
from lammps_dpgen.learning.dpgen_rules import DpgenRules, Look, SystemDecision, decide, decide_iteration, is_bad_box

FOLDER = Path(__file__).resolve().parents[1] / "data" / "dpgen_decisions"
CASES = json.loads((FOLDER / "cases.json").read_text())
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


@pytest.fixture(scope="module")
def iteration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 01.model_devi of an iteration."""
    sys.path.insert(0, str(FOLDER))
    try:
        from make_runs import unpacked
    finally:
        sys.path.remove(str(FOLDER))
    return Path(unpacked(tmp_path_factory.mktemp("iter.000000")))


def looks(rows: list[list[Any]]) -> list[Look]:
    return sorted(Look(task, step) for task, step in rows)


class TestSameAsDpgen:
    @pytest.mark.parametrize("name", CASES)
    def test_sets(self, name: str, iteration: Path) -> None:
        case, expected = CASES[name], EXPECTED["cases"][name]
        rules = DpgenRules.from_param(case["param"], case["job"])
        found = decide_iteration(iteration, rules, random.Random(case["seed"]), ["Al"])
        assert set(found) == {0, 1, 2}
        for system, decision in found.items():
            theirs = expected.get(f"{system:03d}", {"labelled": []})
            assert list(decision.labelled) == looks(theirs["labelled"])
            if "candidate" in theirs:
                for kind in ("accurate", "candidate", "failed"):
                    assert list(getattr(decision, kind)) == looks(theirs[kind]), kind
            else:
                assert not rules.detailed_report

    @pytest.mark.parametrize("name", [name for name in CASES if "box" in name or "vacuum" in name])
    def test_every_filter_takes_some_and_leaves_others(self, name: str, iteration: Path) -> None:
        """Sets that are empty or full would prove nothing."""
        case = CASES[name]
        rules = DpgenRules.from_param(case["param"], case["job"])
        found = decide_iteration(iteration, rules, random.Random(case["seed"]), ["Al"]).values()
        assert EXPECTED["dpgen"].startswith("0.14.")
        assert sum(len(decision.labelled) for decision in found) > 5
        for kind in ("bad_box", "bad_cluster"):
            taken = sum(len(getattr(decision, kind)) for decision in found)
            assert (taken > 0) == (("box" if kind == "bad_box" else "vacuum") in name)

    def test_another_seed_draws_others(self, iteration: Path) -> None:
        rules = DpgenRules.from_param(CASES["window"]["param"])
        drawn = [decide_iteration(iteration, rules, random.Random(seed), ["Al"])[0].chosen for seed in (1, 2)]
        assert drawn[0] != drawn[1]


def table(*rows: tuple[float, float, float]) -> dict[str, np.ndarray]:
    """One task with rows of step, max_devi_v, max_devi_f."""
    return {"task.000.000000": np.array([[step, v, 0, 0, f, 0, 0] for step, v, f in rows])}


def decided(rules: DpgenRules, *rows: tuple[float, float, float]) -> SystemDecision:
    decision = decide(table(*rows), 0, rules, random.Random(1))
    assert decision is not None
    return decision


def steps(found: tuple[Look, ...]) -> list[int]:
    return [look.step for look in found]


class TestByHand:
    def test_a_candidate_in_one_quantity_outranks_a_failure_in_the_other(self) -> None:
        rules = DpgenRules(0.05, 0.15, 10, v_trust_lo=0.1, v_trust_hi=0.2)
        rows = ((0, 0.15, 0.3), (1, 0.3, 0.1), (2, 0.3, 0.01), (3, 0.05, 0.049), (4, 0.0, 0.05), (5, 0.0, 0.15))
        decision = decided(rules, *rows)
        assert (steps(decision.candidate), steps(decision.failed)) == ([0, 1, 4], [2, 5])
        assert steps(decision.accurate) == [3]

    def test_no_look_counts(self) -> None:
        assert decide(table((0, 0, 0.1)), 0, DpgenRules(0.05, 0.15, 10, skip=1), random.Random(1)) is None

    def test_not_a_number_has_failed(self) -> None:
        assert steps(decided(DpgenRules(0.05, 0.15, 10), (0, 0.0, np.nan), (1, 0.0, 0.1)).failed) == [0]

    @pytest.mark.parametrize(("ratio", "most"), [(0.0, 100), (0.49, 100), (0.5, 100), (0.7, 50), (0.9, 0), (1.0, 0)])
    def test_between_the_thresholds_labels_fall_linearly(self, ratio: float, most: int) -> None:
        rules = DpgenRules(0.05, 0.15, 100, accurate_threshold=0.9, accurate_soft_threshold=0.5)
        assert rules.most_labels(ratio) in (most, most - 1)  # DP-GEN cuts off what is left of the last label

    def test_no_threshold_but_all_accurate(self) -> None:
        assert [DpgenRules(0.05, 0.15, 7).most_labels(ratio) for ratio in (0.0, 0.999, 1.0)] == [7, 7, 0]

    def test_the_last_row_of_a_step_counts(self, tmp_path: Path) -> None:
        path = tmp_path / "model_devi.out"
        path.write_text("# step\n 0 0 0 0 0.1 0 0\n 5 0 0 0 0.9 0 0\n 5 0 0 0 0.2 0 0\n")
        assert read_model_devi(path)[:, 4].tolist() == [0.1, 0.2]
        path.write_text(" 7 0 0 0 0.1 0 0 0.3\n")
        assert read_model_devi(path).shape == (1, 8)


class TestBadInput:
    def test_what_is_missing_is_named(self) -> None:
        with pytest.raises(ConfigError, match="lacks model_devi_f_trust_hi, fp_task_max"):
            DpgenRules.from_param({"model_devi_f_trust_lo": 0.1})

    @pytest.mark.parametrize("levels", [[0.1], {"0": 0.1}])
    def test_a_system_without_level(self, levels: Any) -> None:
        with pytest.raises(ConfigError, match="none for system 1"):
            decide(table((0, 0, 0.1)), 1, DpgenRules(levels, 0.2, 3), random.Random(1))

    @pytest.mark.parametrize(
        ("criteria", "words"),
        [("length:5", "'length'; allowed are length_ratio"), ("5", "write it as 'length_ratio:5")],
    )
    def test_criteria(self, criteria: str, words: str, iteration: Path) -> None:
        frame = read_dump(iteration / "task.000.000000" / "traj" / "0.lammpstrj", ["Al"])
        with pytest.raises(ConfigError, match=words):
            is_bad_box(frame, criteria)

    def test_files(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="of an iteration of DP-GEN"):
            decide_iteration(tmp_path, DpgenRules(0.1, 0.2, 3), random.Random(1), ["Al"])
        (tmp_path / "short").write_text("0 1 2\n")
        with pytest.raises(ConfigError, match="3 columns"):
            read_model_devi(tmp_path / "short")
        with pytest.raises(ConfigError, match="cannot be read"):
            read_model_devi(tmp_path / "absent")
        with pytest.raises(ConfigError, match="LAMMPS dump"):
            read_dump(tmp_path / "short", ["Al"])
