"""A program that stands in for VASP, whose binary no test can have.

It reads the very files that VASP reads (POSCAR, INCAR, KPOINTS, POTCAR in the working folder) with parsers of its own,
refuses what VASP refuses, takes the elements from the order of the POTCARs as VASP does, computes with an ASE
calculator (EMT), and writes OUTCAR and vasprun.xml as VASP 5 and 6 do. Its energies are those of EMT; nothing here
tests DFT. Entropy and kinetics are made up: the free energy is EMT's energy, and the energy for sigma -> 0 differs.

    python vasp_stand_in.py [--fault NAME]

Faults: what goes wrong, see ``FAULTS``.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.emt import EMT
from ase.data import atomic_masses, atomic_numbers
from ase.units import GPa

#: Electronic steps that this "VASP" needs; with NELM at or below it does not converge.
STEPS_NEEDED = 9
ENTROPY = 0.0123
VERSION = "6.4.2.20Jul23"
FAULTS = (
    "crash", "silent", "truncated", "no-xml", "exit-code", "nan", "atoms", "moved", "unconverged", "hang", "disk-full",
)  # fmt: skip


@dataclass
class Potential:
    title: str
    element: str
    enmax: float
    valence: float


def fail(text: str) -> None:
    """Complain as VASP does: into a frame on standard output, with exit code 0 or 1 as the version pleases."""
    print(" " + "-" * 77)
    print("|     " + text.ljust(70) + "|")
    print("|" + "-----> I REFUSE TO CONTINUE WITH THIS SICK JOB ... BYE!!! <-----".center(76) + "|")
    sys.exit(1)


def read_incar() -> dict[str, str]:
    tags = {}
    for line in Path("INCAR").read_text().splitlines():
        key, equals, value = re.split(r"[#!]", line)[0].partition("=")
        if equals:
            tags[key.strip().upper()] = value.strip()
    return tags


def read_poscar() -> tuple[np.ndarray, list[int], np.ndarray]:
    lines = Path("POSCAR").read_text().splitlines()
    lattice = float(lines[1]) * np.array([[float(x) for x in line.split()[:3]] for line in lines[2:5]])
    if np.linalg.det(lattice) < 0:
        print(
            " VERY BAD NEWS! internal error in subroutine SGRCON:\n Found some non-integer element in rotation matrix"
        )
        fail("the triple product of the basis vectors is negative exchange two basis vectors")
    counts = [int(x) for x in lines[6].split()]
    if lines[7].strip()[0] not in "dD":
        fail(f"POSCAR: this stand-in reads direct coordinates, got {lines[7]!r}")
    rows = [[float(x) for x in line.split()[:3]] for line in lines[8 : 8 + sum(counts)]]
    return lattice, counts, np.array(rows)


def read_kpoints(tags: dict[str, str], lattice: np.ndarray) -> tuple[str, list[int]]:
    if not Path("KPOINTS").is_file():
        fail("KPOINTS: this stand-in wants the file, KSPACING alone it does not know")
    lines = Path("KPOINTS").read_text().splitlines()
    if lines[1].split()[0] != "0" or lines[2].strip()[0] not in "gGmM":
        fail(f"KPOINTS: no automatic mesh: {lines[1:3]}")
    mesh = [int(x) for x in lines[3].split()]
    if min(mesh) < 1:
        fail(f"KPOINTS: mesh {mesh}")
    return ("Gamma" if lines[2].strip()[0] in "gG" else "Monkhorst-Pack"), mesh


def read_potcar() -> list[Potential]:
    potentials = []
    for part in Path("POTCAR").read_text().split("End of Dataset")[:-1]:
        title = re.search(r"TITEL\s*=\s*(.+)", part)
        element = re.search(r"VRHFIN\s*=\s*(\w+)", part)
        enmax = re.search(r"ENMAX\s*=\s*([\d.]+)", part)
        valence = re.search(r"ZVAL\s*=\s*([\d.]+)", part)
        if not (title and element and enmax and valence):
            fail("ERROR: there must be 1 or 3 items on line 2 of POTCAR")
        potentials.append(Potential(title[1].strip(), element[1], float(enmax[1]), float(valence[1])))
    return potentials


def text_of(vector: np.ndarray) -> str:
    return "".join(f"{x:16.8f}" for x in vector)


def varray(name: str, rows: np.ndarray, indent: str = "  ") -> str:
    inner = "".join(f"{indent} <v>{text_of(row)} </v>\n" for row in rows)
    return f'{indent}<varray name="{name}" >\n{inner}{indent}</varray>\n'


def structure(lattice: np.ndarray, positions: np.ndarray, name: str = "") -> str:
    attribute = f' name="{name}"' if name else ""
    crystal = varray("basis", lattice, "    ") + f'    <i name="volume">{np.linalg.det(lattice):16.8f} </i>\n'
    crystal += varray("rec_basis", np.linalg.inv(lattice).T, "    ")
    places = varray("positions", positions)
    return f"  <structure{attribute} >\n   <crystal>\n{crystal}   </crystal>\n{places}  </structure>\n"


def energies(free: float, word: str = "") -> str:
    rows = {"e_fr_energy": free, "e_wo_entrp": free + ENTROPY, "e_0_energy": free + 0.5 * ENTROPY}
    inner = "".join(f'   <i name="{key}">{value:16.8f} </i>\n' for key, value in rows.items())
    return f"  <energy>\n{word}{inner}  </energy>\n"


@dataclass
class Result:
    tags: dict[str, str]
    potentials: list[Potential]
    counts: list[int]
    lattice: np.ndarray
    positions: np.ndarray
    style: str
    mesh: list[int]
    energy: float
    forces: np.ndarray
    kilobar: np.ndarray
    steps: int
    nelm: int

    @property
    def species(self) -> list[str]:
        return [p.element for p, n in zip(self.potentials, self.counts, strict=True) for _ in range(n)]


def xml(r: Result) -> str:
    incar = "".join(f'  <i type="string" name="{k}">{v}</i>\n' for k, v in r.tags.items() if k in ("SYSTEM", "ALGO"))
    atoms = "".join(
        f"    <rc><c>{p.element:2s}</c><c>{kind:4d}</c></rc>\n"
        for kind, (p, n) in enumerate(zip(r.potentials, r.counts, strict=True), start=1)
        for _ in range(n)
    )
    types = "".join(
        f"    <rc><c>{n:4d}</c><c>{p.element:2s}</c><c>{atomic_masses[atomic_numbers[p.element]]:16.8f}</c>"
        f"<c>{p.valence:16.8f}</c><c>  {p.title:40s}</c></rc>\n"
        for p, n in zip(r.potentials, r.counts, strict=True)
    )
    steps = "".join(f"  <scstep>\n{energies(r.energy + 10.0 ** (-n))}  </scstep>\n" for n in range(r.steps))
    mesh = "".join(f"{n:9d}" for n in r.mesh)
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator>
  <i name="program" type="string">vasp </i>
  <i name="version" type="string">{VERSION}  </i>
  <i name="subversion" type="string">stand-in complex parallel </i>
 </generator>
 <incar>
{incar} </incar>
 <kpoints>
  <generation param="{r.style}">
   <v type="int" name="divisions">{mesh} </v>
   <v name="usershift">{text_of(np.zeros(3))} </v>
  </generation>
{varray("kpointlist", np.zeros((1, 3)))}{varray("weights", np.ones((1, 1)))} </kpoints>
 <parameters>
  <separator name="electronic" >
   <i type="int" name="NELM">{r.nelm:6d}</i>
   <i name="ENMAX">{float(r.tags["ENCUT"]):16.8f}</i>
  </separator>
  <separator name="ionic" >
   <i type="int" name="NSW">     0</i>
   <i type="int" name="IBRION">    -1</i>
  </separator>
 </parameters>
 <atominfo>
  <atoms>{sum(r.counts):8d} </atoms>
  <types>{len(r.counts):8d} </types>
  <array name="atoms" >
   <dimension dim="1">ion</dimension>
   <field type="string">element</field>
   <field type="int">atomtype</field>
   <set>
{atoms}   </set>
  </array>
  <array name="atomtypes" >
   <dimension dim="1">type</dimension>
   <field type="int">atomspertype</field>
   <field type="string">element</field>
   <field>mass</field>
   <field>valence</field>
   <field type="string">pseudopotential</field>
   <set>
{types}   </set>
  </array>
 </atominfo>
{structure(r.lattice, r.positions, "initialpos")} <calculation>
{steps}{structure(r.lattice, r.positions)}{varray("forces", r.forces)}{varray("stress", r.kilobar)}{energies(r.energy)}\
 </calculation>
{structure(r.lattice, r.positions, "finalpos")}</modeling>
"""


