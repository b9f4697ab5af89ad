"""What a run does or did, read from its folder by any other process; nothing there is changed or held up."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from lammps_dpgen.errors import StoreError
from lammps_dpgen.monitor.stages import read_stages
from lammps_dpgen.monitor.state import deviation_class
from lammps_dpgen.monitor.tail import finite, last_events, last_look
from lammps_dpgen.store.activity import LockState, lock_state
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.records import Event
from lammps_dpgen.store.run_folder import RunFolder
from lammps_dpgen.strict_json import plain

#: Raised when a field of `RunStatus` changes its meaning or goes.
VERSION = 1
#: What is taken over as the process wrote it last.
_LIVE = ("title", "phase", "detail", "step", "last_step", "temperature", "max_devi_f", "limits", "messages", "stage")
#: Events of the journal that are shown.
N_EVENTS = 8
#: Seconds to wait for a ledger that is being written.
PATIENCE = 3.0

State = Literal["new", "prepared", "running", "finished", "stopped", "failed", "killed", "silent"]

_ABOUT: dict[State, str] = {
    "new": "nothing has been learnt yet",
    "prepared": "generation 0 is there, no learning run has been started",
    "running": "is running",
    "finished": "all of it was done",
    "killed": "was killed; the same command goes on where it was",
    "silent": "its process is on another machine and gives no sign of life",
}
#: Reason of the last event -> state, and what it says.
_ENDS: dict[str, tuple[State, str]] = {
    "end of script": ("finished", "the script ran to its end"),
    "all stages are over": ("finished", "all stages are over"),
    "error": ("failed", ""),
}


@dataclass
class RunStatus:
    """The state of a run; None is what is not known. docs/run-folder-commands.md explains the fields."""

    run: str
    version: int = VERSION
    state: State = "new"
    about: str = ""
    title: str = ""
    phase: str = ""
    detail: str = ""
    step: int | None = None
    last_step: int | None = None
    temperature: float | None = None
    max_devi_f: float | None = None
    frame_class: str | None = None
    window: list[float | None] | None = None
    generation: int | None = None
    labels: dict[str, int] = field(default_factory=dict)
    labels_of_pause: dict[str, int] | None = None
    training: dict[str, Any] | None = None
    pauses: int | None = None
    rollbacks: int | None = None
    starts: int | None = None
    limits: dict[str, float | None] = field(default_factory=dict)
    lock: dict[str, Any] | None = None
    started: str | None = None
    ended: str | None = None
    elapsed: float | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    time_left: list[float] | None = None
    stage: dict[str, Any] | None = None
    walkers: dict[str, Any] | None = None
    stages: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, str]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return plain data; numbers that are not finite become None."""
        data: dict[str, Any] = plain(asdict(self))
        return data


@dataclass(frozen=True)
class _Books:
    """What the ledger says."""

    counts: dict[str, int]
    kinds: dict[str, int]
    generation: int | None
    start: Event | None
    bootstrap: Event | None
    run: Event | None
    ends: list[Event]
    stages: list[dict[str, Any]]

    @property
    def end(self) -> Event | None:
        """The end of the newest start, None while it has none."""
        if not self.ends or (self.start is not None and self.start.number > self.ends[-1].number):
            return None
        return self.ends[-1]


def read_run_status(folder: Path) -> RunStatus:
    """Return the state of a run that is running, finished, stopped or killed.

    Raises
    ------
    StoreError
        There is no run in the folder.
    """
    run = RunFolder(folder)
    if not run.ledger.is_file():
        raise StoreError(f"no run in {folder}: it has no ledger.db; give the folder of a run that was started")
    status, lock = RunStatus(str(run.path)), lock_state(run)
    books: _Books | None = None
    try:
        books = _read_books(run)
        _count(status, books)
    except StoreError as error:
        status.notes.append(f"the ledger cannot be read now, counts are missing: {error}")
    _judge(status, lock, books)
    live = _add_live(status, run, books)
    _add_look(status, run, live)
    _add_times(status, lock, books)
    if status.state == "prepared":
        status.phase = status.detail = ""
    if status.step is not None and status.last_step is not None and status.step > status.last_step:
        status.last_step = None  # of an earlier run command
    status.events = last_events(run.journal, N_EVENTS)
    return status


