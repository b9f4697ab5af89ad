"""Where the time went, from what the sessions measured and from the times of the events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lammps_dpgen.store.records import Event

PARTS = ("md", "deviation", "labels", "training", "other")


@dataclass
class GenerationCost:
    """Wall seconds of one generation: MD that it drove, then the labels, training and swap that ended it."""

    generation: int
    md: float = 0.0
    labels: float = 0.0
    training: float = 0.0
    swap: float = 0.0

    @property
    def total(self) -> float:
        """Sum of the parts."""
        return self.md + self.labels + self.training + self.swap


def measured_seconds(events: Sequence[Event]) -> dict[str, float | None]:
    """Return seconds by part, summed over the sessions that came to their end; None where none did.

    A session that was killed has no such figures; :func:`sessions` tells how many there were.
    """
    ends = [event.data["seconds"] for event in events if event.kind == "end" and event.data.get("seconds")]
    if not ends:
        return dict.fromkeys(PARTS)
    return {part: sum(float(end.get(part) or 0.0) for end in ends) for part in PARTS}


def sessions(events: Sequence[Event]) -> tuple[int, int]:
    """Return how often the run was started, and how many of these sessions were killed or still go on."""
    starts = sum(event.kind == "start" for event in events)
    ends = sum(event.kind == "end" for event in events)
    return starts, max(0, starts - ends)


#: To which part the time before an event belongs.
_ENDED_BY = {
    "pause": "md",
    "script_end": "md",
    "selection": "labels",
    "label": "labels",
    "set_aside": "labels",
    "training": "training",
    "training_rejected": "training",
    "generation": "training",
    "rollback": "swap",
    "swap": "swap",
    "resume": "swap",
}


def wall_by_generation(events: Sequence[Event]) -> list[GenerationCost]:
    """Return the wall time of each generation, from the times between events.

    An event tells what has just ended, so the time since the event before it is counted there. A generation begins
    when its models are accepted. Generation -1 is what came before generation 0. The time between a kill and the next
    start belongs to nobody, nor does what LAMMPS does between two ``run`` commands.
    """
    costs: dict[int, GenerationCost] = {}
    current, before = -1, None
    for event in events:
        part = _ENDED_BY.get(event.kind)
        if event.kind == "end" and before is not None and before.kind in ("run", "resume"):
            part = "md"  # by a limit or an interrupt
        if part is not None and before is not None:
            cost = costs.setdefault(current, GenerationCost(current))
            setattr(cost, part, getattr(cost, part) + (event.time - before.time).total_seconds())
        if event.kind == "generation":
            current = int(event.data.get("number", current + 1))
        before = event
    return [costs[number] for number in sorted(costs)]
