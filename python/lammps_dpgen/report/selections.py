"""What the selections of a run made of the frames that they were offered."""

from __future__ import annotations

from collections.abc import Sequence

from lammps_dpgen.store.records import Event

#: Counts of the event ``selection``, and what they say to people.
COUNTS = {
    "n_selected": "were selected",
    "n_duplicates": "were as good as known",
    "n_trusted": "were trusted by newer models",
    "n_bad_box": "had a cell or a vacuum that makes no sense",
    "n_too_close": "had atoms too close",
    "n_too_large": "were too large",
}


def selections(events: Sequence[Event]) -> dict[str, int] | None:
    """Add up the counts of all events ``selection``; None without any.

    A frame that waits in the pool of a campaign is offered again at each selection.
    """
    found = [event.data for event in events if event.kind == "selection"]
    if not found:
        return None
    return {name: sum(int(data.get(name, 0)) for data in found) for name in ("n_offered", *COUNTS)}


def selections_text(counts: dict[str, int]) -> str:
    """Return the counts in words; those of the dropped ones only where there are any."""
    parts = [f"{counts[name]} {text}" for name, text in COUNTS.items() if counts[name] or name == "n_selected"]
    return f"of {counts['n_offered']} offered frames " + ", ".join(parts)
