"""The errors of the package; every one says what was asked, the value got, what is allowed and what to do."""

from __future__ import annotations


class DpgenError(Exception):
    """Base class of every error that lammps-dpgen raises on purpose; the command line prints it without a traceback."""


class GoOnLater(KeyboardInterrupt):
    """The run ends here without fault, and the same command is to go on with it; the message is the cause.

    Its job ends, or only labels in the queue of a cluster are left.
    """


class ConfigError(DpgenError):
    """A configuration or input file is wrong."""


class MissingPartError(ConfigError):
    """A program or file of somebody else's that the settings name is not on this machine."""


class InstallationError(DpgenError):
    """A part of the installation is missing or does not fit the others."""


class ModelError(DpgenError):
    """A model file cannot be used."""


class LabelError(DpgenError):
    """A label could not be computed for a frame; the message is the cause that the ledger keeps."""


class TrainingError(DpgenError):
    """A training failed or was rejected."""


class StructureError(DpgenError):
    """A structure or frame cannot be used."""


class StoreError(DpgenError):
    """The run folder or its ledger cannot be used."""


class ExecutionError(DpgenError):
    """A worker process could not be started or died."""


class LearningError(DpgenError):
    """The learning run cannot go on; what was stored is complete."""


class PropertyError(DpgenError):
    """A property of a potential could not be computed; the message is the cause that the report shows."""
