"""``lammps-dpgen doctor CONFIG`` on this machine: a real label with each labeler, and what it says where that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ase import Atoms

from lammps_dpgen.cli.finding import Finding
from lammps_dpgen.cli.findings_pools import examine_pools, tiny_crystal

EAM = {
    "name": "lammps",
    "settings": {"pair_style": "eam/alloy", "pair_coeff": ["* * Al_zhou.eam.alloy Al"], "elements": ["Al"]},
}


def examine(folder: Path, **config: Any) -> list[Finding]:
    (folder / "x.yaml").write_text(yaml.safe_dump({"type_map": ["Al"], **config}))
    return examine_pools(folder / "x.yaml")


def test_a_label_by_a_real_potential(tmp_path: Path) -> None:
    (finding,) = examine(tmp_path, labeler=EAM)
    assert (finding.part, finding.verdict) == ("label by lammps, this machine", "ok")
    formula, energy = finding.found.split()[:2]
    assert formula == "Al:"
    assert float(energy) == pytest.approx(-3.58, abs=0.01)  # the cohesive energy that the potential was fitted to
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]


def test_a_labeler_that_fails_leaves_the_evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text(
        "from ase.calculators.emt import EMT\n"
        "class Broken(EMT):\n"
        "    def calculate(self, *args, **kw):\n"
        "        print('what the program said')\n"
        "        raise RuntimeError('out of cheese')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (finding,) = examine(tmp_path, labeler={"name": "ase", "settings": {"calculator": "broken:Broken", "trial": False}})
    assert finding.verdict == "problem"
    assert "out of cheese" in finding.found
    log = Path(finding.advice.rpartition("see ")[2])
    assert "what the program said" in log.read_text()


def test_settings_that_cannot_work(tmp_path: Path) -> None:
    labeler = {**EAM, "settings": {**EAM["settings"], "pair_coeff": ["* * none.eam.alloy Al"]}}  # type: ignore[dict-item]
    (finding,) = examine(tmp_path, labeler=labeler)
    assert finding.verdict == "problem"
    assert "none.eam.alloy" in f"{finding.found} {finding.advice}"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"labeler": EAM, "type_map": []}, "has no type_map"),
        ({}, "labeler"),
        ({"labeler": {"name": "nobody"}}, "nobody"),
    ],
)
def test_configurations_that_cannot_be_tried(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    (finding,) = examine(tmp_path, **config)
    assert (finding.part, finding.verdict) == ("configuration", "problem")
    assert said in f"{finding.found} {finding.advice}"


def test_no_file(tmp_path: Path) -> None:
    (finding,) = examine_pools(tmp_path / "none.yaml")
    assert finding.verdict == "problem"


def test_crystals_of_elements() -> None:
    assert len(tiny_crystal("Al")) == 1
    assert len(tiny_crystal("Mg")) == 2
    gas: Atoms = tiny_crystal("H")
    assert gas.pbc.all()
    assert gas.cell.volume > 0.0
