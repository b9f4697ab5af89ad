"""Accurate frames are drawn for an audit with the same chance each, whenever they came."""

from __future__ import annotations

import numpy as np
import pytest

from lammps_dpgen.config.learning import Audit
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.audit import AuditSample

FRAMES = [Frame(("Al",), np.full((1, 3), float(i)), 20.0 * np.eye(3)) for i in range(12)]


def sample(share: float, batch: int, seed: int = 0) -> AuditSample:
    return AuditSample(Audit(share=share), batch, np.random.default_rng(seed))


def drawn(audit: AuditSample, frames: list[Frame]) -> list[int]:
    for frame in frames:
        audit.offer(lambda frame=frame: frame)
    return sorted(int(frame.positions[0, 0]) for frame in audit.frames)


def test_every_frame_has_the_same_chance() -> None:
    trials = 3000
    counts = np.zeros(len(FRAMES))
    for seed in range(trials):
        chosen = drawn(sample(0.3, 10, seed), FRAMES)
        assert len(set(chosen)) == len(chosen) == 3
        counts[chosen] += 1
    chance = 3 / len(FRAMES)
    assert np.abs(counts / trials - chance).max() < 4 * np.sqrt(chance * (1 - chance) / trials)


@pytest.mark.parametrize(("share", "batch", "size"), [(0.0, 40, 0), (0.01, 4, 1), (0.25, 40, 10), (1.0, 2, 2)])
def test_size_follows_the_share(share: float, batch: int, size: int) -> None:
    assert len(drawn(sample(share, batch), FRAMES)) == size


def test_frames_seen_twice_count_once_and_a_swap_begins_anew() -> None:
    audit = sample(1.0, 4)
    assert drawn(audit, [FRAMES[0], FRAMES[1], FRAMES[0]]) == [0, 1]
    audit.clear()
    assert drawn(audit, FRAMES[5:6]) == [5]


def test_ranks_draw_the_same_places() -> None:
    """Only rank 0 has the frames, but gathering them takes all ranks."""
    first, second = sample(0.2, 10, 3), sample(0.2, 10, 3)
    asked: tuple[list[int], list[int]] = ([], [])
    for i, frame in enumerate(FRAMES):
        first.offer(lambda i=i, frame=frame: (asked[0].append(i), frame)[1])
        second.offer(lambda i=i: asked[1].append(i))
    assert asked[0] == asked[1]
    assert second.frames == []
