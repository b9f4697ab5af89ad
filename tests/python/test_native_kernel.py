"""The native kernel beside DeePMD-kit's C API, on the trained ensembles and on models of other forms."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import read
from native_models import MODELS, write_models

from lammps_dpgen.cli.kernel_test import Comparison, compare
from lammps_dpgen.cli.main import main
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.errors import ModelError
from lammps_dpgen.frame import Frame
from lammps_dpgen.native.cache import cached_file
from lammps_dpgen.native.convert import convert_apart
from lammps_dpgen.native.model_file import MAGIC

pytestmark = pytest.mark.models
DATA = Path(__file__).resolve().parents[1] / "data"
TRAINED = {name: sorted((DATA / name).glob("model_*.pb")) for name in ("al", "almg")}


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Convert into a folder of this module."""
    folder = tmp_path_factory.mktemp("native")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPGEN_NATIVE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models with random weights in forms that the trained ones do not have, made in a process of its own."""
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, write_models.__code__.co_filename, str(folder)], check=True, capture_output=True)
    return {name: folder / f"{name}.pb" for name in MODELS}


@pytest.fixture(scope="module", params=list(TRAINED))
def trained(request: pytest.FixtureRequest) -> tuple[Ensemble, list[Path]]:
    """A trained ensemble, evaluated by DeePMD-kit."""
    paths = TRAINED[request.param]
    convert_apart([path for paths in TRAINED.values() for path in paths])
    return Ensemble(paths, kernel="deepmd"), paths


def frames_for(elements: tuple[str, ...]) -> Iterator[Frame]:
    """Yield what is difficult: small cells, alloys, vacuum, atoms alone, close contacts, more neighbours than sel."""
    rng = np.random.default_rng(5)
    aluminium = bulk("Al", "fcc", a=4.05, cubic=True)
    perturbed = aluminium.repeat(2)
    perturbed.rattle(0.15, rng=rng)
    perturbed.symbols = rng.choice(elements, len(perturbed))
    one_other = perturbed.copy()
    one_other.symbols = [elements[-1], *["Al"] * 31]
    slab = perturbed.copy()
    slab.center(vacuum=6.0, axis=2)
    cluster = Atoms("Al3", positions=[[0.0, 0.0, 0.0], [2.6, 0.3, 0.0], [0.4, 2.7, 1.0]])
    dense = bulk("Al", "fcc", a=3.2, cubic=True).repeat(2)
    dense.rattle(0.05, rng=rng)
    alone = Atoms("Al", positions=[[1.0, 2.0, 3.0]], cell=[20.0] * 3, pbc=True)
    close = perturbed.copy()
    close.positions[0] = close.positions[1] + [1.5, 0.0, 0.0]
    very_close = Atoms(
        [elements[0], elements[-1]], positions=[[1.0, 2.0, 3.0], [1.3, 2.5, 3.2]], cell=[20.0] * 3, pbc=True
    )
    outside = perturbed.copy()
    outside.positions += [13.0, -9.0, 4.0]
    for atoms in (aluminium, bulk("Al", "fcc", a=4.05), perturbed, one_other, slab, cluster, dense, alone, close):
        yield Frame.from_ase(atoms)
    yield Frame.from_ase(very_close)
    yield Frame.from_ase(outside)


def held_out(folder: Path) -> list[Frame]:
    return [Frame.from_ase(atoms) for atoms in read(folder / "held_out.extxyz", ":")]


@pytest.mark.parametrize("precision", ["double", "single"])
def test_agrees_with_deepmd_kit(trained: tuple[Ensemble, list[Path]], precision: str) -> None:
    reference, paths = trained
    native = Ensemble(paths, kernel="native", precision=precision)
    assert native.kernel.startswith(f"native kernel ({precision} precision")
    assert (native.type_map, native.cutoff, native.hashes) == (reference.type_map, reference.cutoff, reference.hashes)
    found = compare(native, reference, [*held_out(paths[0].parent), *frames_for(reference.type_map)])
    assert found.passes({"double": 1e-6, "single": 2e-5}[precision]), found
    if precision == "double":
        # The tolerance is used up to some part.
        assert found.force > 1e-10


def test_a_small_tolerance_makes_it_exact(trained: tuple[Ensemble, list[Path]]) -> None:
    reference, paths = trained
    native = Ensemble(paths, kernel="native", tolerance=1e-8)
    found = compare(native, reference, [*held_out(paths[0].parent), *frames_for(reference.type_map)])
    assert found.passes(1e-7), found
    assert native.tolerance == 1e-7


@pytest.mark.parametrize("name", list(MODELS))
def test_other_forms_agree(made: dict[str, Path], name: str) -> None:
    reference = Ensemble([made[name]], min_models=1, kernel="deepmd")
    native = Ensemble([made[name]], min_models=1, kernel="native", tolerance=1e-8)
    found = compare(native, reference, list(frames_for(reference.type_map)))
    assert found.passes(1e-7), found


def test_wide_nets_are_reduced(made: dict[str, Path]) -> None:
    assert ", rank " in Ensemble([made["wide"]], min_models=1, kernel="native").kernel


def test_slower_processors_give_the_same(tmp_path: Path) -> None:
    paths = TRAINED["almg"][:2]
    convert_apart(paths)
    program = (
        "import sys, numpy; from ase.io import read; from lammps_dpgen.ensemble import Ensemble;"
        "from lammps_dpgen.frame import Frame; e = Ensemble(sys.argv[2:-1], kernel='native'); print(e.kernel);"
        "numpy.save(sys.argv[1], e.predict(Frame.from_ase(read(sys.argv[-1], '5'))).forces)"
    )
    forces = {}
    for simd in ("avx512", "avx2", "portable"):
        file = tmp_path / f"{simd}.npy"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DPGEN_SIMD", simd)
            arguments = [str(file), *map(str, paths), str(paths[0].parent / "held_out.extxyz")]
            ran = subprocess.run(
                [sys.executable, "-c", program, *arguments], check=True, capture_output=True, text=True
            )
        assert simd == "avx512" or simd in ran.stdout or "portable" in ran.stdout
        forces[simd] = np.load(file)
    for other in ("avx2", "portable"):
        np.testing.assert_allclose(forces[other], forces["avx512"], atol=1e-11)


def test_falls_back_where_nothing_is_converted(trained: tuple[Ensemble, list[Path]], tmp_path: Path) -> None:
    _, paths = trained
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPGEN_NATIVE_CACHE", str(tmp_path))
        with pytest.raises(ModelError, match="has not been converted"):
            Ensemble(paths, kernel="native")
        fallback = Ensemble(paths, kernel="auto")
    assert "DeePMD-kit's C API, because" in fallback.kernel
    assert "has not been converted" in fallback.kernel


def test_wrong_weights_are_found_at_load(trained: tuple[Ensemble, list[Path]], tmp_path: Path) -> None:
    # The cache says of one model what belongs to another.
    _, paths = trained
    with pytest.MonkeyPatch.context() as patch:
        sources = [cached_file(hash_).read_bytes() for hash_ in trained[0].hashes]
        patch.setenv("DPGEN_NATIVE_CACHE", str(tmp_path))
        for hash_, content in zip(trained[0].hashes, sources[1:] + sources[:1], strict=True):
            cached_file(hash_).write_bytes(content)
        with pytest.raises(ModelError, match="differs from DeePMD-kit"):
            Ensemble(paths, kernel="native")
        assert "differs from DeePMD-kit" in Ensemble(paths, kernel="auto").kernel
        cached_file(trained[0].hashes[0]).write_bytes(MAGIC + b"nothing")
        assert "; delete it and convert the model again" in Ensemble(paths, kernel="auto").kernel
        cached_file(trained[0].hashes[0]).write_bytes(b"of an older version")
        assert "has not been converted" in Ensemble(paths, kernel="auto").kernel


def test_kernel_test_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    paths = TRAINED["al"]
    arguments = ["kernel-test", *map(str, paths), "-i", str(DATA / "al" / "held_out.extxyz")]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "4 models, 6 frames of 32 to 32 atoms" in printed
    assert [line.split()[0] for line in printed.splitlines()[3:5]] == ["double", "single"]
    assert "native kernel (double precision" in printed


def test_nan_never_passes() -> None:
    assert Comparison(force=1e-9).passes(1e-7)
    assert not Comparison(force=float("nan")).passes(1.0)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.pb").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot read the weights"):
        convert_apart([tmp_path / "no.pb"])
    with pytest.raises(ModelError, match="cannot be read"):
        convert_apart([tmp_path / "none.pb"])
