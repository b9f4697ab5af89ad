"""How DP-GEN labels with pw.x (``fp_style: pwscf``), as settings of the labeler ``espresso``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from ase.units import Rydberg

from lammps_dpgen.convert.account import Keys
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.labeling.espresso_pseudos import read_header
from lammps_dpgen.labeling.espresso_settings import NAMELISTS, OWN_INPUT, UNIMPORTANT

#: Names that pw.x has for a smearing, and DP-GEN's words.
_SMEARINGS = {
    **dict.fromkeys(("gauss", "gaussian"), "gaussian"),
    **dict.fromkeys(("mp", "m-p", "methfessel-paxton"), "methfessel-paxton"),
    **dict.fromkeys(("mv", "m-v", "cold", "marzari-vanderbilt"), "marzari-vanderbilt"),
    **dict.fromkeys(("fd", "f-d", "fermi-dirac"), "fermi-dirac"),
}
#: Variables of pw.x (Ry) that are settings (eV) here.
_ENERGIES = {
    "ecutwfc": "cutoff",
    "ecutrho": "density_cutoff",
    "degauss": "width",
    "conv_thr": "energy_convergence",
}
#: What pw.x takes where an input does not say it (Ry).
_CONV_THR = 1e-6
_IN_EV = "in eV, not Ry"
_SETTINGS = "labeler.settings"


def espresso(param: Keys, command: str | None, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the settings of the labeler ``espresso`` and what the user has to complete in them.

    Parameters
    ----------
    command
        Program and arguments, as machine.json has them.
    folder
        Where relative paths of param.json are meant from.
    """
    param.carried("fp_style", "labeler.name")
    param.left("fp_incar", "it is VASP's")
    settings: dict[str, Any] = {"command": _without_input(command) if command else "pw.x"}
    todo = [] if command else [f"{_SETTINGS}.command: how pw.x is started, such as 'mpirun -n 8 pw.x'"]
    settings.update(_pseudos(param, folder, todo))
    if param.get("user_fp_params"):
        param.left("fp_params", "user_fp_params takes its place, as in DP-GEN")
        settings.update(_written(param.inner("user_fp_params")))
    else:
        param.left("user_fp_params", "it is empty")
        settings.update(_generated(param.inner("fp_params")))
    if "cutoff" not in settings:
        todo.append(f"{_SETTINGS}.cutoff: the input says no ecut; 600 eV is the default, or more where a file says so")
    if "kspacing" not in settings:
        todo.append(f"{_SETTINGS}.kspacing: the input says none; 0.08 1/Å is the default")
    return settings, todo


def _without_input(command: str) -> str:
    """Return a command without the input file that DP-GEN names; the labeler adds its own."""
    words = shlex.split(command)
    for number, word in enumerate(words):
        if word in ("-i", "-in", "-inp", "-input") and number + 1 < len(words):
            return shlex.join(words[:number] + words[number + 2 :])
    return command


def _pseudos(param: Keys, folder: Path, todo: list[str]) -> dict[str, Any]:
    """Return the pseudopotentials by element, and their functional where the files say it."""
    elements = [str(element) for element in param.get("type_map", [])]
    files = [str(name) for name in param.get("fp_pp_files", [])]
    param.carried("fp_pp_files", f"{_SETTINGS}.pseudopotentials", "by element, in the order of type_map")
    place = str(param.carried("fp_pp_path", f"{_SETTINGS}.pseudo_folder") or ".")
    named = dict(zip(elements, files, strict=False))
    found: dict[str, Any] = {"pseudo_folder": place, "pseudopotentials": named or elements}
    if len(files) != len(elements):
        todo.append(f"{_SETTINGS}.pseudopotentials: {len(files)} files for {', '.join(elements)}; name one for each")
    functionals = set()
    for name in files:
        if not (folder / place / name).is_file():
            todo.append(f"{_SETTINGS}.pseudopotentials: {place}/{name} is not here; a UPF file for PBE is expected")
            continue
        try:
            functionals.add(read_header(folder / place / name).functional)
        except ConfigError as error:
            todo.append(f"{_SETTINGS}.pseudopotentials: {error}")
    functionals -= {"", "PBE"}
    return {**found, "functional": functionals.pop()} if len(functionals) == 1 else found


