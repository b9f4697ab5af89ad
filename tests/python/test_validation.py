"""Validation: crystals with closed forms, results that are computed once, references, comparison, bad input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.units import GPa
from typer.testing import CliRunner

from lammps_dpgen.cli.main import Session, app
from lammps_dpgen.config import load_config
from lammps_dpgen.config.validation import ValidationConfig
from lammps_dpgen.errors import ConfigError
from lammps_dpgen.structures.materials_project import MaterialsProjectSettings
from lammps_dpgen.validation.alloys import AlloysProperty, AlloysSettings
from lammps_dpgen.validation.base import Chart, Piece, Result, Row, Series
from lammps_dpgen.validation.bulk import BulkProperty, BulkSettings
from lammps_dpgen.validation.charts import approach_charts, draw
from lammps_dpgen.validation.comparison import compare
from lammps_dpgen.validation.crystal import Crystal
from lammps_dpgen.validation.elastic import ElasticProperty, ElasticSettings
from lammps_dpgen.validation.eos import EosProperty, EosSettings
from lammps_dpgen.validation.failures import NotConvergedError, PairStyleError, UnstableError
from lammps_dpgen.validation.lammps_cell import free_stress
from lammps_dpgen.validation.page import changes, value_text
from lammps_dpgen.validation.potential import Potential
from lammps_dpgen.validation.potentials import identity_of, make_potential
from lammps_dpgen.validation.references import Reference, read_references
from lammps_dpgen.validation.slabs import miller_text, terminations
from lammps_dpgen.validation.surfaces import SurfacesProperty, SurfacesSettings

EPSILON, SIGMA, SHELLS = 0.4, 2.5, 1.2
MEAM: dict[str, Any] = {
    "pair_style": "meam",
    "pair_coeff": ["* * library.meam AlS SiS MgS CuS FeS AlSiMgCuFe.meam AlS MgS"],
    "elements": ["Al", "Mg"],
}
#: Nearest neighbours alone: the cut-off lies between the first and the second shell of fcc, so that sums are by hand.
MORSE: dict[str, Any] = {
    "pair_style": "morse 3.4",
    "pair_coeff": ["1 1 0.3 1.6 2.8"],
    "elements": ["Al"],
}


@pytest.fixture(scope="module")
def morse() -> Potential:
    return make_potential("Morse", MORSE)


@pytest.fixture(scope="module")
def meam() -> Potential:
    return make_potential("MEAM", MEAM)


AL = Crystal("Al", bulk("Al", "fcc", a=4.05, cubic=True), "fcc")
MG = Crystal("Mg", bulk("Mg", "hcp", a=3.21, c=5.2), "hcp")
#: fcc whose nearest neighbours are near the minimum of the Morse function.
NEAR = Crystal("X", bulk("Al", "fcc", a=3.9, cubic=True), "fcc")


class TestNearestNeighbourSolid:
    """An fcc crystal with 12 neighbours at distance r0 and curvature k: E = -6 D, C11 = 2 C12 = 2 C44 = 2 k / a."""

    d, alpha, r0 = 0.3, 1.6, 2.8
    a = r0 * float(np.sqrt(2.0))
    c11 = 2.0 * (2.0 * d * alpha**2) / a / GPa

    def test_energy_and_volume(self, morse: Potential) -> None:
        relaxed = morse.crystal(NEAR)
        assert relaxed.energy_per_atom == pytest.approx(-6.0 * self.d, rel=1e-8)
        assert relaxed.volume_per_atom == pytest.approx(self.a**3 / 4.0, rel=1e-6)

    def test_elastic_constants_at_small_strain(self, morse: Potential) -> None:
        small = (-1e-4, 1e-4)
        part = ElasticProperty(ElasticSettings(normal=small, shear=small), (NEAR,))
        (piece,) = part.pieces()
        rows = part.findings({piece.name: Result(part.compute(morse, piece))}).rows
        found = {row.quantity: row.value for row in rows}
        expected = {"C_11": self.c11, "C_12": self.c11 / 2, "C_44": self.c11 / 2, "B_V": self.c11 * 2 / 3}
        assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-4)
        assert found["G_V"] == pytest.approx(self.c11 * (0.5 + 1.5) / 5, rel=1e-4)
        assert all(not row.note for row in rows)

    def test_bulk_modulus_of_the_equation_of_state(self, morse: Potential) -> None:
        settings = EosSettings(structures=("fcc", "sc"), volumes=(0.97, 1.03), points=13)
        part = EosProperty(settings, (NEAR,))
        results = {piece.name: Result(part.compute(morse, piece)) for piece in part.pieces()}
        findings = part.findings(results)
        found = {row.key: row for row in findings.rows}
        assert found["X fcc", "B_0"].value == pytest.approx(self.c11 * 2 / 3, rel=1e-3)
        assert found["X fcc", "V_min"].value == pytest.approx(self.a**3 / 4.0, rel=1e-5)
        assert "no minimum" in found["X sc", "E_min"].failure
        assert [len(chart.series) for chart in findings.charts] == [2]

    @pytest.mark.parametrize(
        ("miller", "broken", "area"),
        [([1, 1, 1], 3, np.sqrt(3) / 4), ([1, 0, 0], 4, 0.5), ([1, 1, 0], 6, np.sqrt(0.5))],
    )
    def test_unrelaxed_surfaces_by_broken_bonds(
        self, morse: Potential, miller: list[int], broken: int, area: float
    ) -> None:
        """Per surface atom so many bonds are cut, each worth D / 2 to this side; atoms of (110) lose one more below."""
        part = SurfacesProperty(SurfacesSettings(miller=(tuple(miller),), relax=False, thickness=9, vacuum=8), (NEAR,))
        (piece,) = part.pieces()
        (row,) = part.findings({piece.name: Result(part.compute(morse, piece))}).rows
        gamma = 0.5 * broken * self.d / (area * self.a**2) * 16.0217663
        assert row.value == pytest.approx(gamma, rel=1e-6)

    def test_decay_is_told(self, morse: Potential) -> None:
        """With 8 bonds at the same price a bcc crystal has no reason to stay."""
        stretched = bulk("Al", "bcc", a=3.2, cubic=True)
        stretched.set_cell(stretched.cell.array * np.array([[0.95], [0.95], [1.15]]), scale_atoms=True)
        with pytest.raises(UnstableError, match="not stable"):
            morse.crystal(Crystal("bct", stretched, "", "aniso"))

    def test_steps_are_limited(self, morse: Potential) -> None:
        rattled = bulk("Al", "fcc", a=3.96, cubic=True).repeat(2)
        rattled.rattle(0.15, seed=1)
        with pytest.raises(NotConvergedError, match="forces up to"):
            morse.relax(rattled, force=1e-8, most_steps=2)


class TestPaper:
    """The MEAM column of Tables I, S8, S7 and S6, to the printed digit."""

    def test_bulk(self, meam: Potential) -> None:
        al, mg = meam.crystal(AL), meam.crystal(MG)
        assert [round(al.energy_per_atom, 3), round(al.volume_per_atom, 2)] == [-3.353, 16.61]
        assert [round(mg.energy_per_atom, 3), round(mg.volume_per_atom, 2)] == [-1.510, 23.04]

    @pytest.mark.parametrize(
        ("crystal", "printed"),
        [
            (AL, {"C_11": 111.4, "C_12": 61.4, "C_44": 29.7, "B_V": 78.1}),
            (
                MG,
                {"C_11": 59.7, "C_33": 60.7, "C_12": 23.2, "C_13": 23.6, "C_44": 16.7, "C_66": 18.2, "G_V": 17.6},
            ),
        ],
    )
    def test_elastic(self, meam: Potential, crystal: Crystal, printed: dict[str, float]) -> None:
        part = ElasticProperty(ElasticSettings(), (crystal,))
        (piece,) = part.pieces()
        rows = part.findings({piece.name: Result(part.compute(meam, piece))}).rows
        found = {row.quantity: round(row.value or 0.0, 1) for row in rows}
        assert {key: found[key] for key in printed} == printed

    @pytest.mark.parametrize(("crystal", "miller", "printed"), [(AL, (1, 1, 1), 0.75), (MG, (1, 0, -1, 0), 0.72)])
    def test_surfaces(self, meam: Potential, crystal: Crystal, miller: tuple[int, ...], printed: float) -> None:
        part = SurfacesProperty(SurfacesSettings(miller=(miller,)), (crystal,))
        (piece,) = part.pieces()
        rows = part.findings({piece.name: Result(part.compute(meam, piece))}).rows
        assert round(rows[0].value or 0.0, 2) == printed
        assert rows[0].quantity == "gamma"


class TestRelaxation:
    def test_axes_order_and_images_stay(self, meam: Potential) -> None:
        """A left-handed, turned cell with atoms outside gives what the plain cell gives, in its own terms."""
        plain = bulk("Mg", "hcp", a=3.3, c=5.3).repeat((2, 2, 1))
        plain.rattle(0.05, seed=3)
        turned = plain.copy()
        turned.rotate(40, (1, 2, 3), rotate_cell=True)
        turned.positions += turned.cell.array[0] * 2
        turned.cell = turned.cell.array[[1, 0, 2]]
        one, other = meam.relax(plain, "iso"), meam.relax(turned, "iso")
        assert other.energy == pytest.approx(one.energy, abs=1e-7)
        moved = other.atoms.positions - turned.positions
        assert np.abs(moved).max() < 1.0
        assert other.atoms.cell.array / turned.cell.array == pytest.approx(
            np.full((3, 3), (one.volume_per_atom / (plain.get_volume() / 8)) ** (1 / 3)), rel=1e-6
        )

    def test_whole_cell_of_a_tilted_crystal(self, meam: Potential) -> None:
        primitive = bulk("Al", "fcc", a=4.0)
        sheared = primitive.copy()
        sheared.set_cell(primitive.cell.array @ np.array([[1, 0.02, 0.01], [0, 1, -0.03], [0, 0, 1]]), True)
        relaxed = meam.relax(sheared, ("iso", "aniso", "tri"))
        assert relaxed.energy_per_atom == pytest.approx(meam.crystal(AL).energy_per_atom, abs=1e-7)
        assert np.abs(relaxed.stress / GPa).max() < 2e-3

    def test_slopes_of_lengths(self, meam: Potential) -> None:
        """The energy of a tilted cell over the length of each vector has the slope that the relaxation uses."""
        atoms = bulk("Al", "fcc", a=4.1)
        atoms.set_cell(atoms.cell.array @ np.array([[1.01, 0.02, 0], [0, 0.98, 0.03], [0, 0, 1]]), True)
        found = meam.static(atoms)
        slopes = free_stress("aniso", found.stress, atoms.cell.array) * atoms.get_volume()
        for vector in range(3):
            energies = []
            for step in (-1e-4, 1e-4):
                scale = np.ones((3, 1))
                scale[vector] += step
                other = atoms.copy()
                other.set_cell(scale * atoms.cell.array, scale_atoms=True)
                energies.append(meam.static(other).energy)
            assert slopes[vector] == pytest.approx((energies[1] - energies[0]) / 2e-4, abs=1e-5)

    def test_pair_style_fails(self) -> None:
        broken = make_potential("?", {**MEAM, "pair_style": "no/such/style", "plugins": "no"})
        with pytest.raises(PairStyleError, match="no/such/style"):
            broken.static(AL.atoms)


def test_terminations_are_sorted_by_their_gap() -> None:
    slabs = terminations(MG.atoms, (1, 0, 0), 10.0, 10.0)
    assert [slab.gap > 1.5 for slab in slabs] == [True, False]
    assert all(slab.symmetric for slab in slabs)
    assert miller_text((1, 0, 1), True) == "(1 0 -1 1)"


class TestReferences:
    def test_read(self, tmp_path: Path) -> None:
        path = tmp_path / "r.csv"
        path.write_text(
            "# where from\nsubject,quantity,value,unit,uncertainty,tolerance\n"
            "Al,E,-3.35,eV/atom,,0.01\nAl,C_11,100,GPa,2,3%\nAl,a,4,,,\n"
        )
        found = read_references(path, 0.1)
        assert found["Al", "E"] == Reference(-3.35, 0.01, "eV/atom")
        assert found["Al", "C_11"] == Reference(100.0, 3.0, "GPa", 2.0)
        assert found["Al", "a"].tolerance == pytest.approx(0.4)

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("subject,value\nAl,1\n", "no column quantity"),
            ("subject,quantity,value\nAl,E,abc\n", r"r.csv:2: value is 'abc'"),
            ("subject,quantity,value\n# note\nAl,E,1\nAl,E,2\n", r"r.csv:4: E of Al stands twice"),
            ("subject,quantity,value\nAl,E,nan\n", "expected a number"),
        ],
    )
    def test_refused(self, tmp_path: Path, text: str, told: str) -> None:
        path = tmp_path / "r.csv"
        path.write_text(text)
        with pytest.raises(ConfigError, match=told):
            read_references(path, 0.1)


def row(quantity: str, value: float | None, **more: Any) -> Row:
    return Row("Bulk", "Al", quantity, "GPa", value, **more)


class TestComparison:
    def test_shares(self) -> None:
        rows = {"A": [row("x", 1.04), row("y", 2.3), row("z", None, failure="why")], "B": [row("x", 0.9)]}
        known = {"paper": {("Al", key): Reference(value, 0.05) for key, value in (("x", 1), ("y", 2), ("z", 3))}}
        (table,) = compare(rows, known, "paper")
        assert table.shares == {"A": (1, 3), "B": (0, 1)}
        assert table.lines[1].cells["A"].difference == pytest.approx(0.3)

    def test_a_potential_as_the_truth(self) -> None:
        (table,) = compare({"truth": [row("x", 1.0)], "model": [row("x", 1.02)]}, {}, "truth")
        assert table.shares == {"truth": (0, 0), "model": (1, 1)}

    def test_changes(self) -> None:
        now, before = {"A": [row("x", 1.0), row("y", 2.0)]}, {"A": [row("x", 1.0), row("y", 1.0)]}
        (change,) = changes(now, before)
        assert (change.row.quantity, change.before, change.difference) == ("y", 1.0, 1.0)

    def test_digits(self) -> None:
        assert [value_text(-1.23456, "eV"), value_text(None), value_text(123456.0)] == ["−1.235", "–", "1.235e+05"]


@pytest.mark.parametrize("kind", ["lines", "bars", "parity"])
def test_every_kind_of_chart_is_drawn(kind: Any) -> None:
    words: list[str] | list[float] = ["a", "b"] if kind == "bars" else [1.0, 2.0]
    series = (Series("s", words, [1.0, None], [0.1, 0.1] if kind != "parity" else ()), Series("t", words, [2.0, 3.0]))
    ticks = ((1.0, "Γ"), (2.0, "X")) if kind == "lines" else ()
    chart = Chart("id", "Bulk", "title", "caption", "x", "y", kind, series, ticks)
    source = draw({"A": chart, "B": chart}, {"A": "#0072B2", "B": "#E69F00"})
    assert source.startswith("data:image/svg+xml;base64,")


CONFIG = """
folder: out
potentials:
  Morse: {pair_style: morse 3.4, pair_coeff: ["1 1 0.3 1.6 2.8"], elements: [Al]}
  broken: {pair_style: no/such/style, pair_coeff: ["* *"], elements: [Al], plugins: "no"}
