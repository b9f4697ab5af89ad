"""Part of ``run.py``: what MD costs that knows its deviation at every step, against plain MD of DeePMD-kit.

Kinds of rows: ratios per ensemble and number of atoms on one thread, the same with AVX2 code only, what a second rank
or thread brings (each case a process of ``pair_cost.py``), and the share of the core's peak without LAMMPS.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from kernel_cost import crystal
from kernel_cost import measure as microseconds

from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.native.convert import convert_apart

Row = dict[str, Any]
#: ``run.py``'s way to start a program: ranks, its file, its task, further environment.
Program = Callable[[int, str, Row, Mapping[str, str]], Iterator[Row]]

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "tests" / "data"
N_MODELS = 4
#: Å, shortest distance between atoms that the tables of compressed models begin at; below that of all test data.
SHORTEST = 1.8

#: Of the tables, by the kind of their rows.
TITLES = {
    "ratio": "MD that knows its deviation at every step against plain MD, CPU time of one thread",
    "avx2": "The same with AVX2 code only",
    "scaling": "How many times faster two ranks and two threads are, wall time",
    "peak": "Multiplications with addition per second, of what a product of matrices reaches on the same core",
}

#: What is compared, and what it may be at most: for small models, and for those of the paper's size.
RATIOS = {
    "double / plain": (0.35, 0.45),
    "single / plain": (0.25, 0.25),
    "double / pair": (0.10, 0.10),
    "on_top / plain": (1.35, 1.35),
    "alone / plain": (0.20, 0.20),
}
#: AVX2 code may take so many times the bound; a second rank or thread has to make 4,000 atoms so many times faster.
AVX2_FACTOR, MIN_SCALING = 2.0, 1.8

FULL: Row = {
    "atoms": [32, 256, 4000],
    "seconds": {32: 0.3, 256: 0.4, 4000: 0.4},
    "budget": {32: 12.0, 256: 15.0, 4000: 15.0},
    "turns": {32: [5, 15], 256: [3, 9], 4000: [3, 5]},
    "scaling_turns": 3,
}
QUICK: Row = {
    "atoms": [32, 256],
    "seconds": {32: 0.1, 256: 0.1},
    "budget": {32: 2.0, 256: 3.0},
    "turns": {32: [2, 3], 256: [2, 3]},
    "scaling_turns": 1,
}


@dataclass(frozen=True)
class Kind:
    """An ensemble that is measured: its elements, the size of its models, and the files if it is one of tests/data."""

    elements: tuple[str, ...]
    paper: bool
    test_data: str = ""


KINDS = {
    "small": Kind(("Al",), False, "al"),
    "smallmg": Kind(("Al", "Mg"), False, "almg"),
    "paper": Kind(("Al",), True),
    "papermg": Kind(("Al", "Mg"), True),
}


def files_of(folder: Path, name: str) -> list[str]:
    """Return the models that ``train_kernel_models.py`` has left in a folder; else those of tests/data.

    Empty where there are none.
    """
    made = [folder / f"{name}_{index}.pb" for index in range(N_MODELS)]
    if all(path.is_file() for path in made):
        return [str(path.resolve()) for path in made]
    test_data = KINDS[name].test_data
    return [str(DATA / test_data / f"model_{index}.pb") for index in range(N_MODELS)] if test_data else []


@contextmanager
def prepared(models: list[str], environment: Mapping[str, str]) -> Iterator[Row]:
    """Convert models for the native kernel and compress them; both lie in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="dpgen-bench-") as folder:
        os.environ["DPGEN_NATIVE_CACHE"] = folder
        convert_apart(models)
        command = [sys.executable, str(HERE / "compress_models.py"), folder, str(SHORTEST), *models]
        ended = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
        if ended.returncode:
            raise SystemExit(f"the models cannot be compressed:\n{ended.stderr[-3000:]}")
        yield {"models": models, "compressed": [str(Path(folder) / f"{index}.pb") for index in range(len(models))]}


def measure(
    settings: Row, folder: Path, names: list[str], program: Program, note: Callable[[str], None]
) -> Iterator[Row]:
    """Yield the rows of all ensembles that are there."""
    for name in names:
        models, begin = files_of(folder, name), time.monotonic()
        if not models:
            note(f"{name}: no models; make them with 'python benchmarks/train_kernel_models.py {folder}'")
            continue
        with prepared(models, {}) as files:
            task = {**files, "elements": KINDS[name].elements}
            yield from _ratios(name, task, settings, program)
            yield from _avx2(name, task, settings, program)
            yield from _scaling(name, task, settings, program)
            yield from _shares_of_peak(name, models)
        note(f"{name}: {time.monotonic() - begin:.0f} s")


