"""DP-GEN's decisions: which looks of an iteration are candidates, and which of these are labelled.

The rules are those of DP-GEN 0.14, with its keys and its use of random numbers, for the files that it works on. Given
the same ``model_devi.out`` and dump files and the same state of Python's random numbers, the sets are the same.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from lammps_dpgen.cell_shape import aspect_ratio, length_ratio, tilt_ratio, vacuum, wrap_ratio
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import FloatArray, Frame
from lammps_dpgen.geometry import shortest_distance
from lammps_dpgen.learning.dpgen_files import read_dump, read_model_devi

#: A bound for all systems, or one for each: by number in a list, or by number written as text in a mapping.
Bound = float | Sequence[float] | Mapping[str, float]

#: DP-GEN's bound of the virial deviation where none is given: no frame is a candidate for its virial.
_NO_BOUND = 1e10

#: Columns of model_devi.out.
_STEP, _MAX_V, _MAX_F = 0, 1, 4

#: What a criterion of ``fp_skip_bad_box`` measures; a frame with more is skipped.
_RATIOS: Mapping[str, Callable[[FloatArray], float]] = {
    "length_ratio": length_ratio,
    "height_ratio": aspect_ratio,
    "wrap_ratio": wrap_ratio,
    "tilt_ratio": tilt_ratio,
}
_DISTANCES = ("min_distance", "min_dist")


class Look(NamedTuple):
    """One row of a model_devi.out: task (name of its folder) and MD step."""

    task: str
    step: int


@dataclass(frozen=True)
class AdaptiveTrust:
    """DP-GEN's ``model_devi_adapt_trust_lo``: the frames that deviate most are candidates, whatever they deviate.

    Attributes
    ----------
    n_force, n_virial
        Candidates by force and by virial deviation, at least (``model_devi_numb_candi_f``, ``..._v``).
    percent_force, percent_virial
        The same in percent of the looks that did not fail (``model_devi_perc_candi_f``, ``..._v``).
    """

    n_force: int = 10
    n_virial: int = 0
    percent_force: float = 0.0
    percent_virial: float = 0.0


@dataclass(frozen=True)
class DpgenRules:
    """What DP-GEN decides by; the attributes follow its keys.

    Attributes
    ----------
    f_trust_lo, f_trust_hi, v_trust_lo, v_trust_hi
        Bounds of max_devi_f (eV/Å) and max_devi_v (eV/atom): a candidate has at least lo and less than hi.
    adaptive
        If given, the lower bounds are not used.
    skip
        Looks before this MD step do not count.
    task_max
        Most labels for one system in one iteration.
    task_min
        Fewer than this are not worth the effort: none is labelled. DP-GEN takes it from ``task_min`` of the job;
        ``fp_task_min`` of the whole input decides on the next training only.
    accurate_threshold, accurate_soft_threshold
        From this share of accurate looks on no frame of the system is labelled; between the two the number of labels
        falls linearly.
    bad_box
        Criteria by which cells are skipped, such as ``length_ratio:5;height_ratio:5``.
    cluster_vacuum
        Clusters with less room around them (Å) are skipped.
    detailed_report
        DP-GEN then shuffles the other looks too, which takes more random numbers.
    """

    f_trust_lo: Bound
    f_trust_hi: Bound
    task_max: int
    v_trust_lo: Bound = _NO_BOUND
    v_trust_hi: Bound = _NO_BOUND
    adaptive: AdaptiveTrust | None = None
    skip: int = 0
    task_min: int = -1
    accurate_threshold: float = 1.0
    accurate_soft_threshold: float | None = None
    bad_box: str | None = None
    cluster_vacuum: float | None = None
    detailed_report: bool = True

    @classmethod
    def from_param(cls, param: Mapping[str, Any], job: Mapping[str, Any] | None = None) -> DpgenRules:
        """Return the rules of a param.json.

        Parameters
        ----------
        job
            The entry of ``model_devi_jobs`` of the iteration, whose own trust levels count first.

        Raises
        ------
        ConfigError
            A key is missing.
        """
        own = dict(job or {})
        missing = [key for key in ("model_devi_f_trust_lo", "model_devi_f_trust_hi") if key not in {**param, **own}]
        missing += [key for key in ("fp_task_max",) if key not in param]
        if missing:
            raise ConfigError(f"the DP-GEN input lacks {', '.join(missing)}; add what DP-GEN itself would need")
        bounds = {}
        for name in ("f_trust_lo", "f_trust_hi", "v_trust_lo", "v_trust_hi"):
            level = own.get(f"model_devi_{name}")
            bounds[name] = param.get(f"model_devi_{name}", _NO_BOUND) if level is None else level
        adaptive = AdaptiveTrust(
            param.get("model_devi_numb_candi_f", 10),
            param.get("model_devi_numb_candi_v", 0),
            param.get("model_devi_perc_candi_f", 0.0),
            param.get("model_devi_perc_candi_v", 0.0),
        )
        return cls(
            **bounds,
            task_max=param["fp_task_max"],
            adaptive=adaptive if param.get("model_devi_adapt_trust_lo") else None,
            skip=param.get("model_devi_skip", 0),
            task_min=own.get("task_min", -1),
            accurate_threshold=param.get("fp_accurate_threshold", 1.0),
            accurate_soft_threshold=param.get("fp_accurate_soft_threshold"),
            bad_box=param.get("fp_skip_bad_box"),
            cluster_vacuum=param.get("fp_cluster_vacuum"),
            detailed_report=param.get("detailed_report_make_fp", True),
        )

    def most_labels(self, accurate_ratio: float) -> int:
        """Return the number of labels that a system may get, by its share of accurate looks."""
        hard = self.accurate_threshold
        soft = hard if self.accurate_soft_threshold is None else self.accurate_soft_threshold
        if accurate_ratio < soft:
            return self.task_max
        if accurate_ratio < hard:
            return int(self.task_max * (accurate_ratio - hard) / (soft - hard))
        return 0


@dataclass(frozen=True)
class SystemDecision:
    """What becomes of the looks of one system in one iteration.

    Attributes
    ----------
    accurate, candidate, failed
        The classes, in order of task and step.
    task_max
        Most labels, as the share of accurate looks allows.
    chosen
        Candidates that were drawn, in order of task and step.
    bad_box, bad_cluster
        Those of `chosen` that are skipped; no others are drawn for them.
    """

    accurate: tuple[Look, ...]
    candidate: tuple[Look, ...]
    failed: tuple[Look, ...]
    task_max: int
    chosen: tuple[Look, ...]
    bad_box: tuple[Look, ...] = ()
    bad_cluster: tuple[Look, ...] = ()

    @property
    def accurate_ratio(self) -> float:
        """Share of accurate looks."""
        return len(self.accurate) / (len(self.accurate) + len(self.candidate) + len(self.failed))

    @property
    def labelled(self) -> tuple[Look, ...]:
        """The looks whose frames are labelled."""
        return tuple(look for look in self.chosen if look not in {*self.bad_box, *self.bad_cluster})


def decide_iteration(
    folder: Path, rules: DpgenRules, rng: random.Random, type_map: Sequence[str]
) -> dict[int, SystemDecision]:
    """Return DP-GEN's decisions for one iteration, by the number of the system.

    Parameters
    ----------
    folder
        An ``iter.*/01.model_devi``: folders ``task.SYSTEM.NUMBER`` with ``model_devi.out`` and ``traj/STEP.lammpstrj``.
    rng
        In the state of Python's ``random`` when DP-GEN makes the labels' tasks.
    type_map
        Elements of the LAMMPS types, in order.

    Raises
    ------
    ConfigError
        No tasks, or files that cannot be read.
    """
    systems: dict[int, dict[str, FloatArray]] = {}
    for task in sorted(path for path in folder.glob("task.*.*") if path.is_dir()):
        system = int(task.name.split(".")[1])
        systems.setdefault(system, {})[task.name] = read_model_devi(task / "model_devi.out")
    if not systems:
        raise ConfigError(f"{folder} has no folders task.*.*; give the 01.model_devi of an iteration of DP-GEN")

    def frame(look: Look) -> Frame:
        return read_dump(folder / look.task / "traj" / f"{look.step}.lammpstrj", type_map)

    decisions = {}
    for system, tables in sorted(systems.items()):
        decision = decide(tables, system, rules, rng)
        if decision is not None:
            decisions[system] = screened(decision, frame, rules)
    return decisions


def decide(
    tables: Mapping[str, FloatArray], system: int, rules: DpgenRules, rng: random.Random
) -> SystemDecision | None:
    """Return the classes of all looks of a system and the candidates drawn; None where no look counts.

    Parameters
    ----------
    tables
        Content of model_devi.out by the name of the task, see :mod:`lammps_dpgen.learning.dpgen_files`.
    system
        Number of the system, which chooses among bounds by system.
    """
    sort = _classified if rules.adaptive is None else _adaptive
    accurate, candidate, failed = sort({task: tables[task] for task in sorted(tables)}, system, rules)
    n_looks = len(accurate) + len(candidate) + len(failed)
    if n_looks == 0:
        return None
    shuffled = list(candidate)
    rng.shuffle(shuffled)
    if rules.detailed_report:
        for others in (failed, accurate):
            rng.shuffle(list(others))
    most = rules.most_labels(len(accurate) / n_looks)
    number = min(most, len(candidate))
    if number < rules.task_min:
        number = 0
    return SystemDecision(tuple(accurate), tuple(candidate), tuple(failed), most, tuple(sorted(shuffled[:number])))


def screened(decision: SystemDecision, frame: Callable[[Look], Frame], rules: DpgenRules) -> SystemDecision:
    """Return the decision with those of the chosen looks named whose frames are not fit for a label."""
    bad_box: list[Look] = []
    bad_cluster: list[Look] = []
    if rules.bad_box is not None or rules.cluster_vacuum is not None:
        for look in decision.chosen:
            image = frame(look)
            if rules.bad_box is not None and is_bad_box(image, rules.bad_box):
                bad_box.append(look)
            elif rules.cluster_vacuum is not None and vacuum(image.cell, image.positions) < rules.cluster_vacuum:
                bad_cluster.append(look)
    return replace(decision, bad_box=tuple(bad_box), bad_cluster=tuple(bad_cluster))


def is_bad_box(frame: Frame, criteria: str) -> bool:
    """Tell whether a frame is beyond one of the criteria of DP-GEN's ``fp_skip_bad_box``."""
    for name, limit in box_criteria(criteria).items():
        if name in _DISTANCES:
            if shortest_distance(frame) < limit:
                return True
        elif _RATIOS[name](frame.cell) > limit:
            return True
    return False


