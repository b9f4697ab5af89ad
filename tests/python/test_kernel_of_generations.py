"""Which code evaluates the models of a generation: converted models beside its files, and the judge of the kernel."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from lammps_dpgen.ensemble import Ensemble, EnsemblePrediction
from lammps_dpgen.errors import ModelError
from lammps_dpgen.frame import Frame, Label, LabelledFrame
from lammps_dpgen.learning.judge import Judge, disagreement
from lammps_dpgen.learning.models import keep_model
from lammps_dpgen.native.cache import cached_file, converted_file, file_beside, hash_of, was_refused
from lammps_dpgen.native.convert import convert_apart, provide
from lammps_dpgen.store.run_folder import RunFolder, link_files

pytestmark = pytest.mark.models
N_MODELS = 2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, al_models: list[Path]) -> RunFolder:
    """Two models in a run folder, with their weights beside them and not in the cache."""
    source = tmp_path_factory.mktemp("trained")
    run = RunFolder(tmp_path_factory.mktemp("run")).create()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPGEN_NATIVE_CACHE", str(tmp_path_factory.mktemp("cache")))
        convert_apart(al_models[:N_MODELS])
        for index, model in enumerate(al_models[:N_MODELS]):
            shutil.copyfile(model, source / model.name)
            shutil.copyfile(cached_file(hash_of(model)), file_beside(source / model.name))
            keep_model(run, 0, index, source / model.name)
    return run


def files(run: RunFolder) -> list[Path]:
    return sorted(run.models_of(0).glob("*.pb"))


def labelled(data: Path, models: Sequence[Path]) -> list[LabelledFrame]:
    """Return frames with what a model says as labels."""
    teacher, items = Ensemble(models[1:], min_models=1, kernel="deepmd"), []
    for atoms in read(data / "al" / "held_out.extxyz", ":2"):
        frame = Frame.from_ase(atoms)
        said = teacher.predict(frame)
        items.append(LabelledFrame(frame, Label(float(said.energies[0]), said.forces[0], None, "dp", "0", 1.0)))
    return items


def judged(run: RunFolder, data: Path, models: Sequence[Path], kernel: str) -> tuple[Ensemble, float]:
    """Let a judge take the models of a run folder, one after the other."""
    old = Ensemble(models, kernel="deepmd")
    with Judge(old, labelled(data, models), kernel=kernel) as judge:
        for index, model in enumerate(models):
            judge.arrived(index, model)
        found, before, after = judge.verdict()
    assert before == pytest.approx(after)
    return found, after


def test_weights_are_found_beside_the_file_behind_a_link(run: RunFolder, tmp_path: Path) -> None:
    links = link_files(tmp_path, files(run))
    assert converted_file(links[0]) == file_beside(links[0])
    assert Ensemble(links, kernel="native", self_test=False).is_native
    tested = Ensemble(links)
    assert tested.is_native
    assert tested.kernel.startswith("native kernel (double precision")
    assert not Ensemble(links, kernel="deepmd").is_native


def test_the_judge_takes_the_native_kernel_where_it_agrees(run: RunFolder, data: Path) -> None:
    native, error = judged(run, data, files(run), "auto")
    assert native.is_native
    assert native.hashes == tuple(map(hash_of, files(run)))
    deepmd, same = judged(run, data, files(run), "deepmd")
    assert not deepmd.is_native
    assert error == pytest.approx(same)
    frame = labelled(data, files(run))[0].frame
    np.testing.assert_allclose(native.predict(frame).forces, deepmd.predict(frame).forces, atol=2e-6)


def test_the_judge_refuses_the_weights_of_another_model(run: RunFolder, data: Path, tmp_path: Path) -> None:
    copies = [Path(shutil.copy(model, tmp_path)) for model in files(run)]
    for copy, other in zip(copies, reversed(files(run)), strict=True):
        shutil.copyfile(file_beside(other), file_beside(copy))
    found, _ = judged(run, data, copies, "auto")
    assert not found.is_native
    assert "DeePMD-kit's C API, because on frames that were labelled the native kernel differs" in found.kernel
    with pytest.raises(ModelError, match="differs from DeePMD-kit"):
        Ensemble(copies, kernel="native")


def test_without_weights_the_reason_is_said(
    run: RunFolder, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DPGEN_NATIVE_CACHE", str(tmp_path / "cache"))  # other tests fill the common one
    copies = [Path(shutil.copy(model, tmp_path)) for model in files(run)]
    found, _ = judged(run, data, copies, "auto")
    assert not found.is_native
    assert "has not been converted for the native kernel" in found.kernel


def test_what_cannot_be_converted_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DPGEN_NATIVE_CACHE", str(tmp_path / "cache"))
    broken = tmp_path / "broken.pb"
    broken.write_bytes(b"nothing")
    provide([broken])
    assert was_refused(broken)
    monkeypatch.setattr("lammps_dpgen.native.convert.sys.executable", "/no/such/python")
    provide([broken])  # nothing is started for it again


def test_disagreement() -> None:
    def said(force: float, energy: float = 0.0) -> EnsemblePrediction:
        return EnsemblePrediction(np.array([energy]), np.full((1, 4, 3), force), np.zeros((1, 3, 3)))

    assert disagreement([], []) == ""
    assert disagreement([said(1.0)], [[said(1.0 + 1e-7)]]) == ""
    assert "by 0.001 eV/Å and 0 eV/atom" in disagreement([said(1.0), said(1.0)], [[said(1.0)], [said(1.001)]])
    assert "by 0 eV/Å and 0.25 eV/atom" in disagreement([said(1.0)], [[said(1.0, 1.0)]])
    assert "nan eV/Å" in disagreement([said(float("nan"))], [[said(1.0)]])
