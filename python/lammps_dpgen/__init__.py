"""DP-GEN inside LAMMPS: molecular dynamics that knows when its Deep Potential is wrong, and learns.

Units everywhere: eV, Å, ps (LAMMPS ``metal``); stress sign and cell row order are stated in docs/notation.md.
This module stays light: LAMMPS reads the package's plugin entry point at every start.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("lammps-dpgen")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
