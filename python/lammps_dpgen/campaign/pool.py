"""The candidates of all walkers that wait for a selection; the ledger has them as offered, so a kill loses none."""

from __future__ import annotations

from collections.abc import Iterable

from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.selection import Selection
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import FrameState

#: The pool holds at most so many batches; further candidates are counted and left.
MAX_BATCHES = 50


class Pool:
    """Candidates by hash, and accurate frames drawn for the audit, which are not stored before they are chosen.

    Parameters
    ----------
    batch
        Most frames that one round of learning labels.

    Attributes
    ----------
    n_left
        Candidates that were not taken because the pool was full.
    """

    def __init__(self, ledger: Ledger, batch: int) -> None:
        self._ledger, self._size = ledger, MAX_BATCHES * batch
        self._frames = {stored.hash: stored.frame for stored in ledger.frames("offered")}
        self._audits: dict[str, Frame] = {}
        self.n_left = 0

    def __len__(self) -> int:
        return len(self._frames)

    def offer(self, frames: Iterable[Frame]) -> None:
        """Take candidates, as far as there is room."""
        new = [frame for frame in frames if frame.hash not in self._frames]
        room = max(0, self._size - len(self._frames))
        self.n_left += len(new[room:])
        self._ledger.add_frames(new[:room], "offered")
        self._frames.update((frame.hash, frame) for frame in new[:room])

    def offer_audits(self, frames: Iterable[Frame]) -> None:
        """Take accurate frames."""
        self._audits.update((frame.hash, frame) for frame in frames)

    def frames(self) -> list[Frame]:
        """Return the candidates in the order of their trajectories and steps."""
        return _in_order(self._frames.values())

    def audits(self, number: int) -> list[Frame]:
        """Return at most `number` accurate frames, of as many trajectories as there are; the pool forgets all."""
        frames, self._audits = _in_order(self._audits.values()), {}
        seen: dict[int, int] = {}
        places = []
        for frame in frames:
            seen[frame.origin.trajectory] = seen.get(frame.origin.trajectory, 0) + 1
            places.append((seen[frame.origin.trajectory], frame))
        return [frame for _, frame in sorted(places, key=lambda item: item[0])[:number]]

    def settle(self, offered: Iterable[Frame], selection: Selection | None, learnt: bool) -> None:
        """Let go of what a round of learning has taken or thrown away; of all it was offered where it found nothing."""
        chosen = set() if selection is None else {frame.hash for frame in selection.frames}
        dropped = {} if selection is None else {frame.hash: cause for frame, cause in selection.dropped}
        if not learnt:
            dropped |= dict.fromkeys({frame.hash for frame in offered} - chosen - dropped.keys(), "not worth a label")
        self._drop(dropped)
        for frame_hash in chosen:
            self._frames.pop(frame_hash, None)

    def clear(self, cause: str) -> None:
        """Drop everything: nothing more is learnt from these frames."""
        self._audits = {}
        self._drop(dict.fromkeys(self._frames, cause))

    def _drop(self, causes: dict[str, str]) -> None:
        states = self._ledger.frame_states(causes)
        offered = ((frame_hash, cause) for frame_hash, cause in causes.items() if states.get(frame_hash) == "offered")
        changes: list[tuple[str, FrameState, str]] = [(frame_hash, "dropped", cause) for frame_hash, cause in offered]
        self._ledger.set_frame_states(changes)
        for frame_hash in causes:
            self._frames.pop(frame_hash, None)


def _in_order(frames: Iterable[Frame]) -> list[Frame]:
    return sorted(frames, key=lambda frame: (frame.origin.trajectory, frame.origin.step, frame.hash))