def box_criteria(text: str) -> dict[str, float]:
    """Return the criteria of a ``fp_skip_bad_box`` such as ``length_ratio:5;height_ratio:5``.

    Raises
    ------
    ConfigError
        It is no such text, or names a criterion that DP-GEN does not have.
    """
    try:
        parts = {name.strip(): float(limit) for name, limit in (part.split(":") for part in text.split(";"))}
    except ValueError:
        raise ConfigError(f"fp_skip_bad_box is {text!r}; write it as 'length_ratio:5;height_ratio:5'") from None
    known = (*_RATIOS, *_DISTANCES)
    for name in parts:
        if name not in known:
            raise ConfigError(f"fp_skip_bad_box has a criterion {name!r}; allowed are {', '.join(known)}")
    return parts


def bound_of(bound: Bound, system: int) -> float:
    """Return the bound of a system.

    Raises
    ------
    ConfigError
        There is a bound for others but not for this system.
    """
    try:
        if isinstance(bound, Mapping):
            return float(bound[str(system)])
        return float(bound[system]) if isinstance(bound, Sequence) else float(bound)
    except (KeyError, IndexError):
        raise ConfigError(f"the trust levels {bound} have none for system {system}; add it") from None


def _classified(
    tables: Mapping[str, FloatArray], system: int, rules: DpgenRules
) -> tuple[list[Look], list[Look], list[Look]]:
    """Return accurate, candidate and failed looks by the windows of force and virial."""
    from lammps_dpgen import _core

    names = ("f_trust_lo", "f_trust_hi", "v_trust_lo", "v_trust_hi")
    force_lo, force_hi, virial_lo, virial_hi = (bound_of(getattr(rules, name), system) for name in names)
    sets: dict[str, list[Look]] = {"accurate": [], "candidate": [], "failed": []}
    for look, row in _counting(tables, rules):
        kind = _core.classify(
            row[_MAX_F], row[_MAX_V], trust=(force_lo, force_hi), trust_v=(virial_lo, virial_hi), rule="dpgen"
        )
        sets[str(kind)].append(look)
    return sets["accurate"], sets["candidate"], sets["failed"]


