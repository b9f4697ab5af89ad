"""Pseudopotentials for the tests of the labeler ``espresso``, made from CP2K's by the script of the example."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

EXAMPLE = Path(__file__).parents[2] / "examples" / "11-espresso-labels"


def potentials_script() -> ModuleType:
    """Return the example's script as a module."""
    spec = importlib.util.spec_from_file_location("make_potentials", EXAMPLE / "make_potentials.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its data classes look for their annotations
    spec.loader.exec_module(module)
    return module


def write_potentials(folder: Path) -> Path:
    """Write PBE potentials of Al (three valence electrons) and Mg (two) into `folder`, and return it."""
    script = potentials_script()
    for element, name in (("Al", "GTH-PBE-q3"), ("Mg", "GTH-PBE-q2")):
        script.write_potential(element, name, folder)
    return folder
