"""Plans, scripts, settings and restart files of the built-in samplers; what runs is in test_sampling_contract.py."""

from __future__ import annotations

import struct
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ase.io.lammpsdata
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.geometry import get_distances
from pydantic import ValidationError

from lammps_dpgen import registry
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.sampling.base import SamplerWalker, TrajectoryPlan
from lammps_dpgen.sampling.md import MdSampler, MdSettings
from lammps_dpgen.sampling.md_script import md_script
from lammps_dpgen.sampling.quantities import parse_time
from lammps_dpgen.sampling.restart import PARKED, discard_restarts, newest_restart, restart_step
from lammps_dpgen.sampling.spread import diagonal, spread
from lammps_dpgen.sampling.starts import write_start
from lammps_dpgen.sampling.template import TemplateSampler, TemplateSettings

AL4 = Frame.from_ase(bulk("Al", cubic=True), FrameOrigin("bootstrap", structure="fcc-Al4"))


def settings(**values: Any) -> MdSettings:
    return MdSettings.model_validate({"temperatures": 300, "time": 1, **values})


class TestSpread:
    @pytest.mark.parametrize(
        ("sizes", "number"), [((3,), 7), ((3, 4), 12), ((4, 4), 9), ((4, 2, 4), 20), ((5, 3, 2), 31)]
    )
    def test_every_axis_is_used_evenly(self, sizes: tuple[int, ...], number: int) -> None:
        places = diagonal(sizes, number)
        assert len(places) == number
        grid = int(np.prod(sizes))
        uses = Counter(places)
        assert max(uses.values()) <= -(-number // grid), "a combination again before all were used"
        first = Counter(place[0] for place in places)
        assert max(first.values()) - min(first.get(k, 0) for k in range(sizes[0])) <= 1

    def test_all_combinations_once(self) -> None:
        assert sorted(diagonal((4, 6), 24)) == [(i, j) for i in range(4) for j in range(6)]

    def test_temperatures_and_pressures_of_a_round(self) -> None:
        """8 trajectories of 4 starts at 2 temperatures and 4 pressures: each start twice, each pressure twice."""
        starts = [Frame.from_ase(bulk("Al", a=4 + k / 10, cubic=True)) for k in range(4)]
        axes = {"temperature": [300, 600], "pressure": [0, 1, 2, 3]}
        chosen = spread(starts, axes, 8, np.random.default_rng(1))
        assert set(Counter(start.hash for start, _, _ in chosen).values()) == {2}
        assert set(Counter(conditions["temperature"] for _, conditions, _ in chosen).values()) == {4}
        assert set(Counter(conditions["pressure"] for _, conditions, _ in chosen).values()) == {2}

    def test_fewer_trajectories_than_starts_take_others_each_round(self) -> None:
        starts = [Frame.from_ase(bulk("Al", a=4 + k / 10, cubic=True)) for k in range(20)]
        rounds = [spread(starts, {}, 5, np.random.default_rng(seed)) for seed in range(2)]
        assert len({start.hash for chosen in rounds for start, _, _ in chosen}) > 5


class TestMdSettings:
    def test_defaults_are_those_of_the_manual(self) -> None:
        md = settings(timestep=2, time="2 ps")
        assert (md.n_steps, md.thermostat_ps, md.barostat_ps) == (1000, 0.2, 2.0)

    @pytest.mark.parametrize(
        ("text", "value"), [(2, 2.0), ("2 ps", 2.0), ("500fs", 0.5), ("1 ns", 1000.0), ("1e-1 ps", 0.1)]
    )
    def test_times(self, text: Any, value: float) -> None:
        assert parse_time(text, "ps") == pytest.approx(value)

    @pytest.mark.parametrize("text", ["2 h", "ps", "-1 ps", 0, True, None, "2 ps 3 fs"])
    def test_what_is_no_time(self, text: Any) -> None:
        with pytest.raises(ValueError, match="a time"):
            parse_time(text, "ps")

    @pytest.mark.parametrize(
        ("values", "match"),
        [
            ({"ensemble": "nph"}, "npt-tri"),
            ({"pressures": 1}, "fixed cell"),
            ({"barostat_damping": 1}, "no barostat"),
            ({"ensemble": "nve", "thermostat_damping": 1}, "no thermostat"),
            ({"time": "0.4 fs"}, "shorter"),
            ({"temperatures": []}, "temperatures"),
            ({"temperatures": [300, 0]}, "greater than 0"),
            ({"lammps": "fix 1 all nve\nrun 5"}, "template"),
            ({"lammps": "fix dpgen all dpgen 10"}, "own"),
            ({"skin": 0}, "skin"),
            ({"no_such_key": 5}, "no_such_key"),
        ],
    )
    def test_refused(self, values: dict[str, Any], match: str) -> None:
        with pytest.raises(ValidationError, match=match):
            settings(**values)

    def test_plain_data_make_the_same_settings(self) -> None:
        md = settings(ensemble="npt", pressures=[1, 5], timestep="2 fs", time="10 ps")
        assert MdSettings.model_validate(md.model_dump(mode="json")) == md


class TestMdPlan:
    def test_conditions(self) -> None:
        sampler = MdSampler(settings(ensemble="npt", temperatures=[300, 600]))
        plans = sampler.plan([AL4], 4, np.random.default_rng(0))
        assert Counter(plan.conditions["temperature"] for plan in plans) == {300.0: 2, 600.0: 2}
        assert {plan.conditions["pressure"] for plan in plans} == {1.0}
        assert MdSampler(settings()).plan([AL4], 1, np.random.default_rng(0))[0].conditions == {"temperature": 300.0}

    @pytest.mark.parametrize(
        ("atoms", "ensemble", "match"),
        [
            (bulk("Al"), "nvt", "single atom"),
            (molecule("AlF3"), "npt", "no periodic cell"),
            (molecule("AlF3"), "nvt", None),
            (bulk("Mg"), "nvt", "type_map lacks"),
            (
                Atoms("Al2", positions=[[0, 0, 0], [0, 0, 2]], cell=[[4, 0, 0], [0, 4, 0], [4, 4, 0]], pbc=True),
                "nvt",
                "volume",
            ),
        ],
    )
    def test_check(self, atoms: Atoms, ensemble: str, match: str | None) -> None:
        sampler, frame = MdSampler(settings(ensemble=ensemble)), Frame.from_ase(atoms)
        if match is None:
            sampler.check([frame], ["Al", "F"])
        else:
            with pytest.raises(ConfigError, match=match):
                sampler.check([AL4, frame], ["Al", "F"])


def walker(folder: Path, restart: Path | None = None) -> SamplerWalker:
    fields = {"folder": folder, "type_map": ("Al", "Mg"), "models": folder / "models", "suffix": ".pb"}
    return SimpleNamespace(**fields, fix_options="10 0.pb 1.pb types Al Mg", restart=restart, safe_interval=500)  # type: ignore[return-value]


class TestMdScript:
    PLAN = TrajectoryPlan(AL4, {"temperature": 300.0, "pressure": 1.0}, 1000, 7)

    def test_a_start(self, tmp_path: Path) -> None:
        md = settings(ensemble="npt-tri", timestep=2, time="2 ps", lammps="compute 1 all msd")
        text = md_script(md, self.PLAN, walker(tmp_path), tmp_path / "start.data")
        for line in (
            f"read_data {tmp_path}/start.data",
            "change_box all triclinic",
            "velocity all create ${dpgen_temperature} ${dpgen_seed} mom yes rot no dist gaussian",
            "fix dpgen all dpgen 10 0.pb 1.pb types Al Mg",
            "timestep 0.002",
            "variable dpgen_seed index 7",
            "run ${dpgen_steps} upto",
        ):
            assert line in text.splitlines()
        assert text.index("fix dpgen") < text.index("compute 1 all msd") < text.index("run ")

    def test_a_resumed_one_keeps_its_velocities(self, tmp_path: Path) -> None:
        text = md_script(settings(), self.PLAN, walker(tmp_path, tmp_path / "restart.a"), tmp_path / "start.data")
        assert f"read_restart {tmp_path}/restart.a" in text
        assert "velocity" not in text
        assert "read_data" not in text

    def test_the_file_at_hand_is_overwritten_last(self, tmp_path: Path) -> None:
        """A kill while LAMMPS writes the first restart file must leave the one that it went on from."""
        for name, first in (("restart.a", "restart.b"), ("restart.b", "restart.a"), (PARKED, "restart.a")):
            text = md_script(settings(), self.PLAN, walker(tmp_path, tmp_path / name), tmp_path / "start.data")
            assert f"restart 500 {tmp_path}/{first} " in text

    def test_files_beside_the_configuration(self, tmp_path: Path) -> None:
        lines = "fix bias all colvars ${dpgen_home}/bias.colvars"
        data = {"temperatures": 300, "time": 1, "lammps": lines}
        md = MdSettings.model_validate(data, context={"folder": tmp_path})
        assert md.lammps == f"fix bias all colvars {tmp_path}/bias.colvars"

    def test_a_folder_with_blanks(self, tmp_path: Path) -> None:
        folder = tmp_path / "my run"
        text = md_script(settings(), self.PLAN, walker(folder), folder / "start.data")
        assert f'read_data "{folder}/start.data"' in text
        assert f'restart 500 "{folder}/restart.a" "{folder}/restart.b"' in text


class TestStart:
    @pytest.mark.parametrize(
        "atoms",
        [
            bulk("Mg") * (2, 2, 1),
            bulk("Al") * (2, 2, 2),
            Atoms("AlMg", positions=[[0, 0, 0], [9, 9, 9]], cell=[[3, 0, 0], [7, 3, 0], [-4, 10, 3]], pbc=True),
            Atoms(
                "AlMg2", positions=[[0, 0, 0], [1, 2, 0], [2, 0, 1]], cell=[[0, 4, 0], [4, 0, 0], [0, 1, 5]], pbc=True
            ),
        ],
        ids=["hcp", "fcc primitive", "tilted", "left-handed"],
    )
    def test_same_crystal(self, tmp_path: Path, atoms: Atoms) -> None:
        """Types in the order of the type map, the volume, and all distances through the periodic faces."""
        write_start(Frame.from_ase(atoms), ["Mg", "Cu", "Al"], tmp_path / "start.data")
        again = ase.io.lammpsdata.read_lammps_data(tmp_path / "start.data", atom_style="atomic", sort_by_id=True)
        assert again.get_chemical_symbols() == atoms.get_chemical_symbols()
        assert again.get_volume() == pytest.approx(atoms.get_volume())
        distances = [get_distances(a.positions, cell=a.cell, pbc=True)[1] for a in (atoms, again)]
        np.testing.assert_allclose(distances[0], distances[1], atol=1e-9)

    def test_a_chiral_start_keeps_its_hand(self, tmp_path: Path) -> None:
        """Four atoms whose mirror image is another arrangement, in a left-handed cell."""
        positions = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.3, 0.0], [0.0, 0.0, 1.7]]) + 3.0
        atoms = Atoms("Al4", positions=positions, cell=[[0, 9, 0], [9, 0, 0], [0, 0, 9]], pbc=True)
        write_start(Frame.from_ase(atoms), ["Al"], tmp_path / "start.data")
        again = ase.io.lammpsdata.read_lammps_data(tmp_path / "start.data", atom_style="atomic", sort_by_id=True)
        hand = np.linalg.det(again.get_distances(0, [1, 2, 3], mic=True, vector=True))
        assert hand == pytest.approx(1.0 * 1.3 * 1.7)

    def test_without_a_cell(self, tmp_path: Path) -> None:
        atoms = molecule("H2O")
        write_start(Frame.from_ase(atoms), ["O", "H"], tmp_path / "start.data")
        again = ase.io.lammpsdata.read_lammps_data(tmp_path / "start.data", atom_style="atomic", sort_by_id=True)
        np.testing.assert_allclose(again.get_all_distances(), atoms.get_all_distances(), atol=1e-9)
        assert (again.positions > 0.0).all()
        assert (again.positions < np.diag(again.cell)).all()


