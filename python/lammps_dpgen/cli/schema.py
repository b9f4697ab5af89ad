"""``lammps-dpgen schema``: JSON schemas of the configuration files, for editors and for people."""

from __future__ import annotations

import json

from lammps_dpgen.config.schema import json_schema


def print_schema(which: str) -> None:
    """Print the schema of ``campaign``, ``learn`` or ``bootstrap``."""
    print(json.dumps(json_schema(which), indent=2))
