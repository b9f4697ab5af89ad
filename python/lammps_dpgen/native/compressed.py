"""Reads compressed models: their embedding nets are tables of polynomials, from which the native kernel takes them.

``dp compress`` replaces each embedding net by values of degree-5 polynomials on two grids of its argument, and throws
the weights away. A TensorFlow model (``.pb``) holds the tables as constants of its graph; a PyTorch model (``.pth``)
keeps the weights beside them, and these are used. The format is that of DeePMD-kit's ``deepmd/utils/tabulate.py`` and
``source/lib/src/tabulate.cc``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from lammps_dpgen.errors import ModelError
from lammps_dpgen.native.model_file import Table

#: Operation that evaluates a table, and what its inputs are: the table, its grids, arguments, environment matrix.
_OPERATION = "TabulateFusionSeA"

#: Tables by type of the centre (-1: all) and of the neighbour.
Tables = Mapping[tuple[int, int], Table]


def is_compressed(path: Path) -> bool:
    """Whether a file is a compressed model of TensorFlow or PyTorch."""
    if path.suffix == ".pb":
        return _OPERATION.encode() in path.read_bytes()
    return path.suffix == ".pth" and b"tabulate_fusion_se_a" in path.read_bytes()


def read_compressed_torch(path: Path) -> dict[str, Any]:
    """Return a compressed PyTorch model as DeePMD-kit serialises it; its tables, made from the weights, are left out.

    Raises
    ------
    ModelError
        The file lacks some weights.
    """
    import torch
    from deepmd.pt.model.model import get_model

    saved = torch.jit.load(str(path), map_location="cpu")
    script = json.loads(saved.model_def_script)
    model = get_model(script)
    weights = {name: value for name, value in saved.state_dict().items() if ".compress_" not in name}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    if strange := [name for name in (*missing, *unexpected) if ".compress_" not in name]:
        raise ModelError(f"the compressed model has not the weights of its input: {strange[0]}")
    data: dict[str, Any] = {
        "backend": "PyTorch",
        "model": model.serialize(),
        "model_def_script": script,
        "@variables": {},
    }
    if (distance := model.get_min_nbor_dist()) is not None:
        data["@variables"]["min_nbor_dist"] = distance
    return data


def read_compressed(path: Path) -> tuple[dict[str, Any], Tables]:
    """Return a compressed TensorFlow model as DeePMD-kit serialises it, without weights of embedding nets; its tables.

    Raises
    ------
    ModelError
        The graph is not what ``dp compress`` makes of an ``se_e2_a`` model.
    """
    from deepmd.tf.model.model import Model
    from deepmd.tf.utils.graph import get_tensor_by_name_from_graph, load_graph_def

    graph, definition = load_graph_def(str(path))
    script = json.loads(get_tensor_by_name_from_graph(graph, "train_attr/training_script"))["model"]
    if script["descriptor"].get("type") not in ("se_e2_a", "se_a"):
        raise ModelError("only compressed models of the descriptor se_e2_a can be read")
    model = Model(**script)
    model.init_variables(graph=graph, graph_def=definition)
    # Serialising asks for weights of the embedding nets; the tables take their place.
    model.descrpt.embedding_net_variables = _no_weights(script)
    data: dict[str, Any] = {"backend": "TensorFlow", "model": model.serialize(), "model_def_script": script}
    names = [node.name for node in definition.node]
    if "train_attr/min_nbor_dist" in names:
        distance = get_tensor_by_name_from_graph(graph, "train_attr/min_nbor_dist")
        data["@variables"] = {"min_nbor_dist": distance}
    sel = [int(number) for number in data["model"]["descriptor"]["sel"]]
    return data, _tables(graph, sel)


def _no_weights(script: Mapping[str, Any]) -> dict[str, Any]:
    """Return embedding nets of zeros, under the names of their weights in a graph."""
    descriptor = script["descriptor"]
    widths = [1, *(int(width) for width in descriptor.get("neuron", [10, 20, 40]))]
    n_types = len(script["type_map"])
    centres = ["all"] if descriptor.get("type_one_side", False) else [str(t) for t in range(n_types)]
    variables: dict[str, Any] = {}
    for centre in centres:
        for neighbor in range(n_types):
            for layer, (rows, columns) in enumerate(pairwise(widths), start=1):
                variables[f"filter_type_{centre}/matrix_{layer}_{neighbor}"] = np.zeros((rows, columns))
                variables[f"filter_type_{centre}/bias_{layer}_{neighbor}"] = np.zeros((1, columns))
    return variables


def _tables(graph: Any, sel: list[int]) -> dict[tuple[int, int], Table]:
    from deepmd.tf.env import tf

    starts = [4 * sum(sel[:neighbor]) for neighbor in range(len(sel))]
    tables: dict[tuple[int, int], Table] = {}
    with tf.Session(graph=graph) as session:
        for operation in graph.get_operations():
            if operation.type != _OPERATION:
                continue
            scope = re.search(r"filter_type_(all|\d+)", operation.name)
            if scope is None:
                raise ModelError(f"operation '{operation.name}' belongs to no type of atoms")
            data, grids = session.run([operation.inputs[0], operation.inputs[1]])
            first = session.run(_slice_of(operation).inputs[1])
            centre = -1 if scope[1] == "all" else int(scope[1])
            tables[centre, starts.index(int(first[1]))] = table_from(data, grids)
    return tables


def _slice_of(operation: Any) -> Any:
    """Return the operation that cuts out the neighbours of one type for a table's operation."""
    found = operation.inputs[3].op
    while found.type in ("Reshape", "Identity", "Cast"):
        found = found.inputs[0].op
    if found.type != "Slice":
        raise ModelError(f"the neighbours of operation '{operation.name}' come from '{found.type}', not from a slice")
    return found


def table_from(data: Any, grids: Any) -> Table:
    """Return a table ``[n_steps, 6 * width]`` whose grids are given as DeePMD-kit does.

    Parameters
    ----------
    grids
        Where the fine and the coarse grid begin, where the latter ends, and the step of each.
    """
    lower, upper, end, step, coarse_step = (float(value) for value in np.asarray(grids, dtype=float).ravel()[:5])
    rows = np.asarray(data, dtype=float)
    return Table(rows.reshape(len(rows), -1, 6), lower, upper, end, step, coarse_step)