def outcar(r: Result, *, says_unconverged: bool) -> str:
    titles = "".join(f"   TITEL  = {p.title:45s}\n" for p in r.potentials)
    iterations = "".join(
        f"--------------------------------------- Iteration {1:6d}({n:4d})  ---------------------------------------\n\n"
        f"  free energy    TOTEN  = {r.energy + 10.0 ** (-n):19.8f} eV\n\n"
        for n in range(1, r.steps + 1)
    )
    reason = "aborting loop EDIFF was not reached (unconverged)" if says_unconverged else (
        "aborting loop because EDIFF is reached"
    )  # fmt: skip
    k = r.kilobar
    in_kb = "".join(f"{x:12.5f}" for x in (k[0, 0], k[1, 1], k[2, 2], k[0, 1], k[1, 2], k[2, 0]))
    reciprocal = np.linalg.inv(r.lattice).T
    lattice = "".join(
        "".join(f"{x:13.9f}" for x in a) + "    " + "".join(f"{x:13.9f}" for x in b) + "\n"
        for a, b in zip(r.lattice, reciprocal, strict=True)
    )
    atoms = "".join(
        "".join(f"{x:13.5f}" for x in p) + "    " + "".join(f"{x:14.6f}" for x in f) + "\n"
        for p, f in zip(r.positions @ r.lattice, r.forces, strict=True)
    )
    names = ("Alpha Z", "Ewald", "Hartree", "E(xc)", "Local", "n-local", "augment", "Kinetic", "Fock")
    parts = "".join(f"  {name:8s}" + 6 * "     0.00000" + "\n" for name in names)
    return f""" vasp.{VERSION} (build stand-in) complex
 executed on             LinuxGNU date 2026.01.01  00:00:00
 running on    1 total cores

{titles}
   ions per type =            {" ".join(f"{n:3d}" for n in r.counts)}

   NWRITE =      2    write-flag & timer
   ENCUT  = {float(r.tags["ENCUT"]):6.1f} eV
   NELM   = {r.nelm:6d};   NELMIN=  4; NELMDL= -5     # of ELM steps
   NSW    =      0    number of steps for IOM
   IBRION =     -1    ionic relax: 0-MD 1-quasi-New 2-CG

{iterations}------------------------ {reason} ----------------------------------------

  FORCE on cell =-STRESS in cart. coord.  units (eV):
  Direction    XX          YY          ZZ          XY          YZ          ZX
  --------------------------------------------------------------------------------------
{parts}  -------------------------------------------------------------------------------------
  Total  {6 * "     0.00000"}
  in kB  {in_kb}
  external pressure = {np.trace(k) / 3:11.2f} kB  Pullay stress =        0.00 kB

 VOLUME and BASIS-vectors are now :
 -----------------------------------------------------------------------------
  energy-cutoff  : {float(r.tags["ENCUT"]):11.2f}
  volume of cell : {np.linalg.det(r.lattice):11.2f}
      direct lattice vectors                 reciprocal lattice vectors
{lattice}

 POSITION                                       TOTAL-FORCE (eV/Angst)
 -----------------------------------------------------------------------------------
{atoms} -----------------------------------------------------------------------------------
    total drift:                                0.000000      0.000000      0.000000

  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)
  ---------------------------------------------------
  free  energy   TOTEN  = {r.energy:19.8f} eV

  energy  without entropy= {r.energy + ENTROPY:17.8f}  energy(sigma->0) = {r.energy + 0.5 * ENTROPY:17.8f}

 General timing and accounting informations for this job:
 ========================================================

                  Total CPU time used (sec):        0.100
"""


