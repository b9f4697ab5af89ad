"""What lammps-dpgen costs, measured: a table, results.json, and with --write the table in README.md.

    python benchmarks/run.py [--quick] [--only md|pause|kernel] [--write]

Three questions:

- How long does MD with ``fix dpgen N`` take, compared with DeePMD-kit's own ``pair_style deepmd`` with four models and
  ``out_freq N``? Ratios of medians of interleaved runs.
- How long does MD with ``pair_style dpgen`` take that knows its deviation at every step, compared with plain MD of
  ``pair_style deepmd`` with one compressed model? See ``kernel_table.py``.
- How many seconds does a pause of a learning run cost beyond labels and trainings?

Each case is written as soon as it is measured: what ends this program early loses no more than the case at work.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import kernel_table
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
MODELS = [str(HERE.parent / "tests" / "data" / "al" / f"model_{index}.pb") for index in range(4)]
RESULTS = HERE / "results.json"
PERFORMANCE = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- results: written by run.py --write -->\n", "<!-- end of results -->\n"

#: What a ratio, and a pause in seconds, may be at most.
MAX_RATIO, MAX_PAUSE = 1.05, 0.5

#: One thread each, so that ranks do not fight for the cores; TensorFlow says nothing.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "DP_INTRA_OP_PARALLELISM_THREADS": "1",
    "DP_INTER_OP_PARALLELISM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}

FULL: dict[str, Any] = {
    "atoms": [32, 256, 2048],
    "every": [1, 10, 100],
    "seconds": 0.6,
    "budget": 40,
    "turns": [5, 31],
    "pauses": 5,
}
QUICK: dict[str, Any] = {
    "atoms": [32, 256],
    "every": [1, 10],
    "seconds": 0.4,
    "budget": 5,
    "turns": [3, 9],
    "pauses": 2,
}

STYLES, CLOCKS = ("dpgen", "pair", "plain"), ("wall", "cpu")

Row = dict[str, Any]


def run_program(ranks: int, program: str, task: Row, more: Mapping[str, str] | None = None) -> Iterator[Row]:
    """Run one of the programs beside this file under MPI; yield the JSON objects that it prints, as they come.

    Parameters
    ----------
    more
        Variables of its environment.
    """
    mpirun = Path(sys.executable).parent / "mpirun"
    command = [str(mpirun), "-n", str(ranks), sys.executable, "-m", "mpi4py", str(HERE / program), json.dumps(task)]
    environment = {**os.environ, **ENVIRONMENT, **(more or {})}
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=said, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)
            else:
                said.write(line)
        if process.wait():
            said.seek(0)
            raise SystemExit(f"{program} ended with {process.returncode} on {ranks} ranks:\n{said.read()[-5000:]}")


def measure_md(settings: dict[str, Any], ranks: Iterable[int]) -> Iterator[Row]:
    """Yield one row per case: medians of the seconds per step and their ratios."""
    for number in ranks:
        rows = run_program(number, "md_cost.py", {**settings, "models": MODELS})
        for case, turns in itertools.groupby(rows, lambda row: (row["ranks"], row["atoms"], row["every"])):
            yield summary_of(case, list(turns))


def summary_of(case: tuple[int, int, int], turns: list[Row]) -> Row:
    """Summarize the turns of one case."""
    wall, cpu = ({style: statistics.median(turn[of][style] for turn in turns) for style in STYLES} for of in CLOCKS)
    # How much the figure moves from turn to turn tells how far to trust it.
    ratios = sorted(turn["wall"]["dpgen"] / turn["wall"]["pair"] for turn in turns)
    quarter = len(ratios) // 4
    return {
        "ranks": case[0],
        "atoms": case[1],
        "every": case[2],
        "turns": len(turns),
        "steps_per_turn": turns[0]["steps"],
        "ms_per_step": {style: 1000.0 * seconds for style, seconds in wall.items()},
        "ratio": wall["dpgen"] / wall["pair"],
        "ratio_cpu": cpu["dpgen"] / cpu["pair"],
        "ratio_middle_half": [ratios[quarter], ratios[-1 - quarter]],
        "ratio_to_plain": wall["dpgen"] / wall["plain"],
    }


def measure_pauses(settings: dict[str, Any], ranks: Iterable[int]) -> Iterator[Row]:
    """Yield one row per number of ranks: median seconds of a pause, by part."""
    for number in ranks:
        pauses = list(run_program(number, "pause_cost.py", {"pauses": settings["pauses"]}))
        seconds = {part: statistics.median(pause[part] for pause in pauses) for part in pauses[0]}
        yield {"ranks": number, "atoms": 256, "pauses": len(pauses), "seconds": seconds}


def merged(old: list[Row], new: list[Row]) -> list[Row]:
    """Return old and new rows; a case that is measured again is replaced."""

    def case(row: Row) -> tuple[int, int, int]:
        return row["ranks"], row["atoms"], row.get("every", 0)

    rows = {case(row): row for row in [*old, *new]}
    return [rows[key] for key in sorted(rows)]


def md_cells(rows: list[Row]) -> list[list[str]]:
    """Return head and body of the table about MD."""
    head = ["ranks", "atoms", "N", "turns", "fix, ms", "pair, ms", "ratio", "middle half", "CPU ratio", "to plain"]
    body = []
    for row in rows:
        ms, (low, high) = row["ms_per_step"], row["ratio_middle_half"]
        names = [str(row[name]) for name in ("ranks", "atoms", "every", "turns")]
        ratios = [f"{row['ratio']:.3f}", f"{low:.2f}-{high:.2f}", f"{row['ratio_cpu']:.3f}"]
        ratios.append(f"{row['ratio_to_plain']:.2f}")
        body.append([*names, f"{ms['dpgen']:.3f}", f"{ms['pair']:.3f}", *ratios])
    return [head, *body]


def pause_cells(rows: list[Row]) -> list[list[str]]:
    """Return head and body of the table about pauses."""
    parts = list(rows[0]["seconds"]) if rows else []
    head = ["ranks", "atoms", "pauses", *(f"{part}, s" for part in parts)]
    body = []
    for row in rows:
        counts = [str(row[name]) for name in ("ranks", "atoms", "pauses")]
        body.append([*counts, *(f"{row['seconds'][part]:.3f}" for part in parts)])
    return [head, *body]


def show(title: str, cells: list[list[str]]) -> None:
    """Print a table."""
    table = Table(title=title)
    for name in cells[0]:
        table.add_column(name, justify="right")
    for row in cells[1:]:
        table.add_row(*row)
    Console().print(table)


def markdown(cells: list[list[str]]) -> str:
    """Return a table in Markdown."""
    lines = [cells[0], ["---:"] * len(cells[0]), *cells[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def machine() -> Row:
    """Return what the figures depend on; no names."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = {line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")}
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "cpu": ", ".join(sorted(models)) or platform.machine(),
        "cores": os.cpu_count(),
        "load_at_start": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        **{name: version(name) for name in ("deepmd-kit", "lammps", "lammps-dpgen")},
    }


