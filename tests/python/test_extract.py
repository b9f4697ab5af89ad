"""Cells cut out of large frames: what the reference method says of their middle is what it says of the whole frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111

from lammps_dpgen.config.extract import ExtractSettings
from lammps_dpgen.config.selection import SelectionSettings
from lammps_dpgen.errors import ConfigError, StructureError
from lammps_dpgen.frame import FloatArray, Frame, LabelledFrame
from lammps_dpgen.labeling.lammps import LammpsLabeler, LammpsSettings
from lammps_dpgen.learning.extract import cut, extract
from lammps_dpgen.learning.large_frames import LargeFrames
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.training.base import TrainingJob
from lammps_dpgen.training.contract import contract_data
from lammps_dpgen.training.data import complete_weights, has_weights, read_system, write_systems
from lammps_dpgen.training.deepmd_input import training_input
from lammps_dpgen.training.deepmd_settings import DeepmdSettings

EAM = {"pair_style": "eam/alloy", "pair_coeff": ["* * Al_zhou.eam.alloy Al"], "elements": ["Al"]}
MEAM = {
    "pair_style": "meam",
    "pair_coeff": ["* * library.meam AlS SiS MgS CuS FeS AlSiMgCuFe.meam AlS MgS"],
    "elements": ["Al", "Mg"],
}


def hot(atoms: Atoms, centre: int | None = None, seed: int = 1) -> Frame:
    """Return atoms displaced by 0.12 Å, the models least sure of one of them."""
    rng = np.random.default_rng(seed)
    atoms.positions += rng.normal(0.0, 0.12, atoms.positions.shape)
    atoms.pbc = True
    spread = rng.uniform(0.0, 0.1, len(atoms))
    spread[len(atoms) // 2 if centre is None else centre] = 0.5
    return replace(Frame.from_ase(atoms), spread=spread)


def bulk_frame() -> Frame:
    return hot(bulk("Al", cubic=True, a=4.05) * (7, 7, 7))


def surface_frame() -> Frame:
    slab = fcc111("Al", (8, 8, 6), a=4.05, vacuum=10.0, orthogonal=True)
    return hot(slab, int(np.argmax(slab.positions[:, 2])))


def alloy_frame() -> Frame:
    atoms = bulk("Al", cubic=True, a=4.15) * (6, 6, 6)
    atoms.symbols = np.random.default_rng(3).choice(["Al", "Mg"], len(atoms))
    return hot(atoms)


def error(frame: Frame, labeler: LammpsLabeler, folder: Path, **settings: Any) -> tuple[Frame, FloatArray, FloatArray]:
    """Return the cell, and for its learnt atoms the forces in the whole frame and what they are off by in the cell."""
    chosen = ExtractSettings.model_validate(settings)
    (cell,) = extract(frame, chosen, 5000)
    # The same cut, with the numbers of the atoms in the place of their deviation, tells which atoms they are.
    centre = int(np.argmax(frame.spread))
    numbers = cut(replace(frame, spread=np.arange(frame.n_atoms, dtype=np.float64)), centre, chosen).spread
    assert numbers is not None
    which = numbers.astype(int)[cell.learnt]
    labels = []
    for name, one in (("whole", frame), ("cell", cell)):
        (folder / name).mkdir(exist_ok=True)
        labels.append(labeler.label(one, folder / name).forces)
    return cell, labels[0][which], labels[1][cell.learnt] - labels[0][which]


def rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


class TestOracle:
    """Against the whole frame; the table in docs/extract.md is from here."""

    @pytest.mark.parametrize(
        ("frame", "method", "allowed"),
        [
            (bulk_frame, EAM, {3.0: 0.05, 4.0: 0.02, 6.0: 0.002}),
            (surface_frame, EAM, {3.0: 0.1, 4.5: 0.04, 7.0: 0.002}),
            (alloy_frame, MEAM, {3.0: 0.25, 4.0: 0.01, 6.0: 1e-4}),
        ],
        ids=["bulk", "surface", "alloy"],
    )
    def test_the_error_falls_with_the_margin(
        self, frame: Any, method: dict[str, Any], allowed: dict[float, float], tmp_path: Path
    ) -> None:
        """Root mean square error of the learnt forces, as a share of these forces, by margin."""
        whole = frame()
        labeler = LammpsLabeler(LammpsSettings.model_validate(method))
        for margin, share in allowed.items():
            cell, forces, wrong = error(whole, labeler, tmp_path, margin=margin)
            assert cell.n_atoms < whole.n_atoms
            assert all(cell.pbc)
            assert rms(wrong) < share * rms(forces)

    @pytest.mark.parametrize("shape", ["periodic", "cluster"])
    def test_a_margin_beyond_the_reach_is_exact(self, shape: str, tmp_path: Path) -> None:
        """A Zhou atom feels others up to 8.9 Å away, by the density at its neighbours twice as far, hardly."""
        labeler = LammpsLabeler(LammpsSettings.model_validate(EAM))
        _, _, wrong = error(bulk_frame(), labeler, tmp_path, shape=shape, margin=10.5)
        assert np.abs(wrong).max() < 1e-4

    def test_a_crystal_has_no_faces(self, tmp_path: Path) -> None:
        """In an ideal crystal the lengths are periods: the cell is the crystal, to the last digit."""
        frame = replace(Frame.from_ase(bulk("Al", cubic=True, a=4.05) * (6, 6, 6)), spread=np.ones(864))
        (cell,) = extract(frame, ExtractSettings(), 200)
        labeler = LammpsLabeler(LammpsSettings.model_validate(EAM))
        labels = []
        for name, one in (("whole", frame), ("cell", cell)):
            (tmp_path / name).mkdir()
            labels.append(labeler.label(one, tmp_path / name))
        assert cell.n_atoms == 108
        assert labels[1].energy / 108 == pytest.approx(labels[0].energy / 864, abs=1e-9)
        assert np.abs(labels[1].forces).max() < 1e-8


class TestCells:
    def test_surroundings_are_those_of_the_frame(self) -> None:
        """Learnt atoms lie within the core, and see all their neighbours up to the margin where they were."""
        frame = bulk_frame()
        (cell,) = extract(frame, ExtractSettings(core=3.2, margin=3.0), 300)
        before, after = (one.to_ase() for one in (frame, cell))
        assert cell.spread is not None
        assert cell.learnt is not None
        centre = int(np.argmax(cell.spread))
        distances = after.get_distances(centre, range(len(after)), mic=True)
        np.testing.assert_array_equal(cell.learnt, distances <= 3.2)
        whole = before.get_distances(int(np.argmax(frame.spread)), range(len(before)), mic=True)
        np.testing.assert_allclose(np.sort(distances[distances < 6.2]), np.sort(whole[whole < 6.2]), atol=1e-9)

    def test_no_atoms_too_close_across_a_face(self) -> None:
        frame = hot(bulk("Al", cubic=True, a=4.05) * (6, 6, 6), seed=8)
        shortest = np.min(_distances(frame))
        (cell,) = extract(frame, ExtractSettings(slack=0.5), 200)
        assert np.min(_distances(cell)) > 0.89 * shortest

    def test_vacuum_stays_vacuum(self) -> None:
        """A deep cut into a slab: a free surface above, as in the frame, and one below, with the vacuum asked for."""
        frame = surface_frame()
        (cell,) = extract(frame, ExtractSettings(vacuum=11.0), 200)
        height = cell.cell[2, 2]
        z = cell.positions[:, 2]
        assert 11.0 <= height - (z.max() - z.min()) < 11.5
        assert z.max() - z.min() < 7.0
        assert np.all(np.linalg.norm(cell.cell, axis=1)[:2] < 17.0)

    def test_the_frame_may_be_split_by_its_own_border(self) -> None:
        """Moving the origin of a periodic frame changes nothing: neither for a bulk nor for a slab."""
        for frame in (bulk_frame(), surface_frame()):
            moved = replace(frame, positions=frame.positions + np.array([3.0, -5.0, 0.4]) @ np.diag([1.0, 1.0, 30.0]))
            cells = [extract(one, ExtractSettings(), 300)[0] for one in (frame, moved)]
            assert cells[0].n_atoms == cells[1].n_atoms
            np.testing.assert_allclose(cells[0].cell, cells[1].cell, atol=1e-9)
            np.testing.assert_allclose(cells[0].positions, cells[1].positions, atol=1e-6)

    def test_directions_that_are_short_stay_whole(self) -> None:
        frame = hot(bulk("Al", cubic=True, a=4.05) * (3, 3, 12))
        (cell,) = extract(frame, ExtractSettings(), 300)
        np.testing.assert_allclose(cell.cell[:2], frame.cell[:2], atol=1e-12)
        assert cell.cell[2, 2] < 17.0

    def test_further_cells(self) -> None:
        """The second centre is the worst atom outside the first core; one below half the highest is none."""
        frame = bulk_frame()
        assert frame.spread is not None
        spread = frame.spread.copy()
        spread[[0, 1000]] = 0.4, 0.2
        cells = extract(replace(frame, spread=spread), ExtractSettings(cells=5), 300)
        assert [float(cell.spread.max()) for cell in cells if cell.spread is not None] == [0.5, 0.4]

    def test_molecule_stays_one(self) -> None:
        atoms = bulk("Al", cubic=True, a=4.05) * (6, 6, 6)
        frame = replace(hot(atoms), pbc=(False, False, False), cell=np.zeros((3, 3)))
        (cell,) = extract(frame, ExtractSettings(), 300)
        assert not any(cell.pbc)
        assert cell.n_atoms < 70

    def test_refused(self) -> None:
        with pytest.raises(StructureError, match=r"has 118 atoms|has \d+ atoms, 50 are allowed; make core, margin"):
            extract(bulk_frame(), ExtractSettings(max_atoms=50), 200)
        with pytest.raises(StructureError, match="without the deviation"):
            extract(replace(bulk_frame(), spread=None), ExtractSettings(), 200)


def _distances(frame: Frame) -> FloatArray:
    from ase.neighborlist import neighbor_list

    return np.asarray(neighbor_list("d", frame.to_ase(), 3.2))


class TestLargeFrames:
    def test_large_ones_give_way(self) -> None:
        small, large = hot(bulk("Al", cubic=True, a=4.05) * (2, 2, 2)), bulk_frame()
        kept, gone = LargeFrames(ExtractSettings(), 200, None).cells([small, large])
        assert kept[0] is small
        assert kept[1].learnt is not None
        assert [(frame.n_atoms, told) for frame, told in gone] == [(1372, "1 cells were cut out of it")]

    def test_trusted_ones_are_not_cut_and_cells_not_judged_again(self) -> None:
        looked: list[int] = []

        def look(frame: Frame) -> tuple[Frame, str]:
            looked.append(frame.n_atoms)
            return frame, "trusted by generation 3"

        large = LargeFrames(ExtractSettings(), 200, None, look)
        kept, gone = large.cells([bulk_frame()])
        assert (kept, gone[0][1], looked) == ([], "trusted by generation 3", [1372])
        (cell,) = extract(bulk_frame(), ExtractSettings(), 200)
        assert large.second_look(cell) == (cell, "")

    def test_settings_that_never_fit(self) -> None:
        with pytest.raises(ConfigError, match=r"extract: a cell with a core of 3 Å and a margin of 9 Å has \d+ atoms"):
            LargeFrames(ExtractSettings(margin=9.0), SelectionSettings().max_atoms, None).cells([bulk_frame()])


def labelled_cell(seed: int = 1, garbage: float = 0.0) -> LabelledFrame:
    """Return a small labelled frame with half of its forces learnt; `garbage` is added to the others."""
    (plain,) = contract_data("Al", 1, 0.1, seed=seed)
    learnt = np.arange(plain.frame.n_atoms) % 2 == 0
    forces = plain.label.forces + np.where(learnt[:, None], 0.0, garbage)
    return LabelledFrame(replace(plain.frame, learnt=learnt), replace(plain.label, forces=forces))


class TestOnTheWay:
    def test_what_is_learnt_survives(self, tmp_path: Path) -> None:
        """Worker, ledger and files keep it, and it is part of the frame's identity."""
        frame = labelled_cell().frame
        assert frame.learnt is not None
        with Ledger.open(tmp_path / "ledger.db", config_hash="c" * 64) as ledger:
            ledger.add_frames([frame])
            (stored,) = ledger.frames()
        for copy in (Frame.from_json(frame.to_json()), Frame.from_ase(frame.to_ase()), stored.frame):
            assert copy.learnt is not None
            np.testing.assert_array_equal(copy.learnt, frame.learnt)
            assert copy.hash == frame.hash
        assert replace(frame, learnt=None).hash != frame.hash
        with pytest.raises(StructureError, match="learnt has shape"):
            replace(frame, learnt=np.ones(3, dtype=bool))

    def test_training_data(self, tmp_path: Path) -> None:
        """Cells are systems of their own: weights that are 1 on average, energies, no virial; atoms by type."""
        cell, plain = labelled_cell(), contract_data("Al", 2, 0.1, seed=2)
        systems = write_systems([cell, *plain], tmp_path, ["Al"])
        assert [system.name for system in systems] == ["Al8", "Al8_cut"]
        weights = np.load(systems[1] / "set.000" / "atom_pref.npy")
        np.testing.assert_array_equal(weights, [[2.0, 0.0] * 4])
        assert not (systems[1] / "set.000" / "virial.npy").exists()
        assert np.load(systems[1] / "set.000" / "energy.npy").shape == (1,)
        assert (systems[0] / "set.000" / "virial.npy").exists()
        assert [has_weights(system) for system in systems] == [False, True]
        complete_weights(systems)
        np.testing.assert_array_equal(np.load(systems[0] / "set.000" / "atom_pref.npy"), np.ones((2, 8)))
        assert len(read_system(systems[1]).positions) == 1

    def test_without_cells_nothing_is_weighed(self, tmp_path: Path) -> None:
        systems = write_systems(contract_data("Al", 2, 0.1, seed=2), tmp_path, ["Al"])
        complete_weights(systems)
        assert not has_weights(systems[0])

    def test_prefactors_of_forces_become_those_of_weighted_ones(self, tmp_path: Path) -> None:
        systems = tuple(map(str, write_systems([labelled_cell()], tmp_path, ["Al"])))
        job = TrainingJob(0, 0, 1, ("Al",), (), systems)
        loss = training_input(DeepmdSettings(start_pref_f=500.0, limit_pref_f=2.0), job)["loss"]
        assert [loss[f"{when}_pref_{kind}"] for kind in ("f", "pf") for when in ("start", "limit")] == [
            0,
            0,
            500.0,
            2.0,
        ]
        users = {"model": {"descriptor": {"sel": [9]}}, "learning_rate": {}, "training": {"numb_steps": 5}}
        with pytest.raises(ConfigError, match="cannot weigh forces by atom"):
            training_input(DeepmdSettings(input={**users, "loss": {"type": "ener", "relative_f": 1.0}}), job)


