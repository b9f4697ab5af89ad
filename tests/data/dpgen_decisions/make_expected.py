"""Let DP-GEN itself decide on the runs: ``python make_expected.py``, in an environment with dpgen 0.14 from PyPI.

    python -m venv dpgen && dpgen/bin/pip install 'dpgen==0.14.*' && dpgen/bin/python make_expected.py

For each case of cases.json the runs are laid out as an iteration of DP-GEN, Python's random numbers are seeded, and
DP-GEN's own function makes the tasks of 02.fp. What it wrote there goes to expected.json: per system the classes, the
candidates in the order of the draw, and the looks whose frames became tasks. lammps-dpgen is not needed here.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import tempfile
from importlib.metadata import version
from pathlib import Path

from dpgen.generator import run as dpgen
from make_runs import HERE, unpacked

#: DP-GEN names its report files so; the classes in our words.
REPORTS = {"candidate": "candidate", "accurate": "rest_accurate", "failed": "rest_failed"}


def main() -> None:
    cases = json.loads((HERE / "cases.json").read_text())
    expected = {name: decisions(case) for name, case in cases.items()}
    answer = {"dpgen": version("dpgen"), "cases": expected}
    (HERE / "expected.json").write_text(json.dumps(answer, indent=None, separators=(",", ":")).replace("},", "},\n"))


def decisions(case: dict) -> dict:
    """Return what DP-GEN decides, by the system's number as in the names of its folders."""
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        iteration = Path(name) / "iter.000000"
        folder = unpacked(iteration)
        for task in folder.iterdir():
            (task / "job.json").write_text("{}")
        (folder / "cur_job.json").write_text(json.dumps(case["job"]))
        os.chdir(name)
        try:
            random.seed(case["seed"])
            dpgen._make_fp_vasp_configs(0, {"type_map": ["Al"], "model_devi_skip": 0, **case["param"]})
        finally:
            os.chdir(home)
        return collected(iteration / "02.fp")


def collected(folder: Path) -> dict:
    """Return reports and tasks of a 02.fp, looks as [task, step]."""
    found: dict = {}
    for kind, report in REPORTS.items():
        for path in sorted(folder.glob(f"{report}.shuffled.*.out")):
            rows = [line.split() for line in path.read_text().splitlines()]
            looks = [[Path(task).name, int(step)] for task, step in rows]
            found.setdefault(path.name.split(".")[2], {"labelled": []})[kind] = looks
    for path in sorted(folder.glob("task.*")):
        dump = Path(os.readlink(path / "conf.dump"))
        system = found.setdefault(path.name.split(".")[1], {"labelled": []})
        system["labelled"].append([dump.parent.parent.name, int(dump.stem)])
    return found


if __name__ == "__main__":
    main()
