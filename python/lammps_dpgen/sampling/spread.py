"""Spreads trajectories evenly over starts and conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm

import numpy as np

from lammps_dpgen.frame import Frame
from lammps_dpgen.sampling.base import MAX_SEED


def spread(
    starts: Sequence[Frame], axes: Mapping[str, Sequence[float]], number: int, rng: np.random.Generator
) -> list[tuple[Frame, dict[str, float], int]]:
    """Return start, conditions and seed of `number` trajectories.

    Each start is used as often as every other, or once more, and so are the values of each condition, in combinations
    that repeat as late as possible. Which come first is random.

    Parameters
    ----------
    axes
        Conditions: name and values. All combinations of the values are equally welcome.
    """
    columns = [rng.permutation(len(starts))]
    columns += [rng.permutation(len(values)) for values in axes.values()]
    chosen = diagonal([len(column) for column in columns], number)
    seeds = rng.integers(1, MAX_SEED, size=number, endpoint=True)
    plans = []
    for places, seed in zip(chosen, seeds, strict=True):
        first, *others = (int(column[place]) for column, place in zip(columns, places, strict=True))
        conditions = {name: float(values[k]) for (name, values), k in zip(axes.items(), others, strict=True)}
        plans.append((starts[first], conditions, int(seed)))
    return plans


def diagonal(sizes: Sequence[int], number: int) -> list[tuple[int, ...]]:
    """Return `number` places on a grid, such that every axis is used evenly and no place twice before all were used.

    The first axis is the evenest: any run of ``sizes[0]`` places that begins at a multiple of it has each value once.
    """
    if len(sizes) == 1:
        return [(k % sizes[0],) for k in range(number)]
    first, rest = sizes[0], int(np.prod(sizes[1:]))
    others = diagonal(sizes[1:], rest)
    period = lcm(first, rest)
    # The two run side by side; when both are through together, one is shifted by a step.
    return [(k % first, *others[(k + k // period) % rest]) for k in range(number)]
