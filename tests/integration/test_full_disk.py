"""A full scratch disk under a label: the cause says so, in one line.

Links to ``/dev/full``, where every write ends with "No space left on device", stand for the files that this package
writes. What programs write, and say about it, is in the tests of their outputs.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from lammps_dpgen.errors import LabelError
from lammps_dpgen.labeling.base import Labeler
from lammps_dpgen.labeling.contract import contract_frame
from lammps_dpgen.labeling.espresso import EspressoLabeler
from lammps_dpgen.labeling.espresso_settings import EspressoSettings
from lammps_dpgen.labeling.gpaw import GpawLabeler
from lammps_dpgen.labeling.gpaw_settings import GpawSettings
from lammps_dpgen.labeling.vasp import VaspLabeler
from lammps_dpgen.labeling.vasp_settings import VaspSettings
from vasp_files import command, write_potcars

FRAME = contract_frame("Al", ["Al"], (1, 1, 1))


def vasp(folder: Path) -> Labeler:
    potcars = write_potcars(folder / "potcars", ["Al"])
    return VaspLabeler(
        VaspSettings.model_validate({"command": command(), "elements": ["Al"], "potcar_folder": str(potcars)})
    )


def espresso(folder: Path) -> Labeler:
    (folder / "pseudos").mkdir()
    (folder / "pseudos" / "Al.UPF").write_text('<PP_HEADER element="Al" functional="PBE" z_valence="3" />')
    given = {"command": "true", "elements": ["Al"], "pseudo_folder": str(folder / "pseudos"), "kspacing": 1.0}
    return EspressoLabeler(EspressoSettings.model_validate(given))


def gpaw(folder: Path) -> Labeler:
    given = {"elements": ["Al"], "cutoff": 120, "kpoints": [1, 1, 1]}
    return GpawLabeler(GpawSettings.model_validate(given))


needs_gpaw = [
    pytest.mark.gpaw,
    pytest.mark.skipif(
        importlib.util.find_spec("gpaw") is None,
        reason="GPAW is not installed; it is compiled with libxc and a BLAS, as .ci/run does it",
    ),
]


@pytest.mark.parametrize(
    ("make", "file", "words"),
    [
        (vasp, "POSCAR", r"cannot be written or read \(\[Errno 28\] No space left on device"),
        (espresso, "espresso.pwi", r"cannot be written or read \(\[Errno 28\] No space left on device"),
        pytest.param(gpaw, "gpaw.txt", r"No space left on device.*gpaw\.txt", marks=needs_gpaw),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of GPAW, which closes its file later
def test_the_cause_and_its_place(make: object, file: str, words: str, tmp_path: Path) -> None:
    assert callable(make)
    labeler = make(tmp_path)
    folder = tmp_path / "label"
    folder.mkdir()
    (folder / file).symlink_to("/dev/full")
    with pytest.raises(LabelError, match=words) as caught:
        labeler.label(FRAME, folder)
    assert "\n" not in str(caught.value)
