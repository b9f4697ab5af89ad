"""The folder of a learning run: where everything is, its lock, and the views that are replaced atomically."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

from lammps_dpgen.errors import StoreError
from lammps_dpgen.store.lock import STALE_AFTER, LockOwner, RunLock, hold, owner_of
from lammps_dpgen.strict_json import plain


class RunFolder:
    """Paths of a run folder, and what is done to it as a whole.

    The ledger is the truth; models are what it names by SHA-256; status, links, data and reports are views of it.

    Parameters
    ----------
    path
        The folder; it is made by :meth:`create`, never by looking at it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).absolute()

    def create(self) -> RunFolder:
        """Make the folder and those of the models, data, labels and trainings where they are missing."""
        try:
            for folder in (self.path, self.models, self.data, self.labels, self.training):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"the run folder {self.path} cannot be made: {error}; name a folder that you may write"
            ) from error
        return self

    @property
    def ledger(self) -> Path:
        """SQLite file of the ledger."""
        return self.path / "ledger.db"

    @property
    def lock_file(self) -> Path:
        """File that says which job runs here."""
        return self.path / "run.lock"

    @property
    def status(self) -> Path:
        """What the run is doing now, for ``lammps-dpgen status``."""
        return self.path / "status.json"

    @property
    def journal(self) -> Path:
        """Journal: one JSON object per line."""
        return self.path / "log.jsonl"

    @property
    def deviation(self) -> Path:
        """Model deviation of every evaluated frame."""
        return self.path / "deviation.csv"

    @property
    def models(self) -> Path:
        """Folder of the links ``I.pb`` to the current models (with their suffix), and of one folder per generation."""
        return self.path / "models"

    @property
    def data(self) -> Path:
        """Folder of the deepmd/npy systems, one folder per generation."""
        return self.path / "data"

    @property
    def trajectories(self) -> Path:
        """Folder of a campaign's trajectories, one folder per number."""
        return self.path / "trajectories"

    @property
    def walkers(self) -> Path:
        """Folder of a campaign's walkers: each has its own links to the models that it uses now."""
        return self.path / "walkers"

    @property
    def final(self) -> Path:
        """What a campaign hands on when it is over: models, data, report."""
        return self.path / "final"

    @property
    def validation(self) -> Path:
        """Folder of the validation of a campaign's generations."""
        return self.path / "validation"

    @property
    def labels(self) -> Path:
        """Folder of the scratch folders of labels; failed ones stay."""
        return self.path / "labels"

    @property
    def training(self) -> Path:
        """Folder of the training folders, one folder per generation."""
        return self.path / "training"

    @property
    def report(self) -> Path:
        """Report of the run."""
        return self.path / "report.html"

    @property
    def summary(self) -> Path:
        """Figures of the run."""
        return self.path / "summary.json"

    @property
    def lammps_log(self) -> Path:
        """Log file of LAMMPS."""
        return self.path / "log.lammps"

    def models_of(self, generation: int) -> Path:
        """Return the folder of a generation's models."""
        return self.models / f"g{generation:03d}"

    def data_of(self, generation: int) -> Path:
        """Return the folder of the data that was new in a generation."""
        return self.data / f"g{generation:03d}"

    def training_of(self, generation: int, index: int) -> Path:
        """Return the training folder of one model of a generation."""
        return self.training / f"g{generation:03d}" / f"model_{index}"

    def trajectory_of(self, number: int) -> Path:
        """Return the folder of a campaign's trajectory."""
        return self.trajectories / f"{number:06d}"

    def models_of_walker(self, walker: int) -> Path:
        """Return the folder of the links to the models that a walker uses now."""
        return self.walkers / f"{walker:04d}" / "models"

    def model_link(self, index: int, suffix: str = ".pb") -> Path:
        """Return the stable path of a model; scripts name it, and it links to the current generation.

        The suffix is that of the model file, by which DeePMD-kit knows the backend.
        """
        return self.models / f"{index}{suffix}"

    def lock(self, stale_after: float = STALE_AFTER) -> AbstractContextManager[RunLock]:
        """Hold the folder's lock as a context; see :func:`lammps_dpgen.store.lock.hold`.

        Raises
        ------
        StoreError
            Another job runs in the folder: with its machine, process number and the age of its heartbeat.
        """
        return hold(self.lock_file, stale_after)

    def lock_owner(self) -> LockOwner | None:
        """Return which job holds the folder, or None."""
        return owner_of(self.lock_file)

    def link_models(self, models: Sequence[Path | str]) -> list[Path]:
        """Let ``models/I.pb`` (or ``I.pth`` ...: the models' own suffix) point to the given models, each in one step.

        A kill in between leaves links of two generations; a run links again when it goes on.

        Parameters
        ----------
        models
            Model files in order, absolute or relative to the run folder.

        Returns
        -------
        list of Path
            The links.

        Raises
        ------
        StoreError
            A model does not exist, or a link cannot be made.
        """
        return link_files(self.models, [self.path / model for model in models])

    def write_status(self, status: dict[str, Any]) -> None:
        """Replace ``status.json`` in one step; figures that are not finite become null."""
        write_whole(self.status, json.dumps(plain(status), indent=1) + "\n")

    def read_status(self) -> dict[str, Any] | None:
        """Return what :meth:`write_status` wrote last, or None."""
        try:
            status: dict[str, Any] = json.loads(self.status.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.status} cannot be read: {error}") from error
        return status


def link_files(folder: Path, targets: Sequence[Path]) -> list[Path]:
    """Let ``I.SUFFIX`` in a folder point to the I-th of the given files, each link replaced in one step; return them.

    Raises
    ------
    StoreError
        A file does not exist, or a link cannot be made.
    """
    for target in targets:
        if not target.is_file():
            raise StoreError(f"model {target} does not exist; it cannot become a current model of {folder.parent}")
    links = []
    for index, target in enumerate(targets):
        link = folder / f"{index}{target.suffix}"
        temporary = link.with_name(f".{link.name}.{uuid.uuid4().hex}")
        try:
            temporary.symlink_to(os.path.relpath(target, link.parent))  # relative: the folder can be moved
            os.replace(temporary, link)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise StoreError(f"link {link} to {target} cannot be made: {error}") from error
        links.append(link)
    return links


def sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    except OSError as error:
        raise StoreError(f"file {path} cannot be read: {error}") from error
    return digest.hexdigest()


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step: whoever reads it sees the old text or the new one, never a part.

    Raises
    ------
    StoreError
        It cannot be written; the old file is still there.
    """
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, path)
    except OSError as error:
        with suppress(OSError):
            fresh.unlink()
        raise StoreError(
            f"{path} cannot be written: {error}; see to the disk and run the same command again"
        ) from error
