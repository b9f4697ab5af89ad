"""Program behind ``test_learn_run.py``: all scripts both ways, and what the hooks and the C functions do.

``python learn_cases.py FOLDER [NAME...]`` writes ``FOLDER/results.json``; with names, of these scripts only.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from learn_scripts import ALWAYS, ATOMS, CUBE, NVE, SCRIPTS, Runner, start, state

DRIVERS = ("temper", "temper/npt", "temper/grem", "neb", "neb/spin", "prd", "tad", "hyper")


def message_of(act: Callable[..., Any], *args: Any) -> str:
    """Return the message of the exception that a call raises; empty if it raises none."""
    try:
        act(*args)
    except Exception as error:
        return str(error)
    return ""


class Cases:
    """LAMMPS instances with a learning run attached, one folder each."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.library = runner, runner.library

    def begin(
        self, name: str, outcome: Callable[[Any], int] = lambda lmp: 0, learning: bool = True
    ) -> tuple[Any, list[int]]:
        """Start LAMMPS with the usual atoms; return it with the list to which the steps of its pauses go."""
        self.runner.enter(name)
        lmp = self.runner.lammps("log.lammps")
        pauses: list[int] = []

        def pause() -> int:
            pauses.append(lmp.extract_global("ntimestep"))
            return outcome(lmp)

        if learning:
            self.library.attach(lmp, "learn", lambda: None, pause)
        stop = "candidates 3" if learning else "never"
        lmp.commands_string(ATOMS.format(box=CUBE, trust=ALWAYS, stop=stop) + NVE)
        return lmp, pauses

    def outcome(self, name: str, number: int) -> dict[str, Any]:
        """Two run commands under a hook that always returns the same number."""
        lmp, pauses = self.begin(name, lambda _: number)
        steps: list[int] = []

        def runs() -> None:
            for n in (60, 20):
                lmp.command(f"run {n}")
                steps.append(lmp.extract_global("ntimestep"))

        error = message_of(runs)
        self.library.call("detach", lmp)  # also after an error
        lmp.close()
        return {"steps": steps, "pauses": pauses, "error": error}

    def commands_in_pause(self) -> dict[str, Any]:
        """The hook runs 0 steps, makes the pair style anew and lets the fix look at every tenth step only."""

        def hook(lmp: Any) -> int:
            lmp.commands_string("run 0\npair_style none\npair_style lj/cut 5.5\npair_coeff * * 0.3 2.6")
            self.library.call("set_every", lmp, 10)
            self.library.call("reload_models", lmp)
            return 0

        plain, _ = self.begin("commands_in_pause-plain", learning=False)
        plain.command("run 80")
        reference = state(plain)
        plain.close()
        lmp, pauses = self.begin("commands_in_pause", hook)
        lmp.command("run 80")
        final = state(lmp)
        lmp.close()
        return {"pauses": pauses, "final": final, "plain": reference}

    def refused(self) -> dict[str, str]:
        lmp, _ = self.begin("refused")
        messages = {driver: message_of(lmp.command, f"{driver} 10") for driver in DRIVERS}
        lmp.close()
        return messages

    def time_runs_out_in_a_pause(self) -> dict[str, Any]:
        """The limit is looked at every 100 steps, but pauses come every 15: it ends the run all the same."""
        lmp, pauses = self.begin("timeout", lambda _: time.sleep(1.2) or 0)
        steps = []
        lmp.command("timer timeout 2 every 100")
        for command in ("run 90", "run 20", "timer timeout off", "run 12"):
            lmp.command(command)
            steps.append(lmp.extract_global("ntimestep"))
        lmp.close()
        return {"pauses": pauses, "steps": steps}

    def pair_style(self) -> dict[str, str]:
        lmp, _ = self.begin("pair_style")
        found = {"other": message_of(self.library.text, "pair_style", lmp)}
        lmp.commands_string("variable c index 5.5\npair_style hybrid/overlay lj/cut $c zero 5.0")
        found["hybrid"] = self.library.text("pair_style", lmp)
        lmp.commands_string("clear\nunits metal\natom_style atomic")
        found["none"] = message_of(self.library.text, "pair_style", lmp)
        lmp.command("pair_style hybrid lj/cut 4.5")
        found["after_clear"] = self.library.text("pair_style", lmp)
        lmp.close()
        return found

    def without_fix(self) -> dict[str, Any]:
        lmp, pauses = self.begin("without_fix")
        lmp.commands_string("unfix learn\nrun 20\nrun 10")
        found = {
            "counted": self.library.call("runs_without_fix", lmp),
            "pauses": pauses,
            "step": lmp.extract_global("ntimestep"),
        }
        lmp.close()
        return found

    def bad_calls(self) -> dict[str, Any]:
        call, text = self.library.call, self.library.text
        plain, _ = self.begin("bad_calls-plain", learning=False)
        found: dict[str, Any] = {"not_attached": message_of(call, "set_every", plain, 5)}
        lmp, _ = self.begin("bad_calls")
        bad = "run 10 every 0 NULL"
        found["bad_run"] = {"plain": message_of(plain.command, bad), "learn": message_of(lmp.command, bad)}
        found["every_zero"] = message_of(call, "set_every", lmp, 0)
        found["negative_keep"] = message_of(call, "set_safe_points", lmp, 10, -1)
        found["no_points"] = text("rollback_refusal", lmp)
        self.library.attach(lmp, "nobody", lambda: None, lambda: 0)
        found["no_fix"] = message_of(call, "set_every", lmp, 5)
        plain.close()
        lmp.close()
        return found

    def detached(self) -> dict[str, Any]:
        lmp, pauses = self.begin("detached")
        self.library.attach(lmp, "learn", lambda: None, lambda: (pauses.append(lmp.extract_global("ntimestep")), 0)[1])
        lmp.command("run 20")
        self.library.call("detach", lmp)
        lmp.commands_string("fix_modify learn stop never\nrun 20")
        found = {"step": lmp.extract_global("ntimestep"), "pauses": pauses}
        lmp.close()
        return found


def main(folder: Path, names: list[str]) -> None:
    runner = start(folder)
    results: dict[str, Any] = {
        "scripts": {
            name: {"plain": runner.run(name, False), "learn": runner.run(name, True)} for name in names or SCRIPTS
        }
    }
    if not names:
        cases = Cases(runner)
        outcomes = {"go_on": 0, "end_run": 1, "end_all": 2, "error": 3, "bad_number": 7}
        results["outcomes"] = {name: cases.outcome(name, number) for name, number in outcomes.items()}
        for case in (
            "commands_in_pause",
            "refused",
            "time_runs_out_in_a_pause",
            "pair_style",
            "without_fix",
            "bad_calls",
            "detached",
        ):
            results[case] = getattr(cases, case)()
    if runner.comm.rank == 0:
        (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2:])
