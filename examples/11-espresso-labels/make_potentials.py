"""Rewrites GTH pseudopotentials of CP2K as .gth files (pspcod 10, the format of ABINIT), which pw.x reads.

    python make_potentials.py Al:GTH-PBE-q3 Mg:GTH-PBE-q2 --source /usr/share/cp2k/GTH_POTENTIALS --folder pseudos

The parameters are those of Goedecker, Teter, Hutter (Phys. Rev. B 54, 1703), Hartwigsen, Goedecker, Hutter (Phys. Rev.
B 58, 3641) and Krack (Theor. Chem. Acc. 114, 145). Debian has the file in the package ``cp2k-data``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from ase.data import atomic_numbers

#: Where Debian's package cp2k-data has the potentials.
SOURCE = Path("/usr/share/cp2k/GTH_POTENTIALS")
#: ABINIT's number of the functional, by the word in the name of a potential.
FUNCTIONALS = {"PADE": 1, "PBE": 11, "BLYP": 18}


def potential(source: Path, element: str, name: str) -> str:
    """Return the potential `name` of an element as the text of a .gth file."""
    numbers = _numbers(source, element, name)
    valence = sum(next(numbers))  # the electrons by angular momentum
    local = next(numbers)
    rows: list[str] = []
    channels = int(next(numbers)[0])
    for momentum in range(channels):
        radius, count, *first = next(numbers)
        projectors = int(count)
        rows.append(" ".join([f"{radius:.8f}", str(projectors), *_written(first)]))
        rows += [" ".join(_written(next(numbers))) for _ in range(projectors - 1)]
        if momentum > 0:  # the spin-orbit part, which pw.x reads and does not use
            rows += [" ".join(_written([0.0] * (projectors - row))) for row in range(projectors)]
    code = FUNCTIONALS[name.split("-")[1]]
    head = [
        f"{element} {name}, from {source.name} of CP2K",
        f"{atomic_numbers[element]} {valence:g} 0  zatom, zion, date",
        f"10 {code} {max(channels - 1, 0)} 0 2001 0.0  pspcod, pspxc, lmax, lloc, mmax, r2well",
        " ".join([f"{local[0]:.8f}", str(int(local[1])), *_written(local[2:])]),
        str(channels),
    ]
    return "\n".join([*head, *rows, ""])


def write_potential(element: str, name: str, folder: Path, source: Path = SOURCE) -> Path:
    """Write ``folder/<element>.gth`` and return its path."""
    path = folder / f"{element}.gth"
    path.write_text(potential(source, element, name))
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


def _written(values: list[float]) -> list[str]:
    return [f"{value:.8f}" for value in values]


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes GTH pseudopotentials of CP2K as .gth files for pw.x.")
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