def restart_bytes(step: int, end: bytes = b"LammpS RestartT\0") -> bytes:
    """The beginning of a restart file of LAMMPS 22 Jul 2025, and its end."""
    records = struct.pack(
        "=ii12siiiiiiiiii6siq", 0, 12, b"22 Jul 2025\0", 1, 4, 48, 4, 2, 4, 3, 8, 4, 6, b"metal\0", 5, step
    )
    return b"LammpS RestartT\0" + struct.pack("=ii", 1, 3) + records + bytes(64) + end


class TestRestartFiles:
    def test_the_newest_complete_one(self, tmp_path: Path) -> None:
        assert newest_restart(tmp_path) is None
        (tmp_path / "restart.a").write_bytes(restart_bytes(100))
        (tmp_path / "restart.b").write_bytes(restart_bytes(200))
        assert newest_restart(tmp_path) == tmp_path / "restart.b"
        (tmp_path / "restart.b").write_bytes(restart_bytes(200)[:-5])
        assert newest_restart(tmp_path) == tmp_path / "restart.a"
        (tmp_path / PARKED).write_bytes(restart_bytes(100))
        assert newest_restart(tmp_path) == tmp_path / PARKED
        discard_restarts(tmp_path)
        assert newest_restart(tmp_path) is None

    @pytest.mark.parametrize("length", [0, 3, 16, 24, 60, -1])
    def test_torn_at_any_byte(self, tmp_path: Path, length: int) -> None:
        (tmp_path / "restart.a").write_bytes(restart_bytes(5)[:length])
        assert restart_step(tmp_path / "restart.a") is None

    def test_another_byte_order_and_what_is_no_restart_file(self, tmp_path: Path) -> None:
        mark = b"LammpS RestartT\0"
        for content in (
            mark + struct.pack(">ii", 1, 3) + bytes(99) + mark,
            mark + mark,
            mark + struct.pack("=iii", 1, 3, -1) + mark,
        ):
            (tmp_path / "restart.a").write_bytes(content)
            assert restart_step(tmp_path / "restart.a") is None

    def test_what_lammps_writes(self, tmp_path: Path, lmp_run: Any) -> None:
        """Also for steps beyond 32 bits."""
        lmp_run(
            "units metal\nlattice fcc 4.05\nregion b block 0 2 0 2 0 2\ncreate_box 1 b\ncreate_atoms 1 box\nmass 1 27\n"
            "pair_style zero 5.0\npair_coeff * *\nfix 1 all nve\nreset_timestep 12345678901\n"
            "restart 5 restart.a restart.b\nrun 12\n"
        )
        assert sorted([restart_step(tmp_path / name) for name in ("restart.a", "restart.b")]) == [
            12345678905,
            12345678910,
        ]
        assert restart_step(newest_restart(tmp_path)) == 12345678910  # type: ignore[arg-type]


