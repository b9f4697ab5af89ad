"""The contract of samplers, run on all that are built in and on the one of docs/samplers.md, without LAMMPS."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lammps_dpgen.sampling.base import Sampler
from lammps_dpgen.sampling.contract import SamplerContract
from lammps_dpgen.sampling.md import MdSampler, MdSettings
from lammps_dpgen.sampling.template import TemplateSampler, TemplateSettings

pytestmark = pytest.mark.models

TEMPLATE = """\
units metal
atom_modify map yes
boundary p p p
box tilt large
if "${dpgen_resumed} == no" then "read_data ${dpgen_data}" else "read_restart ${dpgen_restart}"
pair_style deepmd ${dpgen_model}
pair_coeff * * ${dpgen_elements}
if "${dpgen_resumed} == no" then "velocity all create ${dpgen_temperature} ${dpgen_seed}"
fix hot all langevin ${dpgen_temperature} ${dpgen_temperature} 0.1 48279 zero yes
fix 1 all nve
fix strain all deform 1 x erate ${dpgen_rate}
fix dpgen all dpgen ${dpgen_fix}
timestep ${dt}
restart ${dpgen_save}
run ${dpgen_steps} upto start 0
"""


class Models:
    @pytest.fixture
    def models(self, al_models: list[Path]) -> Sequence[Path]:
        return al_models[:2]


class TestNvt(Models, SamplerContract):
    @pytest.fixture
    def sampler(self) -> Sampler:
        return MdSampler(MdSettings(temperatures=(300.0, 600.0), time=0.05, timestep=2.0))


class TestNptOfAllShapes(Models, SamplerContract):
    @pytest.fixture
    def sampler(self) -> Sampler:
        settings = {"ensemble": "npt-tri", "temperatures": 900, "pressures": [1, 1e4], "time": "25 fs"}
        return MdSampler(MdSettings.model_validate(settings))


class TestTemplate(Models, SamplerContract):
    """Langevin's random numbers are not in restart files, so this one cannot be resumed as if nothing had been."""

    @pytest.fixture
    def sampler(self, tmp_path: Path) -> Sampler:
        text = "".join(line for line in TEMPLATE.splitlines(keepends=True) if "dpgen_resumed" not in line)
        text = text.replace("box tilt large\n", "box tilt large\nread_data ${dpgen_data}\n")
        text = text.replace("fix hot", "velocity all create ${dpgen_temperature} ${dpgen_seed}\nfix hot")
        return template(tmp_path, text)


class TestResumableTemplate(Models, SamplerContract):
    """Its target temperature falls during the run: ``start 0`` is what keeps that right after a restart."""

    @pytest.fixture
    def sampler(self, tmp_path: Path) -> Sampler:
        lines = TEMPLATE.splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith("fix hot"))
        text = text.replace("fix 1 all nve", "fix 1 all nvt temp 600 300 0.1")
        return template(tmp_path, text.replace("deform 1 x erate ${dpgen_rate}", "addforce ${dpgen_rate} 0 0"))


def template(folder: Path, text: str) -> TemplateSampler:
    path = folder / "in.template"
    path.write_text(text)
    settings = {"file": "in.template", "steps": 25, "temperatures": [300, 900], "conditions": {"rate": [0.1, 0.5]}}
    context = {"folder": folder}
    return TemplateSampler(TemplateSettings.model_validate(settings | {"variables": {"dt": 0.002}}, context=context))


def test_the_page_works(tmp_path: Path, al_models: list[Path]) -> None:
    """The files in docs/samplers.md, installed as a package, are found by name and pass their tests."""
    page = (Path(__file__).parents[2] / "docs" / "samplers.md").read_text(encoding="utf-8")
    module, tests = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    registration = re.search(r'entry-points."(.*?)"\]\n(\w+) = "(.*?)"', page)
    assert registration is not None
    group, name, value = registration.groups()
    (tmp_path / "hopping_sampler.py").write_text(module, encoding="utf-8")
    (tmp_path / "test_hopping.py").write_text(tests, encoding="utf-8")
    (tmp_path / "models").mkdir()
    for model in al_models[:2]:
        (tmp_path / "models" / model.name).symlink_to(model)
    metadata = tmp_path / "hopping_sampler-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: hopping-sampler\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")
    (tmp_path / "test_name.py").write_text(
        "from lammps_dpgen import registry\n"
        "def test_name():\n"
        f"    assert registry.make({group!r}, {name!r}, {{'hops': 50, 'temperatures': 1000}}).name == {name!r}\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)
    assert "skipped" not in done.stdout
