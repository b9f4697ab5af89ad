"""The contract of generators, run on all that are built in; and how a configuration comes to its frames."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
from ase.build import bulk

from lammps_dpgen import registry
from lammps_dpgen.errors import ConfigError, StructureError
from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.structures.base import StructureGenerator, family
from lammps_dpgen.structures.contract import GeneratorContract
from lammps_dpgen.structures.file import FileGenerator, FileSettings
from lammps_dpgen.structures.halves import HalvesGenerator, HalvesSettings
from lammps_dpgen.structures.materials_project import MaterialsProjectGenerator, MaterialsProjectSettings
from lammps_dpgen.structures.prototype import PrototypeGenerator, PrototypeSettings
from lammps_dpgen.structures.slab import SlabGenerator, SlabSettings
from lammps_dpgen.structures.sources import frames_of_sources

ANSWER = Path(__file__).parents[1] / "data" / "materials_project" / "al_mg.json"


class TestPrototype(GeneratorContract):
    @pytest.fixture
    def generator(self) -> StructureGenerator:
        settings = {"element": "Al", "scale": "paper", "perturb": {"displacement": 0.01, "cell": 3}, "number": 2}
        return PrototypeGenerator(PrototypeSettings.model_validate(settings))


class TestRandomAlloys(GeneratorContract):
    @pytest.fixture
    def generator(self) -> StructureGenerator:
        settings = {"crystal": "bcc", "all_compositions": {"elements": ["Al", "Mg", "Cu"]}, "repeat": [1, 1, 2]}
        return PrototypeGenerator(PrototypeSettings.model_validate(settings | {"perturb": {"displacement": 0.05}}))


class TestFile(GeneratorContract):
    @pytest.fixture
    def generator(self, tmp_path: Path) -> StructureGenerator:
        images = [bulk("Al", cubic=True), bulk("Mg")]
        ase.io.write(tmp_path / "a.extxyz", images)
        settings = {"files": "a.extxyz", "perturb": {"displacement": 0.05}, "number": 2}
        return FileGenerator(FileSettings.model_validate(settings, context={"folder": tmp_path}))


class TestHalves(GeneratorContract):
    @pytest.fixture
    def generator(self) -> StructureGenerator:
        settings = {"element": "Mg", "miller": [[0, 0, 0, 1], [1, 0, -1, 0]], "displacements": [0.2, 5]}
        return HalvesGenerator(HalvesSettings.model_validate(settings))


class TestSlab(GeneratorContract):
    @pytest.fixture
    def generator(self) -> StructureGenerator:
        settings = {"element": "Mg", "miller": [[0, 0, 0, 1], [1, 0, -1, 0]], "scale": [0.98, 1.02]}
        return SlabGenerator(SlabSettings.model_validate(settings))


class TestMaterialsProject(GeneratorContract):
    """Without key and network, from a stored answer."""

    @pytest.fixture
    def generator(self, tmp_path: Path) -> StructureGenerator:
        settings = MaterialsProjectSettings.model_validate(
            {"system": "Al-Mg", "subsystems": True, "store": "mp.json"}, context={"folder": tmp_path}
        )
        stored = {"question": settings.criteria(), "data": json.loads(ANSWER.read_text())["data"]}
        (tmp_path / "mp.json").write_text(json.dumps(stored))
        return MaterialsProjectGenerator(settings)


class Broken:
    """A generator that breaks the contract in one way after the other."""

    name = "broken"
    Settings = PrototypeSettings

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def generate(self, rng: np.random.Generator) -> list[Frame]:
        frames = PrototypeGenerator(PrototypeSettings(element="Al", scale=(1.0, 1.02))).generate(rng)
        if self.fault == "global":
            return [Frame.from_ase(f.to_ase(), f.origin) for f in frames if np.random.random_sample() < 2]  # noqa: NPY002
        origin = FrameOrigin("bootstrap", structure="same")
        return {
            "nothing": [],
            "twice": [frames[0], frames[0]],
            "names": [Frame(f.species, f.positions, f.cell, origin=origin) for f in frames],
            "overlap": [Frame(("Al", "Al"), np.zeros((2, 3)), 9 * np.eye(3), origin=frames[0].origin)],
            "flat": [Frame(("Al",), np.zeros((1, 3)), np.diag([3.0, 3.0, 0.0]), origin=frames[0].origin)],
        }[self.fault]


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("nothing", "test_at_least_one_frame"),
        ("twice", "test_no_frame_twice"),
        ("names", "test_names"),
        ("overlap", "test_distances"),
        ("flat", "test_cells"),
    ],
)
def test_the_contract_finds_faults(fault: str, test: str) -> None:
    frames = Broken(fault).generate(np.random.default_rng(1))
    with pytest.raises(AssertionError):
        getattr(GeneratorContract(), test)(frames)


def test_the_contract_finds_foreign_random_numbers() -> None:
    with pytest.raises(AssertionError):
        GeneratorContract().test_random_numbers_come_from_the_argument(Broken("global"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("prototype", PrototypeGenerator),
        ("file", FileGenerator),
        ("halves", HalvesGenerator),
        ("slab", SlabGenerator),
        ("materials_project", MaterialsProjectGenerator),
    ],
)
def test_registered(name: str, kind: type) -> None:
    assert registry.load(registry.STRUCTURES, name) is kind
    assert kind.name == name  # type: ignore[attr-defined]


def test_family() -> None:
    frame = Frame(("Al",), np.zeros((1, 3)), np.eye(3), origin=FrameOrigin("bootstrap", structure="fcc-Al32/0.96/3"))
    assert family(frame) == "fcc-Al32"
    assert family(Frame(("Al",), np.zeros((1, 3)), np.eye(3))) == "Al"


class TestSources:
    def source(self, generator: str = "prototype", name: str | None = None, **settings: object) -> SimpleNamespace:
        return SimpleNamespace(generator=generator, name=name, settings=settings)

    def test_frames_follow_from_seed_and_place(self) -> None:
        source = self.source(element="Al", perturb={"displacement": 0.1})
        one, two = frames_of_sources([source, source], seed=3)
        assert one[0].hash != two[0].hash
        assert [f.hash for f in frames_of_sources([source], seed=3)[0]] == [one[0].hash]
        assert frames_of_sources([source], seed=4)[0][0].hash != one[0].hash

    def test_a_named_source_is_the_same_at_any_place(self) -> None:
        unnamed = self.source(element="Al", perturb={"displacement": 0.1})
        named = self.source(name="bulk", element="Al", perturb={"displacement": 0.1})
        first, second = frames_of_sources([named, unnamed], seed=3), frames_of_sources([unnamed, named], seed=3)
        assert first[0][0].hash == second[1][0].hash
        assert first[1][0].hash != second[0][0].hash

    def test_errors_name_the_source(self) -> None:
        with pytest.raises(StructureError, match=r"structures\[1\] \(prototype\): structure fcc-Al4/0.4: atoms"):
            frames_of_sources([self.source(element="Al"), self.source(element="Al", scale=[0.4])], seed=1)
        with pytest.raises(
            ConfigError, match=r"structures\[0\] \(prototype\) has Mg, which type_map lacks \(it has Al\)"
        ):
            frames_of_sources([self.source(element="Mg")], seed=1, type_map=["Al"])
        with pytest.raises(ConfigError, match="did you mean 'slab'"):
            frames_of_sources([self.source("slabb")], seed=1)
