"""``stride adaptive``: rare looks far below the window, frequent ones in it, the same on all ranks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.mpi

#: Three ranges of the window for the same run: the deviation is far below it, in it, and far below it from step 200 on.
SCRIPT = """
units metal
lattice fcc 4.2
region box block 0 3 0 3 0 3
create_box 1 box
create_atoms 1 box
mass 1 26.98
displace_atoms all random 0.15 0.15 0.15 4242 units box
velocity all create 300 9241 loop geom
pair_style lj/cut 5.0
pair_coeff * * 0.05 2.6
fix move all nve
fix far all dpgen 2 a.model b.model types Al stride adaptive budget 1 trust 1000 2000 out_file far.out frames none
fix in all dpgen 2 a.model b.model types Al stride adaptive budget 1 trust 1e-5 2000 out_file in.out frames none
dump d all custom 2 spread.dump id f_far
dump_modify d sort id
run 400
run 0
fix_modify far trust 1e-5 2000
run 100
"""


@pytest.mark.parametrize("ranks", [1, 2])
def test_looks_follow_the_distance_to_the_window(lmp_run: Callable[..., object], tmp_path: Path, ranks: int) -> None:
    for name, epsilon in (("a", 1.0), ("b", 2.0)):
        text = f"dpgen-analytic\ntype_map Al\ncutoff 4.5\nepsilon {epsilon}\n"
        (tmp_path / f"{name}.model").write_text(text)
    lmp_run(SCRIPT, ranks)
    far, inside = (np.loadtxt(tmp_path / f"{name}.out", ndmin=2)[:, 0] for name in ("far", "in"))
    first = far[far <= 400]
    assert first[0] == 0
    assert first[-1] == 400  # a run command begins with a look
    assert (np.diff(first[:-1]) >= 128).all()
    assert (far % 2 == 0).all()
    assert len(inside) > 2 * len(first)
    assert len(far[far > 400]) > 2
    frames = (tmp_path / "spread.dump").read_text().split("ITEM: TIMESTEP\n")[1:]
    seen = {int(frame.split("\n", 1)[0]) for frame in frames if any(line.split()[1:] != ["0"] for line in rows(frame))}
    assert seen >= set(first[:-1])  # the last one comes after the dump of the first run
    assert not seen & {step for step in range(0, 400, 2) if step not in first}


def rows(frame: str) -> list[str]:
    return frame.strip().split("ITEM: ATOMS id f_far")[1].strip().splitlines()
