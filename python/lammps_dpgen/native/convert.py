"""Reads DeepPot-SE models through DeePMD-kit's own converters, for the native kernel.

``python -m lammps_dpgen.native.convert MODEL ...`` converts models into the cache.

DeePMD-kit's Python code and its C library cannot be used in one process: the operations of TensorFlow that both need
are registered once only. A process that evaluates models converts them with :func:`convert_apart`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lammps_dpgen.errors import ModelError
from lammps_dpgen.execution.environment import clean_environment
from lammps_dpgen.frame import FloatArray
from lammps_dpgen.native.cache import (
    cached_file,
    converted_file,
    file_beside,
    hash_of,
    is_current,
    note_refusal,
    was_refused,
)
from lammps_dpgen.native.compressed import is_compressed, read_compressed, read_compressed_torch
from lammps_dpgen.native.model_file import ACTIVATIONS, Layer, NativeModel, Net, Table, write_model
from lammps_dpgen.noise import quiet_loading

#: What a serialised model is called by DeePMD-kit, a dictionary of dictionaries.
Serialised = Mapping[str, Any]

#: Settings of the descriptor that the kernel knows in one form only.
_DESCRIPTOR: dict[str, object] = {"exclude_types": [], "env_protection": 0.0, "spin": None}
_FITTING: dict[str, object] = {
    "numb_fparam": 0,
    "numb_aparam": 0,
    "dim_case_embd": 0,
    "dim_out": 1,
    "mixed_types": False,
    "atom_ener": [],
    "exclude_types": [],
    "spin": None,
}
_MODEL: dict[str, object] = {"atom_exclude_types": [], "pair_exclude_types": []}


#: What a process that converts says of a model it could not convert begins so; TensorFlow writes to the same place.
_SAID = "not converted: "


#: Seconds after which a process that converts is ended; some are usual.
LONGEST = 600.0


class NotCoveredError(ModelError):
    """The native kernel does not know this kind of model; DeePMD-kit evaluates it."""


def convert(path: Path | str) -> Path:
    """Convert a model file into the cache, unless it is there, and return the converted file.

    Raises
    ------
    NotCoveredError
        The kernel does not know this kind of model.
    ModelError
        DeePMD-kit cannot read the weights of the file.
    """
    path = Path(path)
    target = cached_file(hash_of(path))
    if not is_current(target):
        write_model(native_model(serialised_model(path), str(path)), target)
    return target


@dataclass(frozen=True)
class Conversion:
    """What the kernel needs of a model, or why it cannot have it; for a process that runs DeePMD-kit's Python code."""

    model: NativeModel | None
    refusal: str = ""

    @classmethod
    def of(cls, path: Path) -> Conversion:
        """Convert a model; it never fails, since nobody depends on the kernel."""
        try:
            return cls(native_model(serialised_model(path), path.name))
        except ModelError as error:
            return cls(None, str(error).replace(str(path), path.name))  # files of models are handed on
        except Exception as error:  # a form of model that nobody has thought of; DeePMD-kit itself has just made it
            return cls(None, f"'{path.name}': it could not be read for the native kernel: {error!r}")

    def store_beside(self, model: Path) -> None:
        """Store it, or the refusal, beside the file that users load.

        Raises
        ------
        OSError
            It cannot be written.
        """
        target = file_beside(model)
        if self.model is not None:
            write_model(self.model, target)
        else:
            note_refusal(target, self.refusal)


def provide(paths: Sequence[Path]) -> None:
    """Convert models of which neither beside them nor in the cache anything is known; what cannot be is left out.

    It takes some seconds where there is something to do. Why a model was not converted is noted in the cache, so that
    the core says it and nobody tries again.
    """
    unknown = [path for path in paths if converted_file(path) is None and not was_refused(path)]
    try:
        convert_apart(unknown)
    except ModelError as error:
        for path in (path for path in unknown if converted_file(path) is None):
            with suppress(OSError):
                note_refusal(cached_file(hash_of(path)), str(error))


