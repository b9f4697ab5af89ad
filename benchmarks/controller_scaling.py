"""What an event costs the controller of a large campaign: a table, and with --write the one in docs/scaling.md.

    python benchmarks/controller_scaling.py [--quick] [--walkers 1000] [--labels 10000 100000] [--write]

Two campaigns run in processes of their own (`recorded_campaign.py`): the real controller, selection, ledger and
journal, with recorded figures in place of MD, labels and trainings. They differ in the number of labels that they have,
and take turns: A B, B A, ... The bound is on the ratio of the medians.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from run import machine

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "scaling.md"
BEGIN, END = "<!-- results: written by controller_scaling.py --write -->\n", "<!-- end of results -->\n"

#: What the cost of an event may grow by, and what the controller may take of memory in bytes.
MAX_RATIO, MAX_MEMORY = 1.5, 1_000_000_000
#: Learning rounds of a turn.
ROUNDS = 3
HEAD = ("labels", "events", "wall, ms", "middle half", "CPU, ms", "letters", "new labels", "memory, MB", "ledger, MB")


@dataclass
class Campaign:
    """A campaign in a process of its own, and what its turns have cost."""

    folder: Path
    n_labels: int
    n_walkers: int
    turns: list[dict[str, Any]] = field(default_factory=list)

    def start(self) -> None:
        """Make its ledger, if there is none, and open it; the first turn warms up and is not counted."""
        command = [sys.executable, str(HERE / "recorded_campaign.py"), str(self.folder)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with self.folder.with_suffix(".log").open("a") as log:
            self._process = subprocess.Popen(
                [*command, str(self.n_labels), str(self.n_walkers)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        self.turn()
        self.turns.clear()

    def turn(self) -> None:
        """Let it do some learning rounds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{ROUNDS}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"the campaign has ended: see {self.folder.with_suffix('.log')}")
        self.turns.append(json.loads(answer))

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.communicate()

    def per_event(self, what: str) -> list[float]:
        """Return the cost of an event in each turn, ms."""
        return [1e3 * turn[what] / sum(turn["events"].values()) for turn in self.turns]

    @property
    def memory(self) -> int:
        """Most bytes that the process had in memory after a turn."""
        return max(turn["memory"] for turn in self.turns)

    def row(self) -> list[str]:
        """Return the row of the table."""
        kinds = ("letter", "label", "train")
        events = {kind: sum(turn["events"].get(kind, 0) for turn in self.turns) for kind in kinds}
        lower, middle, upper = statistics.quantiles(self.per_event("wall"), n=4)
        return [
            f"{self.n_labels:,}",
            f"{sum(events.values()):,}",
            f"{middle:.2f}",
            f"{lower:.2f}-{upper:.2f}",
            f"{statistics.median(self.per_event('cpu')):.2f}",
            f"{events['letter']:,}",
            f"{events['label']:,}",
            f"{self.memory / 1e6:.0f}",
            f"{(self.folder / 'ledger.db').stat().st_size / 1e6:.0f}",
        ]


def main() -> None:
    """Measure, and say it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few turns of small campaigns: to see that it works")
    parser.add_argument("--walkers", type=int, default=1000)
    parser.add_argument("--labels", type=int, nargs=2, default=[10_000, 100_000])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--folder", type=Path, help="keep the run folders here, and use those that are there")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    asked = parser.parse_args()
    if asked.quick:
        asked.walkers, asked.labels, asked.turns = 100, [500, 2000], 3
    with tempfile.TemporaryDirectory() as name:
        folder = asked.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        campaigns = [Campaign(folder / f"labels-{n}", n, asked.walkers) for n in asked.labels]
        load = os.getloadavg()[0]
        measure(campaigns, asked.turns)
        tell(campaigns, load, write=asked.write)


def measure(campaigns: list[Campaign], turns: int) -> None:
    """Let the campaigns take turns."""
    for campaign in campaigns:
        campaign.start()
    for number in range(turns):
        for campaign in campaigns if number % 2 else reversed(campaigns):
            campaign.turn()
    for campaign in campaigns:
        campaign.end()


def tell(campaigns: list[Campaign], load: float, *, write: bool) -> None:
    """Print the table, and put it into the page."""
    ratios = {}
    for what in ("wall", "cpu"):
        few, many = (statistics.median(campaign.per_event(what)) for campaign in campaigns)
        ratios[what] = many / few
    memory = max(campaign.memory for campaign in campaigns)
    table = Table(*HEAD)
    for campaign in campaigns:
        table.add_row(*campaign.row())
    Console().print(table)
    verdict = (
        f"Ratio of the cost of an event: {ratios['wall']:.2f} in wall time, {ratios['cpu']:.2f} in CPU time (bound "
        f"{MAX_RATIO}); memory {memory / 1e6:.0f} MB (bound {MAX_MEMORY / 1e6:.0f} MB)."
    )
    print(verdict)
    if write:
        lines = ["| " + " | ".join(HEAD) + " |", "|" + " ---: |" * len(HEAD)]
        lines += ["| " + " | ".join(campaign.row()) + " |" for campaign in campaigns]
        today = datetime.date.today().isoformat()
        here = machine()
        measured = (
            f"Measured on {today}: {here['cores']} cores of {here['cpu']}, load {load:.1f} from other programs when it "
            f"began; Python {here['python']}; {campaigns[0].n_walkers:,} walkers."
        )
        before, _, rest = PAGE.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        text = "\n".join([measured, "", *lines, "", verdict, ""])
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