def _adaptive(
    tables: Mapping[str, FloatArray], system: int, rules: DpgenRules
) -> tuple[list[Look], list[Look], list[Look]]:
    """Return accurate, candidate and failed looks where the frames that deviate most are the candidates."""
    assert rules.adaptive is not None
    force_hi, virial_hi = bound_of(rules.f_trust_hi, system), bound_of(rules.v_trust_hi, system)
    failed: list[Look] = []
    by_force: list[tuple[float, Look]] = []
    by_virial: list[tuple[float, Look]] = []
    for look, row in _counting(tables, rules):
        if not (row[_MAX_F] <= force_hi and row[_MAX_V] <= virial_hi):
            failed.append(look)
            continue
        by_force.append((row[_MAX_F], look))
        by_virial.append((row[_MAX_V], look))
    candidates: set[Look] = set()
    wanted = rules.adaptive
    for ranking, least, percent in (
        (by_force, wanted.n_force, wanted.percent_force),
        (by_virial, wanted.n_virial, wanted.percent_virial),
    ):
        number = min(len(ranking), max(least, int(percent * 0.01 * len(ranking))))
        candidates |= {look for _, look in sorted(ranking)[len(ranking) - number :]}
    looks = [look for _, look in by_force]
    return [one for one in looks if one not in candidates], [one for one in looks if one in candidates], failed


def _counting(tables: Mapping[str, FloatArray], rules: DpgenRules) -> list[tuple[Look, FloatArray]]:
    """Return the looks that count with their rows, in order of task and step."""
    return [
        (Look(task, int(row[_STEP])), row)
        for task, table in tables.items()
        for row in table
        if row[_STEP] >= rules.skip
    ]
