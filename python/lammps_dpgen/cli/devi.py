"""``lammps-dpgen devi``: the model deviation of stored frames, in the columns of ``dp model-devi``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
from ase import Atoms

from lammps_dpgen.ensemble import CLASSES, Ensemble, EnsemblePrediction, ModelDeviation, deviation
from lammps_dpgen.errors import ConfigError, DpgenError
from lammps_dpgen.frame import Frame
from lammps_dpgen.native.convert import convert_apart

Rule = Literal["worst", "dpgen"]
Bounds = tuple[float, float]

_FIGURES = ("max_v", "min_v", "avg_v", "max_f", "min_f", "avg_f")


def run_devi(
    models: list[Path],
    source: Path,
    output: Path,
    relative: float | None,
    relative_v: float | None,
    atomic: bool,
    trust: Bounds | None,
    trust_v: Bounds | None,
    rule: Rule,
    kernel: str = "auto",
) -> None:
    """Evaluate all frames, write the table, and say what came out.

    Parameters
    ----------
    source
        File in any format that ASE knows, a deepmd/npy system, or a folder of such systems.
    relative, relative_v
        Levels of the relative deviations (eV/Å, eV/atom). The virial's is taken component by component, as
        DeePMD-kit's pair style does; ``dp model-devi`` divides by the length of the mean virial instead.
    trust, trust_v
        Windows (eV/Å, eV/atom) by which the frames are classified and counted.
    kernel
        What evaluates the models, see :class:`~lammps_dpgen.ensemble.Ensemble`; for "native" models are converted first
        where they are not yet.

    Raises
    ------
    ConfigError
        Nothing to read, unreadable frames, a table that cannot be written, or wrong windows.
    ModelError
        The models cannot be used, or do not know an element.
    """
    if trust_v is not None and trust is None:
        raise ConfigError("--trust-v needs --trust as well: frames are classified by their forces first")
    frames = read_frames(source)
    if kernel == "native":
        convert_apart(models)
    ensemble = Ensemble(models, kernel=kernel)
    counts: Counter[str] = Counter()
    highest = 0.0
    try:
        table = output.open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}; give another file with --output") from error
    with table:
        _write_header(table, source, atomic)
        number = 0
        for number, frame in enumerate(_with_progress(frames), start=1):
            try:
                prediction = ensemble.predict(frame)
            except DpgenError as error:
                raise type(error)(f"frame {number} of {source}: {error}") from error
            figures = deviation(prediction, relative=relative, relative_v=relative_v)
            _write_row(table, number - 1, prediction, figures, atomic)
            highest = max(highest, figures.max_f)
            if trust is not None:
                counts[classify(figures, trust, trust_v, rule)] += 1
    if number == 0:
        raise ConfigError(f"{source} has no frames")
    shares = "".join(f", {counts[name]} {name}" for name in CLASSES) if trust is not None else ""
    print(f"{number} frames{shares}; highest max_devi_f {highest:.4g}; table: {output}")
    print(f"evaluated by: {ensemble.kernel}")


def classify(figures: ModelDeviation, trust: Bounds, trust_v: Bounds | None, rule: Rule) -> str:
    """Return "accurate", "candidate" or "failed", by the windows (eV/Å, eV/atom) and the rule that joins them."""
    from lammps_dpgen import _core

    return str(_core.classify(figures.max_f, figures.max_v, trust=trust, trust_v=trust_v, rule=rule))


def read_frames(source: Path) -> Iterator[Frame]:
    """Return the frames of a trajectory file, or of the deepmd/npy systems in a folder, one after another.

    Raises
    ------
    ConfigError
        There is no such file or folder, no system in the folder, or frames that cannot be read.
    """
    return (Frame.from_ase(atoms) for atoms in read_atoms(source))


def read_atoms(source: Path) -> Iterator[Atoms]:
    """Return what `read_frames` does as ASE atoms, with all that the file says about them."""
    if not source.exists():
        raise ConfigError(f"{source}: no such file or folder; give a trajectory that ASE reads, or a deepmd/npy folder")
    return _from_systems(source) if source.is_dir() else _from_file(source)


def _from_file(path: Path) -> Iterator[Atoms]:
    from ase.io import iread
    from ase.io.formats import UnknownFileTypeError

    try:
        yield from iread(path, ":")
    except UnknownFileTypeError as error:
        raise ConfigError(f"{path}: ASE does not know this kind of file ({error}); write it as extended XYZ") from error
    except Exception as error:  # ASE's readers raise whatever their parsing meets
        raise ConfigError(f"{path} cannot be read: {type(error).__name__}: {error}") from error


def _from_systems(folder: Path) -> Iterator[Atoms]:
    import dpdata

    systems = sorted(path.parent for path in folder.rglob("type.raw"))
    if not systems:
        raise ConfigError(f"{folder} holds no deepmd/npy system (a folder with type.raw)")
    for system in systems:
        if not (system / "type_map.raw").is_file():
            raise ConfigError(f"{system} has no type_map.raw, so its elements are not known; add it")
        try:
            yield from dpdata.System(str(system), fmt="deepmd/npy").to("ase/structure")
        except Exception as error:  # dpdata's readers raise whatever their parsing meets
            raise ConfigError(f"{system} cannot be read: {type(error).__name__}: {error}") from error


def _with_progress(frames: Iterable[Frame]) -> Iterable[Frame]:
    if not sys.stderr.isatty():
        return frames
    from rich.console import Console
    from rich.progress import track

    return track(frames, description="frames", console=Console(stderr=True), transient=True)


def _write_header(table: TextIO, source: Path, atomic: bool) -> None:
    names = [f"{kind}_devi_{quantity}" for quantity in "vf" for kind in ("max", "min", "avg")] + ["devi_e"]
    if atomic:
        names.append("atm_devi_f(N)")
    table.write(f"# {source}\n# {'step':10s}" + "".join(f"{name:19s}" for name in names) + "\n")


def _write_row(table: TextIO, step: int, prediction: EnsemblePrediction, figures: ModelDeviation, atomic: bool) -> None:
    values = [*(getattr(figures, name) for name in _FIGURES), prediction.energy_deviation]
    if atomic:
        values += np.asarray(figures.spread).tolist()
    table.write(f"{step:12d}" + "".join(f"{value:19.6e}" for value in values) + "\n")
