"""Program behind ``test_swaps.py``: model swaps in the middle of runs, with real models, on any number of ranks.

``python swap_cases.py FOLDER MODELS`` writes ``FOLDER/results.json`` on rank 0.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpi4py import MPI

from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.preload import Preload
from lammps_dpgen.learning.session import LammpsSession
from lammps_dpgen.learning.walker import frame_of
from lammps_dpgen.store.run_folder import RunFolder, sha256

COMM = MPI.COMM_WORLD

ATOMS = """
units metal
atom_modify map array
lattice fcc 4.05
region box block 0 2 0 2 0 3
create_box {types} box
create_atoms 1 box
{second}
mass * 26.98
displace_atoms all random 0.1 0.1 0.1 77 units box
velocity all create 600 4711 loop geom
timestep 0.001
thermo 5
"""
ONE, TWO = ATOMS.format(types=1, second=""), ATOMS.format(types=2, second="set atom 1*24 type 2")
FIX = """
fix dp all dpgen 2 ${dpgen_models}/0.pb ${dpgen_models}/1.pb types TYPES &
  trust 0.0 1000 frames none out_file none stop STOP
fix nve all nve
"""
DEEPMD = "pair_style deepmd ${dpgen_models}/0.pb\npair_coeff * * Al\n"
DPGEN = "pair_style dpgen ${dpgen_models}/0.pb ${dpgen_models}/1.pb"
ZBL = "pair_style hybrid/overlay deepmd ${dpgen_models}/0.pb zbl 2.0 3.5\npair_coeff * * deepmd Al\n"
LJ = "pair_style hybrid/overlay lj/cut 4.0 deepmd ${dpgen_models}/0.pb\npair_coeff * * deepmd Al Al\n"

#: Scripts whose last pair style, with its coefficients, must be the one that runs at the end.
SCRIPTS = {
    "clear": ONE + ZBL + "pair_coeff 1 1 zbl 13 13\nFIX1run 8\nclear\n"
    + TWO + LJ + "pair_coeff 1 1 lj/cut 0.01 2.5\npair_coeff 1*2 2 lj/cut 0.02 2.4\nFIX2run 8\n",
    "between_runs": TWO + LJ + "pair_coeff * * lj/cut 0.01 2.5\nFIX2run 8\npair_coeff 1 2 lj/cut 0.05 2.6\nrun 8\n",
    "loop": TWO + "variable e index 0.01 0.03\nlabel again\n" + LJ
    + "pair_coeff * * lj/cut $e 2.5\npair_modify pair lj/cut shift yes\nFIX2run 8\nnext e\njump SELF again\n",
    "scaled": ONE + "pair_style hybrid/scaled 0.5 deepmd ${dpgen_models}/0.pb 0.5 zbl 2.0 3.5\n"
    + "pair_coeff * * deepmd Al\npair_coeff * * zbl 13 13\nFIX1run 8\n",
    "hybrid": TWO + "pair_style hybrid deepmd ${dpgen_models}/0.pb\npair_coeff * * deepmd Al Al\nFIX2run 8\n",
    "dpgen": ONE + DPGEN + " kernel deepmd\npair_coeff * * Al\nFIX1run 8\n",
    "dpgen_overlay": TWO + DPGEN.replace("dpgen", "hybrid/overlay dpgen", 1) + " zbl 2.0 3.5\n"
    + "pair_coeff * * dpgen Al Al\npair_coeff * * zbl 13 13\nFIX2run 8\n",
    "respa": ONE + DEEPMD + "FIX1run_style respa 2 2 pair 2\nrun 12\n",
}  # fmt: skip


class Case:
    """One script in a folder of its own, with models that may be swapped."""

    def __init__(self, folder: Path, models: Path) -> None:
        if COMM.rank == 0:
            folder.mkdir()
        COMM.Barrier()
        os.chdir(folder)
        self.run = RunFolder(folder)
        self.models = [models / f"model_{i}.pb" for i in range(4)]
        self.current = self.models[:2]

    def link(self, models: list[Path]) -> tuple[str, ...]:
        """Let the links show these models; return their hashes."""
        self.current = models
        if COMM.rank == 0:
            self.run.create().link_models(models)
        COMM.Barrier()
        return tuple(sha256(model) for model in models)

    def session(self) -> LammpsSession:
        return LammpsSession(COMM, "dp", Path("log.lammps"), self.run.models, {})

    def perform(self, text: str, on_pause: Callable[[LammpsSession], None] | None) -> dict[str, Any]:
        """Run a script with a pause after every second look, or with none."""
        stop = "candidates 2" if on_pause else "never"
        for number in "12":
            text = text.replace(f"FIX{number}", FIX.replace("TYPES", "Al " * int(number)).replace("STOP", stop))
        if COMM.rank == 0:
            Path("in.x").write_text(text)
        COMM.Barrier()
        self.link(self.models[:2])
        session = self.session()
        pauses: list[int] = []
        differences: list[float] = []

        def pause(_: Any) -> int:
            pauses.append(session.step)
            assert on_pause is not None
            on_pause(session)
            return 0

        session.run_script(Path("in.x"), lambda _: differences.append(session.api.driver_difference()), pause)
        lmp = session.lmp
        session.lmp.command("run 0")
        found = {
            "pauses": pauses,
            "energy": lmp.get_thermo("pe"),
            "commands": list(session.api.pair_commands()),
            "difference": differences[-1],
            "x": list(lmp.gather_atoms("x", 1, 3)),
            "v": list(lmp.gather_atoms("v", 1, 3)),
        }
        lmp.close()
        return found

    def energy(self, text: str, positions: list[float]) -> float:
        """Energy of given positions in a fresh LAMMPS that runs the script without a step, with the current models."""
        session = self.session()
        text = text.replace("FIX1", "").replace("FIX2", "")
        for line in text.splitlines():
            if not line.startswith(("run ", "jump", "label", "next", "variable")):
                session.lmp.command(line.replace("$e", "0.03"))
        values = (ctypes.c_double * len(positions))(*positions)
        session.lmp.scatter_atoms("x", 1, 3, values)
        session.lmp.command("run 0")
        energy = float(session.lmp.get_thermo("pe"))
        session.lmp.close()
        return energy


@functools.cache
def loaded(paths: tuple[Path, ...]) -> Ensemble:
    """Load models once for all scripts: what is new at a swap is the pair style."""
    return Ensemble(paths)


def swapped(folder: Path, models: Path, name: str) -> dict[str, Any]:
    """Swap the models at each pause, back and forth; compare the energy at the end with that of a fresh LAMMPS."""
    case = Case(folder / name, models)

    def swap(session: LammpsSession) -> None:
        other = case.models[2:] if case.current == case.models[:2] else case.models[:2]
        session.swap_models(case.link(other), loaded(tuple(other)).core)

    found = case.perform(SCRIPTS[name], swap)
    return found | {"fresh": case.energy(SCRIPTS[name], found["x"])}


def unchanged(folder: Path, models: Path, name: str) -> dict[str, Any]:
    """Swap the models for themselves at each pause: the trajectory is that of the script alone."""
    found = {}
    for how in ("plain", "learn"):
        case = Case(folder / f"{name}-{how}", models)

        def swap(session: LammpsSession, case: Case = case) -> None:
            session.swap_models(case.link(case.current))

        found[how] = case.perform(SCRIPTS[name], swap if how == "learn" else None)
    return found


class Announcements:
    """What rank 0 announces while it "trains" the models of the next generation; it waits until all have heard it."""

    def __init__(self, preload: Preload, folder: Path) -> None:
        self._preload, self._folder = preload, folder
        self._n_heard = 0
        load = preload._load

        def hear(path: Path, frame: Frame | None) -> None:
            load(path, frame)
            (folder / f"heard-{self._n_heard}-{COMM.rank}").touch()
            self._n_heard += 1

        preload._load = hear  # type: ignore[method-assign]

    def make(self, paths: list[Path]) -> None:
        for path in paths:
            self._preload.announce(path)
            while len(list(self._folder.glob(f"heard-{self._n_heard}-*"))) < COMM.size - 1:
                time.sleep(0.01)
            self._n_heard += 1


def preloaded(folder: Path, models: Path) -> dict[str, Any]:
    """Swaps with models that were announced: all, some that are no models, too many; and an error in the "training"."""
    case = Case(folder / "preloaded", models)
    preload = Preload(COMM)
    announcements = Announcements(preload, case.run.path)
    first, second, missing = case.models[:2], case.models[2:], case.run.path / "missing.pb"
    plans = [(second, second), (first, [first[0], missing, models / "lcurve.out"]), (second, [first[0], *second])]
    holders: list[int] = []
    errors: list[str] = []

    def fail() -> None:
        announcements.make([first[0]])
        raise ValueError("the training failed")

    def swap(session: LammpsSession) -> None:
        if not plans:
            return
        new, announced = plans.pop(0)
        stored = session.api.current_frame()
        frame = COMM.bcast(None if stored is None else frame_of(stored, "test"))
        try:
            preload.on_root(fail, frame)
        except ValueError as error:
            errors.append(str(error))
        preload.on_root(lambda: announcements.make(announced), frame)
        hashes = case.link(new)
        at_hand = preload.take(hashes)
        session.swap_models(hashes, None if at_hand is None else at_hand.core)
        holders.append(0 if at_hand is None else at_hand.core.n_holders)

    found = case.perform(SCRIPTS["respa"], swap)
    found |= {"holders": COMM.allgather(holders), "errors": COMM.allgather(errors)}
    return found | {"fresh": case.energy(SCRIPTS["respa"], found["x"])}


def main(folder: Path, models: Path) -> None:
    results = {
        "preloaded": preloaded(folder, models),
        "swapped": {name: swapped(folder, models, name) for name in SCRIPTS},
        "unchanged": {name: unchanged(folder, models, name) for name in ("respa",)},
    }
    if COMM.rank == 0:
        (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
