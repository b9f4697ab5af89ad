"""The figures of all labels as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.store.ledger import Ledger


@dataclass(frozen=True)
class LabelArrays:
    """What the report needs of every label; arrays are ``[n_labels]``, NaN or -1 where something is not known.

    Attributes
    ----------
    max_devi_f
        Deviation (eV/Å) at which the frame was taken; NaN also where it is that of other models than the error.
    force_error_max
        Largest force error of an atom, of the models that judged the frame before any training on it (eV/Å).
    generation_judged, trained_in
        Generation numbers: of the models that were judged, and of the first training with the label.
    codes
        Programs that computed the labels, each once.
    audited
        The frame was accurate and drawn at random, to measure what the window misses.
    """

    max_devi_f: FloatArray
    force_error_max: FloatArray
    generation_judged: NDArray[np.int64]
    trained_in: NDArray[np.int64]
    codes: tuple[str, ...]
    audited: NDArray[np.bool_]


def label_arrays(ledger: Ledger) -> LabelArrays:
    """Read the figures of all labels, in order of recording."""
    figures = ledger.label_figures()

    def known(values: Iterable[float | None]) -> FloatArray:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    def number(values: Iterable[int | None]) -> NDArray[np.int64]:
        return np.array([-1 if value is None else value for value in values], dtype=np.int64)

    return LabelArrays(
        max_devi_f=known(item.max_devi_f if item.is_judged else None for item in figures),
        force_error_max=known(item.force_error_max for item in figures),
        generation_judged=number(item.generation_judged for item in figures),
        trained_in=number(item.trained_in for item in figures),
        codes=tuple(sorted({item.code for item in figures})),
        audited=np.array([item.source == "audit" for item in figures], dtype=np.bool_),
    )