def _run(
    task: Row, settings: Row, atoms: int, styles: list[str], program: Program, **how: Any
) -> tuple[Row, dict[str, float], dict[str, float]]:
    """Return one row of a case, and the medians of its wall and CPU times per step."""
    ranks, environment = how.pop("ranks", 1), how.pop("environment", {})
    task = {**task, "atoms": [atoms], "styles": styles}
    task |= {key: settings[key][atoms] for key in ("seconds", "budget", "turns")}
    rows = list(program(ranks, "pair_cost.py", task | how, environment))
    wall, cpu = (
        {style: statistics.median(row[clock][style] for row in rows) for style in styles} for clock in ("wall", "cpu")
    )
    return {**rows[0], "turns": len(rows)}, wall, cpu


def _ratios(name: str, task: Row, settings: Row, program: Program) -> Iterator[Row]:
    for atoms in settings["atoms"]:
        styles = ["double", "single", "alone", "on_top", "plain", "pair"]
        first, _, cpu = _run(task, settings, atoms, styles, program)
        yield {
            "kind": "ratio",
            "ensemble": name,
            "atoms": atoms,
            "turns": first["turns"],
            "us_per_atom": {style: 1e6 * seconds / atoms for style, seconds in cpu.items()},
            "ratios": _ratios_of(cpu),
            "kernels": first["kernels"],
        }


def _ratios_of(cpu: Mapping[str, float]) -> dict[str, float]:
    pairs = {name: name.split(" / ") for name in RATIOS}
    return {name: cpu[one] / cpu[other] for name, (one, other) in pairs.items() if one in cpu and other in cpu}


def _avx2(name: str, task: Row, settings: Row, program: Program) -> Iterator[Row]:
    styles, atoms = ["double", "single", "alone", "plain"], 256
    first, _, cpu = _run(task, settings, atoms, styles, program, environment={"DPGEN_SIMD": "avx2"})
    us = {style: 1e6 * seconds / atoms for style, seconds in cpu.items()}
    yield {
        "kind": "avx2",
        "ensemble": name,
        "atoms": atoms,
        "turns": first["turns"],
        "us_per_atom": us,
        "ratios": _ratios_of(cpu),
        "kernels": first["kernels"],
    }


def _scaling(name: str, task: Row, settings: Row, program: Program) -> Iterator[Row]:
    """Yield how many times faster two ranks and two threads are, in wall time; processes take turns."""
    atoms = max(settings["atoms"])
    two_threads = {"OMP_NUM_THREADS": "2"}
    cases = {"1": {}, "2 ranks": {"ranks": 2}, "2 threads": {"environment": two_threads}}
    walls: dict[str, list[float]] = {case: [] for case in cases}
    for _, (case, how) in itertools.product(range(settings["scaling_turns"]), cases.items()):
        _, wall, _ = _run(task, settings, atoms, ["double"], program, turns=[3, 3], **how)
        walls[case].append(wall["double"])
    medians = {case: statistics.median(values) for case, values in walls.items()}
    yield {
        "kind": "scaling",
        "ensemble": name,
        "atoms": atoms,
        "ms_per_step": {case: 1e3 * seconds for case, seconds in medians.items()},
        "faster": {case: medians["1"] / medians[case] for case in ("2 ranks", "2 threads")},
    }


def _shares_of_peak(name: str, models: list[str]) -> Iterator[Row]:
    """Yield how much of the core's peak the kernel reaches, evaluating all models of frames of 256 atoms."""
    for precision, kind in (("double", np.float64), ("single", np.float32)):
        ensemble = Ensemble(models, kernel="native", precision=precision, self_test=False)
        if not hasattr(ensemble.core, "multiply_adds"):
            return
        frame = crystal(4, ensemble.type_map)
        ensemble.predict(frame)
        seconds = 1e-6 * frame.n_atoms * statistics.median(microseconds(ensemble, frame) for _ in range(5))
        done = ensemble.core.multiply_adds / 1e9
        yield {
            "kind": "peak",
            "ensemble": name,
            "atoms": frame.n_atoms,
            "precision": precision,
            "us_per_atom": 1e6 * seconds / frame.n_atoms,
            "multiply_adds_per_atom": 1e9 * done / frame.n_atoms,
            "giga_per_second": done / seconds,
            "peak": peak(kind),
        }


