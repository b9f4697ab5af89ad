"""Molecular dynamics in the LAMMPS instance of a potential."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.units import fs

from lammps_dpgen.errors import LabelError
from lammps_dpgen.validation.failures import PairStyleError
from lammps_dpgen.validation.lammps_session import LammpsSession


class LammpsSimulation:
    """Atoms in LAMMPS, ids 1..n in their order; see :class:`lammps_dpgen.validation.potential.Simulation`.

    Parameters
    ----------
    velocities
        Start from the velocities of `atoms`.
    """

    def __init__(self, session: LammpsSession, atoms: Atoms, velocities: bool = False) -> None:
        self._session = session
        self._start = atoms
        if velocities:
            # ASE's time unit is not a picosecond.
            own = atoms.get_velocities() * (1000.0 * fs)
            turned = np.array(session.box.prism.vector_to_lammps(own), dtype=np.float64)
            session.library.set_vectors("v", turned)

    def run(self, lines: list[str]) -> None:
        """See :meth:`lammps_dpgen.validation.potential.Simulation.run`."""
        self._session.run(lines)

    def thermo(self, name: str) -> float:
        """See :meth:`lammps_dpgen.validation.potential.Simulation.thermo`."""
        try:
            return self._session.library.thermo(name)
        except LabelError as error:
            raise PairStyleError(str(error)) from error

    def variable(self, name: str) -> float:
        """See :meth:`lammps_dpgen.validation.potential.Simulation.variable`."""
        try:
            return self._session.library.variable(name)
        except LabelError as error:
            raise PairStyleError(str(error)) from error

    def atoms(self) -> Atoms:
        """Return the atoms as they are now, in LAMMPS' axes and box, with their velocities."""
        library = self._session.library
        lower, vectors = library.box()
        now = Atoms(
            self._start.get_chemical_symbols(),
            positions=library.vectors("x") - lower,
            cell=vectors,
            pbc=self._start.pbc,
        )
        now.set_velocities(library.vectors("v") / (1000.0 * fs))
        return now
