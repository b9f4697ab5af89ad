"""The report and the status of a campaign, made from run folders that are written through the real ledger."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from campaign_records import HI, LO, STAGES, CampaignWriter, Stage
from rich.console import Console

from lammps_dpgen.monitor.status import RunStatus, read_run_status
from lammps_dpgen.monitor.status_rows import status_rows
from lammps_dpgen.report import build, print_summary
from lammps_dpgen.report.campaign import WALKER_PARTS, read_campaign
from lammps_dpgen.report.campaign_tables import MOST_OF_STAGE, condition_tables, stage_rows
from lammps_dpgen.report.pictures.campaign import MOST_WALKERS, walkers
from lammps_dpgen.report.record import read_run
from lammps_dpgen.store.ledger import Ledger


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> CampaignWriter:
    """A finished campaign with its report, for tests that only read."""
    written = CampaignWriter(tmp_path_factory.mktemp("runs") / "al-mg").write()
    build(written.folder)
    return written


def text_of(status: RunStatus) -> str:
    return "\n".join(f"{name}: {text.plain}" for name, text in status_rows(status))


def test_page_of_a_campaign(campaign: CampaignWriter) -> None:
    page = (campaign.folder / "report.html").read_text(encoding="utf-8")
    titles = re.findall(r'<h2 id="(\w+)"', page)
    assert titles[:5] == ["stages", "convergence", "conditions", "samples", "walkers"]
    assert "Campaign <q>al-mg</q>" in page
    assert page.count("Lost atoms: original 32 current 31") == campaign.truth["set_aside"] == 2
    assert "not converged after 4 generations (max_generations)" in page
    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", page)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert "<script" not in page


def test_summary_of_a_campaign(campaign: CampaignWriter) -> None:
    summary = json.loads((campaign.folder / "summary.json").read_text())
    assert summary["labels"] == campaign.truth["labels"]
    cold, hot = summary["stages"]
    assert [cold["state"], hot["state"]] == ["converged", "ended"]
    assert (cold["accurate_share"], cold["window"]) == (pytest.approx(1.0, abs=1e-3), [LO, HI])
    assert cold["trajectories"] == {"waiting": 0, "running": 0, "parked": 0, "done": 35, "set_aside": 1}
    assert cold["labels"] + hot["labels"] + 8 == campaign.truth["labels"]  # 8 of generation 0
    assert len(cold["conditions"]) == len(STAGES[0].structures) * len(STAGES[0].temperatures)
    assert sum(one["accurate"] for one in cold["conditions"]) == cold["looks"]["accurate"]
    audited = [stage["audit"] for stage in summary["stages"] if stage["audit"]]
    assert sum(one["audited"] for one in audited) == campaign.truth["audited"]
    assert sum(one["misses"] for one in audited) == campaign.truth["misses"]
    assert summary["trajectories"]["done"] == 36 + 32 - 2
    assert summary["walkers"]["number"] == campaign.n_walkers
    assert sum(summary["walkers"]["seconds"].values()) > 0
    screen = io.StringIO()
    print_summary(campaign.folder, Console(file=screen, width=80))
    assert "bulk-cold: converged" in screen.getvalue()
    assert "66 done, 2 set aside" in screen.getvalue()


def test_honest_error_is_that_of_the_labels(campaign: CampaignWriter) -> None:
    found = read_run(campaign.folder).campaign
    assert found is not None
    with Ledger.open(campaign.folder / "ledger.db", config_hash=None) as ledger:
        labels = ledger.labels()
    for row in stage_rows(found):
        errors = [one.force_rmse for one in labels if one.frame.origin.stage == row["name"]]
        assert row["labels"] == len(errors)
        assert row["force_rmse"] == pytest.approx(float(np.sqrt(np.mean(np.square(errors)))))


def test_sampled_trajectories_are_those_of_the_files(campaign: CampaignWriter) -> None:
    found = read_run(campaign.folder).campaign
    assert found is not None
    numbers = [sample.trajectory.number for sample in found.samples]
    assert len(numbers) == 8
    assert (numbers[0], numbers[-1]) == (1, 68)
    for sample in found.samples:
        ((step, deviation),) = sample.parts
        assert deviation.max() == pytest.approx(sample.trajectory.max_devi_f, rel=1e-6)
        assert step.tolist() == list(range(0, 3000, 10))


def test_torn_and_missing_deviation_files(tmp_path: Path) -> None:
    writer = CampaignWriter(tmp_path / "run", (Stage("one", ("Al",), (300.0,), 1, 3),)).write()
    files = sorted((writer.folder / "trajectories").glob("*/model_devi.out"))
    files[0].unlink()
    files[1].write_text(files[1].read_text()[:-50])
    for number in (2, 10):  # resumed twice
        files[1].with_name(f"model_devi.{number}.out").write_text(f"{number}000 0 0 0 0.1 0 0\n")
    files[2].write_text("nothing\nat all")
    with Ledger.open(writer.folder / "ledger.db", config_hash=None) as ledger:
        found = read_campaign(ledger, writer.folder, None)
    assert found is not None
    (sample,) = found.samples
    assert sample.trajectory.number == 2
    assert [(step[0], len(step)) for step, _ in sample.parts] == [(0, 298), (2000, 1), (10_000, 1)]
    build(writer.folder)


def test_many_conditions_are_cut_to_the_least_accurate(tmp_path: Path) -> None:
    temperatures = tuple(100.0 + i for i in range(130))
    writer = CampaignWriter(tmp_path / "run", (Stage("wide", ("Al",), temperatures, 1, 130),), looks=20).write()
    found = read_run(writer.folder).campaign
    assert found is not None
    (table,) = condition_tables(found)
    assert (len(table["rows"]), table["n_rows"], table["open"]) == (MOST_OF_STAGE, 130, False)
    shown = {row["figures"].temperature for row in table["rows"]}
    left_out = [one for one in found.figures if one.temperature not in shown]
    least = min(row["figures"].candidate for row in table["rows"])
    assert all(one.candidate <= least for one in left_out)
    assert "The 100 least accurate of 130" in build(writer.folder).read_text(encoding="utf-8")


def test_walkers_are_bars_or_areas() -> None:
    random = np.random.default_rng(1)
    assert walkers(np.zeros((3, len(WALKER_PARTS)))) is None
    few, many = (walkers(random.random((n, len(WALKER_PARTS)))) for n in (MOST_WALKERS, 5000))
    assert few is not None
    assert many is not None
    assert len(few.axes[0].patches) == MOST_WALKERS * len(WALKER_PARTS)
    areas = many.axes[0].collections
    assert len(areas) == len(WALKER_PARTS)
    assert max(len(area.get_paths()[0].vertices) for area in areas) < 1000


def test_status_of_a_finished_campaign(campaign: CampaignWriter) -> None:
    status = read_run_status(campaign.folder)
    assert (status.state, status.about) == ("finished", "all stages are over")
    assert [stage["state"] for stage in status.stages] == ["converged", "ended"]
    text = text_of(status)
    assert "stage: bulk-cold  converged  3 rounds; 35 done, 1 set aside; accurate" in text
    assert "not converged after 4 generations" in text
    json.dumps(status.to_json(), allow_nan=False)


def test_killed_campaign_has_status_and_report(tmp_path: Path) -> None:
    writer = CampaignWriter(tmp_path / "run").write(end=False)
    with (writer.folder / "log.jsonl").open("w") as journal:
        journal.write('{"kind": "round"}\n{"kind": "traj')
    (writer.folder / "status.json").write_text('{"time": "2026')
    status = read_run_status(writer.folder)
    assert status.state == "killed"
    assert [stage["state"] for stage in status.stages] == ["converged", "running"]
    assert "bulk-hot  4 rounds" in text_of(status)
    page = build(writer.folder).read_text(encoding="utf-8")
    assert "not ended" in page
    assert "no end written" in page
    assert 'id="walkers"' not in page


def test_campaign_that_has_only_begun(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.db", config_hash="c" * 64) as ledger:
        ledger.add_event("stage", stage="first", number=0, n_trajectories=4)
    assert [stage["name"] for stage in read_run_status(tmp_path).stages] == ["first"]
    page = build(tmp_path).read_text(encoding="utf-8")
    assert "<img" not in page
    assert json.loads((tmp_path / "summary.json").read_text())["stages"][0]["looks"] == {}
