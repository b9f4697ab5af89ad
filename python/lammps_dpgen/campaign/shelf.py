"""The models that a walker has at hand: loaded once on each rank, and linked where its scripts look for them."""

from __future__ import annotations

from pathlib import Path

from lammps_dpgen.campaign.messages import Models
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.errors import StoreError
from lammps_dpgen.store.run_folder import link_files


class ModelShelf:
    """One generation at a time, on one rank.

    Parameters
    ----------
    folder
        Of the links ``0.pb`` ...; only the leader of a walker sets them.
    """

    def __init__(self, folder: Path, *, leader: bool) -> None:
        self.folder = folder
        self._leader = leader
        self._ensemble: Ensemble | None = None

    @property
    def ensemble(self) -> Ensemble:
        """The models that were taken last."""
        assert self._ensemble is not None
        return self._ensemble

    def take(self, models: Models) -> Ensemble:
        """Make a generation the walker's own, and return its models.

        Raises
        ------
        StoreError
            A file has not the content that the ledger names.
        """
        if self._leader:
            self.folder.mkdir(parents=True, exist_ok=True)
            link_files(self.folder, [Path(file) for file in models.files])
        if self._ensemble is None or self._ensemble.hashes != models.hashes:
            ensemble = Ensemble(models.files, kernel=models.kernel, self_test=False)
            if ensemble.hashes != models.hashes:
                raise StoreError(
                    f"the files of generation {models.generation} are not those that were trained: "
                    f"{', '.join(models.files)}"
                )
            self._ensemble = ensemble
        return self._ensemble
