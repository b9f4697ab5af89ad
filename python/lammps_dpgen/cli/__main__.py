"""``python -m lammps_dpgen.cli``: the command without its installed script."""

from lammps_dpgen.cli.main import run

run()
