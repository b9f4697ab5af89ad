"""Writes the pseudopotentials of Goedecker, Teter and Hutter, as CP2K has them, as UPF files for Quantum ESPRESSO.

    python make_potentials.py Al:GTH-PBE-q3 Mg:GTH-PBE-q2 --source /usr/share/cp2k/GTH_POTENTIALS --folder pseudos

The potentials are analytic (Goedecker, Teter, Hutter, Phys. Rev. B 54, 1703; Hartwigsen, Goedecker, Hutter, Phys. Rev.
B 58, 3641; Krack, Theor. Chem. Acc. 114, 145); a UPF file holds them on a radial grid, in Rydberg units. Debian has
CP2K's file in the package ``cp2k-data``. pw.x reads such potentials in ABINIT's format (.gth) too, with a wrong stress.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray
from scipy.special import erf, gamma

#: Where Debian's package cp2k-data has the potentials.
SOURCE = Path("/usr/share/cp2k/GTH_POTENTIALS")
#: Rydberg in one Hartree.
RYDBERG = 2.0
#: Logarithmic grid: r = exp(first + i * step) / nuclear charge, up to so many Bohr.
FIRST, STEP, LARGEST = -7.0, 0.0125, 60.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Channel:
    """The projectors of one angular momentum: their radius (Bohr) and ``[n, n]`` coefficients (Hartree)."""

    radius: float
    coefficients: Array


@dataclass(frozen=True)
class Potential:
    """A GTH potential: charge of the ion, local part by its radius (Bohr) and coefficients (Hartree), and channels."""

    element: str
    name: str
    valence: float
    radius: float
    local: Array
    channels: tuple[Channel, ...]

    @property
    def functional(self) -> str:
        """The functional by Quantum ESPRESSO's name."""
        return {"PADE": "PZ"}.get(word := self.name.split("-")[1], word)

    def local_part(self, r: Array) -> Array:
        """Return the local potential (Ry) at distances `r`."""
        x = r / self.radius
        short = np.exp(-0.5 * x**2) * sum(c * x ** (2 * i) for i, c in enumerate(self.local))
        return np.asarray(RYDBERG * (short - self.valence / r * erf(x / np.sqrt(2.0))))

    def projectors(self, r: Array) -> list[tuple[int, Array]]:
        """Return angular momentum and r times the projector (no unit but Bohr^-1/2), channel by channel."""
        found = []
        for momentum, channel in enumerate(self.channels):
            for i in range(len(channel.coefficients)):
                power = momentum + 2 * i
                norm = np.sqrt(2.0 / gamma(power + 1.5)) / channel.radius ** (power + 1.5)
                found.append((momentum, norm * r ** (power + 1) * np.exp(-0.5 * (r / channel.radius) ** 2)))
        return found

    def coefficients(self) -> Array:
        """Return the matrix (Ry) between all projectors; those of different channels have nothing to do."""
        blocks = [channel.coefficients for channel in self.channels]
        matrix = np.zeros((sum(map(len, blocks)),) * 2)
        start = 0
        for block in blocks:
            matrix[start : start + len(block), start : start + len(block)] = RYDBERG * block
            start += len(block)
        return matrix


def read_potential(source: Path, element: str, name: str) -> Potential:
    """Return the potential `name` of an element from CP2K's file."""
    numbers = _numbers(source, element, name)
    valence = sum(next(numbers))  # the electrons by angular momentum
    radius, count, *local = next(numbers)
    channels = []
    for _ in range(int(next(numbers)[0])):
        channel_radius, size, *first = next(numbers)
        rows = [first, *(next(numbers) for _ in range(int(size) - 1))]
        upper = np.zeros((int(size), int(size)))
        for i, row in enumerate(rows):
            upper[i, i:] = row
        channels.append(Channel(channel_radius, upper + np.triu(upper, 1).T))
    return Potential(element, name, valence, radius, np.array(local[: int(count)]), tuple(channels))


