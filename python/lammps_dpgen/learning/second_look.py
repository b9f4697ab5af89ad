"""A second look at frames that wait for a label: the newest models may trust by now what older ones did not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lammps_dpgen.ensemble import Ensemble, ModelDeviation, deviation
from lammps_dpgen.frame import Frame


@dataclass(frozen=True)
class TrustBounds:
    """Below all of its bounds a frame is accurate.

    Attributes
    ----------
    lo
        Of max_devi_f, eV/Å.
    lo_v
        Of max_devi_v, eV/atom; None: the virial does not count.
    relative, relative_v
        Levels of the relative deviation (eV/Å, eV/atom), see :func:`lammps_dpgen.ensemble.deviation`; None: absolute.
    """

    lo: float
    lo_v: float | None = None
    relative: float | None = None
    relative_v: float | None = None

    @classmethod
    def of_fix(cls, lo: float, keywords: str) -> TrustBounds:
        """Return the bounds of a fix dpgen with this `lo` and these further keywords, in metal units."""
        words = keywords.split()
        given = {
            word: float(words[i + 1]) for i, word in enumerate(words) if word in ("vtrust", "relative", "relative_v")
        }
        return cls(lo, given.get("vtrust"), given.get("relative"), given.get("relative_v"))

    def trust(self, judged: ModelDeviation) -> bool:
        """Tell whether a frame with this deviation is accurate; one that is not a number is not."""
        return judged.max_f < self.lo and (self.lo_v is None or judged.max_v < self.lo_v)


class SecondLook:
    """Judges frames again that older models have judged; the others are taken as they are, at no cost.

    Parameters
    ----------
    ensemble, generation
        The newest models and their number.
    bounds
        What is accurate now.
    meanwhile
        Called after each frame that was judged: a pool of candidates takes seconds.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        generation: int,
        bounds: TrustBounds,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._ensemble, self._generation, self._bounds, self._meanwhile = ensemble, generation, bounds, meanwhile

    def __call__(self, frame: Frame) -> tuple[Frame, str]:
        """Return the frame with the deviation of the newest models, and why it needs no label; empty if it does."""
        if frame.origin.generation == self._generation:
            return frame, ""
        bounds = self._bounds
        judged = deviation(self._ensemble.predict(frame), relative=bounds.relative, relative_v=bounds.relative_v)
        self._meanwhile()
        origin = replace(frame.origin, generation=self._generation, max_devi_f=judged.max_f, max_devi_v=judged.max_v)
        cause = f"trusted by generation {self._generation}: deviation {judged.max_f:.4g} eV/Å"
        return replace(frame, origin=origin, spread=judged.spread), cause if bounds.trust(judged) else ""
