"""The settings of the labeler ``espresso``, and the protocol that it follows by default."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, WithJsonSchema, field_validator

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.labeling.cell import chemical_system
from lammps_dpgen.labeling.espresso_pseudos import find_pseudo, pseudo_hash
from lammps_dpgen.labeling.files import config_folder
from lammps_dpgen.labeling.plane_wave_settings import (
    ProgramSettings,
    ProtocolChange,
    ProtocolSettings,
    refuse_unknown_elements,
)
from lammps_dpgen.labeling.program import TEXTS, Command

#: Cut-off of the protocol of the DP-GEN paper (Phys. Rev. Materials 3, 023804), in eV; at least this by default.
PAPER_CUTOFF = 600.0
#: Variables of pw.x that settings of their own stand for, or that belong to the labeler.
OWN_INPUT: Mapping[str, str] = {
    "calculation": "none: a label is one single point",
    "restart_mode": "none: each label is a calculation of its own",
    "prefix": "none",
    "outdir": "none: it is in the label's folder",
    "pseudo_dir": "pseudo_folder",
    "tprnfor": "none: forces are always computed",
    "tstress": "none: the stress is computed for periodic frames",
    "ibrav": "none: the cell is the frame's",
    **dict.fromkeys(("celldm", "a", "b", "c", "cosab", "cosac", "cosbc"), "none: the cell is the frame's"),
    "nat": "none: it follows from the frame",
    "ntyp": "none: it follows from the frame",
    "ecutwfc": "cutoff",
    "ecutrho": "density_cutoff",
    "occupations": "smearing and width",
    "smearing": "smearing",
    "degauss": "width",
    "starting_magnetization": "magmoms",
    "conv_thr": "energy_convergence",
    "electron_maxstep": "max_iterations",
    "scf_must_converge": "none: what has not converged is no label",
    "adaptive_thr": "none: the threshold is the same for all labels",
}
#: Variables that decide how fast a result is there and what is printed beside it, but not the result.
UNIMPORTANT = frozenset({"verbosity", "disk_io", "wf_collect", "iprint", "title", "max_seconds"})

#: Namelists of pw.x that a single point has.
NAMELISTS = ("control", "system", "electrons")
#: Names that are so much like a known one (1: the same) are taken for it.
_MISSPELT = 0.85

Input = dict[str, dict[str, JsonValue]]


class PseudoSettings(BaseModel):
    """The pseudopotential of one element."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str | None = Field(
        default=None, description="Name of the file; default: the only one whose name begins with the symbol."
    )
    cutoff: float | None = Field(
        default=None, gt=0.0, description="Cut-off that it needs (eV); default: 600, or what its header recommends."
    )
    density_cutoff: float | None = Field(
        default=None, gt=0.0, description="Cut-off of the density that it needs (eV); default: what its header says."
    )


_PSEUDO = {
    "anyOf": [{"type": "string"}, {"type": "object", "properties": {"file": {}, "cutoff": {}, "density_cutoff": {}}}]
}
#: In the file a list of elements, or a mapping to file names or to files with cut-offs.
Pseudos = Annotated[
    dict[str, PseudoSettings],
    WithJsonSchema({"anyOf": [{"type": "object", "additionalProperties": _PSEUDO}, TEXTS]}),
]


class EspressoChange(ProtocolChange):
    """What is different for the frames of one composition."""

    density_cutoff: float | None = Field(default=None, gt=0.0, description="As the common one (eV).")
    input: Input = Field(default_factory=dict, description="Variables of pw.x on top of the common ones.")

    @field_validator("input")
    @classmethod
    def _others(cls, given: Input) -> Input:
        return other_input(given)


