"""What the settings of ``vasp``, ``gpaw`` and ``espresso`` have in common, and hashes that stay what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lammps_dpgen.labeling.base import LabelerSettings
from lammps_dpgen.labeling.espresso_settings import EspressoSettings
from lammps_dpgen.labeling.gpaw_settings import GpawSettings
from lammps_dpgen.labeling.vasp_settings import VaspSettings
from vasp_files import write_potcars

#: Settings with the hash that labels of theirs carry in ledgers. Another hash would have every such label paid again.
PINNED: list[tuple[type[LabelerSettings], dict[str, Any], str]] = [
    (GpawSettings, {}, "993a237d2a3d723b0c88f13871f254e545d8df97c689aebb4ced6595c11d0be4"),
    (
        GpawSettings,
        {
            "cutoff": 350,
            "kspacing": 0.3,
            "magmoms": {"Fe": 2.3},
            "keywords": {"nbands": "120%", "parallel": {"domain": 1}},
            "compositions": {"Mg-Al": {"kpoints": [1, 2, 3], "width": 0.1}},
            "vacuum": 9.0,
        },
        "079625a0e684e0ddf63864d248d12288c00a25638f44d1695516c2aa63ba803c",
    ),
    (
        EspressoSettings,
        {"pseudopotentials": ["Al"]},
        "6cd9d1700ce808b3db283a8d0c8ddaa6de2be3d10f4523de25a63142139707b2",
    ),
    (
        EspressoSettings,
        {
            "command": "mpirun -n 4 pw.x",
            "pseudopotentials": {"Al": {"cutoff": 300}, "Mg": "Mg.UPF"},
            "kpoints": [2, 2, 1],
            "gamma_centred": False,
            "input": {"electrons": {"mixing_beta": 0.3}, "control": {"verbosity": "high"}},
            "compositions": {"Mg": {"cutoff": 400, "kspacing": 0.2, "magmoms": {"Mg": 1.0}}},
            "omp_threads": 2,
        },
        "77fff6e186f0411995f4d1f24a91852d26921c14651f4d36c5c9ccf908df0c9a",
    ),
    (
        VaspSettings,
        {"command": "srun vasp_std", "potcars": ["Al"]},
        "18766cf0be994d2567e817ae42af29e4696319ad4f719dfb8b2473afcfee1c69",
    ),
    (
        VaspSettings,
        {
            "command": ["vasp_gam"],
            "potcars": {"Al": "Al", "Mg": "Mg_pv"},
            "incar": {"encut": 500, "NCORE": 4, "MAGMOM": {"Al": 1.0}},
            "kspacing": 0.25,
            "compositions": {"Mg-Al": {"incar": {"NELM": 200}, "kpoints": [1, 1, 1]}},
            "vacuum": 15.0,
        },
        "8ccfed31010334b693e969bdccc563b8288e9b74eb07c265de9dd003e1e2c693",
    ),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with pseudopotentials and POTCARs of Al and Mg, always the same."""
    folder = tmp_path_factory.mktemp("files")
    for element in ("Al", "Mg"):
        (folder / f"{element}.UPF").write_text(f"made for tests: {element}\n")
    return write_potcars(folder, ["Al", "Mg_pv"])


def made(kind: type[LabelerSettings], given: dict[str, Any], files: Path) -> LabelerSettings:
    place = {EspressoSettings: "pseudo_folder", VaspSettings: "potcar_folder"}.get(kind)
    return kind.model_validate({**given, **({place: str(files)} if place else {})})


@pytest.mark.parametrize(("kind", "given", "expected"), PINNED)
def test_hashes_stay(kind: type[LabelerSettings], given: dict[str, Any], expected: str, files: Path) -> None:
    assert made(kind, given, files).hash() == expected


@pytest.mark.parametrize(
    ("kind", "key"), [(GpawSettings, "setups"), (EspressoSettings, "pseudopotentials"), (VaspSettings, "potcars")]
)
class TestElements:
    """One key for the data sets of all codes: a labeler is changed by its name alone."""

    def test_stands_for_the_list(self, kind: type[LabelerSettings], key: str, files: Path) -> None:
        command = {"command": "true"} if kind is VaspSettings else {}
        short = made(kind, {**command, "elements": ["Al"]}, files)
        assert short == made(kind, {**command, key: ["Al"]}, files)
        assert kind.model_validate(short.model_dump(mode="json")) == short

    def test_both_are_refused(self, kind: type[LabelerSettings], key: str, files: Path) -> None:
        with pytest.raises(ValidationError, match=f"elements stands for {key}, which is given too"):
            made(kind, {"command": "true", "elements": ["Al"], key: ["Al"]}, files)

    def test_no_list(self, kind: type[LabelerSettings], key: str, files: Path) -> None:
        with pytest.raises(ValidationError, match=f"elements: 'Al' is no list; write .* or {key}"):
            made(kind, {"command": "true", "elements": "Al"}, files)

    def test_schema_knows_it(self, kind: type[LabelerSettings], key: str, files: Path) -> None:
        """Editors complete it, and one of the two keys is required where the code has no default."""
        schema = kind.model_json_schema()
        assert key in schema["properties"]["elements"]["description"]
        assert key not in schema.get("required", [])
        needed = None if kind is GpawSettings else [{"required": [key]}, {"required": ["elements"]}]
        assert schema.get("anyOf") == needed
