"""Places between the atoms of a crystal: found by pymatgen, named by their neighbours."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from pymatgen.analysis.defects.generators import VoronoiInterstitialGenerator
from pymatgen.io.ase import AseAtomsAdaptor
from vesin import ase_neighbor_list

from lammps_dpgen.frame import FloatArray
from lammps_dpgen.validation.defects import SYMMETRY_PRECISION

#: Short names of places by their number of nearest neighbours; others are called by that number.
NAMES = {4: "th", 6: "oh"}
WORDS = {"th": "tetrahedral", "oh": "octahedral"}

#: Neighbours lie within this many times the distance of the nearest one.
SHELL = 1.1

#: Where atoms lie from the first atom of the conventional cell of a prototype, in fractions, if Voronoi's construction
#: does not see them: the octahedral places of bcc lie on faces of the polyhedra, not at their corners.
MORE_SITES: dict[str, dict[str, tuple[float, float, float]]] = {"bcc": {"oh": (0.5, 0.5, 0.0)}}


@dataclass(frozen=True)
class InterstitialSite:
    """A place between atoms.

    Attributes
    ----------
    name
        "oh", "th", "5-fold" ..., with "_2" where there are several of a kind.
    fractional
        ``[3]`` in the cell of the crystal.
    n_neighbors, distance
        Nearest neighbours, and how far they are in Å.
    """

    name: str
    fractional: tuple[float, float, float]
    n_neighbors: int
    distance: float

    @property
    def words(self) -> str:
        """What the report says of it."""
        kind = WORDS.get(self.name.split("_")[0], "between atoms")
        place = ", ".join(f"{x:.4g}" for x in self.fractional)
        return f"{kind}, at ({place}) of the cell, {self.n_neighbors} neighbours at {self.distance:.2f} Å"


def interstitial_sites(atoms: Atoms) -> list[InterstitialSite]:
    """Return the inequivalent corners of the Voronoi polyhedra of a crystal, those with most neighbours first."""
    generator = VoronoiInterstitialGenerator(min_dist=0.5)
    structure = AseAtomsAdaptor.get_structure(atoms)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pymatgen's about its own labels
        found = generator.generate(structure, [atoms[0].symbol])
        places = [np.asarray(defect.site.frac_coords, dtype=np.float64) % 1.0 for defect in found]
    looked = [(*surroundings(atoms, place), place) for place in places]
    looked.sort(key=lambda site: (-site[0], -site[1], *np.round(site[2], 4)))
    sites: list[InterstitialSite] = []
    for n_neighbors, distance, place in looked:
        sites.append(_named(sites, NAMES.get(n_neighbors, f"{n_neighbors}-fold"), place, n_neighbors, distance))
    return sites


def named_site(atoms: Atoms, name: str, fractional: FloatArray) -> InterstitialSite:
    """Return a place that somebody has named."""
    n_neighbors, distance = surroundings(atoms, np.asarray(fractional, dtype=np.float64))
    return _named([], name, np.asarray(fractional, dtype=np.float64), n_neighbors, distance)


def more_sites(atoms: Atoms, prototype: str) -> list[InterstitialSite]:
    """Return the places of a prototype that Voronoi's construction does not see; `atoms` is the conventional cell."""
    first = atoms.get_scaled_positions()[0]
    return [named_site(atoms, name, first + offset) for name, offset in MORE_SITES.get(prototype, {}).items()]


def surroundings(atoms: Atoms, fractional: FloatArray) -> tuple[int, float]:
    """Return the number of nearest neighbours of a place, and their distance in Å."""
    probed = atoms.copy()
    probed.append(atoms[0])
    probed.positions[-1] = fractional @ atoms.cell.array
    reach = 2.0 * float(atoms.get_volume() / len(atoms)) ** (1 / 3)
    while True:
        first, second, distances = ase_neighbor_list("ijd", probed, reach)
        own = distances[(first == len(atoms)) & (second != len(atoms))]
        if len(own):
            nearest = float(own.min())
            return int((own < SHELL * nearest + SYMMETRY_PRECISION).sum()), nearest
        reach *= 1.5


def _named(
    others: list[InterstitialSite], name: str, place: FloatArray, n_neighbors: int, distance: float
) -> InterstitialSite:
    same = sum(other.name.split("_")[0] == name for other in others)
    x, y, z = (float(round(value, 10)) for value in place)
    return InterstitialSite(name if same == 0 else f"{name}_{same + 1}", (x, y, z), n_neighbors, distance)
