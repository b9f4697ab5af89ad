"""The file that the native kernel reads: the weights of one DeepPot-SE (``se_e2_a``) model.

Little-endian: seven bytes of magic, the version ("2" where there are tables or nets in single precision, else "1"), the
size of the body as a 64-bit integer, the SHA-256 of the body (32 bytes), the body. In the body integers have 32 bits,
floats 64; a text is its length and its bytes in UTF-8. The reader is ``src/native/model_file.cpp``; it refuses whatever
does not fit.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lammps_dpgen.frame import FloatArray

MAGIC = b"DPGENNK"

#: Codes of the activation functions, as in ``src/native/model.h``.
ACTIVATIONS = {"none": 0, "linear": 0, "tanh": 1, "gelu": 2, "gelu_tf": 2, "sigmoid": 3, "silu": 4}


@dataclass(frozen=True)
class Layer:
    """One layer: ``y = activation(x w + b) * idt``, plus x where the widths allow it and `resnet` asks for it.

    Attributes
    ----------
    weights
        ``[n_in, n_out]``.
    bias
        ``[n_out]``, or None.
    idt
        ``[n_out]``, the time step of ``resnet_dt``, or None.
    """

    weights: FloatArray
    bias: FloatArray | None
    idt: FloatArray | None
    activation: str
    resnet: bool


Net = tuple[Layer, ...]


@dataclass(frozen=True)
class Table:
    """An embedding net of a compressed model: polynomials of degree 5 on a fine grid, then on a coarse one.

    Attributes
    ----------
    coefficients
        ``[n_steps, width, 6]``: of the powers of the distance from the beginning of a step.
    lower, upper, end
        Where the fine grid begins, where the coarse one does, and where that ends.
    step, coarse_step
        Lengths of their steps.
    """

    coefficients: FloatArray
    lower: float
    upper: float
    end: float
    step: float
    coarse_step: float


@dataclass(frozen=True)
class NativeModel:
    """What the kernel needs to know of a model.

    Attributes
    ----------
    type_map
        Elements.
    cutoff, cutoff_smooth
        Å: where the model ends and where the smooth end begins.
    sel
        ``[n_types]``: largest number of neighbours of each type.
    axis
        Number of axis neurons.
    one_side
        The embedding nets depend on the neighbour's type alone.
    averages, deviations
        ``[n_types, 4]``: what the rows of the environment matrix are reduced by and divided by, per type of the centre.
    embeddings
        One net or table per neighbour type, or per pair: centre + neighbour * n_types.
    fittings
        One net per type of the centre.
    energy_shifts
        ``[n_types]`` eV, added to the output of the fitting net.
    shortest
        Å: shortest distance in the training data, 0 if not known.
    single
        DeePMD-kit evaluates these nets in single precision.
    """

    type_map: tuple[str, ...]
    cutoff: float
    cutoff_smooth: float
    sel: tuple[int, ...]
    axis: int
    one_side: bool
    averages: FloatArray
    deviations: FloatArray
    embeddings: tuple[Net | Table, ...]
    fittings: tuple[Net, ...]
    energy_shifts: FloatArray
    shortest: float = 0.0
    single: bool = False


def write_model(model: NativeModel, path: Path) -> None:
    """Write a model; the file appears whole or not at all."""
    body = _body(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            version = b"2" if _is_extended(model) else b"1"
            file.write(MAGIC + version + struct.pack("<Q", len(body)) + hashlib.sha256(body).digest() + body)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _is_extended(model: NativeModel) -> bool:
    return model.single or any(isinstance(net, Table) for net in model.embeddings)


def _body(model: NativeModel) -> bytes:
    extended = _is_extended(model)
    parts = [_int(len(model.type_map)), *(_text(element) for element in model.type_map)]
    parts += [_floats([model.cutoff, model.cutoff_smooth, model.shortest])]
    parts += [_int(number) for number in model.sel]
    parts += [_int(model.axis), _int(model.one_side)]
    parts += [_int(model.single)] if extended else []
    parts += [_floats(model.averages), _floats(model.deviations), _floats(model.energy_shifts)]
    parts += [_int(len(model.embeddings)), *(_embedding(net, extended) for net in model.embeddings)]
    parts += [_int(len(model.fittings)), *(_net(net) for net in model.fittings)]
    return b"".join(parts)


def _embedding(net: Net | Table, extended: bool) -> bytes:
    if not isinstance(net, Table):
        return (_int(0) if extended else b"") + _net(net)
    n_steps, width, _ = net.coefficients.shape
    grids = _floats([net.lower, net.upper, net.end, net.step, net.coarse_step])
    return _int(1) + _int(width) + _int(n_steps) + grids + _floats(net.coefficients)


def _net(net: Net) -> bytes:
    parts = [_int(len(net))]
    for layer in net:
        n_in, n_out = layer.weights.shape
        parts += [_int(n_in), _int(n_out), _int(ACTIVATIONS[layer.activation]), _int(layer.resnet)]
        parts += [_int(layer.bias is not None), _int(layer.idt is not None), _floats(layer.weights)]
        parts += [_floats(values) for values in (layer.bias, layer.idt) if values is not None]
    return b"".join(parts)


def _int(number: int) -> bytes:
    return struct.pack("<i", int(number))


def _floats(values: FloatArray | Sequence[float]) -> bytes:
    return np.ascontiguousarray(values, dtype="<f8").tobytes()


def _text(text: str) -> bytes:
    data = text.encode()
    return _int(len(data)) + data