TEMPLATE = """\
units metal            # comment
read_data ${dpgen_data}
pair_style deepmd &
  ${dpgen_model}
pair_coeff * * ${dpgen_elements}
fix 1 all nvt temp ${dpgen_temperature} ${dpgen_temperature} 0.1
fix dpgen all dpgen ${dpgen_fix}
run ${dpgen_steps}
"""


class TestTemplateSettings:
    def read(self, folder: Path, text: str, **values: Any) -> TemplateSettings:
        (folder / "in.template").write_text(text)
        data = {"file": "in.template", "steps": 100, "temperatures": [300, 600], **values}
        return TemplateSettings.model_validate(data, context={"folder": folder})

    def test_plan(self, tmp_path: Path) -> None:
        sampler = TemplateSampler(self.read(tmp_path, TEMPLATE, steps=[100, 200]))
        plans = sampler.plan([AL4], 4, np.random.default_rng(0))
        assert sorted((plan.n_steps, plan.conditions["temperature"]) for plan in plans) == [
            (100, 300.0),
            (100, 600.0),
            (200, 300.0),
            (200, 600.0),
        ]
        assert not sampler.resumable

    def test_steps_may_be_the_scripts_own(self, tmp_path: Path) -> None:
        sampler = TemplateSampler(self.read(tmp_path, TEMPLATE.replace("${dpgen_steps}", "50"), steps=None))
        assert sampler.plan([AL4], 1, np.random.default_rng(0))[0].n_steps == 0

    @pytest.mark.parametrize(
        ("old", "new", "match"),
        [
            ("fix dpgen all dpgen ${dpgen_fix}", "", "has no fix dpgen"),
            ("fix dpgen all dpgen ${dpgen_fix}", "fix dp all dpgen ${dpgen_fix}", "fix dp all dpgen"),
            ("fix dpgen all dpgen ${dpgen_fix}", "fix dpgen all dpgen 10 0.pb", "the campaign knows the fix as"),
            ("run ${dpgen_steps}", "minimize 0 0.1 ${dpgen_steps} 100", "no run command"),
            ("units metal", "units real", "units metal"),
            ("${dpgen_data}", "other.data", "never reads the start"),
            ("${dpgen_model}", "other.pb", "uses no model"),
            ("${dpgen_elements}", "${dpgen_element}", "did you mean dpgen_elements"),
            ("run ", "quit\nrun ", "command quit"),
            ("run ", "temper 5 5 5 5 5 5\nrun ", "command temper"),
            ("temp ${dpgen_temperature} ${dpgen_temperature}", "temp 300 300", "dpgen_temperature.*no effect"),
            ("run ${dpgen_steps}", "run 5", "'steps' would have no effect"),
            ("units", "variable dpgen_seed equal 5\nunits", "style equal"),
        ],
    )
    def test_refused(self, tmp_path: Path, old: str, new: str, match: str) -> None:
        with pytest.raises(ValidationError, match=match):
            self.read(tmp_path, TEMPLATE.replace(old, new))

    def test_commands_within_if(self, tmp_path: Path) -> None:
        text = TEMPLATE.replace("run ${dpgen_steps}", 'if "${dpgen_steps} > 5" then "run ${dpgen_steps}"')
        self.read(tmp_path, "variable dpgen_steps index 10\n" + text)
        with pytest.raises(ValidationError, match="quit"):
            self.read(tmp_path, text + 'if "1 > 0" then "quit 1"\n')

    @pytest.mark.parametrize(
        ("values", "match"),
        [
            ({"file": "absent"}, "cannot be read"),
            ({"steps": None}, "add 'steps'"),
            ({"temperatures": None}, "dpgen_temperature, which the settings do not give"),
            ({"variables": {"dpgen_steps": 5}}, "begins with dpgen_"),
            ({"conditions": {"temperature": 5}}, "taken"),
            ({"conditions": {"a b": 5}}, "no name"),
            ({"conditions": {"rate": 5}}, "dpgen_rate"),
        ],
    )
    def test_refused_settings(self, tmp_path: Path, values: dict[str, Any], match: str) -> None:
        with pytest.raises(ValidationError, match=match):
            self.read(tmp_path, TEMPLATE, **values)

    def test_plain_data_make_the_same_sampler(self, tmp_path: Path) -> None:
        given = self.read(tmp_path, TEMPLATE + "# ${x} ${dpgen_restart}\n", variables={"x": ["a", 1, 0.5]})
        made = registry.make(registry.SAMPLERS, "template", given.model_dump(mode="json"))
        assert made.Settings is TemplateSettings
        assert not made.resumable, "a comment is no use of a variable"