crystals:
  - {name: X, element: Al, a: 3.9}
references:
  by hand: {file: hand.csv}
properties:
  - {property: bulk}
  - {property: elastic, normal: [-0.0001, 0.0001], shear: [-0.0001, 0.0001]}
execution: {width: 1}
"""


@pytest.fixture
def validate(tmp_path: Path) -> Callable[..., Any]:
    (tmp_path / "v.yaml").write_text(CONFIG)
    (tmp_path / "hand.csv").write_text("subject,quantity,value,tolerance\nX,E,-1.8,1e-6\nX,c,1,1\n")

    def call(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["validate", str(tmp_path / "v.yaml"), *arguments], obj=Session())

    return call


def test_command(tmp_path: Path, validate: Callable[..., Any]) -> None:
    """A whole validation, a rerun that computes nothing but what failed by chance, and what has changed."""
    first = validate()
    assert first.exit_code == 1  # the potential that cannot work is told
    assert "Bulk: Morse: 1 of 1 within tolerance" in first.stdout
    data = json.loads((tmp_path / "out" / "validation.json").read_text())
    rows = {one["quantity"]: one for one in data["potentials"]["Morse"]["rows"]}
    assert rows["E"]["value"] == pytest.approx(-1.8, rel=1e-8)
    broken = data["potentials"]["broken"]["rows"]
    assert all("no/such/style" in one["failure"] and one["value"] is None for one in broken)
    page = (tmp_path / "out" / "validation.html").read_text()
    assert "<h2>Elastic constants</h2>" in page
    assert "no/such/style" in page
    assert "by hand" in (tmp_path / "out" / "validation.json").read_text()
    again = validate("--against", str(tmp_path / "out" / "validation.json"))
    assert "4 of 4 pieces are stored already" in again.stdout
    assert "all values are the same" in (tmp_path / "out" / "validation.html").read_text()


class TestAlloys:
    def settings(self, tmp_path: Path, **more: Any) -> AlloysSettings:
        b2 = Atoms("AlMg", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[3.38] * 3, pbc=True)
        b2.write(tmp_path / "b2.vasp")
        (tmp_path / "volumes.csv").write_text("name,volume\nb2,20.0\n")
        files = (str(tmp_path / "b2.vasp"),)
        return AlloysSettings(files=files, volumes=str(tmp_path / "volumes.csv"), **more)

    def test_formation_energy_of_table_s9(self, tmp_path: Path, meam: Potential) -> None:
        """mp-1038934 is MgAl in the structure B2: -0.032 eV/atom and 20.29 Å³/atom."""
        part = AlloysProperty(self.settings(tmp_path), (AL, MG))
        (piece,) = part.pieces()
        energy, volume = part.findings({piece.name: Result(part.compute(meam, piece))}).rows
        assert [round(energy.value or 0.0, 3), round(volume.value or 0.0, 2)] == [-0.032, 20.29]
        assert (energy.subject, energy.quantity, energy.note) == ("b2", "E_f", "")

    def test_further_properties(self, tmp_path: Path, meam: Potential) -> None:
        more = {"elastic": {}, "vacancies": {"repeat": [2, 2, 2], "cell": "fixed"}}
        surfaces = {"surfaces": {"relax": False, "miller": [[1, 1, 0]], "thickness": 8, "vacuum": 8}}
        part = AlloysProperty(self.settings(tmp_path, **more, **surfaces), (AL, MG))
        worker = AlloysProperty(self.settings(tmp_path, **more, **surfaces), ())
        results = {piece.name: Result(worker.compute(meam, piece)) for piece in part.pieces()}
        parts = {row.part for row in part.findings(results).rows}
        assert parts == {"Alloys", "Alloys: elastic constants", "Alloys: vacancies", "Alloys: surfaces"}
        values = [one.value for one in part.findings(results).rows]
        assert all(value is not None and np.isfinite(value) for value in values)

    def test_of_the_materials_project(self, tmp_path: Path) -> None:
        """A stored answer stands for the server."""
        recorded = json.loads((Path(__file__).parents[1] / "data/materials_project/al_mg.json").read_text())
        question = MaterialsProjectSettings(system=("Al", "Mg")).criteria()
        store = tmp_path / "answer.json"
        store.write_text(json.dumps({"question": question, "data": recorded["data"]}))
        settings = AlloysSettings(materials_project={"system": "Al-Mg", "store": str(store)})
        names = [piece.name for piece in AlloysProperty(settings, (AL, MG)).pieces()]
        assert names == ["energy of mp-134", "energy of mp-153", "energy of mp-1038916"]

    def test_no_structures(self) -> None:
        with pytest.raises(ValueError, match="give files, or materials_project"):
            AlloysSettings()

    def test_where_the_files_lie_does_not_count(self, tmp_path: Path) -> None:
        settings = self.settings(tmp_path)
        assert settings.hash() == settings.model_copy(update={"files": ("/elsewhere/b2.vasp",)}).hash()
        assert settings.hash() != settings.model_copy(update={"relax": "iso"}).hash()


class TestGenerations:
    def test_each_is_a_potential(self, tmp_path: Path) -> None:
        for number in range(3):
            folder = tmp_path / "run" / "models" / f"g{number:03d}"
            folder.mkdir(parents=True)
            (folder / "model_0.pb").write_text(str(number))
        path = tmp_path / "v.yaml"
        text = "potentials:\n  DP: {run: run, generations: WHICH}\nproperties: [{property: bulk}]\n"
        path.write_text(text.replace("WHICH", "[0, 2]"))
        potentials = load_config(path, ValidationConfig).potentials
        assert list(potentials) == ["DP g000", "DP g002"]
        assert potentials["DP g002"]["models"] == [str(tmp_path / "run" / "models" / "g002" / "model_0.pb")]
        path.write_text(text.replace("WHICH", "[3]"))
        with pytest.raises(ConfigError, match="are: 0, 1, 2"):
            load_config(path, ValidationConfig)

    def test_approach(self) -> None:
        """3 % and 4 % too much are 3.54 % root mean square."""
        rows = {
            "truth": [row("x", 100.0), row("y", 10.0)],
            "DP g000": [row("x", 103.0), row("y", 10.4)],
            "DP g002": [row("x", 101.0), row("y", None, failure="why")],
        }
        ((name, chart),) = approach_charts(compare(rows, {}, "truth"), list(rows), "truth")[0].items()
        (series,) = chart.series
        assert (name, list(series.x)) == ("DP", [0, 2])
        assert list(series.y) == pytest.approx([np.sqrt(12.5), 1.0])


class TestBadInput:
    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ("name: X, element: Al", "name: X", "either element or file"),
            ("property: bulk", "property: bulc", "did you mean 'bulk'"),
            ("{property: bulk}", "{property: bulk, crystals: [Y]}", "none of the crystals is named 'Y'"),
            ("elements: [Al]}", "elements: [Al], models: [a.pb]}", "give one of models"),
            ("normal:", "normals:", "normals"),
        ],
    )
    def test_configuration(self, tmp_path: Path, old: str, new: str, told: str) -> None:
        path = tmp_path / "v.yaml"
        path.write_text(CONFIG.replace(old, new, 1))
        (tmp_path / "hand.csv").write_text("subject,quantity,value\n")
        with pytest.raises(ConfigError, match=told):
            load_config(path, ValidationConfig)

    def test_element_without_reference_phase(self) -> None:
        from lammps_dpgen.validation.crystals import element_crystal

        with pytest.raises(ConfigError, match="no reference phase for O"):
            element_crystal("O")

    def test_identity_follows_the_file(self, tmp_path: Path) -> None:
        model = tmp_path / "m.pb"
        model.write_text("one")
        before = identity_of("a", {"models": [str(model)]})
        moved = tmp_path / "other.pb"
        moved.write_text("one")
        assert identity_of("b", {"models": [str(moved)]}) == before
        model.write_text("two two")
        assert identity_of("a", {"models": [str(model)]}) != before


def test_unknown_element_is_a_failure(morse: Potential) -> None:
    part = BulkProperty(BulkSettings(), (MG,))
    with pytest.raises(Exception, match="has no Mg"):
        part.compute(morse, Piece("Mg", {"crystal": MG.to_json()}))


def test_molecule_is_no_crystal(tmp_path: Path) -> None:
    from lammps_dpgen.validation.crystals import read_cell

    path = tmp_path / "m.xyz"
    Atoms("AlAl", positions=[[0, 0, 0], [0, 0, 2.5]]).write(path)
    with pytest.raises(ConfigError, match="three cell vectors"):
        read_cell(path)
