"""``lammps-dpgen import``: labels that are there already, as the start of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from pydantic import ConfigDict

from lammps_dpgen.cli.parallel import refuse_launcher
from lammps_dpgen.config import CampaignConfig, LearnConfig, load_config
from lammps_dpgen.config.base import Section
from lammps_dpgen.config.learning import LearningConfig
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import FloatArray, Frame, FrameOrigin, Label
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.monitor.journal import Journal
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

#: Where `lammps-dpgen label` and `export` note the settings of a label in extended XYZ.
SETTINGS_KEY = "label_settings"


def run_import(folder: Path, config: Path, sources: Sequence[Path], *, same_settings: bool) -> None:
    """Put labelled frames of files into the ledger of a run, and say how many were new.

    Parameters
    ----------
    sources
        Files that ASE reads, with energies and forces; deepmd/npy systems, plain or mixed, or folders of them.
    same_settings
        The user says that the labels were computed with the labeler's settings. Without it only labels that
        carry the hash of these settings are taken.

    Raises
    ------
    ConfigError
        Nothing that can be read, frames without energy or forces, elements outside the type map, or labels that
        are not known to belong to the labeler's settings. Nothing is imported then.
    StoreError
        The run folder is in use, cannot be written, or belongs to another configuration.
    """
    refuse_launcher("import")
    settings = _configuration(config)
    if RunFolder(folder).path.resolve() != settings.run_folder.resolve():
        raise ConfigError(
            f"{config} is the configuration of {settings.run_folder}, not of {folder}; name its run folder"
        )
    wanted = settings.labeler.settings_hash
    found = [one for source in sources for one in _labelled(source, settings, wanted, same_settings)]
    run = RunFolder(folder).create()
    with (
        run.lock(),
        Ledger.open(run.ledger, config_hash=settings.config_hash()) as ledger,
        Journal(run.journal) as journal,
    ):
        # Labelled the moment after; a kill in between leaves nothing that a run would pay labels for.
        hashes = ledger.add_frames((frame for frame, _ in found), "dropped", "its import was not finished")
        pairs = zip(hashes, (label for _, label in found), strict=True)
        n_new = ledger.record_labels(pairs)
        names = [source.name for source in sources]
        Logbook(ledger, journal).write("import", files=names, n_labels=n_new, n_known=len(found) - n_new)
    print(f"{n_new} labelled frames imported into {folder}, {len(found) - n_new} were known already")


class _Kind(Section):
    """What tells the file of a campaign from that of a learning run."""

    model_config = ConfigDict(extra="ignore")

    stages: Any = None


def _configuration(path: Path) -> LearningConfig:
    """Return the configuration of a campaign or of a learning run, whichever the file is."""
    campaign = load_config(path, _Kind).stages is not None
    return load_config(path, CampaignConfig) if campaign else load_config(path, LearnConfig)


def _labelled(source: Path, config: LearningConfig, wanted: str, same_settings: bool) -> Iterator[tuple[Frame, Label]]:
    """Return the frames of a file or folder with their labels."""
    if not source.exists():
        raise ConfigError(f"{source}: no such file or folder")
    number = 0
    for number, (atoms, virial) in enumerate(_read(source), start=1):
        place = f"{source}, frame {number}"
        frame = Frame.from_ase(atoms, FrameOrigin("import", structure=source.name))
        foreign = sorted(set(frame.species) - set(config.type_map))
        if foreign:
            raise ConfigError(
                f"{place} has {', '.join(foreign)}, which type_map lacks (it has {', '.join(config.type_map)}); "
                "nothing is imported"
            )
        _check_settings(place, str(atoms.info.get(SETTINGS_KEY, "")), wanted, same_settings)
        yield frame, _label(place, source, frame, atoms, virial, wanted)
    if number == 0:
        raise ConfigError(f"{source} has no frames")


def _check_settings(place: str, own: str, wanted: str, same_settings: bool) -> None:
    if own == wanted or (same_settings and not own):
        return
    if own:
        raise ConfigError(
            f"{place} was labelled with other settings (hash {own[:12]}) than those of the configuration's labeler "
            f"({wanted[:12]}); a dataset that mixes settings is a mistake. Nothing is imported: label the frames anew "
            "with 'lammps-dpgen label'"
        )
    raise ConfigError(
        f"{place} does not say with which settings it was labelled, and a dataset that mixes settings is a mistake. If "
        "program, functional, potentials, cutoffs and k-points are those of the configuration's labeler, say so with "
        "--same-settings; if not, label the frames anew with 'lammps-dpgen label'. Nothing is imported"
    )


def _label(place: str, source: Path, frame: Frame, atoms: Atoms, virial: FloatArray | None, wanted: str) -> Label:
    results: dict[str, Any] = {} if atoms.calc is None else atoms.calc.results
    energy = results.get("free_energy", results.get("energy"))
    if energy is None or "forces" not in results:
        raise ConfigError(f"{place} has no energy or no forces; give labelled frames. Nothing is imported")
    if virial is None and "stress" in results and all(frame.pbc):
        virial = -np.asarray(atoms.get_stress(voigt=False, apply_constraint=False)) * frame.volume
    forces = np.array(results["forces"], dtype=np.float64)
    figures = [np.array(energy), forces, np.zeros(1) if virial is None else virial]
    if not all(np.isfinite(figure).all() for figure in figures):
        raise ConfigError(f"{place} has numbers that are not finite; take the frame out. Nothing is imported")
    code = str(atoms.info.get("label_code", f"import of {source.name}"))
    return Label(float(energy), forces, virial, code, wanted, 0.0)


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

        for atoms in iread(source, ":"):
            yield atoms, None
    except ConfigError:
        raise
    except Exception as error:  # the readers of ASE and dpdata raise whatever their parsing meets
        raise ConfigError(f"{source} cannot be read: {type(error).__name__}: {error}. Nothing is imported") from error


def _read_systems(folder: Path) -> Iterator[tuple[Atoms, FloatArray | None]]:
    import dpdata

    places = sorted(path.parent for path in folder.rglob("type.raw"))
    if not places:
        raise ConfigError(f"{folder} holds no deepmd/npy system (a folder with type.raw). Nothing is imported")
    for place in places:
        if not (place / "type_map.raw").is_file():
            raise ConfigError(
                f"{place} has no type_map.raw, so its elements are not known; add it. Nothing is imported"
            )
        if any(place.glob("set.*/real_atom_types.npy")):
            mixed = dpdata.MultiSystems()
            mixed.load_systems_from_file(str(place), fmt="deepmd/npy/mixed")
            systems = list(mixed)
        else:
            systems = [dpdata.LabeledSystem(str(place), fmt="deepmd/npy")]
        for system in systems:
            yield from _frames_of(system.data)


def _frames_of(data: dict[str, Any]) -> Iterator[tuple[Atoms, FloatArray | None]]:
    from ase.calculators.singlepoint import SinglePointCalculator

    symbols = [data["atom_names"][kind] for kind in data["atom_types"]]
    periodic = not data.get("nopbc", False)
    for number, positions in enumerate(data["coords"]):
        atoms = Atoms(symbols, positions=positions, cell=data["cells"][number] if periodic else None, pbc=periodic)
        atoms.calc = SinglePointCalculator(atoms, energy=float(data["energies"][number]), forces=data["forces"][number])
        yield atoms, np.array(data["virials"][number], dtype=np.float64) if "virials" in data else None
