"""A learning run whose reference is DFT: the example, with fewer atoms, models and steps, by both codes."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from espresso_files import potentials_script

from conftest import BIN, start
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

EXAMPLE = Path(__file__).parents[2] / "examples" / "13-learn-gpaw"

CODES = [
    pytest.param(
        "gpaw",
        marks=[
            pytest.mark.gpaw,
            pytest.mark.skipif(
                importlib.util.find_spec("gpaw") is None,
                reason="GPAW is not installed; it is compiled with libxc and a BLAS, as .ci/run does it",
            ),
        ],
    ),
    pytest.param(
        "espresso",
        marks=[
            pytest.mark.espresso,
            pytest.mark.skipif(
                shutil.which("pw.x") is None or not potentials_script().SOURCE.is_file(),
                reason="pw.x or CP2K's pseudopotentials are missing: apt-get install quantum-espresso cp2k-data",
            ),
        ],
    ),
]


def reduced(config: dict[str, Any]) -> dict[str, Any]:
    """Return the example's configuration with two tiny models, four atoms, and labels of a second."""
    config["models"] = 2
    config["labeler"]["settings"].update({"cutoff": 150, "kspacing": 1.6})
    trainer = {"neuron": [4, 8], "fitting_neuron": [16, 16], "numb_steps": 150, "disp_freq": 50}
    config["trainer"]["settings"].update(trainer, warm_start={"training_reuse_numb_steps": 100})
    config["structures"][0].update({"repeat": [1, 1, 1], "scale": [1.0], "number": 3})
    config["selection"] = {"batch": 2}
    del config["final_training"]
    return config


@pytest.mark.parametrize("code", CODES)
def test_example(code: str, tmp_path: Path, clean_env: dict[str, str]) -> None:
    """The script runs to its end, with models that have learnt from labels of this code; the report says so."""
    text = (EXAMPLE / "learn.yaml").read_text()
    assert text.count("name: gpaw ") == 1
    config = reduced(yaml.safe_load(text.replace("name: gpaw ", f"name: {code} ")))  # the one line
    (tmp_path / "learn.yaml").write_text(yaml.safe_dump(config))
    script = (EXAMPLE / "in.heat").read_text().replace(" ${dpgen_models}/2.pb ${dpgen_models}/3.pb", "")
    script = script.replace("trust 0.08 0.40 stop candidates 16", "trust 0.005 9.0 stop candidates 2")
    (tmp_path / "in.heat").write_text(script)
    env = dict(clean_env)
    if code == "espresso":
        (tmp_path / "pseudos").mkdir()
        potentials_script().write_potential("Al", "GTH-PBE-q3", tmp_path / "pseudos")
        env["ESPRESSO_PSEUDO"] = str(tmp_path / "pseudos")
    # The perfect crystal of step 0 is no candidate, those of steps 10 and 20 are: one pause, and five steps after it.
    variables = ["-var", "steps", "25", "-var", "length", "1"]
    start([BIN / "lammps-dpgen", "md", "in.heat", "--config", "learn.yaml", *variables], tmp_path, env, 300.0, True)
    run = RunFolder(tmp_path / "run")
    with Ledger.open(run.ledger, config_hash=None) as ledger:
        labels, generations = ledger.labels(), ledger.generations()
    assert {one.label.code.split()[0] for one in labels} == {{"gpaw": "gpaw", "espresso": "pw.x"}[code]}
    assert all(one.label.virial is not None and one.frame.n_atoms == 4 for one in labels)
    sources = [one.frame.origin.source for one in labels]
    assert sources[:3] == ["bootstrap"] * 3
    assert set(sources[3:]) == {"md"}
    before, after = generations[-1].force_rmse_before, generations[-1].force_rmse_after
    assert len(generations) == 2
    assert before is not None
    assert after is not None
    assert after < max(before, 0.03)  # what a training has to reach to be taken
    assert run.report.is_file()
    assert json.loads(run.summary.read_text())
