"""Which GPU a process uses, and how many processes a GPU has room for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass

from lammps_dpgen.errors import ExecutionError

#: What CUDA, and with it TensorFlow and PyTorch, takes for all devices that there are.
VISIBLE = "CUDA_VISIBLE_DEVICES"
#: What it was before this process took one of them; child processes get it back.
BEFORE = "LAMMPS_DPGEN_DEVICES_BEFORE"
#: The memory of all devices, MiB, a line each.
_QUERY = ("nvidia-smi", "--query-gpu=memory.total,memory.used", "--format=csv,noheader,nounits")


def visible_devices(chosen: Sequence[int], environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return devices as CUDA is to be told of them; where a queue has left this job some, they are counted from 0.

    Raises
    ------
    ExecutionError
        A number is beyond what the queue has left.
    """
    found = os.environ if environment is None else environment
    left = found.get(BEFORE, found.get(VISIBLE, ""))
    if not left:
        return tuple(map(str, chosen))
    names = left.split(",")
    for number in chosen:
        if number >= len(names):
            raise ExecutionError(
                f"device {number} is asked for, but {VISIBLE} is {left!r}, so that there are 0 to {len(names) - 1}; "
                "give other devices, or ask the queue for more"
            )
    return tuple(names[number] for number in chosen)


def take_device(place: int, chosen: Sequence[int], environment: MutableMapping[str, str] | None = None) -> str | None:
    """Let this process use one device only, before it has touched any; processes of a node take them in turn.

    Parameters
    ----------
    place
        Of this process among those of its node, from 0.
    chosen
        Devices; where there are fewer than processes, several share one. Empty: nothing is changed.

    Returns
    -------
    str or None
        The device.
    """
    if not chosen:
        return None
    target = os.environ if environment is None else environment
    devices = visible_devices(chosen, target)
    target.setdefault(BEFORE, target.get(VISIBLE, ""))
    target[VISIBLE] = devices[place % len(devices)]
    return target[VISIBLE]


def give_back(environment: MutableMapping[str, str]) -> None:
    """Let a child process see all devices again that there were before its parent took one of them."""
    before = environment.pop(BEFORE, None)
    if before:
        environment[VISIBLE] = before
    elif before is not None:
        environment.pop(VISIBLE, None)


@dataclass(frozen=True)
class DeviceMemory:
    """Memory of a GPU, MiB."""

    total: float
    used: float


def read_memory(ask: Callable[[], str] | None = None) -> tuple[DeviceMemory, ...]:
    """Return the memory of the GPUs of this machine; empty where there is none, or nobody can tell."""
    try:
        rows = (line.split(",") for line in (ask or _ask)().splitlines() if line.strip())
        return tuple(DeviceMemory(float(total), float(used)) for total, used in rows)
    except (OSError, ValueError, subprocess.SubprocessError):
        return ()


def room_for(before: Sequence[DeviceMemory], after: Sequence[DeviceMemory]) -> tuple[float, int] | None:
    """Return what this process has taken of a GPU (MiB), and how many processes like it the smallest one holds.

    Parameters
    ----------
    before, after
        Memory before the process used a GPU, and with all models loaded and evaluated on the largest structure.

    Returns
    -------
    tuple or None
        None where it took nothing: there is no GPU, or it is not used.
    """
    taken = max((new.used - old.used for old, new in zip(before, after, strict=False)), default=0.0)
    if taken <= 0.0:
        return None
    return taken, int(min(one.total for one in after) // taken)


def _ask() -> str:
    return subprocess.run(_QUERY, capture_output=True, text=True, timeout=20, check=True).stdout
