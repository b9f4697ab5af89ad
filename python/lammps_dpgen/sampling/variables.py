"""What samplers tell LAMMPS scripts about a trajectory, as index-style variables."""

from __future__ import annotations

from pathlib import Path

from lammps_dpgen.sampling.base import SamplerWalker, TrajectoryPlan


def plan_variables(plan: TrajectoryPlan, walker: SamplerWalker) -> dict[str, str]:
    """Return ``dpgen_steps``, ``dpgen_seed``, ``dpgen_elements``, ``dpgen_folder`` and a variable per condition."""
    values = {f"dpgen_{name}": number(value) for name, value in plan.conditions.items()}
    return {
        **values,
        "dpgen_steps": str(plan.n_steps),
        "dpgen_seed": str(plan.seed),
        "dpgen_elements": " ".join(walker.type_map),
        "dpgen_folder": str(walker.folder),
    }


def number(value: float) -> str:
    """Return a condition as a script takes it: whole numbers as integers, which LAMMPS may ask for, others in full.

    >>> number(1000.0), number(0.1)
    ('1000', '0.1')
    """
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def quoted(text: Path | str) -> str:
    """Return one word for LAMMPS: in quotes where it has blanks."""
    text = str(text)
    return f'"{text}"' if any(character.isspace() for character in text) else text
