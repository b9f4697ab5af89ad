"""The input of pw.x for a frame, written by ASE."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.calculators.espresso import EspressoProfile, EspressoTemplate
from ase.units import Rydberg

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.labeling.cell import GroupedCell
from lammps_dpgen.labeling.espresso_pseudos import Header, functional_name, read_header
from lammps_dpgen.labeling.espresso_settings import NAMELISTS, PAPER_CUTOFF, EspressoSettings

#: Files of a label, by the names that ASE gives them, and the folder where pw.x keeps its own.
TEMPLATE = EspressoTemplate()
INPUT, OUTPUT, ERRORS = TEMPLATE.inputname, TEMPLATE.outputname, TEMPLATE.errorname
SCRATCH = "scratch"
#: The density of ultrasoft and PAW pseudopotentials, and of others, by cut-off of the plane waves.
_AUGMENTED, _NORM_CONSERVING = 8.0, 4.0


def pseudo_header(settings: EspressoSettings, element: str) -> Header:
    """Return the header of an element's pseudopotential, looked through: it is of this element and functional.

    Raises
    ------
    ConfigError
        It is not there, or not what the settings say.
    """
    path = settings.pseudo(element)
    header = read_header(path)
    if header.element and header.element.capitalize() != element:
        raise ConfigError(
            f"labeler espresso: {path} is a pseudopotential of {header.element}, expected {element}; correct "
            "'pseudopotentials'"
        )
    wanted = functional_name(settings.functional)
    if header.functional and header.functional != wanted:
        raise ConfigError(
            f"labeler espresso: {path} was made for the functional {header.functional}, the settings say "
            f"{settings.functional}; correct 'functional', or take another pseudopotential"
        )
    return header


def cutoffs(settings: EspressoSettings, elements: list[str]) -> tuple[float, float]:
    """Return the cut-offs (eV) of wave functions and density for frames of these elements.

    They follow from all pseudopotentials of the settings and not from those of the frame: energies of different
    compositions belong together only where the cut-off is the same.
    """
    change, own = settings.change(elements), settings.pseudopotentials
    headers = {element: pseudo_header(settings, element) for element in own}
    needed = max(own[name].cutoff or max(PAPER_CUTOFF, header.cutoff) for name, header in headers.items())
    waves = change.cutoff or settings.cutoff or needed
    factor = _AUGMENTED if any(header.augmented for header in headers.values()) else _NORM_CONSERVING
    asked = max(own[name].density_cutoff or header.density_cutoff for name, header in headers.items())
    return waves, change.density_cutoff or settings.density_cutoff or max(factor * waves, asked)


def write_input(settings: EspressoSettings, cell: GroupedCell, folder: Path) -> None:
    """Write the input of pw.x into `folder`, with links to the pseudopotentials.

    Raises
    ------
    ConfigError
        Pseudopotentials or variables that cannot work.
    """
    names = {element: element + settings.pseudo(element).suffix for element in cell.elements}
    for element, name in names.items():
        (folder / name).symlink_to(settings.pseudo(element))
    # Along free directions the cell is repeated too: plane waves, and vacuum in between.
    atoms = Atoms(cell.species, cell=cell.lattice, scaled_positions=cell.fractional, pbc=True)
    moments = settings.moments(cell)
    if moments:  # pw.x takes them as shares of the valence electrons
        shares = {element: moment / _valence(settings, element) for element, moment in moments.items()}
        atoms.set_initial_magnetic_moments([shares.get(element, 0.0) for element in cell.species])
    parameters: dict[str, Any] = {"input_data": namelists(settings, cell), "pseudopotentials": names}
    mesh = settings.mesh(cell)
    if not settings.gamma_centred:
        # pw.x shifts a mesh by half a step; that is Monkhorst and Pack's for an even number of points.
        parameters["koffset"] = tuple(int(n % 2 == 0) for n in mesh)
    parameters["kpts"] = mesh
    # The command is not ASE's to run: see run_program.
    TEMPLATE.write_input(EspressoProfile(command="pw.x", pseudo_dir="."), folder, atoms, parameters, ["energy"])


def namelists(settings: EspressoSettings, cell: GroupedCell) -> dict[str, dict[str, Any]]:
    """Return the namelists of pw.x for a frame, plain data."""
    change = settings.change(cell.elements)
    waves, density = cutoffs(settings, cell.elements)
    width = settings.width if change.width is None else change.width
    own: dict[str, dict[str, Any]] = {
        "control": {
            "calculation": "scf",
            "tprnfor": True,
            "tstress": all(cell.periodic),
            "outdir": f"./{SCRATCH}",
            "disk_io": "none",
        },
        "system": {
            "ecutwfc": waves / Rydberg,
            "ecutrho": density / Rydberg,
            # Frames of MD have no symmetry but that of k and -k; a frame that has is computed in the same way.
            "nosym": True,
            **_occupations(settings, width),
        },
        "electrons": {
            "conv_thr": settings.energy_convergence / Rydberg,
            "electron_maxstep": settings.max_iterations,
        },
    }
    if settings.moments(cell):
        own["system"]["nspin"] = 2
    return {section: _merged(section, own[section], settings, cell) for section in NAMELISTS}


def _occupations(settings: EspressoSettings, width: float) -> dict[str, Any]:
    if width == 0.0:
        return {"occupations": "fixed"}
    return {"occupations": "smearing", "smearing": settings.smearing, "degauss": width / Rydberg}


def _merged(section: str, own: Mapping[str, Any], settings: EspressoSettings, cell: GroupedCell) -> dict[str, Any]:
    """Return a namelist with the user's own variables, those by element written for each type."""
    change = settings.change(cell.elements)
    given = {**settings.input.get(section, {}), **change.input.get(section, {})}
    merged = dict(own)
    for name, value in given.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            for number, element in enumerate(cell.elements, start=1):
                if element in value:
                    merged[f"{name}({number})"] = value[element]
        elif isinstance(value, list):
            raise ConfigError(
                f"labeler espresso: {name} of the namelist {section} is a list ({value}); write its elements one by "
                f"one, such as '{name}(1)', or by chemical element"
            )
        else:
            merged[name] = value
    return merged


def _valence(settings: EspressoSettings, element: str) -> float:
    valence = read_header(settings.pseudo(element)).valence
    if valence <= 0.0:
        raise ConfigError(
            f"labeler espresso: {settings.pseudo(element)} does not say how many valence electrons {element} has, "
            "which magmoms need; take a UPF file"
        )
    return valence