def convert_apart(paths: Sequence[Path | str]) -> None:
    """Convert models that are not converted in a process of its own, which takes some seconds to start.

    Raises
    ------
    ModelError
        A model cannot be converted; the message says why.
    """
    missing = [str(path) for path in paths if converted_file(Path(path)) is None]
    if not missing:
        return
    command = [sys.executable, "-m", "lammps_dpgen.native.convert", *missing]
    try:
        environment = clean_environment(threads=1)
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST)
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"the conversion of {', '.join(missing)} was ended after {LONGEST:.0f} s") from error
    if ended.returncode != 0:
        said = [line for line in ended.stderr.splitlines() if line.startswith(_SAID)]
        raise ModelError("; ".join(line.removeprefix(_SAID) for line in said) or ended.stderr.strip()[-2000:])


def serialised_model(path: Path) -> Serialised:
    """Return the model of a file as DeePMD-kit serialises it; tables of a compressed one are under ``tables``.

    Raises
    ------
    ModelError
        DeePMD-kit cannot.
    """
    from deepmd.backend.backend import Backend

    compressed = is_compressed(path)
    try:
        with quiet_loading():
            if compressed and path.suffix == ".pth":
                return read_compressed_torch(path)
            if compressed:
                data, tables = read_compressed(path)
                return {**data, "tables": tables}
            backend = Backend.detect_backend_by_model(str(path))()
            return dict(backend.serialize_hook(str(path)))
    except Exception as error:  # whatever a backend throws at a file that it does not like
        hint = "; it is a compressed model: give the file that 'dp freeze' wrote" if compressed else ""
        raise ModelError(f"DeePMD-kit cannot read the weights of '{path}': {error}{hint}") from error


def native_model(data: Serialised, name: str) -> NativeModel:
    """Return what the kernel needs of a serialised model called `name`.

    Raises
    ------
    NotCoveredError
        The kernel does not know this kind of model; the message says what it uses.
    """
    model = data["model"]
    if model.get("type", "standard") != "standard" or "descriptor" not in model or "fitting" not in model:
        raise NotCoveredError(f"'{name}': model type '{model.get('type')}' is not covered by the native kernel")
    descriptor, fitting = model["descriptor"], model["fitting"]
    if descriptor.get("type") not in ("se_e2_a", "se_a"):
        raise NotCoveredError(f"'{name}': descriptor '{descriptor.get('type')}' is not covered, only se_e2_a is")
    if fitting.get("type") != "ener":
        raise NotCoveredError(f"'{name}': fitting net '{fitting.get('type')}' is not covered, only ener is")
    for part, allowed, what in (
        (model, _MODEL, "model"),
        (descriptor, _DESCRIPTOR, "descriptor"),
        (fitting, _FITTING, "fitting net"),
    ):
        for key, value in allowed.items():
            if (part.get(key) or value) != value:
                raise NotCoveredError(f"'{name}': {what} with {key} = {part[key]} is not covered by the native kernel")
    single = [_is_single(part, name) for part in (descriptor, fitting)]
    variables = descriptor["@variables"]
    shortest = data.get("@variables", {}).get("min_nbor_dist")
    return NativeModel(
        type_map=tuple(model["type_map"]),
        cutoff=float(descriptor["rcut"]),
        cutoff_smooth=float(descriptor["rcut_smth"]),
        sel=tuple(int(number) for number in descriptor["sel"]),
        axis=int(descriptor["axis_neuron"]),
        one_side=bool(descriptor["type_one_side"]),
        averages=_one_row(variables["davg"], name),
        deviations=_one_row(variables["dstd"], name),
        embeddings=_embeddings(data, name),
        fittings=_fittings(data, name),
        energy_shifts=_energy_shifts(model, fitting, name),
        shortest=0.0 if shortest is None else float(np.asarray(shortest).ravel()[0]),
        single=any(single),
    )


