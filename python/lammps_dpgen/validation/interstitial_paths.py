"""The property ``interstitial_paths``: energies of all potentials on the way of an interstitial to its minimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from ase import Atoms
from ase.optimize import BFGS
from pydantic import Field

from lammps_dpgen.validation.base import Chart, Findings, Piece, PropertySettings, Result, Row, Series
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.defects import chemical_potential
from lammps_dpgen.validation.interstitials import SEED, InterstitialsProperty, InterstitialsSettings, with_interstitial
from lammps_dpgen.validation.potential import Potential

#: Table of the report.
PART = "Interstitial paths"

#: Decimals of the positions (Å) that are kept.
_DIGITS = 6
#: eV: a potential that is nowhere farther off than this is the reference itself.
_SAME = 1e-9
#: Structures that have a colour of their own in the parity picture.
_MOST_COLOURS = 6


class InterstitialPathsSettings(InterstitialsSettings):
    """Energies along the relaxation of interstitials.

    The reference potential, which is the one that is compared with or else the first, relaxes each interstitial at the
    fixed cell of its own relaxed crystal. Some frames of the way, the first and the last among them, are computed with
    all potentials.

    Examples
    --------
    >>> InterstitialPathsSettings(repeat=(2, 2, 2), frames=6).cell
    'fixed'
    """

    only_pieces: ClassVar[frozenset[str]] = frozenset(
        {"repeat", "length", "primitive", "cell", "sites", "positions", "elements"}
    )

    length: float = Field(
        default=10.0, gt=0.0, description="Shortest length in Å of the supercell's vectors where `repeat` is left out."
    )
    cell: Literal["fixed"] = Field(default="fixed", description="The cell stays that of the crystal.")
    force: float = Field(default=0.02, gt=0.0, description="Largest force in eV/Å at the end of the way.")
    rattle: float = Field(
        default=0.01,
        ge=0.0,
        lt=0.5,
        description="Random displacements in Å (standard deviation) of all atoms at the beginning, so that the atom "
        "can leave a saddle point.",
    )
    frames: int = Field(default=10, ge=2, description="Frames of each way that all potentials compute, at most.")
    steps: int = Field(default=200, ge=1, description="Steps of the relaxation (BFGS), at most.")


class InterstitialPathsProperty:
    """Energies along relaxation paths: E(frame) - E(supercell) - mu for each potential, on the reference's frames.

    E(supercell) is the perfect supercell in the reference's geometry, computed with the potential itself; so is mu, the
    energy per atom of this crystal where it has one element, else of the reference phase of the element put in, which
    the potential relaxes.
    """

    name: ClassVar[str] = "interstitial_paths"
    version: ClassVar[int] = 1
    Settings: ClassVar[type[PropertySettings]] = InterstitialPathsSettings

    def __init__(self, settings: InterstitialPathsSettings, crystals: Sequence[Crystal]) -> None:
        self._settings = settings
        self._crystals = crystals
        self._paths: dict[str, Result] = {}
        self._first: list[Piece] | None = None

    def reference_pieces(self) -> list[Piece]:
        """Return one piece for each interstitial: its relaxation by the reference potential.

        Raises
        ------
        ConfigError
            A place that is asked for does not exist, or an element of an alloy has no reference phase.
        """
        if self._first is None:  # places are searched once
            inner = InterstitialsProperty(self._settings, self._crystals)
            self._first = [Piece(piece.name, {"kind": "path", **piece.payload}) for piece in inner.pieces()]
        return self._first

    def follow(self, results: Mapping[str, Result]) -> None:
        """Take the paths that the reference potential found."""
        self._paths = dict(results)

    def pieces(self) -> list[Piece]:
        """Return one piece for each path that the reference potential found: its frames."""
        return [
            Piece(
                piece.name,
                {
                    "kind": "energies",
                    "references": piece.payload["references"],
                    "element": piece.payload["element"],
                    **{key: found.value[key] for key in ("numbers", "host", "cell", "positions")},
                },
            )
            for piece in self.reference_pieces()
            if (found := self._paths.get(piece.name)) is not None and found.value is not None
        ]

    def compute(self, potential: Potential, piece: Piece) -> dict[str, Any]:
        """Relax an interstitial, or compute the energies of the frames of a path."""
        if piece.payload["kind"] == "path":
            return self._path(potential, piece.payload)
        return {"energies": _energies(potential, piece.payload)}

    def _path(self, potential: Potential, given: Mapping[str, Any]) -> dict[str, Any]:
        """Relax with all steps kept; a relaxation that has not converged is a path as well."""
        settings = self._settings
        bulk = potential.crystal(Crystal.from_json(given["crystal"]))
        host = bulk.atoms.repeat(given["repeat"])
        work, _ = with_interstitial(bulk.atoms, host, given["fractional"], given["element"])
        work.positions += np.random.default_rng(SEED).normal(0.0, settings.rattle, work.positions.shape)
        work.calc = potential.calculator()
        steps: list[list[list[float]]] = []
        optimizer = BFGS(work, logfile=None)
        optimizer.attach(lambda: steps.append(np.round(work.positions, _DIGITS).tolist()))
        converged = bool(optimizer.run(fmax=settings.force, steps=settings.steps))
        chosen = np.unique(np.linspace(0, len(steps) - 1, settings.frames).round().astype(int))
        frames = {
            "numbers": work.numbers.tolist(),
            "cell": host.cell.array.tolist(),
            "positions": [steps[number] for number in chosen],
            "host": _plain(bulk.atoms),
        }
        also = {"references": given["references"], "element": given["element"]}
        return {
            **frames,
            "energies": _energies(potential, {**frames, **also}),
            "steps": len(steps) - 1,
            "converged": converged,
        }

    def findings(self, results: Mapping[str, Result]) -> Findings:
        """Return the energies at both ends of each path, the errors along it, and the parity picture."""
        rows: list[Row] = []
        pairs: dict[str, list[tuple[float, float]]] = {}
        for piece in self.reference_pieces():
            path = self._paths.get(piece.name, Result(None, "the reference potential has not relaxed it"))
            found = results.get(piece.name, Result(None, f"excluded: {path.failure}"))
            row = Row(PART, piece.name, "", "eV", definition=self._definition(path), note=_note(piece, path))
            if path.value is None or found.value is None:
                rows.append(replace(row, quantity="E_end", failure=found.failure))
                continue
            reference, energies = path.value["energies"], found.value["energies"]
            rows.append(replace(row, quantity="E_start", value=energies[0]))
            rows.append(replace(row, quantity="E_end", value=energies[-1]))
            own = list(zip(reference, energies, strict=True))
            rows += _error_rows(row, own)
            pairs.setdefault(piece.payload["subject"], []).extend(own)
        everything = [pair for of_one in pairs.values() for pair in of_one]
        words = f"{len(everything)} frames of all paths that could be computed"
        rows += _error_rows(Row(PART, "all paths", "", "eV", definition=words), everything)
        return Findings(tuple(rows), _charts(pairs) if _differs(everything) else ())

    def _definition(self, path: Result) -> str:
        if path.value is None:
            return ""
        n_atoms, n_frames = len(path.value["numbers"]), len(path.value["positions"])
        return (
            f"{n_frames} frames of the relaxation by the reference potential at its fixed cell, {n_atoms} atoms, to "
            f"{self._settings.force:g} eV/Å"
        )


def _energies(potential: Potential, given: Mapping[str, Any]) -> list[float]:
    """Return E(frame) - E(perfect supercell) - mu of each frame, in eV."""
    host = given["host"]
    crystal = potential.static(Atoms(host["numbers"], positions=host["positions"], cell=host["cell"], pbc=True))
    mu = chemical_potential(potential, given["element"], crystal, given["references"])
    n_host = len(given["numbers"]) - 1
    energies = []
    for positions in given["positions"]:
        frame = Atoms(given["numbers"], positions=positions, cell=given["cell"], pbc=True)
        energies.append(potential.static(frame).energy - n_host * crystal.energy_per_atom - mu)
    return energies


def _plain(atoms: Atoms) -> dict[str, Any]:
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
    }


def _note(piece: Piece, path: Result) -> str:
    """Return the place, and whether the reference's relaxation has come to its end."""
    place = str(piece.payload["note"])
    if path.value is None or path.value["converged"]:
        return place
    return f"{place}; the relaxation has not converged in {path.value['steps']} steps"


