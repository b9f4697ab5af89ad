"""GPUs are given to ranks and trainings in turn; how many fit is told from what one took. No GPU is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lammps_dpgen.errors import ExecutionError
from lammps_dpgen.execution.base import Task
from lammps_dpgen.execution.devices import (
    VISIBLE,
    DeviceMemory,
    give_back,
    read_memory,
    room_for,
    take_device,
    visible_devices,
)
from lammps_dpgen.execution.environment import clean_environment
from lammps_dpgen.execution.local import LocalExecutor


def test_ranks_take_devices_in_turn_and_share_where_there_are_more_ranks() -> None:
    taken = []
    for rank in range(5):
        environment: dict[str, str] = {}
        take_device(rank, [0, 3], environment)
        taken.append(environment[VISIBLE])
    assert taken == ["0", "3", "0", "3", "0"]


def test_nothing_is_chosen_where_nothing_is_asked_for() -> None:
    environment = {VISIBLE: "2"}
    assert take_device(1, [], environment) is None
    assert environment == {VISIBLE: "2"}


def test_devices_are_counted_among_those_that_the_queue_has_left() -> None:
    environment = {VISIBLE: "GPU-a,GPU-b"}
    assert take_device(1, [0, 1], environment) == "GPU-b"
    assert visible_devices([0], environment) == ("GPU-a",), "trainings choose among all, not among what this rank took"
    with pytest.raises(ExecutionError, match="device 2 is asked for"):
        visible_devices([2], environment)


@pytest.mark.parametrize("before", [{}, {VISIBLE: "4,5"}])
def test_children_see_what_there_was_before(before: dict[str, str]) -> None:
    environment = dict(before)
    take_device(0, [1], environment)
    take_device(0, [0], environment)
    child = clean_environment(1, environment)
    assert child.get(VISIBLE) == before.get(VISIBLE)
    give_back(environment)
    assert environment == before


class Tells:
    """A service whose answer is the device that its process sees."""

    def told(self, payload: object, folder: Path) -> dict[str, str | None]:
        import os
        import time

        time.sleep(0.2)  # so that the next task needs a worker of its own
        return {"device": os.environ.get(VISIBLE)}


def test_each_training_sees_one_device(tmp_path: Path) -> None:
    with LocalExecutor(3, devices=("0", "7")) as executor:
        for number in range(3):
            executor.submit(Task(f"{number}", "test_devices:Tells", {}, "told", {}, tmp_path / str(number)))
        outcomes = []
        while executor.open_tasks:
            outcomes += executor.poll()
    assert [one.error for one in outcomes] == [None] * 3
    assert sorted(one.value["device"] for one in outcomes if one.value) == ["0", "0", "7"]


def test_how_many_fit() -> None:
    before = read_memory(lambda: "81559, 4\n40000, 10\n")
    assert before == (DeviceMemory(81559, 4), DeviceMemory(40000, 10))
    after = (DeviceMemory(81559, 9004), DeviceMemory(40000, 10))
    assert room_for(before, after) == (9000.0, 4)
    assert room_for(before, (DeviceMemory(81559, 50004), DeviceMemory(40000, 10))) == (50000.0, 0)
    assert room_for(before, before) is None


def test_without_a_gpu_nothing_is_told() -> None:
    def missing() -> str:
        raise FileNotFoundError("nvidia-smi")

    assert read_memory(missing) == read_memory(lambda: "no devices were found") == ()
    assert room_for((), ()) is None
