"""The labeler as a service of a worker process: plain data in, plain data out."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from lammps_dpgen import registry
from lammps_dpgen.execution.part_service import PartService
from lammps_dpgen.frame import Frame
from lammps_dpgen.labeling.base import Labeler

#: Import path for ``Task.service``.
SERVICE = "lammps_dpgen.labeling.service:LabelService"


class LabelService(PartService[Labeler]):
    """A labeler that a worker process makes once and then calls for each frame.

    Parameters
    ----------
    name, settings
        See `PartService`.
    log_file
        If given, one line per completed label is appended to it: frame hash, time (UTC, ISO 8601), process id. The
        labeler's own account of what it did, independent of the ledger's.
    """

    group = registry.LABELERS

    def __init__(self, *, name: str, settings: dict[str, Any], log_file: str | None = None) -> None:
        super().__init__(name=name, settings=settings)
        self._log_file = log_file

    def label(self, payload: dict[str, Any], folder: Path | str) -> dict[str, Any]:
        """Label the frame ``payload["frame"]`` and return the label, both as their ``to_json`` says.

        Raises
        ------
        LabelError
            Why there is no label.
        """
        frame = Frame.from_json(payload["frame"])
        label = self._part.label(frame, Path(folder))
        if self._log_file is not None:
            self._log(self._log_file, frame.hash)
        return label.to_json()

    @staticmethod
    def _log(path: str, frame_hash: str) -> None:
        """Append one line in one write, so that lines of several workers never mix."""
        line = f"{frame_hash} {datetime.now(timezone.utc).isoformat()} {os.getpid()}\n"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