def peak(kind: type[np.floating[Any]], size: int = 1536, seconds: float = 1.0) -> float:
    """Return the multiply-adds per second that one thread reaches in a product of matrices, in 1e9: the core's peak."""
    one = np.ones((size, size), dtype=kind)
    best, begin = float("inf"), time.monotonic()
    while time.monotonic() - begin < seconds:
        start = time.process_time()
        one @ one
        best = min(best, time.process_time() - start)
    return size**3 / best / 1e9


def case_of(row: Row) -> tuple[str, str, int, str]:
    """Return what makes a row the same one when it is measured again."""
    return row["kind"], row["ensemble"], row["atoms"], row.get("precision", "")


def merged(old: list[Row], new: list[Row]) -> list[Row]:
    """Return old and new rows; a case that is measured again is replaced."""
    order = {kind: k for k, kind in enumerate(TITLES)}
    rows = {case_of(row): row for row in [*old, *new]}
    names = list(KINDS)
    return [rows[key] for key in sorted(rows, key=lambda case: (order[case[0]], names.index(case[1]), *case[2:]))]


def cells(rows: list[Row], kind: str) -> list[list[str]]:
    """Return head and body of the table of one kind of rows."""
    chosen = [row for row in rows if row["kind"] == kind]
    if kind == "scaling":
        body = [
            [
                row["ensemble"],
                str(row["atoms"]),
                f"{row['ms_per_step']['1']:.1f}",
                *(f"{x:.2f}" for x in row["faster"].values()),
            ]
            for row in chosen
        ]
        return [["ensemble", "atoms", "1 rank, ms", "2 ranks", "2 threads"], *body]
    if kind == "peak":
        head = ["ensemble", "precision", "µs/atom", "multiply-adds/atom", "1e9/s", "matrix product, 1e9/s", "share"]
        return [head, *([row["ensemble"], row["precision"], *_figures(row)] for row in chosen)]
    names = [name for name in RATIOS if any(name in row["ratios"] for row in chosen)]
    styles = [style for style in ("plain", "double", "single", "alone") if chosen and style in chosen[0]["us_per_atom"]]
    body = []
    for row in chosen:
        us = [f"{row['us_per_atom'][style]:.1f}" for style in styles]
        ratios = [f"{row['ratios'][name]:.3f}{_mark(row, name)}" if name in row["ratios"] else "" for name in names]
        body.append([row["ensemble"], str(row["atoms"]), str(row["turns"]), *us, *ratios])
    return [["ensemble", "atoms", "turns", *(f"{style}, µs" for style in styles), *names], *body]


def _figures(row: Row) -> list[str]:
    reached, peak_rate = row["giga_per_second"], row["peak"]
    share = f"{100 * reached / peak_rate:.0f} %"
    return [
        f"{row['us_per_atom']:.1f}",
        f"{row['multiply_adds_per_atom']:.0f}",
        f"{reached:.1f}",
        f"{peak_rate:.1f}",
        share,
    ]


def _mark(row: Row, name: str) -> str:
    return "" if row["ratios"][name] <= _bound(row, name) else " (!)"


def _bound(row: Row, name: str) -> float:
    bound = RATIOS[name][KINDS[row["ensemble"]].paper]
    return bound * AVX2_FACTOR if row["kind"] == "avx2" else bound


def too_slow(rows: list[Row]) -> list[str]:
    """Return what is above its bound, and what was not measured because DeePMD-kit evaluated the models."""
    found = []
    for row in rows:
        what = f"{row['ensemble']}, {row['atoms']} atoms" + (", AVX2" if row["kind"] == "avx2" else "")
        for name, ratio in row.get("ratios", {}).items():
            if ratio > _bound(row, name):
                found.append(f"{name} {ratio:.3f}, at most {_bound(row, name):g}: {what}")
        for style, kernel in row.get("kernels", {}).items():
            if style in ("double", "single", "alone", "on_top") and "native kernel" not in kernel:
                found.append(f"{style} is not the native kernel but {kernel or 'something unknown'}: {what}")
        for case, faster in row.get("faster", {}).items():
            if faster < MIN_SCALING:
                found.append(f"{case} are {faster:.2f} times as fast, at least {MIN_SCALING:g}: {what}")
    return found
