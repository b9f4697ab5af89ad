"""The trust windows of the stages; those with ``auto`` follow the errors that were measured."""

from __future__ import annotations

import json

from lammps_dpgen.config.stage import Trust
from lammps_dpgen.learning.calibration import TrustCalibration
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.store.ledger import Ledger


class TrustWindows:
    """One calibration for all stages of the same settings; a campaign that is continued begins with its last window."""

    def __init__(self, ledger: Ledger, logbook: Logbook) -> None:
        self._ledger, self._logbook = ledger, logbook
        self._calibrations: dict[str, TrustCalibration] = {}

    def window(self, trust: Trust) -> tuple[float, float]:
        """Return lo and hi in eV/Å."""
        return (trust.lo, trust.hi) if trust.auto is None else self._calibration(trust).window

    def follow(self, trust: Trust) -> None:
        """Take the labels of a new generation into account."""
        if trust.auto is None:
            return
        calibration = self._calibration(trust)
        latest = self._ledger.latest_generation()
        oldest = calibration.oldest(0 if latest is None else latest.number - 1)
        calibration.update(self._ledger.label_figures(judged_since=oldest))
        self._logbook.write("trust", settings=_key(trust), **calibration.figures())

    def _calibration(self, trust: Trust) -> TrustCalibration:
        assert trust.auto is not None
        key = _key(trust)
        if key not in self._calibrations:
            start = (trust.lo, trust.hi)
            for event in self._ledger.events("trust"):
                if event.data["settings"] == key:
                    start = (float(event.data["lo"]), float(event.data["hi"]))
            self._calibrations[key] = TrustCalibration(trust.auto, start)
        return self._calibrations[key]


def _key(trust: Trust) -> str:
    return json.dumps(trust.model_dump(mode="json"), sort_keys=True)