def _is_single(part: Serialised, name: str) -> bool:
    if part["precision"] not in ("float64", "double", "default", "float32", "single"):
        raise NotCoveredError(
            f"'{name}': nets with precision {part['precision']} are not covered, only float64, float32"
        )
    return part["precision"] in ("float32", "single")


def _one_row(table: Any, name: str) -> FloatArray:
    """Return the statistics ``[n_types, 4]`` of ``[n_types, n_slots, 4]``, which are the same for all slots."""
    values = np.asarray(table, dtype=float)
    row = values[:, 0, :]
    if not np.allclose(values, row[:, None, :], rtol=1e-12, atol=1e-14):
        raise NotCoveredError(f"'{name}': the statistics of the environment matrix differ between neighbours")
    return np.ascontiguousarray(row)


def _energy_shifts(model: Serialised, fitting: Serialised, name: str) -> FloatArray:
    n_types = len(model["type_map"])
    shifts = np.asarray(fitting["@variables"]["bias_atom_e"], dtype=float).reshape(n_types)
    for key, neutral in (("out_bias", 0.0), ("out_std", 1.0)):
        values = model.get("@variables", {}).get(key)
        if values is None:
            continue
        flat = np.asarray(values, dtype=float).reshape(n_types)
        if key == "out_bias":
            shifts = shifts + flat
        elif not np.all(flat == neutral):
            raise NotCoveredError(f"'{name}': scaled energies (out_std) are not covered by the native kernel")
    return shifts


def _embeddings(data: Serialised, name: str) -> tuple[Net | Table, ...]:
    descriptor = data["model"]["descriptor"]
    if (tables := data.get("tables")) is None:
        return _nets(descriptor["embeddings"], name)
    types = range(len(data["model"]["type_map"]))
    pairs = [(-1, j) for j in types] if descriptor["type_one_side"] else [(i, j) for j in types for i in types]
    if missing := [pair for pair in pairs if pair not in tables]:
        raise NotCoveredError(f"'{name}': the compressed model has no table for the types {missing[0]}")
    return tuple(tables[pair] for pair in pairs)


def _nets(collection: Serialised, name: str) -> tuple[Net, ...]:
    if any(net is None for net in collection["networks"]):
        raise NotCoveredError(f"'{name}': the nets of the descriptor are not in the file any more; it is compressed")
    return tuple(tuple(_layer(layer, name) for layer in net["layers"]) for net in collection["networks"])


def _fittings(data: Serialised, name: str) -> tuple[Net, ...]:
    nets = _nets(data["model"]["fitting"]["nets"], name)
    if data.get("backend") != "TensorFlow":
        return nets
    # What is serialised says otherwise, but under TensorFlow only layers as wide as the one before are skipped and have
    # a time step.
    return tuple(
        tuple(
            layer
            if number > 0 and layer.weights.shape[0] == layer.weights.shape[1]
            else replace(layer, resnet=False, idt=None)
            for number, layer in enumerate(net)
        )
        for net in nets
    )


def _layer(layer: Serialised, name: str) -> Layer:
    activation = str(layer["activation_function"]).lower()
    if activation not in ACTIVATIONS:
        known = ", ".join(sorted(ACTIVATIONS))
        raise NotCoveredError(f"'{name}': activation function '{activation}' is not covered, only {known} are")
    variables = layer["@variables"]
    optional = {
        key: None if variables[key] is None else np.asarray(variables[key], float).ravel() for key in ("b", "idt")
    }
    return Layer(
        np.asarray(variables["w"], dtype=float), optional["b"], optional["idt"], activation, bool(layer["resnet"])
    )


def main(arguments: Sequence[str]) -> int:
    """Convert the model files named; the exit status is the number of those that could not be."""
    failed = 0
    for argument in arguments:
        try:
            print(convert(argument))
        except ModelError as error:
            failed += 1
            print(f"{_SAID}{error}", file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
