"""Weights of Deep Potentials for the native kernel of the C++ core, which evaluates all models of an ensemble together.

:mod:`~lammps_dpgen.native.convert` reads model files through DeePMD-kit, :mod:`~lammps_dpgen.native.model_file` writes
what the kernel reads, and :mod:`~lammps_dpgen.native.cache` keeps it by the SHA-256 of the model file.
"""
