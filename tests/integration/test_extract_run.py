"""A script with frames too large for a label learns from cells that are cut out of them; so does a file of frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.io import read, write
from learning_runs import ATOMS, LABELER, NVT, PAIR, Work, assert_intact, fix

from conftest import BIN, start

#: 256 atoms instead of 32.
LARGE = ATOMS.replace("0 2 0 2 0 2", "0 4 0 4 0 4")


def test_script_learns_from_cells(work: Work) -> None:
    """The whole way: MD of 256 atoms, cells of fewer than 120, labels, weighted training, and the models get better."""
    work.configure(selection={"batch": 2, "max_atoms": 120}, extract={"core": 3.0, "margin": 2.5, "slack": 1.5})
    work.md(LARGE + PAIR + fix("trust 0.05 5.0 stop candidates 2", 2) + NVT.format(t=900) + "run 8\n")
    assert assert_intact(work) >= 1
    with work.ledger() as ledger:
        cells = [stored for stored in ledger.labels() if stored.frame.learnt is not None]
        newest = ledger.latest_generation()
    assert newest is not None
    assert len(cells) >= 1
    for stored in cells:
        assert stored.frame.learnt is not None
        assert 5 < np.count_nonzero(stored.frame.learnt) < stored.frame.n_atoms < 120
        assert stored.frame.origin.step >= 0
        assert stored.force_rmse is not None
        assert stored.frame.spread is not None
        assert np.argmax(stored.frame.spread) in np.flatnonzero(stored.frame.learnt)
    systems = sorted(work.run.path.glob("data/g001/*_cut"))
    assert systems
    for system in systems:
        weights = np.load(system / "set.000" / "atom_pref.npy")
        np.testing.assert_allclose(weights.mean(axis=1), 1.0)
    assert all((system / "set.000" / "atom_pref.npy").is_file() for system in work.run.path.glob("data/g000/*"))


def test_frames_of_a_file(tmp_path: Path, clean_env: dict[str, str]) -> None:
    """``lammps-dpgen label`` cuts around the atoms with the highest force_spread, and says what it needs for that."""
    atoms = bulk("Al", cubic=True, a=4.05) * (6, 6, 6)
    atoms.positions += np.random.default_rng(1).normal(0.0, 0.1, atoms.positions.shape)
    labeler = {key: value for key, value in LABELER.items() if key != "log_file"}
    config = {"labeler": labeler, "extract": {"core": 3.0, "margin": 3.0, "max_atoms": 250}}
    (tmp_path / "label.yaml").write_text(yaml.safe_dump(config))
    words = [BIN / "lammps-dpgen", "label", "frames.extxyz", "--config", "label.yaml", "--deepmd", "data"]
    write(tmp_path / "frames.extxyz", atoms)
    refused = start(words, tmp_path, clean_env, 60.0, False)
    assert refused.returncode != 0
    assert "force_spread" in refused.output
    atoms.set_array("force_spread", np.arange(len(atoms), dtype=float))
    write(tmp_path / "frames.extxyz", atoms)
    run = start(words, tmp_path, clean_env, 120.0, True)
    assert "1 of 1 frames labelled" in run.output
    cell = read(tmp_path / "frames-labelled.extxyz")
    assert len(cell) <= 250 < len(atoms)
    assert 5 < cell.arrays["learnt"].sum() < 20
    assert cell.get_forces().shape == (len(cell), 3)
    (system,) = (tmp_path / "data").iterdir()
    assert np.load(system / "set.000" / "atom_pref.npy").mean() == pytest.approx(1.0)
