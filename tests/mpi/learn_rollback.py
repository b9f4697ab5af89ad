"""Program behind ``test_learn_run_mpi.py``: safe points, rollbacks and their refusals, requests, any number of ranks.

``python learn_rollback.py FOLDER`` writes ``FOLDER/results.json`` on rank 0.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

from learn_requests import lent_models, own_reason, requests
from learn_scripts import ATOMS, CUBE, NPT, NPT_TRI, NVE, NVT, TILTED, Runner, start, state

#: Every frame is trusted, so that safe points are taken.
TRUSTED = "100.0 200.0"
HOT = "velocity all create 4000.0 12345\n"
CSVR = NVE + "fix bath all temp/berendsen 2000 2000 0.1\n"

#: Box and integrator of the trajectories that are rolled back and repeated. The bath of the third one acts at the end
#: of the step, after fix dpgen has looked.
REPEATED = {
    "nve": (CUBE, NVE),
    "nvt": (CUBE, NVT),
    "bath_at_end_of_step": (CUBE, CSVR),
    "npt": (CUBE, NPT),
    "nvt_tilted": (TILTED, NVT),
    "npt_tilted": (TILTED, NPT_TRI),
}

#: What forbids a rollback from step 40 to step 20, and a word of the reason.
REFUSED = {
    "deposit": (
        "region empty block INF INF INF INF 2.9 4\ndelete_atoms region empty\n"
        "region new block 0 4 0 4 3.4 3.6\nfix grow all deposit 2 1 30 77 region new near 0.5 attempt 200",
        "created or lost",
    ),
    "move": ("group few id 1:4\nfix shift few move linear 1 0 0", "cannot be rewound"),
    "rigid": ("group few id 1:4\nfix body few rigid/nve single", "cannot be rewound"),
    "lost": ("region hole sphere 2 2 2 1.5\nfix gone all evaporate 30 1 hole 55", "created or lost"),
}


def begin(runner: Runner, name: str, box: str, body: str, trust: str = TRUSTED, model: str = "a") -> Any:
    """Start LAMMPS in a folder of its own, with a learning run attached and safe points every 20 steps."""
    runner.enter(name)
    lmp = runner.lammps("log.lammps")
    runner.library.attach(lmp, "learn", lambda: None, lambda: 0)
    runner.library.call("set_safe_points", lmp, 20, 4)
    text = ATOMS.format(box=box, trust=trust, stop="failed").replace("../a.model", f"../{model}.model")
    lmp.commands_string(text + HOT + body)
    return lmp


def repeat(runner: Runner, name: str) -> dict[str, Any]:
    """Run to step 100 and on to 200, go back to step 100 and run the second half again."""
    box, integrator = REPEATED[name]
    library = runner.library
    lmp = begin(runner, name, box, integrator)
    library.call("set_safe_points", lmp, 100, 3)
    lmp.command("run 100")
    middle, before = state(lmp), owners(lmp)
    lmp.command("run 100")
    moved = len(before - owners(lmp))
    first = state(lmp) | {"energy": lmp.get_thermo("etotal")}
    points = library.safe_points(lmp)
    library.call("rollback", lmp, points.index(100))
    kept = library.safe_points(lmp)
    lmp.command("run 100 pre no")
    second = state(lmp) | {"energy": lmp.get_thermo("etotal")}
    lmp.close()
    return {"first": first, "middle": middle, "second": second, "points": points, "kept": kept, "moved": moved}


def owners(lmp: Any) -> set[int]:
    """Return the ids of the atoms of this rank."""
    return set(lmp.numpy.extract_atom("id")[: lmp.extract_setting("nlocal")].tolist())


def refuse(runner: Runner, name: str) -> dict[str, Any]:
    """Return the error of a rollback from step 40 to step 20, and the reason for which the newest point is refused."""
    command, _ = REFUSED[name]
    lmp = begin(runner, name, CUBE, NVE)
    lmp.commands_string(command)
    lmp.command("run 40")
    reason = runner.library.text("rollback_refusal", lmp)
    try:
        runner.library.call("rollback", lmp, 1)
        error = ""
    except RuntimeError as caught:
        error = str(caught)
    points = runner.library.safe_points(lmp)
    lmp.close()
    return {"reason": reason, "error": error, "points": points}


def roll_back_in_pause(runner: Runner) -> dict[str, Any]:
    """A failed frame, a rollback in the pause, and the same failure again, later by the discarded steps."""
    lmp = begin(runner, "pause", CUBE, NVE, model="fragile")
    library, pauses = runner.library, []

    def pause() -> int:
        pauses.append({"points": library.safe_points(lmp), **state(lmp)})
        if len(pauses) == 1:
            library.call("rollback", lmp, 0)
            return 0
        return 1

    library.attach(lmp, "learn", lambda: None, pause)
    lmp.command("run 2000")
    after = lmp.extract_global("ntimestep")
    lmp.command("run 0")
    lmp.close()
    return {"pauses": pauses, "after": after}


def touched_between_runs(runner: Runner) -> dict[str, Any]:
    """Safe points outlive a run command only where nothing was changed after it."""
    lmp = begin(runner, "touched", CUBE, NVE)
    lmp.command("run 40")
    lmp.command("run 20")
    untouched = runner.library.safe_points(lmp)
    lmp.command("velocity all scale 500")
    lmp.command("run 20")
    touched = runner.library.safe_points(lmp)
    lmp.commands_string("replicate 2 1 1\nrun 20")
    replicated = lmp.get_natoms()
    lmp.close()
    return {"untouched": untouched, "touched": touched, "replicated": replicated}


def main(folder: Path) -> None:
    runner = start(folder)
    if runner.comm.rank == 0:
        (folder / "fragile.model").write_text((folder / "a.model").read_text() + "nan_below 2.4\n")
    runner.comm.Barrier()
    results: dict[str, Any] = {
        "repeat": {name: repeat(runner, name) for name in REPEATED},
        "refuse": {name: refuse(runner, name) for name in REFUSED},
        "pause": roll_back_in_pause(runner),
        "touched": touched_between_runs(runner),
        "requests": requests(runner),
        "own_reason": own_reason(runner),
        "lent_models": lent_models(runner),
    }
    moved = runner.comm.allreduce(results["repeat"]["npt_tilted"]["moved"])
    results["migrated"] = {"ranks": runner.comm.size, "atoms": moved}
    if runner.comm.rank == 0:
        (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