def compute(fault: str) -> Result:
    tags = read_incar()
    lattice, counts, positions = read_poscar()
    style, mesh = read_kpoints(tags, lattice)
    potentials = read_potcar()
    if len(potentials) != len(counts):
        print("ERROR: number of potentials on File POTCAR incompatible with number of species")
        sys.exit(1)
    if tags.get("NSW", "0") != "0" or tags.get("IBRION", "-1") != "-1":
        fail("this stand-in moves no atoms; NSW and IBRION ask for it")
    if float(tags["ENCUT"]) < max(p.enmax for p in potentials):
        print("WARNING: ENCUT is below the ENMAX of the POTCAR files")
    nelm = int(tags.get("NELM", "60"))
    moments = [int(word.split("*")[0]) if "*" in word else 1 for word in tags.get("MAGMOM", "").split()]
    if sum(moments) not in (0, sum(counts)):
        fail("Error reading item MAGMOM from file INCAR")
    # VASP knows elements by their POTCARs alone; the names in the POSCAR are only for people.
    species = [p.element for p, n in zip(potentials, counts, strict=True) for _ in range(n)]
    atoms = Atoms(species, scaled_positions=positions, cell=lattice, pbc=True)
    atoms.calc = EMT()
    with np.errstate(all="ignore"):
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        kilobar = -atoms.get_stress(voigt=False) / GPa * 10.0
    steps = min(STEPS_NEEDED, nelm) if fault != "unconverged" else STEPS_NEEDED
    result = Result(tags, potentials, counts, lattice, positions, style, mesh, energy, forces, kilobar, steps, nelm)
    return with_fault(result, fault)