def _differs(pairs: Sequence[tuple[float, float]]) -> bool:
    """Tell whether the energies are those of another potential than the reference."""
    return any(abs(y - x) > _SAME for x, y in pairs)


def _error_rows(row: Row, pairs: Sequence[tuple[float, float]]) -> list[Row]:
    """Return the errors of a potential along a path; none for the reference itself."""
    if not _differs(pairs):
        return []
    errors = np.abs([y - x for x, y in pairs])
    return [
        replace(row, quantity="path RMSE", value=float(np.sqrt(np.mean(errors**2)))),
        replace(row, quantity="path error, largest", value=float(errors.max())),
    ]


def _charts(pairs: Mapping[str, list[tuple[float, float]]]) -> tuple[Chart, ...]:
    """Return the parity picture of all frames, by structure where they are few."""
    groups = (
        dict(pairs) if len(pairs) <= _MOST_COLOURS else {"": [pair for of_one in pairs.values() for pair in of_one]}
    )
    series = tuple(Series(name, [x for x, _ in own], [y for _, y in own]) for name, own in groups.items())
    caption = (
        "Energies of the frames on the way of each interstitial to its minimum, relative to the perfect supercell and "
        "the reference phase; on the dashed line they are the reference potential's."
    )
    title, x_label = "Energies along the relaxation of interstitials", "reference potential (eV)"
    return (Chart("interstitial-paths", PART, title, caption, x_label, "energy (eV)", "parity", series),)
