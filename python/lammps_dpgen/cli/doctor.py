"""``lammps-dpgen doctor``: what is installed, whether labels work where they run, and for problems what to do."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from lammps_dpgen.cli.finding import Finding
from lammps_dpgen.cli.findings import examine
from lammps_dpgen.cli.findings_mpi import is_first, launcher

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def run_doctor(config: Path | None, as_json: bool) -> int:
    """Print the findings; return 1 if a problem keeps lammps-dpgen from working, else 0.

    Of several processes under a launcher one reports; all take part in what has to be tried together.

    Parameters
    ----------
    config
        Configuration whose labelers and pools are tried with a tiny label each; None: only the installation.
    """
    if not is_first():
        list(launcher())
        return 0
    findings = examine()
    if config is not None:
        from lammps_dpgen.cli.findings_pools import examine_pools

        findings += examine_pools(config)
    problems = sum(finding.verdict == "problem" for finding in findings)
    if as_json:
        print(json.dumps({"problems": problems, "findings": [asdict(finding) for finding in findings]}, indent=1))
    elif sys.stdout.isatty():
        _print_table(findings)
    else:
        _print_lines(findings)
    return 1 if problems else 0


def _print_table(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for finding in findings:
        found = Text(finding.found)
        if finding.advice:
            found.append(f"\n→ {finding.advice}", "dim" if finding.verdict == "ok" else "bold")
        table.add_row(Text(finding.verdict, _COLOURS[finding.verdict]), finding.part, found)
    Console().print(table)


def _print_lines(findings: list[Finding]) -> None:
    for finding in findings:
        advice = f"  -> {finding.advice}" if finding.advice else ""
        print(f"{finding.verdict:8} {finding.part}: {finding.found}{advice}")
