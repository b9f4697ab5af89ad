"""``mpirun -n N lammps-dpgen validate``: ranks share the pieces; what fails is a row, and no rank waits for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import BIN, launcher, start

#: The third potential ends the process that computes with it.
CONFIG = """
potentials:
  Morse: {pair_style: morse 3.4, pair_coeff: ["1 1 0.3 1.6 2.8"], elements: [Al]}
  broken: {pair_style: no/such/style, pair_coeff: ["* *"], elements: [Al], plugins: "no"}
  deadly: {labeler: {name: ase, settings: {calculator: "deadly:Deadly", trial: false}}}
crystals:
  - {name: X, element: Al, a: 3.9}
  - {name: Y, element: Al, a: 4.0}
  - {name: Z, element: Al, a: 3.95}
properties:
  - {property: bulk}
"""
DEADLY = """
import os
from ase.calculators.calculator import Calculator

class Deadly(Calculator):
    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, *arguments, **options):
        os._exit(7)
"""


@pytest.mark.mpi
@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_the_pieces(ranks: int, tmp_path: Path, clean_env: dict[str, str]) -> None:
    (tmp_path / "v.yaml").write_text(CONFIG)
    (tmp_path / "deadly.py").write_text(DEADLY)
    command = [*launcher(ranks), BIN / "lammps-dpgen", "validate", "v.yaml"]
    done = start(command, tmp_path, {**clean_env, "PYTHONPATH": str(tmp_path)}, 120.0, check=False)
    assert done.returncode == 1, done.output
    assert done.output.count("report: ") == 1
    data = json.loads((tmp_path / "validation" / "validation.json").read_text())["potentials"]
    rows = {(name, row["subject"], row["quantity"]): row for name in data for row in data[name]["rows"]}
    for crystal in "XYZ":
        assert rows["Morse", crystal, "E"]["value"] == pytest.approx(-1.8, rel=1e-8)
        assert "no/such/style" in rows["broken", crystal, "E"]["failure"]
        assert "exit code 7" in rows["deadly", crystal, "E"]["failure"]


@pytest.mark.mpi
def test_an_error_of_the_configuration_is_told_once(tmp_path: Path, clean_env: dict[str, str]) -> None:
    (tmp_path / "v.yaml").write_text(CONFIG.replace("property: bulk", "property: bulc"))
    command = [*launcher(2), BIN / "lammps-dpgen", "validate", "v.yaml"]
    done = start(command, tmp_path, clean_env, 60.0, check=False)
    assert done.returncode == 2, done.output
    assert done.output.count("did you mean 'bulk'") == 1