def with_fault(result: Result, fault: str) -> Result:
    """Garble the result in the way asked for."""
    if fault == "nan":
        result.forces[1] = np.nan
    if fault == "atoms":
        result.counts = [*result.counts[:-1], result.counts[-1] - 1]
        result.positions, result.forces = result.positions[:-1], result.forces[:-1]
    if fault == "moved":
        result.positions = result.positions + 0.01
    return result


def before(fault: str) -> None:
    """End, or never end, before there is any result."""
    print(" running on    1 total cores\n vasp.6.4.2 stand-in, EMT instead of DFT", flush=True)
    if fault == "crash":
        print(" LAPACK: Routine ZPOTRF failed!           3", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "silent":
        sys.exit(0)
    if fault == "disk-full":
        print(
            "forrtl: No space left on device\nforrtl: severe (38): error during write, unit 8, file OUTCAR", flush=True
        )
        sys.exit(38)
    if fault == "hang":
        ranks = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path("ranks.pid").write_text(f"{os.getpid()} {ranks.pid}\n")
        time.sleep(600)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fault", choices=FAULTS, default="")
    fault = parser.parse_args().fault
    before(fault)
    result = compute(fault)
    text = xml(result)
    unconverged = fault == "unconverged"
    if fault == "truncated":
        text = text[: int(0.7 * len(text))]
    if fault != "no-xml":
        Path("vasprun.xml").write_text(text.replace("nan", "*" * 12))
    report = outcar(result, says_unconverged=unconverged)
    Path("OUTCAR").write_text(report[: int(0.5 * len(report))] if fault == "truncated" else report)
    print(f"   1 F= {result.energy:.8E} E0= {result.energy + 0.5 * ENTROPY:.8E}")
    if fault == "exit-code":
        print("BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES")
        sys.exit(9)


if __name__ == "__main__":
    main()
