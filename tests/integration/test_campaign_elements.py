"""A campaign of two elements goes on from the labels of one, with a template, audits and the last, long training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from campaigns import Campaign
from learning_runs import BASE, N_MODELS, STRUCTURES, trainer

from conftest import BIN, start
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

#: Alloys of a MEAM potential that comes with LAMMPS, by its own names; the first element is labelled before.
ELEMENTS = ("Al", "Mg")
NAMES = {"Al": "AlS", "Mg": "MgS"}
N_OLD, N_NEW = 3, 2
TRAINING = {"numb_steps": 40, "disp_freq": 20}

SCRIPT = """
units metal
atom_modify map yes
read_data ${dpgen_data}
pair_style deepmd ${dpgen_model}
pair_coeff * * ${dpgen_elements}
timestep 0.002
velocity all create ${dpgen_temperature} ${dpgen_seed}
fix 1 all nvt temp ${dpgen_temperature} ${dpgen_temperature} 0.1
fix dpgen all dpgen ${dpgen_fix}
variable part loop 2
label again
run 20
next part
jump SELF again
variable whole equal ${dpgen_temperature}%7
print "temperature ${dpgen_temperature} rest ${whole}"
"""


def labeler(*elements: str) -> dict[str, Any]:
    """Return the section of the labeler, which knows these elements."""
    names = " ".join(NAMES[element] for element in elements)
    coefficients = f"* * library.meam AlS SiS MgS CuS FeS AlSiMgCuFe.meam {names}"
    settings = {"pair_style": "meam", "pair_coeff": [coefficients], "elements": list(elements)}
    return {"name": "lammps", "log_file": "labels.log", "settings": settings}


def test_a_campaign_of_two_elements_goes_on_from_the_labels_of_one(tmp_path: Path, clean_env: dict[str, str]) -> None:
    old = tmp_path / "al"
    old.mkdir()
    boot = {"labeler": labeler("Al"), "trainer": trainer(**TRAINING), "structures": [STRUCTURES[0] | {"number": N_OLD}]}
    (old / "boot.yaml").write_text(yaml.safe_dump({**BASE, **boot}))
    start([BIN / "lammps-dpgen", "bootstrap", "boot.yaml"], old, clean_env, 300, True)

    campaign = Campaign(tmp_path, dict(clean_env))
    (tmp_path / "loop.lammps").write_text(SCRIPT)
    alloy = {key: value for key, value in STRUCTURES[0].items() if key != "element"}
    alloy |= {"name": "alloy", "crystal": "fcc", "composition": {"Al": 0.5, "Mg": 0.5}, "number": N_NEW}
    one = {"name": "loop", "trajectories": 2, "sampler": "template", "file": "loop.lammps", "temperatures": [900]}
    change: dict[str, Any] = {
        "type_map": list(ELEMENTS),
        "labeler": labeler(*ELEMENTS),
        "trainer": trainer(sel=[80, 80], **TRAINING),
        "final_training": {"settings": {"numb_steps": 60, "compress": True}},
        "audit": {"share": 0.5},
        "trust": {"lo": 0.05, "hi": 90.0},  # the deviation of these models rises from 0.04 to 0.06 and 0.08
        "structures": [alloy],
        "stages": [one],
    }
    campaign.configure(**change, continue_from={"runs": ["al/run"]})
    refused = campaign.go(check=False)
    assert refused.returncode == 2
    assert "same_settings: true" in refused.output
    assert not campaign.run.ledger.exists()

    campaign.configure(**change, continue_from={"runs": ["al/run"], "same_settings": True})
    campaign.go()
    with campaign.ledger() as ledger, Ledger.open(RunFolder(old / "run").ledger, config_hash=None) as before:
        labels, generations = ledger.labels(), ledger.generations()
        first = {label.frame_hash: label.label.energy for label in before.labels()}
    taken = {label.frame_hash: label.label.energy for label in labels if label.frame.origin.source == "import"}
    assert len(first) == N_OLD
    assert taken == first
    assert not set(campaign.label_log()) & set(first), "a label was paid twice"
    assert generations[0].n_labels == N_OLD + N_NEW
    assert {stored.frame.formula for stored in labels if stored.trained_in == 0} == {"Al32", "Al16Mg16"}
    records = campaign.trajectories()
    assert [(record.state, record.step, record.sampler) for record in records] == [("done", 40, "template")] * 2
    logs = [(campaign.run.trajectory_of(record.number) / "log.lammps").read_text() for record in records]
    assert all("temperature 900 rest 4" in log for log in logs)

    assert generations[-1].reason == "final"
    errors = json.loads((campaign.run.path / "final" / "errors.json").read_text())
    audited = [label for label in labels if label.frame.origin.source == "audit"]
    assert errors["audit"]["all"]["audited"] == len(audited) > 0
    settings = json.loads((campaign.run.path / "final" / "settings.json").read_text())
    assert settings["models"]["compressed"] is True
    final = Ensemble(sorted((campaign.run.path / "final" / "models").glob("*.pb")))
    assert final.type_map == ELEMENTS
    assert len(final.hashes) == N_MODELS
