"""Bad input to fix dpgen: a clear error that names the cause and the value, on every rank, and nobody hangs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = [pytest.mark.mpi, pytest.mark.models]

#: case of refusals.py: words that the message must contain
SAYS = {
    "one model": ("got 1 model", "at least 2"),
    "no model": ("got 0 model", "at least 2"),
    "no words": ("fix",),
    "missing file": ("'nowhere.pb' cannot be read",),
    "no model in the file": ("'text.pb'", "cannot be loaded"),
    "empty file": ("'empty.pb'", "empty"),
    "truncated model": ("'truncated.pb'", "cannot be loaded"),
    "type maps": ("model_0.pb", "another type map"),
    "analytic type maps": ("'map.model'", "another type map"),
    "cut-offs": ("'reach.model'", "cut-off"),
    "mixed kinds": ("cannot be mixed",),
    "unknown element": ("'Xx'", "type 1", "Al"),
    "no types": ("types is required",),
    "too few types": ("one element per LAMMPS atom type, 2",),
    "lo above hi": ("lo = 0.3", "hi = 0.1"),
    "trust no number": ("'high' is not a number",),
    "N of 0": ("N is '0'", "at least 1"),
    "N no number": ("N is 'a.model'",),
    "unknown keyword": ("'colour'", "max_frames"),
    "keyword without value": ("max_frames needs 1 value",),
    "stop word": ("'sometimes'", "candidates K"),
    "stop never reached": ("stop candidates 9", "max_frames 5"),
    "stride": ("'sometimes' is neither fixed nor adaptive",),
    "budget": ("'2'", "above 0 and up to 1"),
    "kernel": ("'fast'", "auto, native, deepmd"),
    "units lj": ("units lj", "metal or real"),
    "2d": ("dimension 2",),
    "group with vtrust": ("'some'", "vtrust"),
    "empty group": ("'nobody' has no atoms",),
    "communication cutoff": ("communication cutoff is 7.0", "comm_modify cutoff 13.0"),
    "newton off": ("newton on",),
    "molecules": ("special_bonds", "1-2"),
    "folder": ("'no/such/devi.out'", "No such file"),
    "frames folder": ("'no/such/f.extxyz'", "No such file"),
    "full disk": ("'/dev/full'", "No space left"),
    "full disk for frames": ("'/dev/full'", "step 0", "No space left"),
    "one file for two": ("'model_devi.out' already", "dp"),
    "fix_modify": ("lo = 2", "hi = 1"),
    "fix_modify group": ("vtrust with group 'some'",),
    "fix_modify stop": ("never reached with max_frames 1000",),
    "fix_modify max_frames": ("max_frames is '-1'",),
    "fix_modify every": ("N must be at least 1",),
    "fix_modify types": ("does not support fix_modify types",),
}


@pytest.mark.parametrize("ranks", [1, 2])
def test_every_refusal_names_its_cause_on_every_rank(
    ranks: int,
    mpirun: Callable[..., object],
    al_models: list[Path],
    almg_models: list[Path],
    tmp_path: Path,
) -> None:
    program = Path(__file__).with_name("refusals.py")
    mpirun(program, ranks, str(al_models[0].parent), str(almg_models[0].parent), "said.json", timeout=200)
    everyone = json.loads((tmp_path / "said.json").read_text())
    assert len(everyone) == ranks
    wrong = []
    for said in everyone:
        assert said.keys() == SAYS.keys()
        for name, words in SAYS.items():
            wrong += [f"{name}: no '{word}' in '{said[name]}'" for word in words if word not in said[name]]
    assert not wrong, "\n".join(wrong)
