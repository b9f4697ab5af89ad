"""The tables of the ledger.

Arrays are stored as the bytes of ``numpy.save``, so that any NumPy reads them and no pickle is involved. Figures that
are not known (NaN in memory) are NULL. Lists and dictionaries are JSON text.
"""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text, text
from sqlalchemy import UniqueConstraint as Unique

#: Raised whenever a table changes; a program refuses a ledger whose version is above its own. Older ones are upgraded
#: when they are opened for writing (``upgrade.py``), and read as they are otherwise.
SCHEMA_VERSION = 3

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

frames = Table(
    "frames",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("state", String(16), nullable=False, index=True),
    Column("cause", Text, nullable=False, default=""),
    Column("n_atoms", Integer, nullable=False),
    Column("species", Text, nullable=False),
    Column("pbc", String(3), nullable=False),
    Column("cell", LargeBinary, nullable=False),
    Column("positions", LargeBinary, nullable=False),
    Column("spread", LargeBinary),
    # One letter per atom, T where its force is learnt; null: all are.
    Column("learnt", Text),
    # Where the frame came from: the fields of FrameOrigin, by their names.
    Column("source", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("structure", Text, nullable=False),
    Column("walker", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("time", Float),
    Column("temperature", Float),
    Column("pressure", Float),
    Column("max_devi_f", Float),
    Column("max_devi_v", Float),
    Column("trajectory", Integer, nullable=False, server_default=text("-1")),
)

Index("frames_by_trajectory", frames.c.trajectory)

labels = Table(
    "labels",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("frame", Integer, ForeignKey("frames.number"), nullable=False),
    Column("settings_hash", String(64), nullable=False),
    Column("code", Text, nullable=False),
    Column("energy", Float, nullable=False),
    Column("forces", LargeBinary, nullable=False),
    Column("virial", LargeBinary),
    Column("seconds", Float, nullable=False),
    Column("created", String(40), nullable=False),
    Column("trained_in", Integer, ForeignKey("generations.number"), index=True),
    Column("generation_judged", Integer, index=True),
    Column("force_rmse", Float),
    Column("force_error_max", Float),
    Column("energy_error_per_atom", Float),
    # What "exactly once" rests on.
    Unique("frame", "settings_hash", name="one_label_per_frame_and_settings"),
)

failures = Table(
    "failures",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("frame", Integer, ForeignKey("frames.number"), nullable=False, index=True),
    Column("settings_hash", String(64), nullable=False),
    Column("cause", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("created", String(40), nullable=False),
)

generations = Table(
    "generations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("type_map", Text, nullable=False),
    Column("force_rmse_before", Float),
    Column("force_rmse_after", Float),
    Column("n_labels", Integer, nullable=False),
    Column("created", String(40), nullable=False),
    Column("reason", Text, nullable=False),
)

models = Table(
    "models",
    metadata,
    Column("generation", Integer, ForeignKey("generations.number"), primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("warm_start", Text),
    Column("curve", Text, nullable=False),
    Column("seconds", Text, nullable=False),
    Column("steps", Integer, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("time", String(40), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("step", Integer, nullable=False),
    Column("data", Text, nullable=False),
)

Index("events_by_kind", events.c.kind, events.c.number)

trajectories = Table(
    "trajectories",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("stage", Text, nullable=False),
    Column("round", Integer, nullable=False),
    Column("index", Integer, nullable=False),
    Column("structure", Text, nullable=False),
    Column("conditions", Text, nullable=False),
    Column("n_steps", Integer, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("sampler", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("attempts", Integer, nullable=False),
    Column("cause", Text, nullable=False),
    Column("walker", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    # Looks by class, and the largest deviation (eV/Å) of all.
    Column("accurate", Integer, nullable=False),
    Column("candidate", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("max_devi_f", Float),
    Column("seconds", Float, nullable=False),
    Column("policy", Text, nullable=False),
    Column("created", String(40), nullable=False),
    Column("ended", String(40)),
    # What makes planning a round again harmless.
    Unique("stage", "round", "index", name="one_trajectory_per_place"),
)
