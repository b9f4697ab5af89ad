"""The command line ``lammps-dpgen``."""
