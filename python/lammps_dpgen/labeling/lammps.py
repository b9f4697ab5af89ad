"""The labeler ``lammps``: any LAMMPS pair style as the reference potential energy surface."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from ase.units import kcal, mol
from pydantic import Field, ValidationInfo, field_validator

from lammps_dpgen.errors import ConfigError, LabelError
from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.labeling.base import LabelerSettings
from lammps_dpgen.labeling.files import config_folder, file_identity, find_file
from lammps_dpgen.labeling.lammps_box import LammpsBox, lammps_box
from lammps_dpgen.labeling.lammps_library import LammpsLibrary, potential_folders
from lammps_dpgen.labeling.screening import Result, screened_label, trial_frame

#: LAMMPS' energy unit in eV, by unit style; both styles measure lengths in Å.
ENERGY_UNIT = {"metal": 1.0, "real": kcal / mol}

#: Words of a pair_coeff line that name a file: a dot, and not a number.
_FILE_WORD = re.compile(r"(?![+-]?[\d.]+(?:[eEdD][+-]?\d+)?$).*\.")


class LammpsSettings(LabelerSettings):
    """A LAMMPS potential as the reference, run inside the worker process on one core.

    Potential files are looked for next to the configuration file, then in the folders of ``LAMMPS_POTENTIALS``, then
    in the LAMMPS package's own ``share/lammps/potentials``.

    Examples
    --------
    >>> LammpsSettings(pair_style="eam/alloy", pair_coeff=["* * Al_zhou.eam.alloy Al"], elements=["Al"]).units
    'metal'
    """

    pair_style: str = Field(description="Arguments of LAMMPS' pair_style command, such as 'eam/alloy'.", min_length=1)
    pair_coeff: tuple[str, ...] = Field(
        description="Arguments of the pair_coeff commands, one text each, such as '* * Al_zhou.eam.alloy Al'.",
        min_length=1,
    )
    elements: tuple[str, ...] = Field(
        description="Chemical symbols of the LAMMPS atom types 1, 2, ... in the order that pair_coeff relies on.",
        min_length=1,
    )
    units: Literal["metal", "real"] = Field(
        default="metal", description="LAMMPS unit style that the potential is written in; labels are in eV and Å."
    )
    atom_style: str = Field(default="atomic", description="Arguments of LAMMPS' atom_style command.")
    commands: tuple[str, ...] = Field(
        default=(),
        description="LAMMPS lines that run before pair_style, when the atoms exist, such as 'set type 1 charge 0.5'.",
    )
    commands_after: tuple[str, ...] = Field(
        default=(),
        description="LAMMPS lines that run after pair_coeff, such as 'pair_modify tail yes' or 'kspace_style ...'.",
    )
    plugins: Literal["auto", "yes", "no"] = Field(
        default="auto",
        description="Load the installed LAMMPS plugins, such as DeePMD-kit's. auto: when LAMMPS does not know a style.",
    )

    @field_validator("elements")
    @classmethod
    def _known_elements(cls, elements: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [e for e in elements if atomic_numbers.get(e, 0) == 0]
        if unknown:
            raise ValueError(f"{unknown} are no chemical symbols; each LAMMPS type needs one, such as 'Al'")
        return elements

    @field_validator("pair_style")
    @classmethod
    def _files_of_line(cls, line: str, info: ValidationInfo) -> str:
        return _with_files(line, [config_folder(info)])

    @field_validator("pair_coeff")
    @classmethod
    def _files_of_lines(cls, lines: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        return tuple(_with_files(line, [config_folder(info)]) for line in lines)

    def hash(self) -> str:
        """SHA-256 of what decides the result: potential files count by content, wherever they lie."""
        data = self.model_dump(mode="json", exclude={"plugins"})
        data["pair_style"] = _identity(self.pair_style)
        data["pair_coeff"] = [_identity(line) for line in self.pair_coeff]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def box_lines(settings: LammpsSettings, box: LammpsBox) -> list[str]:
    """Return the LAMMPS commands that make an empty box."""
    return [
        f"units {settings.units}",
        f"atom_style {settings.atom_style}",
        "atom_modify map array",
        f"boundary {box.boundary}",
        "box tilt large",
        f"region cell {box.region}",
        f"create_box {len(settings.elements)} cell",
    ]


def interaction_lines(settings: LammpsSettings) -> list[str]:
    """Return the LAMMPS commands that set masses and the potential, when the atoms exist."""
    masses = [atomic_masses[atomic_numbers[element]] for element in settings.elements]
    return [
        *(f"mass {i} {mass}" for i, mass in enumerate(masses, start=1)),
        *settings.commands,
        f"pair_style {_with_files(settings.pair_style, potential_folders())}",
        *(f"pair_coeff {_with_files(line, potential_folders())}" for line in settings.pair_coeff),
        *settings.commands_after,
    ]


class LammpsLabeler:
    """Labels frames with a LAMMPS pair style.

    One instance of LAMMPS lives as long as the labeler and is cleared before each frame; after an error it is thrown
    away, so that no frame sees what another one left.
    """

    name: ClassVar[str] = "lammps"
    Settings: ClassVar[type[LabelerSettings]] = LammpsSettings

    def __init__(self, settings: LabelerSettings) -> None:
        if not isinstance(settings, LammpsSettings):
            raise TypeError(f"LammpsLabeler needs LammpsSettings, got {type(settings).__name__}")
        self._settings = settings
        self._settings_hash = settings.hash()
        self._plugins = settings.plugins == "yes"
        self._library: LammpsLibrary | None = None

    def check(self, species: list[str]) -> None:
        """Refuse unknown elements, missing files and whatever LAMMPS itself refuses in a trial run.

        Raises
        ------
        ConfigError
            Names the element or file, or carries LAMMPS' message.
        """
        known = self._settings.elements
        unknown = [s for s in dict.fromkeys(species) if s not in known]
        if unknown:
            raise ConfigError(
                f"labeler lammps: no LAMMPS type for {', '.join(unknown)}; 'elements' lists {', '.join(known)}. "
                "Add the element there and in pair_coeff, or take another potential"
            )
        for line in self._settings.pair_coeff:
            _refuse_missing_files(line)
        try:
            self.label(trial_frame(list(dict.fromkeys(species))), None)
        except LabelError as error:
            raise ConfigError(
                f"labeler lammps: the trial run of 'pair_style {self._settings.pair_style}' failed: {error}. "
                "Correct pair_style, pair_coeff, units or commands"
            ) from error

    def label(self, frame: Frame, folder: Path | None) -> Label:
        """Label one frame; LAMMPS' log is written to ``folder/log.lammps``, if a folder is given.

        Raises
        ------
        LabelError
            An element without a type, LAMMPS' own message, or a result that is not finite.
        """
        log = folder / "log.lammps" if folder is not None else None
        try:
            return screened_label(frame, self._settings_hash, lambda: self._compute(frame, log))
        except BaseException:
            self._close()
            raise

    def _compute(self, frame: Frame, log: Path | None) -> Result:
        """Run LAMMPS on `frame`, with plugins in a second attempt if they are missing."""
        try:
            return self._attempt(frame, log)
        except LabelError as error:
            missing = re.search(r"Unrecognized|Unknown (?:command|identifier)", str(error))
            if self._plugins or self._settings.plugins == "no" or missing is None:
                raise
        self._close()
        self._plugins = True
        return self._attempt(frame, log)

    def _attempt(self, frame: Frame, log: Path | None) -> Result:
        if self._library is None:
            self._library = LammpsLibrary(self._plugins)
        box = lammps_box(frame)
        self._prepare(self._library, frame, box, log)
        result = self._results(self._library, frame, box)
        self._library.run(["log none"])
        return result

    def _close(self) -> None:
        """Throw LAMMPS away, if it lives: the next frame gets a new one."""
        if self._library is not None:
            library, self._library = self._library, None
            library.close()

    def _prepare(self, library: LammpsLibrary, frame: Frame, box: LammpsBox, log: Path | None) -> None:
        """Set up `frame` and run LAMMPS for 0 steps."""
        settings = self._settings
        missing = sorted(set(frame.species) - set(settings.elements))
        if missing:
            raise LabelError(
                f"no LAMMPS type for {', '.join(missing)}; 'elements' lists {', '.join(settings.elements)}"
            )
        library.run(["clear", *([f'log "{log}"'] if log else []), *box_lines(settings, box)])
        types = [settings.elements.index(s) + 1 for s in frame.species]
        library.create_atoms(types, box.positions.ravel().tolist())
        library.run(
            [
                *interaction_lines(settings),
                "compute label_virial all pressure NULL virial",
                "thermo_style custom step pe c_label_virial[*]",
                "thermo_modify norm no",
                "run 0",
            ]
        )

    def _results(self, library: LammpsLibrary, frame: Frame, box: LammpsBox) -> Result:
        """Read energy, forces and virial; the one place where LAMMPS' units become eV and Å."""
        unit = ENERGY_UNIT[self._settings.units]
        virial = None
        if any(frame.pbc):
            xx, yy, zz, xy, xz, yz = library.global_vector("label_virial", 6)
            pressure = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
            # LAMMPS' pressure is positive when compressed, as the virial is: no sign changes here.
            virial = box.tensor_to_frame(pressure * library.thermo("vol") / library.setting("nktv2p") * unit)
        return Result(
            energy=library.thermo("pe") * unit,
            forces=box.vectors_to_frame(library.vectors("f")) * unit,
            virial=virial,
            code=f"lammps {library.version}",
        )


