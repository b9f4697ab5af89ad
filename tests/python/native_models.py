"""Frozen models with random weights in many forms: ``python native_models.py FOLDER``, which also converts them.

The serialised form of a trained model is filled with other sizes and numbers, and DeePMD-kit makes a file of it.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).resolve().parents[1] / "data"


@dataclass(frozen=True)
class Form:
    """What a model looks like."""

    elements: tuple[str, ...]
    sel: tuple[int, ...]
    embedding: tuple[int, ...]
    axis: int
    fitting: tuple[int, ...]
    activation: str = "tanh"
    one_side: bool = True
    embedding_idt: bool = False
    fitting_idt: bool = True
    cutoff: float = 6.0


MODELS = {
    "three": Form(("Al", "Mg", "Cu"), (40, 40, 40), (8, 16, 32), 4, (30, 60, 60), one_side=False, embedding_idt=True),
    "gelu": Form(("Al", "Mg"), (60, 60), (16, 16, 32), 8, (40, 40), activation="gelu", fitting_idt=False),
    "sigmoid": Form(("Al",), (96,), (12, 24), 6, (40, 40, 20), activation="sigmoid"),
    "wide": Form(("Al",), (200,), (25, 50, 100), 16, (60, 60, 60), cutoff=7.0),
}


def net(
    rng: np.random.Generator, form: Form, n_in: int, widths: tuple[int, ...], idt: bool, fitting: bool
) -> list[Any]:
    """Return serialised layers."""
    layers = []
    for number, (rows, columns) in enumerate(zip((n_in, *widths), widths, strict=False)):
        timed = idt and (not fitting or (number > 0 and rows == columns))
        variables = {
            "w": rng.normal(size=(rows, columns)) * 1.2 / np.sqrt(rows + columns),
            "b": 0.5 * rng.normal(size=columns),
            "idt": rng.uniform(0.05, 0.2, columns) if timed else None,
        }
        layers.append(layer(form.activation, variables, resnet=True))
    if fitting:
        variables = {"w": rng.normal(size=(widths[-1], 1)) / np.sqrt(widths[-1]), "b": rng.normal(size=1), "idt": None}
        layers.append(layer("none", variables, resnet=False))
    return layers


def layer(activation: str, variables: dict[str, Any], resnet: bool) -> dict[str, Any]:
    return {
        "@class": "Layer",
        "@version": 2,
        "bias": True,
        "use_timestep": variables["idt"] is not None,
        "activation_function": activation,
        "resnet": resnet,
        "precision": "float64",
        "trainable": True,
        "@variables": variables,
    }


def serialised(base: dict[str, Any], form: Form, seed: int) -> dict[str, Any]:
    """Return a model of this form, made from the serialised `base`."""
    rng = np.random.default_rng(seed)
    data = copy.deepcopy(base)
    model, script = data["model"], data["model_def_script"]
    descriptor, fitting = model["descriptor"], model["fitting"]
    elements, n_types = list(form.elements), len(form.elements)
    of_descriptor = {
        "rcut": form.cutoff, "rcut_smth": 1.0, "sel": list(form.sel), "neuron": list(form.embedding),
        "axis_neuron": form.axis, "resnet_dt": form.embedding_idt, "type_one_side": form.one_side,
        "activation_function": form.activation,
    }  # fmt: skip
    of_fitting = {
        "neuron": list(form.fitting), "resnet_dt": form.fitting_idt, "activation_function": form.activation
    }  # fmt: skip
    for part in (model, script, descriptor, fitting):
        part["type_map"] = elements
    script["descriptor"].update(of_descriptor)
    script["fitting_net"].update(of_fitting)
    descriptor.update(of_descriptor)
    descriptor["env_mat"].update(rcut=form.cutoff, rcut_smth=1.0)

    embeddings = descriptor["embeddings"]
    n_nets = n_types if form.one_side else n_types**2
    proto = {**embeddings["networks"][0], "neuron": list(form.embedding), "resnet_dt": form.embedding_idt}
    proto["activation_function"] = form.activation
    nets = [{**proto, "layers": net(rng, form, 1, form.embedding, form.embedding_idt, False)} for _ in range(n_nets)]
    embeddings.update(ndim=1 if form.one_side else 2, ntypes=n_types, networks=nets)
    averages, deviations = np.zeros((n_types, sum(form.sel), 4)), np.ones((n_types, sum(form.sel), 4))
    averages[:, :, 0] = rng.uniform(0.03, 0.05, (n_types, 1))
    deviations[:, :, 0] = rng.uniform(0.08, 0.1, (n_types, 1))
    deviations[:, :, 1:] = rng.uniform(0.05, 0.065, (n_types, 1, 1))
    descriptor["@variables"].update(davg=averages, dstd=deviations)

    n_in = form.embedding[-1] * form.axis
    fitting.update(of_fitting, ntypes=n_types, dim_descrpt=n_in, trainable=[True] * (len(form.fitting) + 1))
    fitting["@variables"]["bias_atom_e"] = rng.normal(size=(n_types, 1)) - 3.0
    proto = {**fitting["nets"]["networks"][0], **of_fitting, "in_dim": n_in}
    nets = [{**proto, "layers": net(rng, form, n_in, form.fitting, form.fitting_idt, True)} for _ in range(n_types)]
    fitting["nets"].update(ntypes=n_types, networks=nets)
    model["@variables"] = {"out_bias": np.zeros((1, n_types, 1)), "out_std": np.ones((1, n_types, 1))}
    data.setdefault("@variables", {})["min_nbor_dist"] = np.float64(2.1)
    return data


def write_models(folder: Path) -> None:
    """Write all :data:`MODELS` into a folder, and convert them."""
    from deepmd.tf.utils.serialization import deserialize_to_file, serialize_from_file

    from lammps_dpgen.native.convert import convert

    base = serialize_from_file(str(DATA / "almg" / "model_0.pb"))
    for seed, (name, form) in enumerate(MODELS.items()):
        deserialize_to_file(str(folder / f"{name}.pb"), serialised(base, form, seed))
        convert(folder / f"{name}.pb")


if __name__ == "__main__":
    write_models(Path(sys.argv[1]))
