"""The labeler ``vasp``: single points of VASP. The program and its POTCARs are the user's own."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from lammps_dpgen.errors import ConfigError, LabelError
from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.labeling.base import LabelerSettings
from lammps_dpgen.labeling.cell import GroupedCell, grouped_cell
from lammps_dpgen.labeling.program import find_program
from lammps_dpgen.labeling.screening import Result, screened_label, trial_frame
from lammps_dpgen.labeling.vasp_inputs import VaspInputs
from lammps_dpgen.labeling.vasp_outputs import read_output
from lammps_dpgen.labeling.vasp_potcar import potcar_hash
from lammps_dpgen.labeling.vasp_run import run_vasp
from lammps_dpgen.labeling.vasp_settings import VaspSettings

#: Digits of a POTCAR's SHA-256 that a label shows; the settings hash covers all of them.
_DIGITS = 12


class VaspLabeler:
    """Labels frames with VASP, one process and one folder each."""

    name: ClassVar[str] = "vasp"
    Settings: ClassVar[type[LabelerSettings]] = VaspSettings

    def __init__(self, settings: LabelerSettings) -> None:
        if not isinstance(settings, VaspSettings):
            raise TypeError(f"VaspLabeler needs VaspSettings, got {type(settings).__name__}")
        self._settings = settings
        self._settings_hash = settings.hash()
        self._inputs = VaspInputs(settings)

    def check(self, species: list[str]) -> None:
        """Refuse a missing program, POTCARs that are missing or of another functional, and an INCAR that cannot work.

        VASP itself is not run.

        Raises
        ------
        ConfigError
            What is wrong, where it was looked for, and what to do.
        """
        find_program(self._settings.command, "vasp")
        elements = list(dict.fromkeys(species))
        enmin = {element: float(self._inputs.potcar(element).keywords.get("ENMIN", 0.0)) for element in elements}
        cell = grouped_cell(trial_frame(elements), self._settings.vacuum)
        tags, _ = self._inputs.tags_and_kpoints(cell)
        cutoff = float(tags.get("ENCUT", "inf"))
        low = [f"{element} (ENMIN = {energy:g} eV)" for element, energy in enmin.items() if cutoff < energy]
        if low:
            raise ConfigError(f"labeler vasp: ENCUT = {cutoff:g} eV is below what the POTCARs need: {', '.join(low)}")
        with TemporaryDirectory() as folder:
            self._inputs.write(cell, Path(folder))

    def label(self, frame: Frame, folder: Path) -> Label:
        """Label one frame; VASP's files are in `folder`.

        Raises
        ------
        LabelError
            An element without POTCAR, VASP's exit code or own words, no convergence, or a result that is not finite,
            each with the file that shows it.
        """
        missing = sorted(set(frame.species) - set(self._settings.potcars))
        if missing:
            raise LabelError(f"no POTCAR for {', '.join(missing)}; 'potcars' lists {', '.join(self._settings.potcars)}")
        return screened_label(frame, self._settings_hash, lambda: self._compute(frame, folder.absolute()))

    def _compute(self, frame: Frame, folder: Path) -> Result:
        cell = grouped_cell(frame, self._settings.vacuum)
        self._inputs.write(cell, folder)
        run_vasp(self._settings.command, folder, self._settings.omp_threads)
        output = read_output(folder, cell)
        return Result(
            energy=output.energy,
            forces=cell.to_frame(output.forces),
            # VASP's stress is positive when compressed, as the virial is: no sign changes here.
            virial=output.stress * cell.volume if all(frame.pbc) else None,
            code=f"vasp {output.version} ({self._potcars(cell)})",
        )

    def _potcars(self, cell: GroupedCell) -> str:
        """Name the POTCARs of a frame by functional, symbol and hash."""
        settings = self._settings
        used = (f"{settings.potcars[e]} {potcar_hash(settings.potcar(e))[:_DIGITS]}" for e in cell.elements)
        return f"{settings.functional}: {', '.join(used)}"
