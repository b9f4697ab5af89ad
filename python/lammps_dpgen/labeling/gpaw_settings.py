"""The settings of the labeler ``gpaw``, and the protocol that it follows by default. GPAW itself is not needed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, JsonValue, WithJsonSchema, field_validator

from lammps_dpgen.labeling.cell import chemical_system
from lammps_dpgen.labeling.gpaw_setups import NOT_PAW, PAW, ask_setup_hashes
from lammps_dpgen.labeling.plane_wave_settings import ProtocolChange, ProtocolSettings, refuse_unknown_elements

#: GPAW's keywords that settings of their own stand for, or that belong to the labeler.
OWN_KEYWORDS: Mapping[str, str] = {
    "mode": "cutoff",
    "xc": "xc",
    "kpts": "kspacing or kpoints",
    "occupations": "smearing, order and width",
    "maxiter": "max_iterations",
    "setups": "setups",
    "magmoms": "magmoms",
    "filename": "none: each label is a calculation of its own",
    "txt": "none: the text output stands in the label's folder",
    "communicator": "none: the label is one process",
}
#: Criteria of convergence that settings of their own stand for; GPAW takes the last one as converged in any case.
OWN_CRITERIA: Mapping[str, str] = {
    "energy": "energy_convergence",
    "density": "density_convergence",
    "eigenstates": "eigenstates_convergence",
    "maximum iterations": "none: what has not converged is no label; see max_iterations",
}
#: Keywords that decide how the work is shared out, but not the result.
UNIMPORTANT = frozenset({"parallel"})

_SYMBOLS = {"type": "array", "items": {"type": "string"}}
#: In the file a mapping or a list of elements.
Setups = Annotated[
    dict[str, str],
    WithJsonSchema({"anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, _SYMBOLS]}),
]


class GpawChange(ProtocolChange):
    """What is different for the frames of one composition."""

    keywords: dict[str, JsonValue] = Field(default_factory=dict, description="GPAW keywords on top of the common ones.")

    @field_validator("keywords")
    @classmethod
    def _others(cls, keywords: dict[str, JsonValue]) -> dict[str, JsonValue]:
        return other_keywords(keywords)


class GpawSettings(ProtocolSettings):
    """GPAW in plane waves as the reference: one single point per frame, in the worker process itself.

    The defaults are the protocol of the DP-GEN paper for Al, Mg and their alloys (Phys. Rev. Materials 3, 023804).

    Examples
    --------
    >>> GpawSettings(setups=["Al"]).setups
    {'Al': 'paw'}
    """

    data_sets: ClassVar[str | None] = "setups"

    xc: str = Field(default="PBE", description="Exchange and correlation, by GPAW's name.", min_length=1)
    cutoff: float = Field(default=600.0, gt=0.0, description="Cut-off of the plane waves (eV).")
    smearing: Literal["methfessel-paxton", "fermi-dirac", "marzari-vanderbilt"] = Field(
        default="methfessel-paxton", description="How states near the Fermi level are occupied."
    )
    order: int = Field(default=1, ge=0, description="Order of the Methfessel-Paxton smearing.")
    width: float = Field(default=0.25, ge=0.0, description="Width of the smearing (eV); VASP's SIGMA.")
    energy_convergence: float = Field(
        default=1e-6,
        gt=0.0,
        description="Largest change (eV per cell) of the energy in the last three iterations, as VASP's EDIFF.",
    )
    density_convergence: float = Field(
        default=1e-4, gt=0.0, description="Largest change of the density (electrons per valence electron)."
    )
    eigenstates_convergence: float = Field(
        default=4e-8, gt=0.0, description="Largest residual of the eigenstates (eV² per valence electron)."
    )
    max_iterations: int = Field(
        default=100, ge=1, description="Iterations after which a label has failed; VASP's NELM."
    )
    setups: Setups = Field(
        default_factory=dict,
        description="PAW data set of each element, such as {Al: paw, Mg: '2'} for the files Al.PBE and Mg.2.PBE, with "
        "+U in GPAW's form ('paw:d,4.0'). A list of elements stands for 'paw', and so do elements that are not named; "
        "files of named ones are part of the settings hash.",
    )
    keywords: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Other keywords of GPAW, plain data, such as {nbands: 120%, mixer: {backend: pulay, beta: 0.05}, "
        "convergence: {forces: 0.001}}; null removes one.",
    )
    compositions: dict[str, GpawChange] = Field(
        default_factory=dict,
        description="What is different for frames of exactly these elements, such as {Al-Mg: {cutoff: 700}}; keys are "
        "cutoff, width, kspacing, kpoints, magmoms and keywords.",
    )

    @field_validator("setups", mode="before")
    @classmethod
    def _same_names(cls, setups: Any) -> Any:
        if isinstance(setups, (list, tuple)):
            return dict.fromkeys(setups, PAW)
        if isinstance(setups, dict):  # YAML reads the 2 of Mg.2.PBE as a number
            return {name: str(setup) if type(setup) is int else setup for name, setup in setups.items()}
        return setups

    @field_validator("setups")
    @classmethod
    def _paw_data(cls, setups: dict[str, str]) -> dict[str, str]:
        refuse_unknown_elements(setups, "{element: data set}, such as {Mg: '2'}")
        strange = [name for name in setups.values() if "/" in name or name.split(":")[0] in NOT_PAW]
        if strange:
            raise ValueError(f"{strange[0]!r} is no PAW data set; write 'paw' for Al.PBE, or '2' for Mg.2.PBE")
        return setups

    @field_validator("keywords")
    @classmethod
    def _others(cls, keywords: dict[str, JsonValue]) -> dict[str, JsonValue]:
        return other_keywords(keywords)

    def setup(self, element: str) -> str:
        """Return GPAW's name of the setup of an element."""
        return self.setups.get(element, PAW)

    def change(self, elements: Iterable[str]) -> GpawChange:
        """Return what is different for frames of exactly these elements."""
        return self.compositions.get(chemical_system(elements), GpawChange())

    def hash(self) -> str:
        """SHA-256 of what decides the result; setups that are named count by content, wherever they lie.

        How the work is shared out (``parallel``) may change from one label to the next.

        Raises
        ------
        ConfigError
            A setup that is named is not there, or GPAW is not.
        """
        data = self.model_dump(mode="json")
        for part in (data, *data["compositions"].values()):
            part["keywords"] = {key: value for key, value in part["keywords"].items() if key not in UNIMPORTANT}
        hashes = ask_setup_hashes(self.setups, self.xc)
        data["setups"] = {name: [setup, hashes[name]] for name, setup in self.setups.items()}
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def other_keywords(keywords: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return GPAW's keywords; raises ValueError for those that are settings of the labeler."""
    criteria = keywords.get("convergence") or {}
    if not isinstance(criteria, dict):
        raise ValueError(f"convergence: {criteria!r} is no mapping; write criteria such as {{forces: 0.001}}")
    for known, given in ((OWN_KEYWORDS, keywords), (OWN_CRITERIA, criteria)):
        for name in given:
            if name in known:
                raise ValueError(f"{name!r} is no other keyword; the setting for it is {known[name]}")
    return keywords
