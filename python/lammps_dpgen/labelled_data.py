"""Labelled frames in the files of others: extended XYZ, deepmd/npy, OUTCAR and whatever else ASE reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.stress import full_3x3_to_voigt_6_stress

from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import FloatArray, Frame, FrameOrigin, Label, LabelledFrame

#: Where extended XYZ that this package wrote says with which settings a frame was labelled.
SETTINGS_KEY = "label_settings"
#: What may stand in a frame's info from an earlier label.
_OLD_RESULTS = ("energy", "free_energy", "forces", "stress", "virial", "magmom", "dipole")


@dataclass(frozen=True)
class ReadLabel:
    """A labelled frame of a file.

    Attributes
    ----------
    place
        File and number of the frame, for messages.
    labelled
        Its label has the hash of the settings that the file says, or an empty one where it says none.
    """

    place: str
    labelled: LabelledFrame


def read_labelled(source: Path, type_map: Collection[str]) -> Iterator[ReadLabel]:
    """Return the frames of a file or folder with their labels, one after another.

    Parameters
    ----------
    source
        File that ASE reads, with energies and forces; OUTCAR; deepmd/npy system, plain or mixed, or a folder of them.
    type_map
        Elements that frames may have.

    Raises
    ------
    ConfigError
        Nothing that can be read, no frames, frames without energy or forces or with numbers that are not finite, or
        elements outside the type map.
    """
    if not source.exists():
        raise ConfigError(f"{source}: no such file or folder")
    number = 0
    for number, (atoms, virial) in enumerate(_read(source), start=1):
        place = f"{source}, frame {number}"
        origin = FrameOrigin("import", structure=source.name, temperature=_temperature(atoms))
        frame = Frame.from_ase(atoms, origin)
        foreign = sorted(set(frame.species) - set(type_map))
        if foreign:
            raise ConfigError(f"{place} has {', '.join(foreign)}, which type_map lacks (it has {', '.join(type_map)})")
        yield ReadLabel(place, LabelledFrame(frame, _label(place, source, frame, atoms, virial)))
    if number == 0:
        raise ConfigError(f"{source} has no frames")


def labelled_atoms(atoms: Atoms, frame: Frame, label: Label) -> Atoms:
    """Return a copy of ASE atoms with the results of a label, in ASE's units and signs.

    The energy and the free energy are both the one that the forces are the gradient of.
    """
    labelled = atoms.copy()
    for key in _OLD_RESULTS:
        labelled.info.pop(key, None)
        labelled.arrays.pop(key, None)
    results = {"energy": label.energy, "free_energy": label.energy, "forces": label.forces}
    if label.virial is not None:
        results["stress"] = full_3x3_to_voigt_6_stress(-label.virial / frame.volume)
    labelled.calc = SinglePointCalculator(labelled, **results)
    labelled.info["label_code"], labelled.info[SETTINGS_KEY] = label.code, label.settings_hash
    labelled.info["label_seconds"] = label.seconds
    return labelled


def _temperature(atoms: Atoms) -> float:
    """Return the temperature in K that the file gives beside the frame; NaN where it gives none."""
    try:
        return float(atoms.info.get("temperature", "nan"))
    except (TypeError, ValueError):
        return float("nan")


def _label(place: str, source: Path, frame: Frame, atoms: Atoms, virial: FloatArray | None) -> Label:
    results: dict[str, Any] = {} if atoms.calc is None else atoms.calc.results
    energy = results.get("free_energy", results.get("energy"))
    if energy is None or "forces" not in results:
        raise ConfigError(f"{place} has no energy or no forces; give labelled frames")
    if virial is None and "stress" in results and all(frame.pbc):
        virial = -np.asarray(atoms.get_stress(voigt=False, apply_constraint=False)) * frame.volume
    forces = np.array(results["forces"], dtype=np.float64)
    figures = [np.array(energy), forces, np.zeros(1) if virial is None else virial]
    if not all(np.isfinite(figure).all() for figure in figures):
        raise ConfigError(f"{place} has numbers that are not finite; take the frame out")
    code = str(atoms.info.get("label_code", f"import of {source.name}"))
    return Label(float(energy), forces, virial, code, str(atoms.info.get(SETTINGS_KEY, "")), 0.0)


def _read(source: Path) -> Iterator[tuple[Atoms, FloatArray | None]]:
    """Return frames with their results, and the virial where the format has one."""
    try:
        if source.is_dir():
            yield from _read_systems(source)
            return
        if "OUTCAR" in source.name:  # dpdata knows more of them than ASE, and leaves out steps that did not converge
            import dpdata

            yield from _frames_of(dpdata.LabeledSystem(str(source), fmt="vasp/outcar").data)
            return
        from ase.io import iread

        for atoms in iread(source, ":", parallel=False):  # ASE would have all ranks of a job read together
            yield atoms, None
    except ConfigError:
        raise
    except Exception as error:  # the readers of ASE and dpdata raise whatever their parsing meets
        raise ConfigError(f"{source} cannot be read: {type(error).__name__}: {error}") from error


def _read_systems(folder: Path) -> Iterator[tuple[Atoms, FloatArray | None]]:
    import dpdata

    places = sorted(path.parent for path in folder.rglob("type.raw"))
    if not places:
        raise ConfigError(f"{folder} holds no deepmd/npy system (a folder with type.raw)")
    for place in places:
        if not (place / "type_map.raw").is_file():
            raise ConfigError(f"{place} has no type_map.raw, so its elements are not known; add it")
        if any(place.glob("set.*/real_atom_types.npy")):
            mixed = dpdata.MultiSystems()
            mixed.load_systems_from_file(str(place), fmt="deepmd/npy/mixed")
            systems = list(mixed)
        else:
            systems = [dpdata.LabeledSystem(str(place), fmt="deepmd/npy")]
        weights = [np.load(path) for path in sorted(place.glob("set.*/atom_pref.npy"))]
        for system in systems:
            yield from _frames_of(system.data, np.concatenate(weights) if weights else None)


def _frames_of(data: dict[str, Any], weights: FloatArray | None = None) -> Iterator[tuple[Atoms, FloatArray | None]]:
    """Return frames with their results; atoms whose force has no weight are marked as not learnt."""
    symbols = [data["atom_names"][kind] for kind in data["atom_types"]]
    periodic = not data.get("nopbc", False)
    for number, positions in enumerate(data["coords"]):
        atoms = Atoms(symbols, positions=positions, cell=data["cells"][number] if periodic else None, pbc=periodic)
        atoms.calc = SinglePointCalculator(atoms, energy=float(data["energies"][number]), forces=data["forces"][number])
        if weights is not None and not weights[number].all():
            atoms.set_array("learnt", weights[number] > 0.0)
        yield atoms, np.array(data["virials"][number], dtype=np.float64) if "virials" in data else None
