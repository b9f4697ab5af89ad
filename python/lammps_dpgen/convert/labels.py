"""How DP-GEN labels, as a labeler, and which frames it labels, as a selection."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

from lammps_dpgen.convert.account import Keys
from lammps_dpgen.convert.espresso import espresso
from lammps_dpgen.learning.dpgen_rules import box_criteria

#: What a criterion of DP-GEN's fp_skip_bad_box is here, in the section ``selection``.
_BOX = {
    "length_ratio": ("box", "max_length_ratio"),
    "height_ratio": ("box", "max_aspect"),
    "wrap_ratio": ("box", "max_wrap"),
    "tilt_ratio": ("box", "max_tilt"),
    "min_distance": ("", "min_distance"),
    "min_dist": ("", "min_distance"),
}
#: INCAR tags that DP-GEN writes beside the ones in fp_params.
_GENERATED = {"PREC": "A", "ISYM": 0, "ALGO": "Fast", "LREAL": "A", "NELMIN": 4, "LWAVE": False, "LCHARG": False}
_SMEARING = {"gauss": 0, "fd": -1, "mp": 1}
#: Functional of a POTCAR by the first word of its title.
_TITLES = {"PAW_PBE": "PBE", "PAW": "LDA", "PAW_GGA": "PW91"}

_LEFT = {
    "fp_task_min": "a batch of any size is labelled once nobody can go on without it",
    "fp_accurate_soft_threshold": "labels do not become fewer before the stage has converged; nothing to do",
    "ratio_failed": "a label that fails is set aside with its cause and stops nothing",
    "detailed_report_make_fp": "deviation.csv and the ledger have every look",
    "cvasp": "no custodian: a calculation that fails is repeated (labeler.retries) and then set aside",
    "fp_aniso_kspacing": "one kspacing for all directions; set labeler.settings.kpoints for a mesh of your own",
    "use_clusters": "no clusters are cut out of a frame; explore cells that can be labelled as a whole",
    "cluster_cutoff": "no clusters are cut out of a frame",
    "cluster_cutoff_hard": "no clusters are cut out of a frame",
    "cluster_minify": "no clusters are cut out of a frame",
    "sys_charges": "charges are a setting of the labeler",
}


def selection(param: Keys) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the sections ``selection`` and ``converged``."""
    chosen: dict[str, Any] = {"method": "random"}
    most = param.changed(
        "fp_task_max", "selection.batch", "of all systems together in one learning step; DP-GEN's is for each system"
    )
    if most is not None:
        chosen["batch"] = most
    criteria = param.carried("fp_skip_bad_box", "selection.box, selection.min_distance")
    for name, limit in box_criteria(criteria).items() if criteria else ():
        section, key = _BOX[name]
        (chosen.setdefault(section, {}) if section else chosen)[key] = limit
    room = param.carried("fp_cluster_vacuum", "selection.vacuum")
    if room is not None:
        chosen["vacuum"] = room
    converged: dict[str, Any] = {}
    enough = param.changed(
        "fp_accurate_threshold", "converged.accurate", "share at which a stage ends; DP-GEN's stops the labels only"
    )
    if enough is not None:
        converged["accurate"] = min(1.0, float(enough))
    param.left_all(_LEFT)
    return chosen, converged


