"""The sampler md on several ranks ends where it does on one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

PROGRAM = Path(__file__).parent / "md_ranks.py"


@pytest.mark.mpi
@pytest.mark.models
def test_ranks_agree(tmp_path: Path, mpirun: Any, al_models: list[Path]) -> None:
    ends = {}
    for ranks in (1, 2):
        result = tmp_path / f"{ranks}.json"
        mpirun(PROGRAM, ranks, str(tmp_path), str(result), *map(str, al_models[:2]), timeout=300)
        ends[ranks] = json.loads(result.read_text())
    for name, one in ends[1].items():
        two = ends[2][name]
        assert two["steps"] == one["steps"] == [0, 5, 10, 15, 20, 25]
        assert two["restart"] == one["restart"] == 20
        for key in ("positions", "cell", "deviation"):
            np.testing.assert_allclose(two[key], one[key], atol=1e-6, err_msg=f"{name}: {key}")
