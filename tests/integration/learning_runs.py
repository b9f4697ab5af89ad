"""What the tests of ``lammps-dpgen md`` share: a tiny configuration, scripts, and ways to read a run folder."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from conftest import BIN, Run, launcher, start
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.native.cache import copy_beside
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder, sha256

N_MODELS = 2
N_STRUCTURES = 6
INITIAL_MODELS = [f"{index}.pb" for index in range(N_MODELS)]

#: An embedded-atom potential that comes with LAMMPS, with the workers' own account of what they did.
LABELER: dict[str, Any] = {
    "name": "lammps",
    "log_file": "labels.log",
    "settings": {"pair_style": "eam/alloy", "pair_coeff": ["* * Al_zhou.eam.alloy Al"], "elements": ["Al"]},
}
#: What decides the results; small enough that a training takes seconds.
BASE: dict[str, Any] = {
    "run_folder": "run",
    "type_map": ["Al"],
    "models": N_MODELS,
    "seed": 3,
    "labeler": LABELER,
    "trainer": {
        "name": "deepmd",
        "settings": {
            "rcut": 5.0,
            "sel": [80],
            "neuron": [4, 8],
            "fitting_neuron": [16, 16],
            "numb_steps": 150,
            "disp_freq": 50,
        },
    },
}

STRUCTURES: list[dict[str, Any]] = [
    {
        "generator": "prototype",
        "element": "Al",
        "a": 4.05,
        "repeat": [2, 2, 2],
        "perturb": {"displacement": 0.1, "cell": 1.0},
        "number": N_STRUCTURES,
    }
]

LEARN: dict[str, Any] = {**BASE, "fix": "dp", "selection": {"batch": 4}}

#: 32 aluminium atoms, driven by model 0.
ATOMS = """
units metal
lattice fcc 4.05
region box block 0 2 0 2 0 2
create_box 1 box
create_atoms 1 box
mass 1 26.98
timestep 0.002
thermo 20
"""
PAIR = """
pair_style deepmd ${dpgen_models}/0.pb
pair_coeff * * Al
"""
MODELS = "${dpgen_models}/0.pb ${dpgen_models}/1.pb"
NVT = """
velocity all create {t} 4711
fix nvt all nvt temp {t} {t} 0.1
"""


def fix(options: str, every: int = 5) -> str:
    """Return the line of the learning fix dpgen."""
    return f"fix dp all dpgen {every} {MODELS} types Al {options} frames none out_file none\n"


@dataclass(frozen=True)
class Work:
    """A folder with ``learn.yaml`` and ``in.x``, and the run folder ``run`` in it."""

    folder: Path
    env: dict[str, str]

    def configure(self, **change: Any) -> None:
        """Write ``learn.yaml``."""
        (self.folder / "learn.yaml").write_text(yaml.safe_dump({**LEARN, **change}))

    def command(self, ranks: int = 1) -> list[str]:
        prefix = launcher(ranks) if ranks > 1 else []
        return [*prefix, str(BIN / "lammps-dpgen"), "md", "in.x", "--config", "learn.yaml"]

    def md(self, script: str, ranks: int = 1, *, timeout: float = 300.0, check: bool = True) -> Run:
        """Run ``lammps-dpgen md`` on a script."""
        (self.folder / "in.x").write_text(script)
        return start(self.command(ranks), self.folder, self.env, timeout, check)

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.folder / "run")

    def ledger(self) -> Ledger:
        return Ledger.open(self.run.ledger, config_hash=None)

    def journal(self) -> list[dict[str, Any]]:
        """Return the events of all starts; every line is whole."""
        return [json.loads(line) for line in self.run.journal.read_text().splitlines()]

    def kinds(self) -> list[str]:
        return [event["kind"] for event in self.journal()]

    def last(self, kind: str) -> dict[str, Any]:
        return [event for event in self.journal() if event["kind"] == kind][-1]

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.run.status.read_text())
        return status

    def label_log(self) -> Counter[str]:
        """Return how often the workers say that they labelled each frame."""
        path = self.folder / "labels.log"
        return Counter(line.split()[0] for line in path.read_text().splitlines()) if path.exists() else Counter()

    def processes(self) -> list[psutil.Process]:
        """Return the processes that work in this folder, other than this one."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid != psutil.Process().pid and Path(process.cwd()).is_relative_to(self.folder):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found


def ase_labeler(work: Work, body: str, **section: object) -> dict[str, object]:
    """Return the section of a labeler whose ASE calculator is EMT, except for what `body` does before."""
    (work.folder / "own_calculator.py").write_text(
        "import time\n"
        "from pathlib import Path\n"
        "from ase.calculators.emt import EMT\n"
        f"HERE = Path({str(work.folder)!r})\n"
        "class Own(EMT):\n"
        "    def calculate(self, atoms=None, properties=('energy',), system_changes=()):\n"
        f"        {body}\n"
        "        super().calculate(atoms, properties, system_changes)\n"
    )
    work.env["PYTHONPATH"] = str(work.folder)
    return {"name": "ase", "settings": {"calculator": "own_calculator:Own", "trial": False}, **section}


def trainer(**change: object) -> dict[str, object]:
    """Return the section of the trainer with other settings."""
    return {"name": "deepmd", "settings": {**BASE["trainer"]["settings"], **change}}


def assert_intact(work: Work) -> int:
    """Check that ledger, model files, links and data agree; return the number of the newest generation."""
    run = work.run
    with work.ledger() as ledger:
        generations, labels, counts = ledger.generations(), ledger.labels(), ledger.counts()
    assert [generation.number for generation in generations] == list(range(len(generations)))
    assert len({stored.frame_hash for stored in labels}) == len(labels) == counts.labels
    for generation in generations:
        assert len(generation.models) == N_MODELS
        for model in generation.models:
            assert sha256(run.path / model.path) == model.sha256
        assert generation.n_labels == sum(
            stored.trained_in is not None and stored.trained_in <= generation.number for stored in labels
        )
    newest = generations[-1]
    for index, model in enumerate(newest.models):
        assert run.model_link(index).resolve() == (run.path / model.path).resolve()
    assert Ensemble([run.model_link(index) for index in range(N_MODELS)]).type_map == ("Al",)
    return newest.number


def make_generation_0(folder: Path, env: dict[str, str]) -> Path:
    """Make generation 0 in ``folder/run``: two poor models of six labels."""
    (folder / "boot.yaml").write_text(yaml.safe_dump({**BASE, "structures": STRUCTURES}))
    start([BIN / "lammps-dpgen", "bootstrap", "boot.yaml"], folder, env, 300, True)
    return folder


def work_with_generation_0(source: Path, folder: Path, env: dict[str, str]) -> Work:
    """Return a learning run that goes on from a copy of generation 0."""
    shutil.copytree(source / "run", folder / "run", symlinks=True)
    shutil.copy(source / "labels.log", folder)
    work = Work(folder, dict(env))
    work.configure()
    return work


def work_with_initial_models(source: Path, folder: Path, env: dict[str, str]) -> Work:
    """Return a learning run without a run folder, whose initial models are those of generation 0."""
    for name in INITIAL_MODELS:
        shutil.copyfile(source / "run" / "models" / name, folder / name)
        copy_beside(source / "run" / "models" / name, folder / name)
    work = Work(folder, dict(env))
    work.configure(initial_models=INITIAL_MODELS)
    return work
