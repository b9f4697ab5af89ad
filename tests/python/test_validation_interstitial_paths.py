"""Energies along the relaxation of interstitials: one potential shows the way, all compute it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from ase import Atoms
from typer.testing import CliRunner
from validation_potentials import ALUMINIUM, MEAM, aluminium, crystal, findings, meam, value

from lammps_dpgen.cli.main import Session, app
from lammps_dpgen.validation.base import Findings, FollowsReference, Result
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.failures import UnstableError
from lammps_dpgen.validation.interstitial_paths import InterstitialPathsProperty, InterstitialPathsSettings
from lammps_dpgen.validation.interstitials import InterstitialsProperty
from lammps_dpgen.validation.potential import Potential

#: A small supercell, and a relaxation that ends where that of the property ``interstitials`` ends.
SMALL: dict[str, Any] = {"repeat": (3, 3, 3), "sites": ("oh",), "force": 1e-3}


def followed(reference: Potential, others: list[Potential], crystals: list[Crystal], **settings: Any) -> list[Findings]:
    """What is found for each of the other potentials along the ways of the reference."""
    made = InterstitialPathsProperty(InterstitialPathsSettings(**settings), crystals)
    assert isinstance(made, FollowsReference)
    made.follow({piece.name: Result(made.compute(reference, piece)) for piece in made.reference_pieces()})
    worker = InterstitialPathsProperty(InterstitialPathsSettings(**settings), ())
    return [
        made.findings({piece.name: Result(worker.compute(other, piece)) for piece in made.pieces()}) for other in others
    ]


def test_the_way_ends_at_the_interstitial_and_errors_are_differences(tmp_path: Path) -> None:
    reference, other, crystals = aluminium(tmp_path), meam(tmp_path), [crystal("Al")]
    own, found = followed(reference, [reference, other], crystals, **SMALL)
    relaxed = findings(InterstitialsProperty, reference, crystals, cell="fixed", rattle=0.01, **SMALL)
    assert value(own, "Al oh", "E_end") == pytest.approx(value(relaxed, "Al", "E_if_oh"), abs=1e-3)
    assert value(own, "Al oh", "E_start") > value(own, "Al oh", "E_end")
    assert {row.quantity for row in own.rows} == {"E_start", "E_end"}
    assert not own.charts

    (chart,) = found.charts
    (series,) = chart.series
    errors = np.array(series.y, dtype=np.float64) - np.array(series.x, dtype=np.float64)
    assert value(found, "Al oh", "path RMSE") == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert value(found, "all paths", "path error, largest") == pytest.approx(np.abs(errors).max())
    assert len(errors) == 10
    assert (series.x[0], series.x[-1]) == (value(own, "Al oh", "E_start"), value(own, "Al oh", "E_end"))


def test_a_structure_that_the_reference_does_not_hold_is_excluded_with_the_reason(tmp_path: Path) -> None:
    bcc = [crystal("Al", name="bcc", crystal="bcc", a=3.2, relax="tri")]
    made = InterstitialPathsProperty(InterstitialPathsSettings(**{**SMALL, "sites": ("th",)}), bcc)
    (piece,) = made.reference_pieces()
    made.follow({piece.name: Result(None, f"{UnstableError('bcc is not stable')}")})
    assert made.pieces() == []
    rows = {row.key: row for row in made.findings({}).rows}
    assert rows["bcc th", "E_end"].failure == "excluded: bcc is not stable"


def test_alloys_follow_the_potential_that_is_compared_with(tmp_path: Path) -> None:
    """The command: the ways are those of the second potential, which is the one that is compared with."""
    Atoms("AlAl", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[2.87, 2.87, 4.05], pbc=True).write(
        tmp_path / "fct.vasp"
    )
    paths = {"repeat": [2, 2, 2], "sites": ["oh"], "frames": 3, "force": 0.05}
    config = {
        "potentials": {"EAM": ALUMINIUM, "MEAM": MEAM},
        "compare_with": "MEAM",
        "properties": [{"property": "alloys", "files": ["fct.vasp"], "interstitial_paths": paths}],
        "execution": {"width": 1},
    }
    (tmp_path / "v.yaml").write_text(yaml.safe_dump(config))
    for told in ("1/1 MEAM: alloys interstitial paths of fct oh", "1 of 1 pieces are stored already"):
        done = CliRunner().invoke(app, ["validate", str(tmp_path / "v.yaml")], obj=Session())
        assert done.exit_code == 0, done.output
        assert told in done.stdout
    data = json.loads((tmp_path / "validation" / "validation.json").read_text())["potentials"]
    quantities = {name: {row["quantity"]: row["value"] for row in data[name]["rows"]} for name in data}
    assert "path RMSE" not in quantities["MEAM"]
    assert 0.0 < quantities["EAM"]["path RMSE"] < 5.0
