"""Labelled frames as deepmd/npy systems, and the neighbour statistics of such data."""

import dataclasses
from pathlib import Path

import dpdata
import numpy as np
import pytest
from ase.build import bulk

from lammps_dpgen.errors import ConfigError, TrainingError
from lammps_dpgen.frame import Frame, Label, LabelledFrame
from lammps_dpgen.training import data
from lammps_dpgen.training.contract import morse_label
from lammps_dpgen.training.data import read_system, write_systems
from lammps_dpgen.training.neighbors import count_neighbors, selected_neighbors

FCC = 4.05


def labelled(species: tuple[str, ...], seed: int = 0, virial: bool = True, pbc: bool = True) -> LabelledFrame:
    rng = np.random.default_rng(seed)
    cell = np.array([[5.0, 0.0, 0.0], [0.3, 6.0, 0.0], [-0.2, 0.4, 7.0]])
    n = len(species)
    frame = Frame(species, rng.uniform(-3.0, 9.0, (n, 3)), cell if pbc else np.zeros((3, 3)), (pbc, pbc, pbc))
    tensor = rng.normal(size=(3, 3)) if virial else None
    return LabelledFrame(frame, Label(rng.normal(), rng.normal(size=(n, 3)), tensor, "test", "hash", 0.0))


def test_round_trip_through_dpdata_sorts_the_atoms(tmp_path: Path) -> None:
    members = [labelled(("Mg", "Al", "Mg", "Al"), 1), labelled(("Al", "Al", "Mg", "Mg"), 2)]
    (folder,) = write_systems(members, tmp_path, ["Al", "Mg"])
    assert folder == tmp_path / "Al2Mg2"
    system = dpdata.LabeledSystem(str(folder), fmt="deepmd/npy")
    assert [system["atom_names"][kind] for kind in system["atom_types"]] == ["Al", "Al", "Mg", "Mg"]
    for index, (member, order) in enumerate(zip(members, ([1, 3, 0, 2], [0, 1, 2, 3]), strict=True)):
        # dpdata wraps and rotates nothing here: the numbers are the very ones that were written.
        np.testing.assert_array_equal(system["coords"][index], member.frame.positions[order])
        np.testing.assert_array_equal(system["forces"][index], member.label.forces[order])
        np.testing.assert_array_equal(system["cells"][index], member.frame.cell)
        np.testing.assert_array_equal(system["virials"][index], member.label.virial)
        assert system["energies"][index] == member.label.energy


def test_one_system_per_composition_in_the_order_of_the_type_map(tmp_path: Path) -> None:
    members = [labelled(("Al", "Mg"), 1), labelled(("Mg", "Mg"), 2), labelled(("Mg", "Al"), 3)]
    folders = write_systems(members, tmp_path, ["Mg", "Al"])
    assert [folder.name for folder in folders] == ["Mg1Al1", "Mg2"]
    assert (folders[0] / "type.raw").read_text() == "0\n1\n"
    assert (folders[1] / "type_map.raw").read_text() == "Mg\nAl\n"
    assert len(read_system(folders[0]).positions) == 2


def test_virials_only_when_all_frames_have_one(tmp_path: Path) -> None:
    mixed = [labelled(("Al", "Al"), 1), labelled(("Al", "Al"), 2, virial=False)]
    (folder,) = write_systems(mixed, tmp_path, ["Al"])
    assert not (folder / "set.000" / "virial.npy").exists()
    assert not dpdata.LabeledSystem(str(folder), fmt="deepmd/npy").has_virial()


def test_molecules_are_kept_apart_from_crystals(tmp_path: Path) -> None:
    members = [labelled(("Al", "Al"), 1), labelled(("Al", "Al"), 2, virial=False, pbc=False)]
    crystal, molecule = write_systems(members, tmp_path, ["Al"])
    assert not (crystal / "nopbc").exists()
    assert (molecule / "nopbc").exists()
    assert read_system(molecule).cells is None


def test_a_system_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_systems([labelled(("Al", "Al"), 1), labelled(("Al", "Al"), 2)], tmp_path, ["Al"])

    def full_disk(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(data.np, "save", full_disk)
        with pytest.raises(OSError, match="full"):
            write_systems([labelled(("Al", "Al"), 3)], tmp_path, ["Al"])
    assert [path.name for path in tmp_path.iterdir()] == ["Al2"]
    assert len(read_system(tmp_path / "Al2").positions) == 2
    write_systems([labelled(("Al", "Al"), 3)], tmp_path, ["Al"])
    assert len(read_system(tmp_path / "Al2").positions) == 1


def test_what_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    good = labelled(("Al", "Al"))
    with pytest.raises(ConfigError, match="holds Mg, which the type map"):
        write_systems([labelled(("Mg", "Al"))], tmp_path, ["Al"])
    broken = dataclasses.replace(good, label=dataclasses.replace(good.label, energy=float("nan")))
    with pytest.raises(TrainingError, match="not finite"):
        write_systems([broken], tmp_path, ["Al"])
    slab = dataclasses.replace(good, frame=dataclasses.replace(good.frame, pbc=(True, True, False)))
    with pytest.raises(TrainingError, match="periodic along 2 of 3"):
        write_systems([slab], tmp_path, ["Al"])
    short = dataclasses.replace(good, label=dataclasses.replace(good.label, forces=np.zeros((1, 3))))
    with pytest.raises(TrainingError, match=r"forces of shape \(1, 3\), expected \(2, 3\)"):
        write_systems([short], tmp_path, ["Al"])
    assert not any(tmp_path.iterdir())


def test_neighbours_of_a_perfect_crystal(tmp_path: Path) -> None:
    """Fcc: 12, 6 and 24 neighbours in the first three shells, at a/sqrt(2), a and a sqrt(3/2)."""
    frame = Frame.from_ase(bulk("Al", "fcc", a=FCC, cubic=True) * (2, 1, 1))
    systems = [str(path) for path in write_systems([LabelledFrame(frame, morse_label(frame))], tmp_path, ["Al"])]
    counts = [count_neighbors(systems, cutoff).largest["Al"] for cutoff in (3.0, 4.5, 5.2)]
    assert counts == [12, 18, 42]
    assert count_neighbors(systems, 5.2).shortest == pytest.approx(FCC / np.sqrt(2.0))
    assert selected_neighbors(count_neighbors(systems, 5.2), ["Mg", "Al"], 1.5) == [64, 64]


def test_neighbours_are_counted_again_when_a_system_was_replaced(tmp_path: Path) -> None:
    for lattice, expected in ((4.0, 12), (8.0, 0)):
        frame = Frame.from_ase(bulk("Al", "fcc", a=lattice))
        systems = [str(path) for path in write_systems([LabelledFrame(frame, morse_label(frame))], tmp_path, ["Al"])]
        assert count_neighbors(systems, 3.0).largest["Al"] == expected


def test_atoms_in_one_place_and_foreign_folders_are_named(tmp_path: Path) -> None:
    frame = Frame(("Al", "Al"), np.zeros((2, 3)), 5.0 * np.eye(3))
    label = Label(0.0, np.zeros((2, 3)), np.zeros((3, 3)), "test", "hash", 0.0)
    systems = [str(path) for path in write_systems([LabelledFrame(frame, label)], tmp_path, ["Al"])]
    with pytest.raises(TrainingError, match="same place"):
        count_neighbors(systems, 3.0)
    with pytest.raises(TrainingError, match="nowhere"):
        count_neighbors([str(tmp_path / "nowhere")], 3.0)