def described(where: Row) -> str:
    """Return when and on what something was measured."""
    return (
        f"{where['date']}: {where['cores']} cores of {where['cpu']}, load {where['load_at_start']} from other programs "
        f"when it began; deepmd-kit {where['deepmd-kit']}, lammps {where['lammps']}, Python {where['python']}"
    )


def write(results: Row) -> None:
    """Store the results, and put the tables into README.md."""
    replace(RESULTS, json.dumps(results, indent=1) + "\n")
    text = f"Measured on {described(results['machine'])}.\n"
    if results.get("md"):
        text += "\n" + markdown(md_cells(results["md"]))
    if results.get("pause"):
        text += "\n" + markdown(pause_cells(results["pause"]))
    between_marks(HERE / "README.md", text)
    if results.get("kernel"):
        text = f"Measured on {results['kernel_on']}.\n"
        for kind, title in kernel_table.TITLES.items():
            text += "\n" + title + "\n\n" + markdown(kernel_table.cells(results["kernel"], kind))
        between_marks(PERFORMANCE, text)


def between_marks(page: Path, text: str) -> None:
    """Replace what stands between the marks of a page."""
    before, rest = page.read_text().split(BEGIN)
    replace(page, before + BEGIN + "\n" + text + "\n" + END + rest.split(END)[1])


