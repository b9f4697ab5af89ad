"""The validation of a campaign: its section in the configuration, and what the report makes of the results."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from ledger_records import make_generation
from test_config_campaign import campaign

from lammps_dpgen.campaign.forecast import forecast
from lammps_dpgen.campaign.validate import Validations
from lammps_dpgen.errors import ConfigError, StoreError
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.monitor.journal import Journal
from lammps_dpgen.monitor.view import open_view
from lammps_dpgen.report.pictures.validation import MOST_OF_PART, approach, shown
from lammps_dpgen.report.validation import ValidationRecord, read_validation
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Event, Generation
from lammps_dpgen.store.run_folder import RunFolder

FILE: dict[str, Any] = {
    "potentials": {
        "EAM": {"pair_style": "eam/alloy", "pair_coeff": ["* * Al_zhou.eam.alloy Al"], "elements": ["Al"]},
        "DP": {"run": "run"},
    },
    "crystals": [{"name": "Al", "element": "Al"}],
    "properties": [{"property": "bulk"}],
}


class TestSection:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "v.yaml").write_text(yaml.safe_dump(FILE))
        return tmp_path

    def test_which_generations(self, folder: Path) -> None:
        section = campaign(folder, ("validation", {"file": "v.yaml", "every": 3, "generations": [1]})).validation
        assert section is not None
        assert [number for number in range(8) if section.wants(number)] == [0, 1, 3, 6]
        only = campaign(folder, ("validation", {"file": "v.yaml", "every": None})).validation
        assert only is not None
        assert not any(map(only.wants, range(8)))
        assert only.at_end

    def test_it_does_not_decide_to_which_folder_the_campaign_belongs(self, folder: Path) -> None:
        assert campaign(folder).config_hash() == campaign(folder, ("validation", {"file": "v.yaml"})).config_hash()

    @pytest.mark.parametrize(
        ("section", "told"),
        [
            ({"file": "nowhere.yaml"}, "no such file"),
            ({"file": "v.yaml", "name": "EAM"}, "give the generations another one"),
            ({"file": "v.yaml", "every": 0}, "greater than or equal to 1"),
            ({"file": "bad.yaml"}, "did you mean 'bulk'"),
        ],
    )
    def test_refused_before_anything_is_paid(self, folder: Path, section: dict[str, Any], told: str) -> None:
        (folder / "bad.yaml").write_text(yaml.safe_dump({**FILE, "properties": [{"property": "bulc"}]}))
        with pytest.raises(ConfigError, match=told):
            campaign(folder, ("validation", section))


def test_a_dry_run_refuses_a_validation_that_cannot_work(tmp_path: Path) -> None:
    (tmp_path / "v.yaml").write_text(yaml.safe_dump({**FILE, "references": {"paper": {"file": "missing.csv"}}}))
    findings = forecast(campaign(tmp_path, ("validation", {"file": "v.yaml"}))).findings
    (found,) = [finding for finding in findings if finding.where == "validation"]
    assert found.is_error
    assert "missing.csv" in found.text


def test_what_is_validated_is_not_taken_up_again(tmp_path: Path) -> None:
    """Of three generations one was validated, one failed, and one was never begun."""
    (tmp_path / "v.yaml").write_text(yaml.safe_dump(FILE))
    config, run = campaign(tmp_path, ("validation", {"file": "v.yaml"})), RunFolder(tmp_path / "run").create()
    with Ledger.open(run.ledger, config_hash=config.config_hash()) as ledger, Journal(run.journal) as journal:
        logbook = Logbook(ledger, journal)
        for number in range(3):
            ledger.add_generation(make_generation(number), [])
        logbook.write("validation", generation=0, error="")
        logbook.write("validation", generation=1, error="why")
        with Validations(config, run, ledger, logbook, open_view()) as validations:
            validations.begin()
            assert validations.left == "generation 1, 2"


def row(quantity: str, value: float | None, part: str = "Bulk") -> dict[str, Any]:
    return {"part": part, "subject": "Al", "quantity": quantity, "unit": "Å", "value": value, "error": None}


def generations() -> list[Generation]:
    return [Generation(number, (), ("Al",), n_labels=10 * (number + 1)) for number in range(3)]


def record(folder: Path, rows: dict[str, list[dict[str, Any]]], base: str, **references: Any) -> ValidationRecord:
    path = folder / "validation.json"
    potentials = {name: {"rows": found} for name, found in rows.items()}
    path.write_text(json.dumps({"compared_with": base, "potentials": potentials, "references": references}))
    found = read_validation(path, generations(), [])
    assert found is not None
    return found


class TestReport:
    def test_properties_against_labels(self, tmp_path: Path) -> None:
        """The oracle says 4; 3 % too much, nothing, and 1 % too little."""
        rows = {"oracle": [row("a", 4.0), row("E", -3.0)]}
        rows |= {f"DP g00{n}": [row("a", a), row("E", -3.6)] for n, a in enumerate((4.4, None, 3.96))}
        found = record(tmp_path, rows, "oracle")
        assert (found.generations, found.labels) == ((0, 1, 2), (10, 20, 30))
        assert found.approaches[0].values == (4.4, None, 3.96)
        assert found.approaches[0].tolerance == pytest.approx(0.2)
        assert [one["within"] for one in found.summary()] == [0, 0, 1]
        (part,) = found.parts()
        assert [cell["rms"] for cell in part["cells"]] == pytest.approx([(0.025) ** 0.5, 0.2, (0.02005) ** 0.5])
        assert approach(found) is not None

    def test_references_and_many_rows(self, tmp_path: Path) -> None:
        rows = {"DP g001": [row(f"gamma_{i}", float(i), "Surfaces") for i in range(40)] + [row("new", 1.0)]}
        paper = [{"subject": "Al", "quantity": f"gamma_{i}", "value": i, "tolerance": 0.1} for i in range(40)]
        found = record(tmp_path, rows, "paper", paper=paper)
        assert len(found.approaches) == 40
        assert len(shown(found)) == MOST_OF_PART
        assert found.columns == [(1, 20)]

    def test_generations_that_failed_are_told(self, tmp_path: Path) -> None:
        now = datetime.now(timezone.utc)
        events = [
            Event(number, now, "validation", -1, {"generation": generation, "error": error})
            for number, (generation, error) in enumerate([(0, "why"), (1, "why"), (0, "")])
        ]
        found = read_validation(tmp_path / "validation.json", generations(), events)
        assert found is not None
        assert found.failed == {1: "why"}
        assert read_validation(tmp_path / "validation.json", generations(), []) is None

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        (tmp_path / "validation.json").write_text("{}")
        with pytest.raises(StoreError, match="is no validation"):
            read_validation(tmp_path / "validation.json", generations(), [])
