"""A LAMMPS pair style as a potential: energies and relaxations by LAMMPS itself, in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.units import GPa

from lammps_dpgen.labeling.lammps import LammpsSettings
from lammps_dpgen.validation.ase_calculator import PotentialCalculator
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.failures import CollapsedError, NotConvergedError, NotFiniteError, UnsuitableError
from lammps_dpgen.validation.lammps_cell import free_stress, strain_to_zero_stress
from lammps_dpgen.validation.lammps_session import LammpsSession, is_lammps_cell
from lammps_dpgen.validation.lammps_simulation import LammpsSimulation
from lammps_dpgen.validation.memory import CrystalMemory
from lammps_dpgen.validation.potential import CellFreedom, Directions, Static
from lammps_dpgen.validation.stability import cell_collapse

#: fix box/relax of each freedom of the cell. It measures strain from where it began, so it is made anew each round.
_BOX_FIX = {
    "iso": "iso 0.0 vmax 0.005",
    "aniso": "aniso 0.0 vmax 0.005",
    "tri": "tri 0.0 vmax 0.005",
    "z": "z 0.0 vmax 0.005 scalexz no scaleyz no",
}
_HOLD = {"z": "0.0 0.0 NULL", "none": "0.0 0.0 0.0"}

#: Rounds of a relaxation, each with a new line search and reference cell, before it counts as not converged.
_ROUNDS = 5
#: Before the cell relaxes, forces between `_ROUGH` times the asked ones and `_NEAR` (eV/Å) are relaxed without it.
_ROUGH, _NEAR = 5.0, 1.0
#: A relaxation whose energy has not moved by this (eV/atom) in a round, and whose residuals are below `_LENIENCE` times
#: the asked ones, has reached what double precision resolves.
_STILL = 1e-10
_LENIENCE = 20.0


class LammpsPotential:
    """A potential that LAMMPS computes; see :class:`lammps_dpgen.validation.potential.Potential`.

    Parameters
    ----------
    folder
        For LAMMPS' logs; a temporary one if not given.
    models
        Model files, where the pair style is that of Deep Potentials.
    """

    def __init__(
        self,
        name: str,
        settings: LammpsSettings,
        identity: str,
        folder: Path | None = None,
        models: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.elements = settings.elements
        self.identity = identity
        self.folder = Path(tempfile.mkdtemp(prefix="validation-")) if folder is None else folder
        self._settings = settings
        self._models = models
        self._session = LammpsSession(settings)
        self._memory = CrystalMemory(self)

    def static(self, atoms: Atoms) -> Static:
        """See :meth:`lammps_dpgen.validation.potential.Potential.static`."""
        self._session.put(atoms)
        self._session.run(["run 0 post no"])
        return self._now(atoms)

    def relax(
        self,
        atoms: Atoms,
        cell: CellFreedom | tuple[CellFreedom, ...] = "fixed",
        directions: Directions = "xyz",
        *,
        force: float = 1e-4,
        stress: float = 1e-4,
        most_steps: int = 10000,
        strict: bool = True,
    ) -> Static:
        """See :meth:`lammps_dpgen.validation.potential.Potential.relax`."""
        freedoms = (cell,) if isinstance(cell, str) else cell
        if (directions == "z" or "z" in freedoms) and not is_lammps_cell(atoms):
            raise ValueError("a relaxation along z needs a cell that is lower triangular, as LAMMPS' own")
        self._session.put(atoms)
        if directions != "xyz":
            self._session.run([f"fix validation_hold all setforce {_HOLD[directions]}"])
        residual = ""
        for freedom in freedoms:
            if strict:
                residual = self._minimise(freedom, force, stress, most_steps)
            else:
                self._minimise_once(freedom, force, most_steps)
        if not strict or directions != "xyz":
            self._session.run(["run 0 post no"])
        relaxed = self._now(atoms)
        if directions != "xyz":
            self._session.run(["unfix validation_hold"])
        collapse = cell_collapse(atoms, relaxed.atoms)
        if collapse:
            raise CollapsedError(f"{atoms.get_chemical_formula()}: {collapse}")
        if residual:
            raise NotConvergedError(f"relaxation ({', '.join(freedoms)}) of {atoms.get_chemical_formula()}: {residual}")
        return relaxed

    def _minimise(self, freedom: CellFreedom, force: float, stress: float, most_steps: int) -> str:
        """Minimise until the residuals are small; returns "" or what is left of them."""
        session = self._session
        limit = force / session.unit
        session.run(["min_style cg", "min_modify norm inf dmax 0.1 line quadratic"])
        if freedom != "fixed":
            self._approach(force)
        energy, natoms, left = np.inf, session.library.thermo("atoms"), most_steps
        residual = ""
        for _ in range(_ROUNDS):
            box = freedom != "fixed"
            # With a box the norm also holds the box' own generalised force, so its tolerance is set tighter.
            minimise = f"minimize 0.0 {limit * (0.5 if box else 1.0)!r} {left} {10 * left}"
            if box:
                session.run([f"fix validation_box all box/relax {_BOX_FIX[freedom]}", minimise, "unfix validation_box"])
            else:
                session.run([minimise])
            left -= int(session.library.thermo("step"))
            session.run(["reset_timestep 0", "run 0 post no"])
            new = session.energy()
            if not np.isfinite(new):
                raise NotFiniteError(f"the energy became {new} in a relaxation")
            forces, stresses = self._residuals(freedom)
            if forces <= force and stresses <= stress:
                return ""
            residual = f"forces up to {forces:.2g} eV/Å and stress up to {stresses:.2g} GPa are left"
            still = abs(new - energy) <= _STILL * natoms
            if still and forces <= _LENIENCE * force and stresses <= _LENIENCE * stress:
                return ""
            if left <= 0:
                return f"{residual} after {most_steps} steps"
            energy = new
        if freedom != "fixed" and strain_to_zero_stress(session, freedom, lambda: self._relax_atoms(limit), stress):
            forces, stresses = self._residuals(freedom)
            if forces <= _LENIENCE * force:
                return ""
        return f"{residual} after {_ROUNDS} rounds"

    def _approach(self, force: float) -> None:
        """Relax the atoms roughly in the cell as it is, where they are near their places: that is cheaper.

        Where forces are large, as at an interstitial, the cell has a say in which minimum is found.
        """
        session = self._session
        session.run(["run 0 post no"])
        largest = float(np.abs(session.library.vectors("f")).max()) * session.unit
        if _ROUGH * force < largest < _NEAR:
            session.run([f"minimize 0.0 {_ROUGH * force / session.unit!r} 1000 10000", "reset_timestep 0"])

    def _minimise_once(self, freedom: CellFreedom, force: float, most_steps: int) -> None:
        """Minimise with LAMMPS' own step of the box, as far as its line search goes."""
        session = self._session
        session.run(["min_style cg", "min_modify norm inf dmax 0.1 line quadratic"])
        minimise = f"minimize 0.0 {0.1 * force / session.unit!r} {most_steps} {10 * most_steps}"
        if freedom == "fixed":
            session.run([minimise])
        else:
            slow = _BOX_FIX[freedom].replace("vmax 0.005", "vmax 0.0001")
            session.run([f"fix validation_box all box/relax {slow}", minimise, "unfix validation_box"])
        session.run(["reset_timestep 0"])

    def _relax_atoms(self, limit: float) -> None:
        """Relax the atoms in the cell as it is, and compute the stress."""
        self._session.run([f"minimize 0.0 {limit!r} 2000 20000", "reset_timestep 0", "run 0 post no"])

    def _residuals(self, freedom: CellFreedom) -> tuple[float, float]:
        """Return the largest force component (eV/Å) and the largest free stress component (GPa) that are left."""
        session = self._session
        forces = float(np.abs(session.library.vectors("f")).max()) * session.unit
        free = free_stress(freedom, session.stress() / GPa, session.library.box()[1])
        return forces, float(np.abs(free).max())

    def _now(self, start: Atoms) -> Static:
        """Return what LAMMPS has computed, in the axes and units of `start`."""
        session = self._session
        energy = session.energy()
        forces = session.library.vectors("f") * session.unit
        box = session.box
        stress = box.tensor_to_frame(session.stress())
        if not (np.isfinite(energy) and np.isfinite(forces).all() and np.isfinite(stress).all()):
            raise NotFiniteError(f"energy {energy} or forces or stress of {start.get_chemical_formula()} not finite")
        return Static(session.atoms(start), energy, box.vectors_to_frame(forces), stress)

    def crystal(self, crystal: Crystal) -> Static:
        """See :meth:`lammps_dpgen.validation.potential.Potential.crystal`."""
        return self._memory.relaxed(crystal)

    @contextmanager
    def simulation(self, atoms: Atoms, *, velocities: bool = False) -> Iterator[LammpsSimulation]:
        """See :meth:`lammps_dpgen.validation.potential.Potential.simulation`."""
        if self._settings.units != "metal":
            raise UnsuitableError(
                f"molecular dynamics needs a potential in LAMMPS' metal units, {self.name} is in {self._settings.units}"
            )
        self._session.put(atoms)
        self._session.log_to(self.folder / "log.lammps")
        self._session.run(["thermo_style custom step temp pe ke etotal press vol", "thermo_modify norm no lost error"])
        try:
            yield LammpsSimulation(self._session, atoms, velocities)
        finally:
            self._session.close()  # fixes, groups and variables go with it

    def calculator(self) -> Calculator:
        """See :meth:`lammps_dpgen.validation.potential.Potential.calculator`."""
        return PotentialCalculator(self)

    def model_files(self) -> tuple[str, ...]:
        """See :meth:`lammps_dpgen.validation.potential.Potential.model_files`."""
        return self._models

    def close(self) -> None:
        """Free LAMMPS."""
        self._session.close()