def labeler(param: Keys, command: str | None, threads: int | None, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the section ``labeler`` and what the user has to complete in it.

    Parameters
    ----------
    command, threads
        Of machine.json, where it has them.
    folder
        Where relative paths of param.json are meant from.
    """
    style = param.get("fp_style")
    if style == "pwscf":
        settings, todo = espresso(param, simple_command(command), folder)
        return _section("espresso", settings, threads), todo
    if style != "vasp":
        return _unsupported(param, style, command)
    param.carried("fp_style", "labeler.name")
    settings = {"command": simple_command(command) or "vasp_std"}
    todo = [] if command else ["labeler.settings.command: how VASP is started, such as 'srun vasp_std'"]
    settings.update(_incar(param))
    if not settings.get("incar_file") and "ENCUT" not in settings["incar"]:
        todo.append("labeler.settings.incar: the input says no ENCUT (fp_incar, user_fp_params or fp_params)")
    settings.update(_potcars(param, folder))
    todo.append("labeler.settings.potcars and potcar_folder: the POTCARs of DP-GEN's run, see docs/labeler-vasp.md")
    if settings.get("incar_file") and not (folder / settings["incar_file"]).is_file():
        todo.append(f"labeler.settings.incar_file: {settings['incar_file']} is not here")
    return _section("vasp", settings, threads), todo


def _section(name: str, settings: dict[str, Any], threads: int | None) -> dict[str, Any]:
    section: dict[str, Any] = {"name": name, "settings": settings}
    return {**section, "threads": threads} if threads else section


def simple_command(command: str | None) -> str | None:
    """Return program and arguments of a shell line such as ``ulimit -s unlimited; mpirun -n 8 vasp_std > log``."""
    if not command:
        return command
    last = re.split(r";|&&|\|\|", command)[-1]
    words = re.split(r"\s(?:\d?>>?|\||&|<)", f" {last}")[0].split()
    return shlex.join(words)


def _unsupported(param: Keys, style: Any, command: str | None) -> tuple[dict[str, Any], list[str]]:
    remark = f"there is no labeler for {style!r}; take 'ase' with ASE's calculator for it, and the same settings"
    for key in ("fp_style", "fp_params", "user_fp_params", "external_input_path", "fp_pp_path", "fp_pp_files"):
        param.left(key, remark)
    for key in ("fp_incar", "fp_orb_files", "fp_kpt_file", "fp_dpks_descriptor", "k_points", "high_level"):
        param.left(key, remark)
    ran = f" (DP-GEN ran: {command})" if command else ""
    todo = f"labeler: write calculator and arguments of ASE's calculator for {style}{ran}, see docs/configuration.md"
    return {"name": "ase", "settings": {}}, [todo]


def _incar(param: Keys) -> dict[str, Any]:
    """Return the settings that make the INCAR, from the first of DP-GEN's three ways that the input takes."""
    if param.get("fp_incar"):
        for key in ("user_fp_params", "fp_params"):
            param.left(key, "fp_incar takes its place, as in DP-GEN")
        return {"incar_file": param.carried("fp_incar", "labeler.settings.incar_file")}
    if param.get("user_fp_params"):
        param.left("fp_params", "user_fp_params takes its place, as in DP-GEN")
        tags = _plain(param.carried("user_fp_params", "labeler.settings.incar") or {})
        return {"input_set": "none", "incar": {key.upper(): value for key, value in tags.items()}}
    given = param.carried("fp_params", "labeler.settings.incar", "with the tags that DP-GEN writes beside them") or {}
    return _generated(_plain(given))


def _generated(given: dict[str, Any]) -> dict[str, Any]:
    """Return the INCAR that DP-GEN writes for its own words."""
    tags = dict(_GENERATED)
    for word, tag in (("ecut", "ENCUT"), ("ediff", "EDIFF"), ("npar", "NPAR"), ("kpar", "KPAR"), ("sigma", "SIGMA")):
        if given.get(word) is not None:
            tags[tag] = given[word]
    method, _, order = str(given.get("smearing") or "").lower().partition(":")
    if method in _SMEARING:
        tags["ISMEAR"] = int(order) if method == "mp" and order else _SMEARING[method]
    if given.get("metagga") not in (None, "NONE"):
        tags.update({"LASPH": True, "METAGGA": given["metagga"]})
    tags.update({key.upper(): value for key, value in _plain(given.get("user_vasp_params") or {}).items()})
    settings: dict[str, Any] = {"input_set": "none", "incar": tags, "gamma_centred": False}
    if given.get("kspacing") is not None:
        settings["kspacing"] = given["kspacing"]
    return settings


def _potcars(param: Keys, folder: Path) -> dict[str, Any]:
    """Return POTCAR symbols by element, read from the titles of DP-GEN's files where they are here."""
    elements = [str(element) for element in param.get("type_map", [])]
    place = folder / str(param.get("fp_pp_path", "."))
    titles = [title for name in param.get("fp_pp_files", []) for title in _titles(place / str(name))]
    remark = (
        "by the titles of the files" if len(titles) == len(elements) else "taken by the names of the elements: check"
    )
    param.changed("fp_pp_files", "labeler.settings.potcars", remark)
    param.left("fp_pp_path", "POTCARs are found by symbol in labeler.settings.potcar_folder, laid out as for pymatgen")
    if len(titles) != len(elements):
        return {"potcars": {element: element for element in elements}}
    settings: dict[str, Any] = {"potcars": {element: title[1] for element, title in zip(elements, titles, strict=True)}}
    functional = _TITLES.get(titles[0][0])
    return {**settings, "functional": functional} if functional not in (None, "PBE") else settings


def _titles(path: Path) -> list[tuple[str, str]]:
    """Return kind and symbol of each potential in a POTCAR; none where the file is not here."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="latin-1").splitlines()
    starts = [0, *(number + 1 for number, line in enumerate(lines) if line.strip() == "End of Dataset")]
    words = [lines[number].split() for number in starts if number < len(lines)]
    return [(title[0], title[1]) for title in words if len(title) >= 2]


def _plain(tags: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tags.items() if not key.startswith("_")}
