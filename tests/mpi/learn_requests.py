"""Pauses that are asked for at a look, candidates that are left at the end, and models that are lent to the fix.

Part of the program ``learn_rollback.py``, on any number of ranks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from learn_scripts import ALWAYS, ATOMS, CUBE, NVE, Runner, state

from lammps_dpgen import _core
from lammps_dpgen.errors import LearningError
from lammps_dpgen.learning.plugin_api import GO_ON, PluginApi


class Trial:
    """A LAMMPS instance with a learning run that asks for pauses at given steps.

    Attributes
    ----------
    pauses
        Step, reason, and the steps of the candidates (on rank 0; elsewhere there are none) of each pause.
    answers
        What the requests returned.
    """

    def __init__(self, runner: Runner, name: str, request_at: tuple[int, ...] = ()) -> None:
        runner.enter(name)
        self.lmp = runner.lammps("log.lammps")
        self.api = PluginApi(self.lmp, "learn")
        self.pauses: list[tuple[int, str, list[int]]] = []
        self.answers: list[bool] = []
        self.refusals: list[str] = []
        self._request_at = request_at
        self.api.attach(self._look, self._pause)

    def _look(self, look: _core.Look) -> None:
        if look.step in self._request_at:
            self.answers.append(self.api.request_pause())
            self.refusals.append(message_of(self.api))

    def _pause(self, pause: _core.Pause) -> int:
        self.pauses.append((pause.step, pause.reason, [frame.step for frame in pause.candidates]))
        return GO_ON

    def atoms(self, stop: str) -> None:
        self.lmp.commands_string(ATOMS.format(box=CUBE, trust=ALWAYS, stop=stop) + NVE)

    def found(self) -> dict[str, Any]:
        found = {"pauses": self.pauses, "answers": self.answers, "refusals": self.refusals, **state(self.lmp)}
        self.api.detach()
        self.lmp.close()
        return found


def message_of(api: PluginApi) -> str:
    """Return why candidates cannot be drained at this moment; empty if they can."""
    try:
        api.drain()
    except LearningError as error:
        return str(error)
    return ""


def requests(runner: Runner) -> dict[str, Any]:
    """Pauses asked for at steps 20 and 40 of a run whose fix never stops, and what is left at the end."""
    plain = Trial(runner, "requests-plain")
    plain.atoms("never")
    plain.lmp.command("run 60")
    trial = Trial(runner, "requests", (20, 40))
    trial.api.drain()  # there is no fix yet
    trial.atoms("never")
    trial.lmp.command("run 60")
    for _ in range(2):
        trial.api.drain()
    return {"plain": plain.found(), "learn": trial.found()}


def own_reason(runner: Runner) -> dict[str, Any]:
    """A request at the very look at which the fix stops by itself; others where no run can pause."""
    trial = Trial(runner, "own_reason", (10,))
    trial.atoms("candidates 3")
    trial.lmp.command("run 12")
    trial.lmp.commands_string("reset_timestep 0\nminimize 0.0 0.0 12 100")
    return trial.found()


def lent_models(runner: Runner) -> dict[str, Any]:
    """How many hold an ensemble that the last rank alone has lent, after each thing that happens."""
    trial = Trial(runner, "lent")
    paths = [str(Path(name).resolve()) for name in ("../a.model", "../b.model")]
    mine, other = _core.load_ensemble(paths), _core.load_ensemble(paths[::-1])
    lends = runner.comm.rank == runner.comm.size - 1
    holders = {"at first": mine.n_holders}

    def note(name: str, *commands: str) -> None:
        trial.lmp.commands_string("\n".join(commands))
        holders[name] = mine.n_holders

    fix = next(line for line in ATOMS.format(box="", trust=ALWAYS, stop="never").splitlines() if line[:3] == "fix")
    trial.api.lend_models(mine if lends else None)
    note("lent")
    trial.atoms("never")
    note("fix")
    note("second fix", fix.replace("learn", "watch"), "run 20")
    note("unfix", "unfix learn")
    note("fix again", fix)
    note("reload", "fix_modify learn reload")
    note("clear", "clear")
    trial.atoms("never")
    note("run after clear", "run 20")
    trial.api.reload_models(other if lends else None)  # not what the files hold
    note("others lent")
    trial.api.reload_models(mine if lends else None)
    note("lent again", "run 20")
    final = trial.found()
    holders["detached and closed"] = mine.n_holders
    return {"holders": runner.comm.bcast(holders, root=runner.comm.size - 1), "others": other.n_holders, **final}
