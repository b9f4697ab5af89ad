"""A campaign that validates its generations: beside the walkers, once each, and without harm where it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from campaigns import Campaign, campaign_with_generation_0, stage
from learning_runs import LABELER

#: The oracle is the potential that labels; the file knows a run of its own too, which the campaign leaves out.
VALIDATION: dict[str, Any] = {
    "potentials": {"oracle": LABELER["settings"], "DP": {"run": "run"}},
    "crystals": [{"name": "Al", "element": "Al", "relax": "iso"}],
    "references": {"paper": {"file": "missing.csv"}},
    "compare_with": "oracle",
    "properties": [{"property": "bulk"}],
}


@pytest.fixture
def campaign(tmp_path: Path, generation_0: Path, clean_env: dict[str, str]) -> Campaign:
    """A campaign that goes on from a copy of generation 0."""
    return campaign_with_generation_0(generation_0, tmp_path, clean_env)


def test_generations_are_validated_once_and_a_failure_stops_nothing(campaign: Campaign) -> None:
    (campaign.folder / "validation.yaml").write_text(yaml.safe_dump(VALIDATION))
    campaign.configure(stages=[stage("only", trajectories=2)], validation={"file": "validation.yaml"})
    first = campaign.go(ranks=1)
    assert campaign.last("end")["reason"] == "all stages are over"
    failed = campaign.all("validation")
    assert [event["generation"] for event in failed] == [0, 1]
    assert all("missing.csv" in event["error"] for event in failed)
    assert "validation of generation 1 failed" in first.output

    (campaign.folder / "missing.csv").write_text("subject,quantity,value\nAl,a,4.05\n")
    campaign.go(ranks=1)
    done = campaign.all("validation")[len(failed) :]
    assert [(event["generation"], event["error"], event["rows"]) for event in done] == [(0, "", 3), (1, "", 3)]
    assert done[1]["labels"] > done[0]["labels"]
    found = json.loads((campaign.run.validation / "validation.json").read_text())
    assert list(found["potentials"]) == ["oracle", "DP g000", "DP g001"]
    assert found["compared_with"] == "oracle"
    page = (campaign.run.path / "report.html").read_text()
    assert '<h2 id="validation">Validation</h2>' in page
    assert "against oracle" in page
    summary = json.loads((campaign.run.path / "summary.json").read_text())["validation"]
    assert [(one["generation"], one["all"]) for one in summary] == [(0, 3), (1, 3)]
    assert not campaign.processes()
