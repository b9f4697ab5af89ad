"""Input scripts that are run twice, as they are and as a learning run, and what it takes to run them.

One program (``learn_cases.py``) runs them all, since importing LAMMPS takes seconds. Models are analytic, so that
nothing is trained: every look with a deviation at or above the lower bound is a candidate.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lammps_dpgen.plugin import plugin_dir, plugin_path

N_EVERY = 5
MODEL = "dpgen-analytic\ntype_map Al\ncutoff 5.0\nepsilon {epsilon}\n"

ATOMS = """
units metal
atom_style atomic
{box}
create_atoms 1 box
mass 1 26.98
pair_style lj/cut 5.5
pair_coeff * * 0.3 2.6
neighbor 1.0 bin
neigh_modify every 1 delay 0 check yes
velocity all create 900.0 4928459 loop geom
timestep 0.002
thermo 10
thermo_style custom step temp pe press vol elapsed elaplong
thermo_modify format float %22.15g
fix learn all dpgen 5 ../a.model ../b.model types Al trust {trust} out_file none frames none stop {stop}
"""
CUBE = "lattice fcc 4.1\nregion box block 0 4 0 4 0 4\ncreate_box 1 box"
TILTED = "lattice fcc 4.1\nregion box prism 0 4 0 4 0 4 1.5 0.5 -1.0\ncreate_box 1 box"

#: Every look is a candidate: pauses at steps 10, 25, 40 ... of an uninterrupted run that begins at step 0.
ALWAYS = "0.0 100.0"

NVT = "fix integrate all nvt temp 900 900 0.1\n"
NPT = "fix integrate all npt temp 900 900 0.1 iso 0 0 1.0\n"
NPT_TRI = "fix integrate all npt temp 900 900 0.1 tri 0 0 1.0\n"
NVE = "fix integrate all nve\n"

SCRIPTS: dict[str, str] = {
    "several_runs": NVE + "run 60\nrun 0\nrun 33\n",
    "upto": NVE + "run 40\nrun 90 upto\n",
    "ramp": "fix integrate all nvt temp 900 300 0.1\nrun 80\n",
    "start_stop": "fix integrate all nvt temp 900 300 0.1\nrun 40 start 0 stop 90\nrun 50 start 0 stop 90\n",
    "pre_no": NVE + "run 37\nrun 30 pre no post no\nrun 20 pre no\n",
    "every": NVT
    + "variable n equal 0\n"
    + 'run 90 every 20 """print "$(step) $(pe:%20.12g) $(elapsed) $(elaplong)" append every.txt"""'
    + ' "velocity all scale 800"\n',
    "every_ramp": "fix integrate all nvt temp 900 300 0.1\nrun 90 pre no post no start 0 stop 120 every 40 NULL\n",
    "loop": "variable t index 900 700 500\nlabel again\nfix integrate all nvt temp $t $t 0.1\nrun 30\n"
    + "next t\njump SELF again\nprint 'loop is over'\nrun 12\n",
    "include": NVE + "include ../include.inc\nrun 20\n",
    "clear": NVT + "run 40\nclear\nATOMS" + NVE + "run 40\n",
    "respa": NVE + "run_style respa 2 2 bond 1 pair 2\nrun 60\nrun 20\n",
    "respa_inner_outer": NVE + "run_style respa 3 2 2 inner 1 3.0 4.0 middle 2 4.5 5.0 outer 3\nrun 60\nrun 20\n",
    "respa_ramp": "fix integrate all nvt temp 900 300 0.1\nrun_style respa 2 2 inner 1 3.0 4.0 outer 2\nrun 80\n",
    "halt_soft": NVE + "variable s equal step\nfix stop all halt 5 v_s > 47 error soft\nrun 80\nrun 20\n",
    "halt_continue": NVE + "variable s equal step\nfix stop all halt 5 v_s == 55 error continue\nrun 80\nrun 20\n",
    "halt_with_pause": NVE + "variable s equal step\nfix stop all halt 5 v_s == 40 error soft\nrun 80\nrun 20\n",
    "halt_in_every": NVE
    + "variable s equal step\nfix stop all halt 5 v_s == 55 error continue\n"
    + "run 80 every 30 'print \"$(step)\" append every.txt'\n",
    "timeout": NVE + "run 20\ntimer timeout 0\nrun 20\ntimer timeout off\nrun 20\n",
    "timeout_mid_run": NVE
    + "timer timeout 2 every 10\n"
    + "run 80 every 40 \"if '$(step) == 40' then 'shell sleep 2.5'\"\n"
    + "run 20\ntimer timeout off\nrun 20\n",
    "rerun": NVE
    + "dump d all custom 10 atoms.dump id x y z ix iy iz\ndump_modify d sort id format float %.17g\nrun 60\nundump d\n"
    + "rerun atoms.dump first 10 last 50 dump x y z ix iy iz\nvelocity all create 300 77\nrun 20\n",
    "minimize": "minimize 1.0e-6 1.0e-6 5 20\n"
    + NVE
    + "velocity all create 900 77\nrun 40\n"
    + "minimize 1.0e-6 1.0e-6 5 20\nvelocity all create 900 78\nrun 40\n",
    "velocity": NVT + "run 30\nvelocity all scale 500\nrun 30\nvelocity all create 700 55 rot yes\nrun 30\n",
    "output": NVT
    + "dump d all custom 7 dump.txt id xu yu zu vx\ndump_modify d sort id format float %.8f\n"
    + "compute p all msd\nfix average all ave/time 2 5 20 c_thermo_temp c_p[4] file average.txt\n"
    + "run 55\nrun 50\n",
    "npt_tilted": NPT_TRI + "run 60\nrun 30\n",
}


def prepare(folder: Path) -> None:
    """Write the models and the file that a script includes."""
    (folder / "a.model").write_text(MODEL.format(epsilon=0.10))
    (folder / "b.model").write_text(MODEL.format(epsilon=0.12))
    (folder / "include.inc").write_text("run 35\n")


def script(name: str, learning: bool, box: str | None = None, trust: str = ALWAYS) -> str:
    """Return the text of a scenario; without learning its fix never stops a run."""
    box = box or (TILTED if "tilted" in name else CUBE)
    atoms = ATOMS.format(box=box, trust=trust, stop="candidates 3" if learning else "never")
    return atoms + SCRIPTS[name].replace("ATOMS", atoms)


class Library:
    """The plugin's C functions; an error becomes a RuntimeError with the plugin's message.

    The plugin needs LAMMPS' symbols: there must have been a LAMMPS instance before.
    """

    LOOK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    PAUSE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)

    def __init__(self, path: Path) -> None:
        self._c = ctypes.CDLL(str(path))
        self._c.dpgen_last_error.restype = ctypes.c_char_p
        self._hooks: list[Any] = []

    def _check(self, code: int) -> int:
        if code < 0:
            raise RuntimeError(self._c.dpgen_last_error().decode())
        return code

    def attach(self, lmp: Any, fix_id: str, look: Callable[[], None], pause: Callable[[], int]) -> None:
        hooks = [self.LOOK(lambda _: look()), self.PAUSE(lambda _: pause())]
        self._hooks += hooks
        self._check(self._c.dpgen_attach(ctypes.c_void_p(lmp.lmp.value), fix_id.encode(), *hooks))

    def call(self, name: str, lmp: Any, *numbers: int) -> int:
        return self._check(getattr(self._c, f"dpgen_{name}")(ctypes.c_void_p(lmp.lmp.value), *numbers))

    def text(self, name: str, lmp: Any) -> str:
        buffer = ctypes.create_string_buffer(4096)
        self._check(getattr(self._c, f"dpgen_{name}")(ctypes.c_void_p(lmp.lmp.value), buffer, len(buffer)))
        return buffer.value.decode()

    def safe_points(self, lmp: Any) -> list[int]:
        steps = (ctypes.c_longlong * 64)()
        n = self._check(self._c.dpgen_safe_points(ctypes.c_void_p(lmp.lmp.value), steps, 64))
        return list(steps[:n])


def thermo(log: str) -> list[list[float]]:
    """Return all rows of thermodynamic output of a log file."""
    rows, inside = [], False
    for line in log.splitlines():
        words = line.split()
        if words[:2] == ["Step", "Temp"]:
            inside = True
        elif inside and line.startswith(("Loop time", "ERROR", "Fix halt", "WARNING")):
            inside = line.startswith(("Fix halt", "WARNING"))
        elif inside and words:
            try:
                rows.append([float(word) for word in words])
            except ValueError:
                inside = False
    return rows


def state(lmp: Any) -> dict[str, Any]:
    """Return step, box, and positions (unwrapped) and velocities by atom id."""
    import numpy as np

    lo, hi, xy, yz, xz = lmp.extract_box()[:5]
    cell = np.array([[hi[0] - lo[0], 0, 0], [xy, hi[1] - lo[1], 0], [xz, yz, hi[2] - lo[2]]])
    x = np.array(lmp.gather_atoms("x", 1, 3)).reshape(-1, 3)
    image = np.array(lmp.gather_atoms("image", 0, 3)).reshape(-1, 3)
    v = np.array(lmp.gather_atoms("v", 1, 3)).reshape(-1, 3)
    return {
        "step": lmp.extract_global("ntimestep"),
        "cell": cell.tolist(),
        "x": (x + image @ cell).tolist(),
        "v": v.tolist(),
    }


class Runner:
    """Runs one script after the other in folders of their own."""

    def __init__(self, folder: Path, comm: Any) -> None:
        self.folder, self.comm = folder, comm
        self.lammps().close()
        self.library = Library(plugin_path())

    def enter(self, name: str) -> None:
        """Make a folder and go there, all ranks."""
        where = self.folder / name
        if self.comm.rank == 0:
            where.mkdir()
        self.comm.Barrier()
        os.chdir(where)

    def lammps(self, log: str = "none") -> Any:
        import lammps

        return lammps.lammps(cmdargs=["-log", log, "-screen", "none", "-nocite"], comm=self.comm)

    def run(self, name: str, learning: bool) -> dict[str, Any]:
        """Run one scenario; its error, if any, is part of the result."""
        self.enter(f"{name}-{'learn' if learning else 'plain'}")
        if self.comm.rank == 0:
            Path("in.x").write_text(script(name, learning))
        self.comm.Barrier()
        lmp = self.lammps("log.lammps")
        looks: list[int] = []
        pauses: list[int] = []

        def pause() -> int:
            pauses.append(lmp.extract_global("ntimestep"))
            return 0

        if learning:
            self.library.attach(lmp, "learn", lambda: looks.append(1), pause)
        result: dict[str, Any] = {"error": ""}
        try:
            lmp.file("in.x")
        except Exception as error:
            result["error"] = str(error)
        result |= {"final": state(lmp), "looks": len(looks), "pauses": pauses}
        if learning:
            self.library.call("detach", lmp)
        lmp.close()
        self.comm.Barrier()
        result["thermo"] = thermo(Path("log.lammps").read_text())
        return result


def start(folder: Path) -> Runner:
    """Load MPI, LAMMPS and the plugin, in this order."""
    from mpi4py import MPI

    os.environ["LAMMPS_PLUGIN_PATH"] = plugin_dir()
    import lammps  # noqa: F401

    comm = MPI.COMM_WORLD
    if comm.rank == 0:
        prepare(folder)
    comm.Barrier()
    return Runner(folder, comm)
