"""Elastic constants of crystals of any symmetry, from stresses under strain, with pymatgen."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import spglib
from ase import Atoms
from ase.units import GPa
from pydantic import Field

from lammps_dpgen.validation.base import Findings, Piece, PropertySettings, Result, Row
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.potential import Potential, Static

PART = "Elastic constants"

#: Independent constants (Voigt indices from 1) by crystal system, in the orientation of the IEEE standard 176-1987.
INDEPENDENT = {
    "cubic": ("11", "12", "44"),
    "hexagonal": ("11", "33", "12", "13", "44", "66"),
    "trigonal": ("11", "33", "12", "13", "14", "44", "66"),
    "tetragonal": ("11", "33", "12", "13", "44", "66"),
    "orthorhombic": ("11", "22", "33", "12", "13", "23", "44", "55", "66"),
}
_ALL = tuple(f"{i}{j}" for i in range(1, 7) for j in range(i, 7))

#: First space group of each crystal system above triclinic.
_SYSTEMS = ((195, "cubic"), (168, "hexagonal"), (143, "trigonal"), (75, "tetragonal"), (16, "orthorhombic"))

#: GPa: smallest eigenvalue of the elastic tensor that still counts as zero.
_ZERO = 1e-3


class ElasticSettings(PropertySettings):
    """Elastic constants of the crystals, and Voigt averages of bulk and shear modulus.

    Stresses of strained cells, with relaxed atoms, are fitted by pymatgen; the tensor is turned to the IEEE
    standard orientation. A tensor that is not positive definite is said.
    """

    normal: tuple[float, ...] = Field(
        default=(-0.02, -0.01, 0.01, 0.02), min_length=1, description="Normal strains along each axis."
    )
    shear: tuple[float, ...] = Field(
        default=(-0.05, -0.025, 0.025, 0.05),
        min_length=1,
        description="Shear strains in each plane, as components of the strain tensor.",
    )
    relax_atoms: bool = Field(default=True, description="Relax the atoms in each strained cell.")
    symmetrise: bool = Field(
        default=False,
        description="Average the tensor over the symmetry of the crystal. Without it finite strains leave constants "
        "that symmetry makes equal a little apart.",
    )
    force: float = Field(default=1e-4, gt=0.0, description="Residual force of these relaxations in eV/Å.")


class ElasticProperty:
    """See :class:`ElasticSettings`."""

    name: ClassVar[str] = "elastic"
    version: ClassVar[int] = 1
    Settings: ClassVar[type[PropertySettings]] = ElasticSettings

    def __init__(self, settings: ElasticSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings
        self._crystals = crystals

    def pieces(self) -> list[Piece]:
        """Return one piece for each crystal."""
        return [Piece(crystal.name, {"crystal": crystal.to_json()}) for crystal in self._crystals]

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Strain the relaxed crystal and fit the tensor."""
        relaxed = potential.crystal(Crystal.from_json(piece.payload["crystal"]))
        return elastic_constants(potential, relaxed, self._settings)

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return the independent constants and the Voigt averages."""
        rows: list[Row] = []
        for crystal in self._crystals:
            rows += elastic_rows(PART, crystal.name, crystal.atoms, results[crystal.name], self._definition())
        return Findings(tuple(rows))

    def _definition(self) -> str:
        return definition(self._settings)


def definition(settings: ElasticSettings) -> str:
    """Say how the constants are computed."""
    atoms = "atoms relaxed" if settings.relax_atoms else "atoms not relaxed"
    normal, shear = (", ".join(f"{x:g}" for x in strains) for strains in (settings.normal, settings.shear))
    return f"stresses at normal strains {normal} and shear strains {shear}, {atoms}, linear fit"


def elastic_constants(potential: Potential, relaxed: Static, settings: ElasticSettings) -> dict[str, Any]:
    """Return the elastic tensor (GPa, Voigt) in the IEEE orientation, its Voigt averages and smallest eigenvalue.

    Raises
    ------
    PropertyError
        A strained cell could not be computed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pymatgen.analysis.elasticity import DeformedStructureSet, ElasticTensor, Strain, Stress
        from pymatgen.io.ase import AseAtomsAdaptor

        structure = AseAtomsAdaptor.get_structure(relaxed.atoms)
        deformed = DeformedStructureSet(
            structure, norm_strains=list(settings.normal), shear_strains=list(settings.shear), symmetry=False
        )
        strains, stresses = [], []
        for deformation in deformed.deformations:
            strained = relaxed.atoms.copy()
            strained.set_cell(relaxed.atoms.cell.array @ np.array(deformation).T, scale_atoms=True)
            found = (
                potential.relax(strained, force=settings.force) if settings.relax_atoms else potential.static(strained)
            )
            strains.append(Strain.from_deformation(deformation))
            stresses.append(Stress(found.stress / GPa))
        tensor = ElasticTensor.from_independent_strains(strains, stresses, eq_stress=Stress(relaxed.stress / GPa))
        standard = tensor.convert_to_ieee(structure, initial_fit=settings.symmetrise)
    voigt = np.array(standard.voigt, dtype=np.float64)
    return {
        "tensor": [[float(x) for x in row] for row in voigt],
        "b_v": float(standard.k_voigt),
        "g_v": float(standard.g_voigt),
        "smallest": float(np.linalg.eigvalsh(0.5 * (voigt + voigt.T)).min()),
    }


def elastic_rows(part: str, subject: str, atoms: Atoms, result: Result, how: str) -> list[Row]:
    """Return the rows of an elastic tensor: what the crystal system leaves independent, and the Voigt averages."""
    value = result.value
    note = ""
    if value is not None and value["smallest"] < _ZERO:
        note = f"unstable: the elastic tensor has an eigenvalue of {value['smallest']:.2f} GPa"
    blank = Row(part, subject, "", "GPa", definition=how, failure=result.failure, note=note)
    rows = []
    for indices in INDEPENDENT.get(crystal_system(atoms), _ALL):
        number = None if value is None else value["tensor"][int(indices[0]) - 1][int(indices[1]) - 1]
        rows.append(replace(blank, quantity=f"C_{indices}", value=number))
    for quantity, key in (("B_V", "b_v"), ("G_V", "g_v")):
        rows.append(replace(blank, quantity=quantity, value=None if value is None else value[key]))
    return rows


def crystal_system(atoms: Atoms) -> str:
    """Return the crystal system; "" for monoclinic and triclinic ones, whose constants are not reduced."""
    data = spglib.get_symmetry_dataset((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=0.01)
    number = 0 if data is None else int(data.number)
    return next((system for first, system in _SYSTEMS if number >= first), "")