def replace(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    os.replace(fresh, path)


def too_slow(results: Row) -> list[str]:
    """Return what is above its bound."""
    found = [
        f"ratio {row['ratio']:.3f} with {row['atoms']} atoms, N = {row['every']}, {row['ranks']} ranks"
        for row in results.get("md", [])
        if row["ratio"] > MAX_RATIO
    ]
    found += kernel_table.too_slow(results.get("kernel", []))
    return found + [
        f"pause of {row['seconds']['total']:.2f} s on {row['ranks']} ranks"
        for row in results.get("pause", [])
        if row["seconds"]["total"] > MAX_PAUSE
    ]


def main() -> None:
    """Measure, show, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and short runs: to see that it works")
    parser.add_argument("--only", choices=("md", "pause", "kernel"), help="one of the three")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2], help="numbers of MPI ranks (default 1 2)")
    parser.add_argument("--atoms", type=int, nargs="+", choices=FULL["atoms"], help="only these numbers of atoms, MD")
    parser.add_argument(
        "--models", type=Path, metavar="FOLDER", default=HERE / "models", help="of train_kernel_models.py, for kernel"
    )
    names = list(kernel_table.KINDS)
    parser.add_argument("--ensembles", nargs="+", choices=names, default=names, help="only these, for kernel")
    parser.add_argument("--every", type=int, nargs="+", help="only these N, MD")
    parser.add_argument("--budget", type=float, help="seconds per case of MD, where a turn is not longer (default 20)")
    parser.add_argument("--write", action="store_true", help="write results.json and the tables in README.md")
    arguments = parser.parse_args()
    chosen = {name: getattr(arguments, name) for name in ("atoms", "every", "budget")}
    settings = {**(QUICK if arguments.quick else FULL), **{name: value for name, value in chosen.items() if value}}
    # What is not measured now stays as it was.
    kept = json.loads(RESULTS.read_text()) if arguments.write and RESULTS.exists() else {}
    results: Row = {**kept, "machine": machine()}
    asked = {part: arguments.ranks if arguments.only in (None, part) else [] for part in ("md", "pause", "kernel")}
    kernel = kernel_table.QUICK if arguments.quick else kernel_table.FULL
    names = arguments.ensembles if asked["kernel"] else []
    measured = {
        "md": measure_md(settings, asked["md"]),
        "pause": measure_pauses(settings, asked["pause"]),
        "kernel": kernel_table.measure(kernel, arguments.models, names, run_program, print),
    }
    for part, rows in measured.items():
        for row in rows:
            merge = kernel_table.merged if part == "kernel" else merged
            results[part] = merge(results.get(part, []), [row])
            if part == "kernel":
                results["kernel_on"] = described(results["machine"])
            if arguments.write:
                write(results)
    if asked["md"]:
        show("MD with fix dpgen against pair_style deepmd with 4 models", md_cells(results["md"]))
    if asked["kernel"]:
        for kind, title in kernel_table.TITLES.items():
            show(title, kernel_table.cells(results["kernel"], kind))
    if asked["pause"]:
        show("A pause beyond labels and trainings", pause_cells(results["pause"]))
    for line in too_slow(results):
        print(f"above the bound: {line}")


if __name__ == "__main__":
    main()
