"""Reads DeePMD-kit's learning curve, ``lcurve.out``."""

from __future__ import annotations

from pathlib import Path

from lammps_dpgen.errors import TrainingError

#: Columns by what they are called with and without validation data, and for models with spin or weighted forces.
FORCE = ("rmse_f_trn", "rmse_f", "rmse_fr_trn", "rmse_pf_trn", "rmse_pf")
ENERGY = ("rmse_e_trn", "rmse_e")


def read_learning_curve(path: Path) -> list[tuple[int, float, float, float]]:
    """Return step, force RMSE (eV/Å), energy RMSE per atom (eV) and learning rate of each line.

    The errors are those of the training batch of that step, a noisy figure. The column names are taken from the header
    line, since the columns depend on the loss.

    Raises
    ------
    TrainingError
        There is no such file, or it lacks one of the columns.
    """
    try:
        lines = path.read_text().splitlines()
        names = lines[0].lstrip("# ").split()
        columns = [names.index(_first(names, choices)) for choices in (("step",), FORCE, ENERGY, ("lr",))]
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        return [
            (int(row[columns[0]]), float(row[columns[1]]), float(row[columns[2]]), float(row[columns[3]]))
            for row in rows
        ]
    except (OSError, ValueError, IndexError) as error:
        raise TrainingError(f"no learning curve can be read from '{path}': {error}") from error


def _first(names: list[str], choices: tuple[str, ...]) -> str:
    for choice in choices:
        if choice in names:
            return choice
    raise ValueError(f"none of the columns {', '.join(choices)} among {', '.join(names)}")
