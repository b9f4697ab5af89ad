"""``lammps-dpgen status``: what a run does or did, from any other terminal."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from rich.box import ROUNDED
from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from lammps_dpgen.monitor.status import RunStatus, read_run_status
from lammps_dpgen.monitor.status_rows import status_rows

#: Seconds between two looks of ``--follow``.
INTERVAL = 2.0
_PLAIN_WIDTH = 140


def run_status(folder: Path, *, as_json: bool, follow: bool) -> None:
    """Show the state of a run once, or until it ends.

    Raises
    ------
    StoreError
        There is no run in the folder.
    """
    status = read_run_status(folder)
    if as_json:
        _print_json(folder, status, follow)
    elif follow and sys.stdout.isatty():
        _follow(folder, status)
    else:
        while follow and status.state == "running":
            time.sleep(INTERVAL)
            status = read_run_status(folder)
        console = Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH)
        console.print(_panel(status) if sys.stdout.isatty() else _table(status))


def _print_json(folder: Path, status: RunStatus, follow: bool) -> None:
    """Print one object; when following, one per line."""
    print(json.dumps(status.to_json(), indent=None if follow else 1, allow_nan=False), flush=True)
    while follow and status.state == "running":
        time.sleep(INTERVAL)
        status = read_run_status(folder)
        print(json.dumps(status.to_json(), allow_nan=False), flush=True)


def _follow(folder: Path, status: RunStatus) -> None:
    with Live(_panel(status), auto_refresh=False, vertical_overflow="crop") as live:
        try:
            while status.state == "running":
                time.sleep(INTERVAL)
                status = read_run_status(folder)
                live.update(_panel(status), refresh=True)
        except KeyboardInterrupt:
            return  # it ends the watching, never the run


def _panel(status: RunStatus) -> Panel:
    title = f"{status.title}  {status.run}" if status.title else status.run
    return Panel(_table(status), title=title, title_align="left", box=ROUNDED, border_style="dim")


def _table(status: RunStatus) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in status_rows(status):
        table.add_row(name, text)
    return table
