"""POSCAR, INCAR, KPOINTS and POTCAR of a frame, written by pymatgen.

VASP takes atoms grouped by element and one POTCAR per group. The groups stand in alphabetical order, whatever the order
of the frame or of a type map is.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.labeling.cell import GroupedCell
from lammps_dpgen.labeling.vasp_potcar import EXCHANGE, potcar_text
from lammps_dpgen.labeling.vasp_settings import (
    PAPER,
    PAPER_KSPACING,
    SINGLE_POINT,
    VaspChange,
    VaspSettings,
)

#: Tags whose value may be given by element, with what an element gets that is not named; MAGMOM is one per atom.
BY_ELEMENT: Mapping[str, float] = {"MAGMOM": 0.0, "LDAUL": -1, "LDAUU": 0.0, "LDAUJ": 0.0}


@dataclass(frozen=True)
class KPoints:
    """A mesh of k-points: so many along each reciprocal vector, with Γ among them or around it."""

    mesh: tuple[int, int, int]
    gamma_centred: bool


class VaspInputs:
    """Makes the input files of frames; what does not depend on the frame is read once.

    Raises
    ------
    ConfigError
        The INCAR file or the input set cannot be used.
    """

    def __init__(self, settings: VaspSettings) -> None:
        self._settings = settings
        self._potcars: dict[str, Any] = {}
        self._file: dict[str, Any] | None = None
        if settings.incar_file is not None:
            self._file = _read_incar(settings.incar_file)

    def write(self, cell: GroupedCell, folder: Path) -> None:
        """Write the four files into `folder`.

        Raises
        ------
        ConfigError
            Tags, POTCARs or k-points that cannot work.
        """
        from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar, Potcar

        structure = _structure(cell)
        tags, points = self.tags_and_kpoints(cell)
        potcars = Potcar()
        potcars.extend(self.potcar(element) for element in cell.elements)
        Poscar(structure, comment="".join(f"{e}{cell.species.count(e)} " for e in cell.elements)).write_file(
            folder / "POSCAR", significant_figures=16
        )
        Incar(tags).write_file(folder / "INCAR")
        style = Kpoints.gamma_automatic if points.gamma_centred else Kpoints.monkhorst_automatic
        style(points.mesh).write_file(folder / "KPOINTS")
        potcars.write_file(folder / "POTCAR")

    def tags_and_kpoints(self, cell: GroupedCell) -> tuple[dict[str, Any], KPoints]:
        """Return the INCAR of a frame, complete, and its k-points.

        Raises
        ------
        ConfigError
            Tags that make no single point, or nothing that says how dense the k-points are.
        """
        begin, points = self._beginning(cell)
        change = self._settings.change(cell.elements)
        tags = begin | self._settings.incar | change.incar
        tags = _parsed({key: _by_element(key, value, cell) for key, value in tags.items() if value is not None})
        if "MAGMOM" in tags:
            tags.setdefault("ISPIN", 2)
        _refuse_other_runs(tags)
        points = self._kpoints(cell, change, tags.pop("KSPACING", None), tags.pop("KGAMMA", True)) or points
        if points is None:
            raise ConfigError(
                "labeler vasp: nothing says how dense the k-points are; give 'kspacing' (1/Å, as VASP's KSPACING) or "
                "'kpoints', or KSPACING in the INCAR"
            )
        return {**SINGLE_POINT, **tags}, points

    def _kpoints(self, cell: GroupedCell, change: VaspChange, tag: float | None, gamma_tag: bool) -> KPoints | None:
        """Return the mesh of the composition's settings, else of the common ones, else of the INCAR's KSPACING."""
        own = self._settings.gamma_centred
        gamma = gamma_tag if own is None else own
        for mesh, spacing in (
            (change.kpoints, change.kspacing),
            (self._settings.kpoints, self._settings.kspacing),
            (None, tag),
        ):
            if mesh is not None or spacing is not None:
                return KPoints(mesh or cell.mesh(float(spacing or 0.0)), gamma)
        return None

    def potcar(self, element: str) -> Any:
        """Return pymatgen's object of the POTCAR of an element, looked through: it is of this element and functional.

        Raises
        ------
        ConfigError
            It is not there, or not what its name says.
        """
        if element not in self._potcars:
            self._potcars[element] = self._read_potcar(element)
        return self._potcars[element]

    def _read_potcar(self, element: str) -> Any:
        from pymatgen.io.vasp.inputs import PotcarSingle

        path = self._settings.potcar(element)
        functional = self._settings.functional
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # releases that pymatgen does not know; the hash says which it was
                potcar = PotcarSingle(potcar_text(path), symbol=self._settings.potcars[element])
            says = potcar.keywords["VRHFIN"].split(":")[0].strip()
            exchange = potcar.keywords["LEXCH"].upper()
            float(potcar.keywords["ENMAX"])
        except (KeyError, ValueError, AttributeError, IndexError) as error:
            raise ConfigError(f"labeler vasp: {path} is no complete POTCAR: its header has no {error}") from error
        if says != element:
            raise ConfigError(f"labeler vasp: {path} is a POTCAR of {says}, expected {element}; correct 'potcars'")
        expected = EXCHANGE[functional.split("_")[0]]
        if exchange != expected:
            raise ConfigError(
                f"labeler vasp: {path} was made with LEXCH = {exchange}, a POTCAR of functional {functional} has "
                f"{expected}; correct 'functional', or the file"
            )
        return potcar

    def _beginning(self, cell: GroupedCell) -> tuple[dict[str, Any], KPoints | None]:
        """Return the tags before the user's own, and the k-points that a pymatgen input set brings."""
        name = self._settings.input_set
        if self._file is not None:
            return dict(self._file), None
        if name == "none":
            return {}, None
        if name == "paper":
            return {**PAPER, "KSPACING": PAPER_KSPACING}, None
        incar, points = _input_set(name, _structure(cell), self._settings.input_set_arguments)
        tags = {key: value for key, value in incar.items() if key not in (*SINGLE_POINT, "EDIFFG", "PSTRESS")}
        if points is None or np.shape(points.kpts) != (1, 3):
            return tags, None
        a, b, c = (int(n) for n in points.kpts[0])
        return tags, KPoints((a, b, c), "gamma" in str(points.style).lower())


