"""``lammps-dpgen run campaign.yaml --dry-run``: what the campaign will do and cost, and what cannot work."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lammps_dpgen.campaign.forecast import Finding, Forecast, StageForecast, forecast
from lammps_dpgen.campaign.timing import Timing, time_stages
from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.errors import ConfigError, DpgenError, TrainingError

#: Columns of a table that goes into a file or a pipe.
_PLAIN_WIDTH = 160
#: Conditions by name: the unit behind their values.
_UNITS = {"temperature": "K", "pressure": "bar"}


def dry_run(config: CampaignConfig) -> None:
    """Print what each stage will do and cost; nothing is labelled, and nothing is written into the run folder.

    Structures are made, samplers, labeler and trainer check their settings, and a few steps of each kind of stage are
    run with real models: those of the run folder where it has some, or else untrained ones.

    Raises
    ------
    ConfigError
        The campaign cannot work; everything that was found has been printed.
    """
    console = Console() if sys.stdout.isatty() else Console(width=_PLAIN_WIDTH)
    found = forecast(config)
    findings = list(found.findings)
    timing = None
    if found.stages and not any(finding.is_error for finding in findings):
        try:
            timing = time_stages(config, found.stages, findings)
        except TrainingError as error:
            findings.append(Finding(f"trainer {config.trainer.name}", str(error)))
        except DpgenError as error:
            findings.append(Finding("timing", f"the cost of MD is not known: {error}", is_error=False))
    if timing is not None and timing.room is not None:
        findings.append(_room_on_gpu(config, *timing.room))
    if found.stages:
        console.print(_table(found.stages, timing))
        for line in _summary(config, found, timing):
            console.print(line, highlight=False)
    _print_findings(console, findings)
    errors = sum(finding.is_error for finding in findings)
    if errors:
        raise ConfigError(f"the campaign cannot work: {_counted(errors, 'problem')}, see above")


def _room_on_gpu(config: CampaignConfig, taken: float, n_ranks: int) -> Finding:
    """Say how many ranks a GPU holds with all models of the ensemble; an error where it holds not one."""
    text = f"a rank takes {taken:.0f} MiB of GPU memory with {config.models} models; a GPU has room for {n_ranks} ranks"
    if n_ranks:
        return Finding("walkers.devices", f"{text}, less what trainings take beside them", is_error=False)
    return Finding("walkers.devices", f"{text}; take smaller nets, structures, or a smaller ensemble")


def _table(stages: Sequence[StageForecast], timing: Timing | None) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("stage", overflow="fold")
    table.add_column("sampler")
    table.add_column("structures", overflow="fold", max_width=30)
    for heading in ("starts", "atoms"):
        table.add_column(heading, justify="right")
    table.add_column("conditions", overflow="fold", max_width=30)
    table.add_column("trust (eV/Å)", justify="right")
    for heading in ("trajectories", "steps", "MD of a round"):
        table.add_column(heading, justify="right")
    for found in stages:
        table.add_row(*map(Text, _cells(found, None if timing is None else timing.seconds(found))))
    return table


def _cells(found: StageForecast, seconds: float | None) -> tuple[str, ...]:
    stage = found.stage
    ensemble = stage.settings.get("ensemble")
    auto = " auto" if stage.trust.auto else ""
    return (
        stage.name,
        f"{stage.sampler} {ensemble}" if ensemble else stage.sampler,
        ", ".join(stage.structures),
        str(len(found.starts)),
        _span([frame.n_atoms for frame in found.starts]),
        _conditions(found),
        f"{stage.trust.lo:g}-{stage.trust.hi:g}{auto}",
        str(len(found.plans)),
        _span([plan.n_steps for plan in found.plans]),
        "" if seconds is None else duration(seconds),
    )


def _conditions(found: StageForecast) -> str:
    values: dict[str, set[float]] = {}
    for plan in found.plans:
        for name, value in plan.conditions.items():
            values.setdefault(name, set()).add(value)
    parts = []
    for name, several in values.items():
        span = _span(sorted(several))
        parts.append(f"{span} {_UNITS[name]}" if name in _UNITS else f"{name} {span}")
    return ", ".join(parts)


def _summary(config: CampaignConfig, found: Forecast, timing: Timing | None) -> Iterable[str]:
    rounds = found.stages
    trajectories, steps = sum(len(one.plans) for one in rounds), sum(one.steps for one in rounds)
    atom_steps = sum(one.atom_steps for one in rounds)
    yield ""
    yield (
        f"One round of each stage: {_counted(trajectories, 'trajectory')}, {steps:,} steps, {atom_steps:.3g} steps x "
        "atoms. A stage has as many rounds as it needs to converge."
    )
    if timing is not None:
        total = sum(timing.seconds(one) or 0.0 for one in rounds)
        yield (
            f"MD of these rounds: {duration(total)} on one walker of one core, to be divided by the number of walkers. "
            f"Timed on this machine with {timing.models}."
        )
    batch, audit = config.selection.batch, config.audit.share
    extra = max(1, round(audit * batch)) if audit else 0
    each = [one.stage.max_generations * (batch + extra) for one in rounds]
    most = len(found.initial) + sum(each)
    limit = config.limits.labels
    capped = f", limited to {limit:,} (limits.labels)" if limit is not None and limit < most else ""
    yield (
        f"Labels at most: {len(found.initial):,} of generation 0, and {sum(each):,} in "
        f"{_counted(sum(one.stage.max_generations for one in rounds), 'generation')}{capped}."
    )


def _print_findings(console: Console, findings: Sequence[Finding]) -> None:
    for finding in sorted(findings, key=lambda finding: not finding.is_error):
        word = Text("error" if finding.is_error else "warning", style="bold red" if finding.is_error else "yellow")
        console.print(Text.assemble(word, f": {finding.where}: {finding.text}"), soft_wrap=True)


def _span(values: Sequence[float]) -> str:
    if not values:
        return ""
    low, high = min(values), max(values)
    return f"{low:,g}" if low == high else f"{low:,g}-{high:,g}"


def _counted(number: int, word: str) -> str:
    plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{number:,} {word if number == 1 else plural}"


def duration(seconds: float) -> str:
    """Return a duration as people say it, with two digits."""
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:,.{0 if seconds >= 10 * size else 1}f} {unit}"
    return f"{seconds:.2g} s"