def upf_text(potential: Potential) -> str:
    """Return a potential as the text of a UPF file."""
    charge = atomic_numbers[potential.element]
    size = int((np.log(LARGEST * charge) - FIRST) / STEP) // 2 * 2 + 1
    r = np.exp(FIRST + STEP * np.arange(size)) / charge
    projectors = potential.projectors(r)
    # A Gaussian of the valence electrons, where the self-consistent cycle begins.
    density = 4.0 * np.pi * r**2 * potential.valence * np.exp(-0.5 * (r / 1.25) ** 2) / (2.0 * np.pi * 1.25**2) ** 1.5
    head = {
        "generated": f"{potential.name} of CP2K",
        "author": "Goedecker, Teter, Hutter, Hartwigsen, Krack",
        "element": potential.element,
        "pseudo_type": "NC",
        "relativistic": "scalar",
        **dict.fromkeys(("is_ultrasoft", "is_paw", "is_coulomb", "has_so", "has_wfc", "has_gipaw"), "F"),
        "core_correction": "F",
        "functional": potential.functional,
        "z_valence": f"{potential.valence:.6f}",
        "total_psenergy": "0.0",
        "wfc_cutoff": "0.0",
        "rho_cutoff": "0.0",
        "l_max": str(max(len(potential.channels) - 1, 0)),
        "l_max_rho": "0",
        "l_local": "-1",
        "mesh_size": str(size),
        "number_of_wfc": "0",
        "number_of_proj": str(len(projectors)),
    }
    mesh = {"dx": STEP, "mesh": size, "xmin": FIRST, "rmax": f"{r[-1]:.6f}", "zmesh": f"{charge:.1f}"}
    nonlocal_part = [
        _array(
            f"PP_BETA.{i}", beta, index=i, angular_momentum=momentum, cutoff_radius_index=size, cutoff_radius=LARGEST
        )
        for i, (momentum, beta) in enumerate(projectors, start=1)
    ]
    matrix = potential.coefficients()
    parts = [
        '<UPF version="2.0.1">',
        f"<PP_INFO>\n{potential.name} of {potential.element}, rewritten from CP2K's parameters\n</PP_INFO>",
        f"<PP_HEADER{_attributes(head)}/>",
        f"<PP_MESH{_attributes(mesh)}>\n{_array('PP_R', r)}\n{_array('PP_RAB', STEP * r)}\n</PP_MESH>",
        _array("PP_LOCAL", potential.local_part(r)),
        "<PP_NONLOCAL>",
        *nonlocal_part,
        _array("PP_DIJ", matrix.ravel(), columns=len(matrix)),
        "</PP_NONLOCAL>",
        "<PP_PSWFC>\n</PP_PSWFC>",
        _array("PP_RHOATOM", density),
        "</UPF>",
    ]
    return "\n".join([*parts, ""])


def write_potential(element: str, name: str, folder: Path, source: Path = SOURCE) -> Path:
    """Write ``folder/<element>.<name>.UPF`` and return its path."""
    path = folder / f"{element}.{name}.UPF"
    path.write_text(upf_text(read_potential(source, element, name)))
    return path


def _numbers(source: Path, element: str, name: str) -> Iterator[list[float]]:
    """Yield the lines of numbers that follow the name of a potential."""
    lines = iter(source.read_text().splitlines())
    for line in lines:
        words = line.split()
        if words[:1] == [element] and name in words[1:]:
            break
    else:
        raise SystemExit(f"{source} has no potential {name} of {element}")
    for line in lines:
        yield [float(word) for word in line.split("#")[0].split()]


def _array(tag: str, values: Array, *, columns: int = 4, **others: float) -> str:
    attributes = {"type": "real", "size": values.size, "columns": columns, **others}
    rows = [values[start : start + columns] for start in range(0, values.size, columns)]
    return f"<{tag}{_attributes(attributes)}>\n{_lines(rows)}\n</{tag}>"


def _lines(rows: Sequence[Array]) -> str:
    # Fortran reads no exponent of three digits without its letter.
    return "\n".join(" ".join(f"{value if abs(value) > 1e-99 else 0.0: .15E}" for value in row) for row in rows)


def _attributes(values: dict[str, object]) -> str:
    return "".join(f' {name}="{value}"' for name, value in values.items())


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes GTH pseudopotentials of CP2K as UPF files for pw.x.")
    parser.add_argument("potentials", nargs="*", default=["Al:GTH-PBE-q3", "Mg:GTH-PBE-q2"], help="ELEMENT:NAME")
    parser.add_argument("--source", type=Path, default=SOURCE, help=f"CP2K's file, default {SOURCE}")
    parser.add_argument("--folder", type=Path, default=Path("pseudos"), help="where to write, default pseudos")
    options = parser.parse_args()
    if not options.source.is_file():
        raise SystemExit(f"{options.source} is not there; install cp2k-data (Debian), or give --source")
    options.folder.mkdir(parents=True, exist_ok=True)
    for word in options.potentials:
        element, _, name = word.partition(":")
        print(write_potential(element, name, options.folder, options.source))


if __name__ == "__main__":
    main()