def _structure(cell: GroupedCell) -> Any:
    from pymatgen.core import Lattice, Structure

    return Structure(Lattice(cell.lattice), list(cell.species), cell.fractional)


def _read_incar(name: str) -> dict[str, Any]:
    from pymatgen.io.vasp.inputs import Incar

    try:
        return dict(Incar.from_file(name))
    except Exception as error:  # pymatgen's reader raises whatever its parsing meets
        raise ConfigError(f"labeler vasp: {name} cannot be read as an INCAR: {error}") from error


def _input_set(name: str, structure: Any, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """Return INCAR and KPOINTS of a pymatgen input set that keeps the order of the atoms."""
    module, _, kind = name.replace(":", ".").rpartition(".")
    try:
        made = getattr(importlib.import_module(module), kind)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about POTCARs, which are not taken from the set, and about taste
            inputs = made(structure, sort_structure=False, **arguments)
            return dict(inputs.incar), inputs.kpoints
    except Exception as error:  # whatever a set of the user's raises
        raise ConfigError(
            f"labeler vasp: the input set {name} cannot be used: {type(error).__name__}: {error}; correct 'input_set' "
            "or 'input_set_arguments'"
        ) from error


def _parsed(tags: dict[str, Any]) -> dict[str, Any]:
    """Return tags with values of the kinds that VASP knows: a text such as ".FALSE." becomes false."""
    from pymatgen.io.vasp.inputs import Incar

    try:
        texts = {key: Incar.proc_val(key, value) for key, value in tags.items() if isinstance(value, str)}
        return tags | texts
    except (ValueError, TypeError) as error:
        raise ConfigError(f"labeler vasp: the INCAR has a value that cannot be read: {error}") from error


def _by_element(key: str, value: Any, cell: GroupedCell) -> Any:
    """Write a value that is given by element in the order of the POSCAR."""
    if not isinstance(value, dict):
        return value
    if key not in BY_ELEMENT:
        raise ConfigError(
            f"labeler vasp: INCAR tag {key} cannot be given by element; that is for {', '.join(BY_ELEMENT)}"
        )
    which: Sequence[str] = cell.species if key == "MAGMOM" else cell.elements
    return [value.get(element, BY_ELEMENT[key]) for element in which]


def _refuse_other_runs(tags: Mapping[str, Any]) -> None:
    """Refuse tags with which energy and forces would not be those of the frame by DFT."""
    wrong = {
        **{key: tags[key] for key in ("NSW", "IBRION") if key in tags and int(tags[key]) != SINGLE_POINT[key]},
        **{key: tags[key] for key in ("PSTRESS", "ML_LMLFF") if tags.get(key)},
    }
    if "ISIF" in tags and int(tags["ISIF"]) < 2:
        wrong["ISIF"] = tags["ISIF"]
    if wrong:
        found = ", ".join(f"{key} = {value}" for key, value in wrong.items())
        raise ConfigError(
            f"labeler vasp: the INCAR sets {found}; a label is one single point with forces and stress (NSW = 0, "
            "IBRION = -1, ISIF = 2, without PSTRESS and ML_LMLFF). Leave these tags out"
        )
