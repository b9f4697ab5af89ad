"""Why a property has no value; the message is the cause that the report shows."""

from __future__ import annotations

from lammps_dpgen.errors import PropertyError


class NotConvergedError(PropertyError):
    """A relaxation did not reach its criterion."""


class CollapsedError(PropertyError):
    """Atoms or cell have gone where no crystal is: atoms on top of each other, a cell too small or torn apart."""


class UnstableError(PropertyError):
    """The crystal is no minimum of this potential: it decays into another one, or a modulus is negative."""


class NotFiniteError(PropertyError):
    """The potential gave NaN or an infinite number."""


class PairStyleError(PropertyError):
    """LAMMPS or the labeler refused to compute; the message is its own."""


class UnsuitableError(PropertyError):
    """The property makes no sense for this structure or this potential."""
