"""Frames, labels and generations for the tests of the ledger."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.schema import CreateSchema, DropSchema

from lammps_dpgen.frame import Frame, Label
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Generation, ModelRecord

SETTINGS = "5" * 64
DATABASE_URL = "LAMMPS_DPGEN_TEST_DATABASE"
#: Kinds of databases that every ledger has to work on.
KINDS = ["sqlite", pytest.param("server", marks=pytest.mark.optional)]


def new_location(kind: str, path: Path) -> Path | str:
    """Return where a new ledger can be made: a file, or an empty database of a server where one is named."""
    if kind == "sqlite":
        return path
    url = os.environ.get(DATABASE_URL)
    if not url:
        pytest.skip(f"set {DATABASE_URL} to the URL of a PostgreSQL database that may be emptied")
    name = os.environ.get("PYTEST_XDIST_WORKER", "dpgen")  # a schema of its own for each process of pytest
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(DropSchema(name, cascade=True, if_exists=True))
        connection.execute(CreateSchema(name))
    engine.dispose()
    return make_url(url).update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)


def make_frame(seed: int, n_atoms: int = 4, **more: Any) -> Frame:
    rng = np.random.default_rng(seed)
    cell = np.diag([4.0, 5.0, 6.0]) + 0.3 * np.tri(3, k=-1)
    return Frame(("Al", "Mg") * (n_atoms // 2), 4.0 * rng.random((n_atoms, 3)), cell, **more)


def make_label(frame: Frame, seed: int = 0, settings_hash: str = SETTINGS, virial: bool = True) -> Label:
    rng = np.random.default_rng(seed)
    forces = rng.normal(size=(frame.n_atoms, 3))
    return Label(rng.normal(), forces, rng.normal(size=(3, 3)) if virial else None, "analytic 1", settings_hash, 0.25)


def make_generation(number: int, **more: Any) -> Generation:
    models = tuple(ModelRecord(f"models/g{number:03d}/model_{i}.pb", f"{i}" * 64) for i in range(2))
    return Generation(number, models, ("Al", "Mg"), **more)


def labelled(ledger: Ledger, count: int) -> list[str]:
    frames = [make_frame(seed) for seed in range(count)]
    for frame_hash, frame in zip(ledger.add_frames(frames), frames, strict=True):
        assert ledger.record_label(frame_hash, make_label(frame))
    return [frame.hash for frame in frames]
