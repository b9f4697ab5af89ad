"""A frame: one configuration of atoms, and where it came from.

Lengths in Å, cell rows are vectors, positions unwrapped, atoms in a fixed order (LAMMPS tag order for frames of MD).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from lammps_dpgen.errors import StructureError

FloatArray = NDArray[np.float64]

#: Positions and cell are rounded to this many Å before a frame is hashed.
HASH_RESOLUTION = 1e-6


@dataclass(frozen=True)
class FrameOrigin:
    """Where a frame came from and why it was taken; everything is optional but the source.

    Attributes
    ----------
    source
        "md", "bootstrap", "audit", "import" or another word of the producer's.
    reason
        "candidate", "failed", "accurate", "initial": the class of the frame when it was taken.
    step, time
        MD step and time in ps.
    temperature
        Instantaneous kinetic temperature in K.
    max_devi_f, max_devi_v
        Model deviation (eV/Å, eV/atom) that chose the frame.
    generation
        Generation of the models that judged it.
    trajectory
        Number of its trajectory in the ledger; -1 where it belongs to none.
    """

    source: str
    reason: str = "initial"
    stage: str = ""
    structure: str = ""
    walker: int = 0
    generation: int = -1
    step: int = -1
    time: float = float("nan")
    temperature: float = float("nan")
    pressure: float = float("nan")
    max_devi_f: float = float("nan")
    max_devi_v: float = float("nan")
    trajectory: int = -1


@dataclass(frozen=True)
class Frame:
    """One configuration of atoms.

    Attributes
    ----------
    species
        Chemical symbols, one per atom.
    positions
        ``[n_atoms, 3]`` in Å, unwrapped.
    cell
        ``[3, 3]`` in Å, rows are vectors; all zero for a molecule without a cell.
    pbc
        Periodicity along the three cell vectors.
    spread
        ``[n_atoms]`` force spread over the models in eV/Å, or None.
    learnt
        ``[n_atoms]``, whether the force on each atom is learnt; None: all are. A cell that was cut out of a larger
        frame has a margin whose forces are not.
    """

    species: tuple[str, ...]
    positions: FloatArray
    cell: FloatArray
    pbc: tuple[bool, bool, bool] = (True, True, True)
    origin: FrameOrigin = field(default_factory=lambda: FrameOrigin("unknown"))
    spread: FloatArray | None = None
    learnt: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        n = len(self.species)
        if self.positions.shape != (n, 3):
            raise StructureError(f"positions have shape {self.positions.shape}, expected ({n}, 3) for {n} species")
        if self.cell.shape != (3, 3):
            raise StructureError(f"cell has shape {self.cell.shape}, expected (3, 3)")
        if self.learnt is not None and (self.learnt.shape != (n,) or not self.learnt.any()):
            raise StructureError(f"learnt has shape {self.learnt.shape} for {n} atoms, or no force is learnt")
        if not (np.isfinite(self.positions).all() and np.isfinite(self.cell).all()):
            raise StructureError(
                f"frame of {n} atoms (step {self.origin.step}) has positions or cell that are not finite"
            )

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.species)

    @property
    def volume(self) -> float:
        """Volume of the cell in Å3."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def formula(self) -> str:
        """Composition such as ``Al24Mg8``."""
        return str(self.to_ase().get_chemical_formula(mode="metal"))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of species, periodicity, cell, wrapped positions rounded to 1e-6 Å, and `learnt`: its identity."""
        positions = self.positions
        if any(self.pbc):
            fractional = np.linalg.solve(self.cell.T, positions.T).T
            wrapped = np.where(np.asarray(self.pbc), fractional % 1.0, fractional)
            positions = wrapped @ self.cell
        digest = hashlib.sha256()
        digest.update(" ".join(self.species).encode())
        digest.update(np.asarray(self.pbc, dtype=np.uint8).tobytes())
        for array in (self.cell, positions):
            digest.update(np.round(np.asarray(array) / HASH_RESOLUTION).astype(np.int64).tobytes())
        if self.learnt is not None:
            digest.update(np.asarray(self.learnt, dtype=np.uint8).tobytes())
        return digest.hexdigest()

    def to_ase(self) -> Atoms:
        """Return the frame as ASE atoms; the origin goes into ``info``."""
        atoms = Atoms(self.species, positions=self.positions, cell=self.cell, pbc=self.pbc)
        atoms.info.update({k: v for k, v in vars(self.origin).items() if v not in ("", -1) and v == v})
        if self.spread is not None:
            atoms.set_array("force_spread", self.spread)
        if self.learnt is not None:
            atoms.set_array("learnt", self.learnt)
        return atoms

    @classmethod
    def from_ase(cls, atoms: Atoms, origin: FrameOrigin | None = None) -> Frame:
        """Make a frame from ASE atoms."""
        pbc = tuple(bool(p) for p in atoms.pbc)
        spread, learnt = atoms.arrays.get("force_spread"), atoms.arrays.get("learnt")
        return cls(
            species=tuple(atoms.get_chemical_symbols()),
            positions=np.array(atoms.positions, dtype=np.float64),
            cell=np.array(atoms.cell.array, dtype=np.float64),
            pbc=(pbc[0], pbc[1], pbc[2]),
            origin=origin or FrameOrigin("import"),
            spread=None if spread is None else np.array(spread, dtype=np.float64),
            learnt=None if learnt is None else np.array(learnt, dtype=np.bool_),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain data for a worker process; floats round-trip exactly through ``repr``."""
        data: dict[str, Any] = {
            "species": list(self.species),
            "positions": self.positions.tolist(),
            "cell": self.cell.tolist(),
            "pbc": list(self.pbc),
            "origin": vars(self.origin),
        }
        return data if self.learnt is None else {**data, "learnt": self.learnt.tolist()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Frame:
        """Inverse of :meth:`to_json`."""
        return cls(
            species=tuple(data["species"]),
            positions=np.array(data["positions"], dtype=np.float64).reshape(-1, 3),
            cell=np.array(data["cell"], dtype=np.float64),
            pbc=(bool(data["pbc"][0]), bool(data["pbc"][1]), bool(data["pbc"][2])),
            origin=FrameOrigin(**data["origin"]),
            learnt=np.array(data["learnt"], dtype=np.bool_) if "learnt" in data else None,
        )


@dataclass(frozen=True)
class Label:
    """What the reference method says about a frame.

    Attributes
    ----------
    energy
        Potential energy in eV, the one whose gradient the forces are (the free energy for smeared DFT).
    forces
        ``[n_atoms, 3]`` in eV/Å, atoms as in the frame.
    virial
        ``[3, 3]`` in eV, DeePMD's sign: -stress x volume with ASE's stress (tension positive); None without a cell.
    code
        Program that computed it, with version, such as "lammps 20250722".
    settings_hash
        SHA-256 of the settings that decide the result.
    seconds
        Wall time that it cost.
    """

    energy: float
    forces: FloatArray
    virial: FloatArray | None
    code: str
    settings_hash: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "energy": self.energy,
            "forces": self.forces.tolist(),
            "virial": None if self.virial is None else self.virial.tolist(),
            "code": self.code,
            "settings_hash": self.settings_hash,
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Label:
        """Inverse of :meth:`to_json`."""
        virial = data["virial"]
        return cls(
            energy=float(data["energy"]),
            forces=np.array(data["forces"], dtype=np.float64).reshape(-1, 3),
            virial=None if virial is None else np.array(virial, dtype=np.float64),
            code=data["code"],
            settings_hash=data["settings_hash"],
            seconds=float(data["seconds"]),
        )


@dataclass(frozen=True)
class LabelledFrame:
    """A frame with its label."""

    frame: Frame
    label: Label