def _files(line: str, folders: Iterable[Path]) -> list[tuple[str, Path | None]]:
    """Split a LAMMPS line into its arguments, each with the file in `folders` that it names, if any."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise ValueError(f"{line!r} is no LAMMPS line: {error}; quotes come in pairs") from error
    return [(word, None if word in atomic_numbers else find_file(word, folders)) for word in words]


def _join(words: Iterable[str]) -> str:
    """Make a LAMMPS line of arguments; those with blanks are quoted."""
    return " ".join(f'"{w}"' if re.search(r"\s", w) else w for w in words)


def _with_files(line: str, folders: Iterable[Path]) -> str:
    """Return `line` with file names made absolute; LAMMPS searches for potential files in some pair styles only."""
    return _join(str(path or word) for word, path in _files(line, folders))


def _identity(line: str) -> str:
    """Return `line` with every file replaced by its name and the hash of its content."""
    return _join(file_identity(path) if path else word for word, path in _files(line, potential_folders()))


def _refuse_missing_files(line: str) -> None:
    """Refuse words that look like file names and are no file: say where was looked, and what has a similar name."""
    folders = potential_folders()
    missing = [word for word, path in _files(line, folders) if path is None and _FILE_WORD.match(word)]
    if missing:
        names = sorted({path.name for folder in folders for path in folder.iterdir()})
        close = difflib.get_close_matches(missing[0], names, n=3)
        hint = f". Files with a similar name: {', '.join(close)}" if close else ""
        raise ConfigError(
            f"labeler lammps: potential file {missing[0]!r} of pair_coeff not found; looked in the folder of the "
            f"configuration file and in {', '.join(map(str, folders))}{hint}"
        )