def _generated(given: Keys) -> dict[str, Any]:
    """Return the settings that stand for DP-GEN's own words, and for what it writes beside them."""
    settings: dict[str, Any] = {"gamma_centred": False, "input": {"system": {"vdw_corr": "TS"}}}
    cutoff = given.changed("ecut", f"{_SETTINGS}.cutoff", _IN_EV)
    if cutoff is not None:
        settings["cutoff"] = _ev(cutoff)
    threshold = given.changed(
        "ediff",
        f"{_SETTINGS}.energy_convergence, {_SETTINGS}.input",
        f"{_IN_EV}; with vdw_corr = TS and its threshold ts_vdw_econv_thr (Ry), which DP-GEN writes beside it: remove "
        "them from 'input' if you do not want this correction",
    )
    if threshold is not None:
        settings["energy_convergence"] = _ev(threshold)
        settings["input"]["system"]["ts_vdw_econv_thr"] = _number(threshold)
    _mesh(given, settings)
    word = str(given.changed("smearing", f"{_SETTINGS}.smearing", "of order 1; pw.x has no other") or "")
    width = given.changed(
        "sigma", f"{_SETTINGS}.width", f"{_IN_EV}; with occupations = smearing, which DP-GEN leaves out"
    )
    settings.update(_smearing(word.partition(":")[0] or "gauss", width))
    given.unknown("DP-GEN does not use it for pw.x either")
    return settings


def _written(given: Keys) -> dict[str, Any]:
    """Return the settings that stand for the user's own namelists."""
    settings: dict[str, Any] = {"gamma_centred": False, "energy_convergence": _ev(_CONV_THR)}
    _mesh(given, settings)
    others: dict[str, dict[str, Any]] = {}
    smearing: dict[str, Any] = {}
    for section in NAMELISTS:
        variables = given.inner(section)
        for name in variables.names():
            if variables.get(name) is None:
                variables.left(name, "it is empty")
                continue
            plain = name.split("(")[0].strip().lower()
            target = f"{_SETTINGS}.{_ENERGIES.get(plain, plain)}"
            if plain in ("occupations", "smearing"):
                smearing[plain] = str(
                    variables.changed(name, target.replace("occupations", "width"), "by its full name")
                )
            elif plain in _ENERGIES:
                settings[_ENERGIES[plain]] = _ev(variables.changed(name, target, _IN_EV))
            elif plain == "electron_maxstep":
                settings["max_iterations"] = int(variables.carried(name, f"{_SETTINGS}.max_iterations"))
            elif plain in OWN_INPUT:
                variables.left(name, _reason(plain))
            elif plain in UNIMPORTANT:
                variables.left(name, "it does not decide the result")
            else:
                value = variables.carried(name, f"{_SETTINGS}.input.{section}")
                others.setdefault(section, {})[name] = value
    given.unknown("DP-GEN does not write it into the input of pw.x either")
    fixed = smearing.get("occupations", "smearing").lower() != "smearing"
    width = None if fixed else settings.get("width", 0.0) / Rydberg
    settings.update(_smearing(smearing.get("smearing", "gauss"), width))
    return {**settings, "input": others} if others else settings


def _mesh(given: Keys, settings: dict[str, Any]) -> None:
    spacing = given.carried("kspacing", f"{_SETTINGS}.kspacing", "with DP-GEN's mesh: gamma_centred: false")
    if spacing is not None:
        settings["kspacing"] = _number(spacing)


def _smearing(word: str, width: Any) -> dict[str, Any]:
    """Return smearing (no unit) and width (eV) for the name and the width (Ry) of pw.x; without width there is none."""
    if width is None or _number(width) == 0.0:
        return {"width": 0.0}
    return {"smearing": _SMEARINGS.get(word.strip().lower(), word), "width": _ev(width)}


def _reason(variable: str) -> str:
    """Say why a variable of pw.x is no setting of the labeler."""
    own = OWN_INPUT[variable]
    if own == "none":
        return "it is the labeler's own"
    return own.removeprefix("none: ") if own.startswith("none: ") else f"the setting for it is {own}; write it there"


def _number(value: Any) -> float:
    """Return a number, also of a text with Fortran's exponent."""
    return float(str(value).lower().replace("d", "e"))


def _ev(value: Any) -> float:
    """Return an energy in eV that was in Ry."""
    return float(f"{_number(value) * Rydberg:.10g}")