@pytest.mark.models
def test_forces_of_the_margin_are_not_learnt(tmp_path: Path) -> None:
    """DeePMD-kit itself: forces of 1000 eV/Å on the margin change nothing in a training, digit by digit; and weights
    of 1 give the very training that there is without weights.
    """
    from lammps_dpgen.training.deepmd import DeepmdTrainer

    shape = {"rcut": 4.5, "rcut_smth": 2.0, "neuron": [4, 8], "axis_neuron": 2, "fitting_neuron": [8, 8]}
    trainer = DeepmdTrainer(DeepmdSettings.model_validate({**shape, "numb_steps": 10, "batch_size": 1, "disp_freq": 5}))
    plain = contract_data("Al", 2, 0.1, seed=2)
    data = {
        "margin": [labelled_cell(), *plain],
        "garbage": [labelled_cell(garbage=1000.0), *plain],
        "plain": plain,
        "ones": plain,
    }
    curves = {}
    for name, labelled in data.items():
        systems = write_systems(labelled, tmp_path / name, ["Al"])
        if name == "ones":
            np.save(systems[0] / "set.000" / "atom_pref.npy", np.ones((2, 8)))
        complete_weights(systems)
        (tmp_path / f"{name}-training").mkdir()
        job = TrainingJob(0, 0, 1, ("Al",), (), tuple(map(str, systems)))
        curves[name] = trainer.train(job, tmp_path / f"{name}-training").curve
    assert curves["margin"] == curves["garbage"]
    assert np.all(np.array(curves["margin"])[:, 1] < 100.0)
    np.testing.assert_allclose(curves["ones"], curves["plain"], rtol=1e-3)
