"""The labeler ``gpaw``: single points of GPAW in plane waves, in the worker process itself."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ase import Atoms

from lammps_dpgen.errors import ConfigError, LabelError
from lammps_dpgen.frame import FloatArray, Frame, Label
from lammps_dpgen.labeling.base import LabelerSettings
from lammps_dpgen.labeling.cell import GroupedCell, grouped_cell
from lammps_dpgen.labeling.gpaw_settings import GpawSettings
from lammps_dpgen.labeling.gpaw_setups import import_gpaw, missing_gpaw, setup_file_name, setup_hash
from lammps_dpgen.labeling.screening import Result, screened_label, trial_frame

#: GPAW's text output in the folder of a label.
TEXT = "gpaw.txt"
#: Digits of a setup's SHA-256 that a label shows.
_DIGITS = 12


class GpawLabeler:
    """Labels frames with GPAW; each label is a calculation from scratch, so that none depends on the one before."""

    name: ClassVar[str] = "gpaw"
    Settings: ClassVar[type[LabelerSettings]] = GpawSettings

    def __init__(self, settings: LabelerSettings) -> None:
        if not isinstance(settings, GpawSettings):
            raise TypeError(f"GpawLabeler needs GpawSettings, got {type(settings).__name__}")
        self._settings = settings
        self._settings_hash = settings.hash()

    @staticmethod
    def missing() -> str:
        """Return what to do where GPAW is not installed, "" where it is."""
        return missing_gpaw()

    def check(self, species: list[str]) -> None:
        """Refuse a missing GPAW, elements without setup, and keywords that GPAW does not take. Nothing is computed.

        Raises
        ------
        ConfigError
            What is wrong, where it was looked for, and what to do.
        """
        gpaw = import_gpaw()
        settings = self._settings
        for element in dict.fromkeys(species):
            setup_hash(element, settings.setup(element), settings.xc)
        for elements in (list(dict.fromkeys(species)), *(key.split("-") for key in settings.compositions)):
            keywords = gpaw_keywords(settings, grouped_cell(trial_frame(elements), settings.vacuum))
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # what GPAW will drop one day
                    gpaw.GPAW(txt=None, **keywords)
            except Exception as error:  # whatever GPAW raises for a keyword that it does not know
                raise ConfigError(
                    f"labeler gpaw: GPAW refuses its keywords ({type(error).__name__}: {_line(error)}); correct "
                    "'keywords' (docs: https://gpaw.readthedocs.io)"
                ) from error

    def label(self, frame: Frame, folder: Path) -> Label:
        """Label one frame; GPAW's text output is in `folder`.

        Raises
        ------
        LabelError
            No convergence, GPAW's own error, or a result that is not finite, each with the file that shows it.
        """
        return screened_label(frame, self._settings_hash, lambda: self._compute(frame, folder.absolute() / TEXT))

    def _compute(self, frame: Frame, text: Path) -> Result:
        cell = grouped_cell(frame, self._settings.vacuum)
        # Along free directions the cell is repeated too: plane waves, and vacuum in between.
        atoms = Atoms(cell.species, cell=cell.lattice, scaled_positions=cell.fractional, pbc=True)
        moments = self._settings.moments(cell)
        if moments:
            atoms.set_initial_magnetic_moments([moments.get(element, 0.0) for element in cell.species])
        try:
            energy, forces, stress = self._run(atoms, gpaw_keywords(self._settings, cell), text, all(frame.pbc))
            code = self._code(cell)
        except ConfigError as error:
            raise LabelError(str(error)) from error
        return Result(
            energy=energy,
            forces=cell.to_frame(forces),
            virial=None if stress is None else -stress * cell.volume,
            code=code,
        )

    def _run(
        self, atoms: Atoms, keywords: dict[str, Any], text: Path, with_stress: bool
    ) -> tuple[float, FloatArray, FloatArray | None]:
        """Return energy (eV), forces (eV/Å), and stress (eV/Å3, tension positive) if asked for."""
        gpaw = import_gpaw()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about taste; what matters stands in the text output
                atoms.calc = gpaw.GPAW(txt=str(text), **keywords)
                # The free energy: the one that the forces are the gradient of.
                energy = float(atoms.get_potential_energy(force_consistent=True))
                forces = np.array(atoms.get_forces(apply_constraint=False), dtype=np.float64)
                stress = np.array(atoms.get_stress(voigt=False), dtype=np.float64) if with_stress else None
        except gpaw.ConvergenceError as error:
            raise LabelError(
                f"GPAW did not converge (max_iterations = {self._settings.max_iterations}) "
                f"({_line(error) or type(error).__name__}); raise max_iterations, or change the mixer or nbands; "
                f"see {text}"
            ) from error
        except Exception as error:  # whatever GPAW raises in the middle of a calculation
            raise LabelError(f"GPAW: {type(error).__name__}: {_line(error)}; see {text}") from error
        finally:
            atoms.calc = None  # ends the text output
        return energy, forces, stress

    def _code(self, cell: GroupedCell) -> str:
        """Name GPAW's version and the setups of a frame by file and hash."""
        settings = self._settings
        used = []
        for element in cell.elements:
            name = settings.setup(element)
            file = setup_file_name(element, name, settings.xc)
            used.append(f"{file} {setup_hash(element, name, settings.xc)[:_DIGITS]}")
        return f"gpaw {import_gpaw().__version__} ({settings.xc}: {', '.join(used)})"


def gpaw_keywords(settings: GpawSettings, cell: GroupedCell) -> dict[str, Any]:
    """Return the keywords of GPAW for a frame, plain data."""
    change = settings.change(cell.elements)
    given: dict[str, Any] = {**settings.keywords, **change.keywords}
    others = {key: value for key, value in given.items() if value is not None}
    occupations: dict[str, Any] = {
        "name": settings.smearing,
        "width": settings.width if change.width is None else change.width,
    }
    if settings.smearing == "methfessel-paxton" and occupations["width"] > 0.0:
        occupations["order"] = settings.order
    kpoints: dict[str, Any] = {"size": settings.mesh(cell)}
    if settings.gamma_centred:
        kpoints["gamma"] = True
    keywords: dict[str, Any] = {
        # Frames of MD have no symmetry but that of k and -k; a frame that has is computed in the same way.
        "symmetry": {"point_group": False},
        **others,
        "mode": {"name": "pw", "ecut": change.cutoff or settings.cutoff},
        "xc": settings.xc,
        "kpts": kpoints,
        "occupations": occupations,
        "maxiter": settings.max_iterations,
        "setups": {element: settings.setup(element) for element in cell.elements},
        "convergence": {
            **others.get("convergence", {}),
            "energy": {"name": "energy", "tol": settings.energy_convergence, "relative": False},
            "density": settings.density_convergence,
            "eigenstates": settings.eigenstates_convergence,
        },
    }
    if settings.moments(cell):
        keywords.setdefault("spinpol", True)
    return keywords


def _line(error: Exception) -> str:
    """Return what an error says, in one line."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else text[:297] + "..."