class EspressoSettings(ProgramSettings, ProtocolSettings):
    """Quantum ESPRESSO (pw.x) as the reference: one single point per frame, in a folder of its own.

    The defaults are the protocol of the DP-GEN paper for Al, Mg and their alloys (Phys. Rev. Materials 3, 023804).

    Examples
    --------
    >>> EspressoSettings(command="mpirun -n 4 pw.x", pseudopotentials={"Al": "Al.UPF"}).command
    ('mpirun', '-n', '4', 'pw.x')
    """

    data_sets: ClassVar[str | None] = "pseudopotentials"

    command: Command = Field(
        default=("pw.x",),
        description="How pw.x is started, such as 'mpirun -n 4 pw.x' or 'srun pw.x -nk 2': a text, split into words as "
        "a shell would, or a list of words; '-in' and the input file are added. No shell runs it. A program named by a "
        "path, such as ./pw.sh, is looked for from the folder of the configuration file.",
        min_length=1,
    )
    pseudopotentials: Pseudos = Field(
        description="File of each element, such as {Al: Al.pbe-n-kjpaw_psl.1.0.0.UPF}, or with cut-offs (eV) of its "
        "own, {Al: {file: Al.UPF, cutoff: 450, density_cutoff: 3600}}; a list of elements stands for the only file of "
        "each in the folder.",
        min_length=1,
    )
    pseudo_folder: str | None = Field(
        default=None,
        description="Folder of the pseudopotentials. Default: ESPRESSO_PSEUDO, then pseudo_dir of ASE's settings.",
    )
    functional: str = Field(
        default="PBE",
        description="The functional that the pseudopotentials were made for, and that is computed; those of another "
        "one are refused.",
        min_length=1,
    )
    cutoff: float | None = Field(
        default=None,
        gt=0.0,
        description="Cut-off of the plane waves (eV). Default: the largest that one of the pseudopotentials needs, "
        "which is at least 600 where they do not have cut-offs of their own in the settings.",
    )
    density_cutoff: float | None = Field(
        default=None,
        gt=0.0,
        description="Cut-off of the density (eV). Default: 4 times that of the plane waves, 8 times with ultrasoft or "
        "PAW pseudopotentials, and at least what one of the pseudopotentials needs.",
    )
    smearing: Literal["methfessel-paxton", "marzari-vanderbilt", "fermi-dirac", "gaussian"] = Field(
        default="methfessel-paxton",
        description="How states near the Fermi level are occupied; Methfessel-Paxton is of order 1.",
    )
    width: float = Field(
        default=0.25, ge=0.0, description="Width of the smearing (eV); VASP's SIGMA. 0: fixed occupations."
    )
    energy_convergence: float = Field(
        default=1e-6, gt=0.0, description="Largest estimated error (eV per cell) of the energy: conv_thr of pw.x."
    )
    max_iterations: int = Field(default=100, ge=1, description="Electronic steps after which a label has failed.")
    input: Input = Field(
        default_factory=dict,
        description="Other variables of pw.x by namelist, in its own units (Ry, Bohr), such as {electrons: "
        "{mixing_beta: 0.3}}; null removes one. A value by element, such as {system: {Hubbard_U: {Fe: 4.0}}}, is "
        "written for each type.",
    )
    compositions: dict[str, EspressoChange] = Field(
        default_factory=dict,
        description="What is different for frames of exactly these elements, such as {Al-Mg: {cutoff: 700}}; keys are "
        "cutoff, density_cutoff, width, kspacing, kpoints, magmoms and input.",
    )

    @field_validator("pseudopotentials", mode="before")
    @classmethod
    def _short_forms(cls, pseudos: Any) -> Any:
        if isinstance(pseudos, (list, tuple)):
            return {name: {} for name in pseudos}
        if isinstance(pseudos, dict):
            return {name: {"file": one} if isinstance(one, str) else one for name, one in pseudos.items()}
        return pseudos

    @field_validator("pseudopotentials")
    @classmethod
    def _elements(cls, pseudos: dict[str, PseudoSettings]) -> dict[str, PseudoSettings]:
        refuse_unknown_elements(pseudos, "{element: file}, such as {Al: Al.UPF}")
        return pseudos

    @field_validator("pseudo_folder")
    @classmethod
    def _absolute_folder(cls, folder: str | None, info: ValidationInfo) -> str | None:
        return None if folder is None else str((config_folder(info) / Path(folder).expanduser()).absolute())

    @field_validator("input")
    @classmethod
    def _others(cls, given: Input) -> Input:
        return other_input(given)

    def pseudo(self, element: str) -> Path:
        """Return the pseudopotential file of an element.

        Raises
        ------
        ConfigError
            It has none in `pseudopotentials`, or the file is not there.
        """
        if element not in self.pseudopotentials:
            raise ConfigError(
                f"labeler espresso: no pseudopotential for {element}; 'pseudopotentials' lists "
                f"{', '.join(self.pseudopotentials)}. Add the element"
            )
        return find_pseudo(element, self.pseudopotentials[element].file, self.pseudo_folder)

    def change(self, elements: Iterable[str]) -> EspressoChange:
        """Return what is different for frames of exactly these elements."""
        return self.compositions.get(chemical_system(elements), EspressoChange())

    def hash(self) -> str:
        """SHA-256 of what decides the result; pseudopotentials count by content, wherever they lie.

        How the work is shared out may change from one label to the next.

        Raises
        ------
        ConfigError
            A pseudopotential is not there.
        """
        data = self.model_dump(mode="json", exclude={"command", "pseudo_folder", "omp_threads"})
        for part in (data, *data["compositions"].values()):
            part["input"] = {
                section: {key: value for key, value in variables.items() if key not in UNIMPORTANT}
                for section, variables in part["input"].items()
            }
        for element, one in data["pseudopotentials"].items():
            one["file"] = pseudo_hash(self.pseudo(element))
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def other_input(given: Input) -> Input:
    """Return variables of pw.x; raises ValueError for those that are settings of the labeler, and for misspelt ones.

    A variable that is like none that ASE knows is left to pw.x: names come and go with its versions.
    """
    from ase.io.espresso_namelist.keys import pw_keys

    namelists: dict[str, list[str]] = {name: list(pw_keys[name]) for name in NAMELISTS}
    for section, variables in given.items():
        if section not in namelists:
            raise ValueError(f"{section!r} is no namelist of a single point; write {', '.join(namelists)}")
        for name in variables:
            plain = name.split("(")[0].strip().lower()
            if plain in OWN_INPUT:
                raise ValueError(f"{name!r} is no other variable; the setting for it is {OWN_INPUT[plain]}")
            near = difflib.get_close_matches(plain, namelists[section], n=1, cutoff=_MISSPELT)
            if near and near[0] != plain:
                raise ValueError(f"{name!r} is no variable of the namelist {section}; did you mean {near[0]!r}?")
    return given
