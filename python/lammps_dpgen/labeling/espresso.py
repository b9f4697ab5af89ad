"""The labeler ``espresso``: single points of Quantum ESPRESSO's pw.x, one process and one folder each."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from lammps_dpgen.errors import ConfigError, LabelError
from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.labeling.base import LabelerSettings
from lammps_dpgen.labeling.cell import GroupedCell, grouped_cell
from lammps_dpgen.labeling.espresso_inputs import pseudo_header, write_input
from lammps_dpgen.labeling.espresso_outputs import read_output, run_espresso
from lammps_dpgen.labeling.espresso_pseudos import pseudo_hash
from lammps_dpgen.labeling.espresso_settings import EspressoSettings
from lammps_dpgen.labeling.program import find_program
from lammps_dpgen.labeling.screening import Result, screened_label, trial_frame

#: Digits of a pseudopotential's SHA-256 that a label shows; the settings hash covers all of them.
_DIGITS = 12


class EspressoLabeler:
    """Labels frames with pw.x; each label is a calculation from scratch, so that none depends on the one before."""

    name: ClassVar[str] = "espresso"
    Settings: ClassVar[type[LabelerSettings]] = EspressoSettings

    def __init__(self, settings: LabelerSettings) -> None:
        if not isinstance(settings, EspressoSettings):
            raise TypeError(f"EspressoLabeler needs EspressoSettings, got {type(settings).__name__}")
        self._settings = settings
        self._settings_hash = settings.hash()

    @staticmethod
    def missing() -> str:
        """Return what to do where pw.x is not in PATH, "" where it is; settings may name it elsewhere."""
        if shutil.which("pw.x"):
            return ""
        return (
            "pw.x of Quantum ESPRESSO is not in PATH; install it (Debian: apt-get install quantum-espresso), load its "
            "module, or name it in 'command'"
        )

    def check(self, species: list[str]) -> None:
        """Refuse a missing program, and pseudopotentials that are missing or of another element or functional.

        pw.x itself is not run.

        Raises
        ------
        ConfigError
            What is wrong, where it was looked for, and what to do.
        """
        settings = self._settings
        find_program(settings.command, "espresso")
        elements = list(dict.fromkeys(species))
        for element in elements:
            pseudo_header(settings, element)
        for these in (elements, *(key.split("-") for key in settings.compositions)):
            with TemporaryDirectory() as folder:
                write_input(settings, grouped_cell(trial_frame(these), settings.vacuum), Path(folder))

    def label(self, frame: Frame, folder: Path) -> Label:
        """Label one frame; pw.x's files are in `folder`.

        Raises
        ------
        LabelError
            An element without pseudopotential, pw.x's exit code or own words, no convergence, or a result that is not
            finite, each with the file that shows it.
        """
        return screened_label(frame, self._settings_hash, lambda: self._compute(frame, folder.absolute()))

    def _compute(self, frame: Frame, folder: Path) -> Result:
        settings = self._settings
        cell = grouped_cell(frame, settings.vacuum)
        try:
            write_input(settings, cell, folder)
        except ConfigError as error:
            raise LabelError(str(error)) from error
        run_espresso(settings.command, folder, settings.omp_threads)
        output = read_output(folder, cell)
        return Result(
            energy=output.energy,
            forces=cell.to_frame(output.forces),
            virial=None if output.stress is None else -output.stress * cell.volume,
            code=f"pw.x {output.version} ({self._pseudos(cell)})",
        )

    def _pseudos(self, cell: GroupedCell) -> str:
        """Name the pseudopotentials of a frame by functional, file and hash."""
        paths = [self._settings.pseudo(element) for element in cell.elements]
        return (
            f"{self._settings.functional}: {', '.join(f'{path.name} {pseudo_hash(path)[:_DIGITS]}' for path in paths)}"
        )
