"""What is left when it is over: report.html, pictures, summary.json."""

from lammps_dpgen.report.html import build
from lammps_dpgen.report.summary import print_summary

__all__ = ["build", "print_summary"]