def _read_books(run: RunFolder) -> _Books:
    with Ledger.open(run.ledger, config_hash=None, busy_timeout=PATIENCE) as ledger:
        counts, newest = ledger.counts(), ledger.latest_generation()
        numbers = {
            "done": counts.labels,
            "failed": counts.frames["set_aside"],
            "waiting": counts.frames["selected"],
            "untrained": counts.untrained,
        }
        return _Books(
            numbers,
            ledger.event_counts(),
            None if newest is None else newest.number,
            ledger.latest_event("start"),
            ledger.latest_event("bootstrap"),
            ledger.latest_event("run"),
            ledger.events("end"),
            read_stages(ledger),
        )


def _count(status: RunStatus, books: _Books) -> None:
    status.labels, status.generation = books.counts, books.generation
    status.pauses, status.rollbacks = books.kinds.get("pause", 0), books.kinds.get("rollback", 0)
    status.starts, status.stages = books.kinds.get("start", 0), books.stages
    if books.start is not None:
        status.title = str(books.start.data.get("script", ""))
    if books.run is not None:
        last, trust = books.run.data.get("last"), books.run.data.get("trust")
        status.last_step = last if isinstance(last, int) else None
        status.window = [finite(edge) for edge in trust] if isinstance(trust, list) else None


def _judge(status: RunStatus, lock: LockState, books: _Books | None) -> None:
    """Say in which state the run is."""
    if lock.activity != "none":
        owner = lock.owner
        status.lock = {
            "activity": lock.activity,
            "host": None if owner is None else owner.host,
            "pid": None if owner is None else owner.pid,
            "heartbeat_age": lock.heartbeat_age,
        }
        status.state = lock.activity
        status.about = f"{lock.process} {_ABOUT[lock.activity]}"
        return
    if books is None:
        status.about = "no process works in the folder"
        return
    end = books.end
    if end is not None:
        reason, cause = str(end.data.get("reason", "")), str(end.data.get("cause", ""))
        status.state = _ENDS[reason][0] if reason in _ENDS else "stopped"
        by = f"interrupted by {cause}" if cause and reason == "interrupted" else cause or reason
        status.about = _ENDS[reason][1] if status.state == "finished" else by
        return
    if books.start is not None or (books.bootstrap is not None and books.generation is None):
        status.state = "killed"
    elif books.generation is not None:
        status.state = "prepared"
    status.about = _ABOUT[status.state]


def _add_live(status: RunStatus, run: RunFolder, books: _Books | None) -> datetime | None:
    """Add what the process itself wrote last, if that was the newest one; return when it was written."""
    try:
        live = run.read_status() or {}
        written = datetime.fromisoformat(live["time"])
    except (StoreError, KeyError, TypeError, ValueError):
        return None
    start = None if books is None else books.start
    if start is not None and written < start.time:
        return None
    for name in _LIVE:
        setattr(status, name, live.get(name, getattr(status, name)))
    if status.state == "running":
        status.labels_of_pause = live.get("labels_of_pause") if status.phase in ("labels", "bootstrap") else None
        status.training = live.get("training") if "training" in status.phase else None
        status.time_left = live.get("time_left") if status.phase == "MD" or status.stage is not None else None
        status.walkers = live.get("walkers")
    window = live.get("window")
    if isinstance(window, list) and None not in window:
        status.window = window
        if status.max_devi_f is not None:
            status.frame_class = deviation_class(status.max_devi_f, (window[0], window[1]))
    return written


def _add_look(status: RunStatus, run: RunFolder, live: datetime | None) -> None:
    """Add the newest look where it is newer than what the process wrote, or nothing was written."""
    look = last_look(run.deviation)
    if look is None or (live is not None and run.deviation.stat().st_mtime <= live.timestamp()):
        return
    if live is not None and status.state == "running":
        return
    status.step, status.frame_class = look.step, look.frame_class
    status.temperature, status.max_devi_f = finite(look.temperature), finite(look.max_devi_f)


def _add_times(status: RunStatus, lock: LockState, books: _Books | None) -> None:
    if books is None:
        return
    for end in books.ends:
        for part, seconds in (end.data.get("seconds") or {}).items():
            status.seconds[part] = status.seconds.get(part, 0.0) + (finite(seconds) or 0.0)
    begin = books.start or books.bootstrap
    if begin is None:
        return
    status.started = begin.time.isoformat()
    last = datetime.now(timezone.utc)
    if lock.activity != "running":
        times = [event.time for event in (books.end, books.run, begin) if event is not None]
        last = books.end.time if books.end is not None else max(times)
        if books.end is None and lock.heartbeat_age is not None:
            last = datetime.fromtimestamp(datetime.now(timezone.utc).timestamp() - lock.heartbeat_age, timezone.utc)
        status.ended = last.isoformat()
    status.elapsed = max(0.0, (last - begin.time).total_seconds())
