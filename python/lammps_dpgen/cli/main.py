"""The command ``lammps-dpgen``: what can be asked, and how errors end up in front of the user.

Each command imports what it needs when it runs, so that ``lammps-dpgen --help`` is there at once.
"""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer

from lammps_dpgen import __version__
from lammps_dpgen.errors import ConfigError, DpgenError, GoOnLater, LearningError

#: Options that take any number of values, as LAMMPS' own options do.
_LIST_OPTIONS = ("-m", "--models")

app = typer.Typer(
    name="lammps-dpgen",
    help="Molecular dynamics that knows when its Deep Potential is wrong, and learns.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@dataclass
class Session:
    """What holds for all commands: show tracebacks, and the LAMMPS variables of ``-var``."""

    debug: bool = False
    variables: dict[str, list[str]] = field(default_factory=dict)


def run() -> None:
    """Entry point of the installed command."""
    code = main(sys.argv[1:])
    from lammps_dpgen.noise import silence_exit

    silence_exit()
    sys.exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; see :func:`exit_code` for that of errors."""
    session = Session()
    try:
        rest, session.variables = split_variables(arguments)
        app(_expand_lists(rest), prog_name="lammps-dpgen", obj=session)
        return 0
    except SystemExit as end:  # typer has told what was wrong with the command line
        return end.code if isinstance(end.code, int) else 0
    except KeyboardInterrupt as interrupt:
        print(f"lammps-dpgen: {how_it_ended(interrupt)}", file=sys.stderr)
        return exit_code(interrupt)
    except DpgenError as error:
        if session.debug:
            traceback.print_exc()
        else:
            print(f"lammps-dpgen: {error}", file=sys.stderr)
        return exit_code(error)


def exit_code(error: BaseException) -> int:
    """Return the exit code.

    3 where learning cannot go on, 2 for what the user can mend, 1 for what nobody foresaw; 75 (EX_TEMPFAIL of
    sysexits.h) where the same command is to go on, 130 where somebody stopped it.
    """
    if isinstance(error, KeyboardInterrupt):
        return os.EX_TEMPFAIL if isinstance(error, GoOnLater) else 130
    if isinstance(error, LearningError):
        return 3
    return 2 if isinstance(error, DpgenError) else 1


def how_it_ended(interrupt: KeyboardInterrupt) -> str:
    """Say that a run was stopped, by whom, and whether the same command is to go on."""
    if isinstance(interrupt, GoOnLater):
        return f"ended by {interrupt}; everything is stored, run the same command again (exit code {os.EX_TEMPFAIL})"
    return f"interrupted by {interrupt}" if str(interrupt) else "interrupted"


def split_variables(arguments: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Take the LAMMPS variables ``-var name value ...`` out of a command line.

    The values of a variable end at the next argument that begins with a dash and is no number.

    Raises
    ------
    ConfigError
        A variable without name or value, or given twice.
    """
    rest: list[str] = []
    variables: dict[str, list[str]] = {}
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word not in ("-var", "--var"):
            rest.append(word)
            continue
        taken: list[str] = []
        while words and (len(taken) < 2 or not re.match(r"-(?![\d.])", words[0])):
            taken.append(words.pop(0))
        if len(taken) < 2:
            raise ConfigError("-var needs a name and at least one value, such as '-var T 300' or '-var T 300 400 500'")
        if taken[0] in variables:
            raise ConfigError(f"-var {taken[0]} is given twice; give all its values at once: -var {taken[0]} v1 v2 ...")
        variables[taken[0]] = taken[1:]
    return rest, variables


def _expand_lists(words: Sequence[str]) -> list[str]:
    """Write ``-m a b c`` as ``-m a -m b -m c``."""
    expanded: list[str] = []
    option = ""
    for word in words:
        if word in _LIST_OPTIONS:
            option = word
        elif word.startswith("-"):
            option = ""
            expanded.append(word)
        else:
            expanded += [option, word] if option else [word]
    return expanded


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"lammps-dpgen {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and stop.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before the command."""
    session = context.ensure_object(Session)
    session.debug = debug
    if session.variables and context.invoked_subcommand != "md":
        raise typer.BadParameter("-var belongs to 'lammps-dpgen md', which runs a LAMMPS script")


@app.command()
def md(
    context: typer.Context,
    script: Annotated[Path, typer.Argument(help="LAMMPS input script with a fix dpgen.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="Configuration of the learning run (YAML).")],
) -> None:
    """Run a LAMMPS script that learns; under mpirun on several ranks.

    LAMMPS variables are given as for LAMMPS itself: -var name value ...
    """
    from lammps_dpgen.cli.md import run_md

    session = context.ensure_object(Session)
    raise typer.Exit(run_md(script, config, session.variables, debug=session.debug))


@app.command()
def init(
    template: Annotated[
        Literal["quick", "lammps", "vasp", "gpaw", "espresso"],
        typer.Option("--template", "-t", help="The labeler; quick: a potential for DFT, and a few minutes in all."),
    ] = "quick",
    output: Annotated[Path, typer.Option("--output", "-o", help="File to make; it must not be there.")] = Path(
        "campaign.yaml"
    ),
) -> None:
    """Write a commented campaign to begin with."""
    from lammps_dpgen.cli.init import run_init

    run_init(template, output)


@app.command(name="run")
def campaign(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Configuration of the campaign (YAML).")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would do and cost, and refuse what cannot work.")
    ] = False,
) -> None:
    """Start a campaign or go on with one; under mpirun with many walkers."""
    from lammps_dpgen.cli.run import run_run

    raise typer.Exit(run_run(config, dry_run=dry_run, debug=context.ensure_object(Session).debug))


@app.command()
def bootstrap(config: Annotated[Path, typer.Argument(help="Configuration of the bootstrap (YAML).")]) -> None:
    """Label initial structures and train generation 0."""
    from lammps_dpgen.cli.bootstrap import run_bootstrap

    run_bootstrap(config)


@app.command()
def label(
    frames: Annotated[Path, typer.Argument(help="File that ASE reads, or a deepmd/npy folder.")],
    config: Annotated[
        Path, typer.Option("--config", "-c", help="YAML file with a labeler; that of a learning run will do.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Extended XYZ file; FRAMES-labelled.extxyz if not given."),
    ] = None,
    deepmd: Annotated[Path | None, typer.Option("--deepmd", help="Also write deepmd/npy systems here.")] = None,
    run_folder: Annotated[
        Path | None,
        typer.Option("--run-folder", help="Folder of the ledger; the output with .run if not given."),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Label frames again whose label failed before.")
    ] = False,
) -> None:
    """Label the frames of a file; stopped and started again, it goes on where it was."""
    from lammps_dpgen.cli.label import run_label

    raise typer.Exit(run_label(frames, config, output, deepmd, run_folder, retry_failed))


@app.command()
def structures(
    config: Annotated[Path, typer.Argument(help="Any configuration with structures (YAML).")],
    preview: Annotated[
        bool, typer.Option("--preview", help="Draw one frame of each structure: see --picture.")
    ] = False,
    picture: Annotated[Path, typer.Option(help="Where --preview draws to, a PNG.")] = Path("structures.png"),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write all frames to this file, as extended XYZ.")
    ] = None,
) -> None:
    """Show the initial structures that a configuration makes: a table, a picture, a file."""
    from lammps_dpgen.cli.structures import run_structures

    run_structures(config, picture if preview else None, output)


@app.command()
def status(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as JSON; with --follow one object per line.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing it until the run ends.")] = False,
) -> None:
    """Show what a run does or did, from another terminal; it only reads."""
    from lammps_dpgen.cli.status import run_status

    run_status(run_folder, as_json=as_json, follow=follow)


@app.command()
def stop(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait until the job has ended.")] = False,
) -> None:
    """End a running job cleanly: at the next look of the MD, at once in labels and trainings."""
    from lammps_dpgen.cli.stop import run_stop

    raise typer.Exit(run_stop(run_folder, wait=not no_wait))


@app.command()
def export(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make; it must not be there.")],
    form: Annotated[
        Literal["deepmd/npy", "deepmd/npy/mixed", "extxyz"], typer.Option("--format", help="What is written.")
    ] = "deepmd/npy",
    test_share: Annotated[
        float, typer.Option("--test-share", min=0.0, max=0.9, help="Share of the frames for a test set.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the frames of the test set.")] = 1,
    generation: Annotated[
        int | None, typer.Option(help="Only the labels that this generation was trained on; all if not given.")
    ] = None,
    mixed_labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Stage, or first digits of the settings hash, whose labels may be of other settings than the rest; "
            "once for each.",
        ),
    ] = None,
) -> None:
    """Write the labelled data of a run for use elsewhere."""
    from lammps_dpgen.cli.export import run_export

    run_export(run_folder, output, form, test_share, seed, generation, mixed_labels or ())


@app.command(name="import")
def import_data(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run, made if absent.")],
    files: Annotated[list[Path], typer.Argument(help="Labelled data: deepmd/npy folders, or files that ASE reads.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="Configuration of the learning run (YAML).")],
    same_settings: Annotated[
        bool, typer.Option("--same-settings", help="Say that the labels belong to the settings of the labeler.")
    ] = False,
) -> None:
    """Take labels that are there already as the start of a run."""
    from lammps_dpgen.cli.import_data import run_import

    run_import(run_folder, config, files, same_settings=same_settings)


@app.command()
def convert(
    param: Annotated[Path, typer.Argument(metavar="PARAM", help="DP-GEN's param.json.")],
    machine: Annotated[Path | None, typer.Argument(metavar="[MACHINE]", help="DP-GEN's machine.json.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to make; it must not be there.")] = Path(
        "campaign.yaml"
    ),
) -> None:
    """Turn an input of DP-GEN into a campaign, and say what became of every key."""
    from lammps_dpgen.cli.convert import run_convert

    run_convert(param, machine, output)


@app.command()
def report(run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]) -> None:
    """Write report.html of a run, also while it goes on."""
    from lammps_dpgen.cli.report import write_report

    write_report(run_folder)


@app.command()
def devi(
    models: Annotated[list[Path], typer.Option("--models", "-m", help="Model files, two or more.")],
    frames: Annotated[Path, typer.Option("--input", "-i", help="File that ASE reads, or a deepmd/npy folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Table to write.")] = Path("model_devi.out"),
    relative: Annotated[float | None, typer.Option(help="Relative force deviation with this level, eV/Å.")] = None,
    relative_v: Annotated[
        float | None, typer.Option("--relative-v", help="Relative virial deviation with this level, eV/atom.")
    ] = None,
    atomic: Annotated[bool, typer.Option("--atomic", help="Also write the spread of each atom.")] = False,
    trust: Annotated[
        tuple[float, float] | None, typer.Option(metavar="LO HI", help="Classify: window of max_devi_f, eV/Å.")
    ] = None,
    trust_v: Annotated[
        tuple[float, float] | None, typer.Option("--trust-v", metavar="LO HI", help="Window of max_devi_v, eV/atom.")
    ] = None,
    rule: Annotated[
        Literal["worst", "dpgen"],
        typer.Option(
            help="worst: failed if one quantity is; dpgen: a candidate in one outranks a failure in the other."
        ),
    ] = "worst",
    kernel: Annotated[
        Literal["auto", "native", "deepmd"],
        typer.Option(help="auto: the native kernel for converted models, else DeePMD-kit; native: convert them first."),
    ] = "auto",
) -> None:
    """Model deviation of stored frames, as 'dp model-devi' prints it."""
    from lammps_dpgen.cli.devi import run_devi

    run_devi(models, frames, output, relative, relative_v, atomic, trust, trust_v, rule, kernel)


@app.command("kernel-test")
def kernel_test(
    models: Annotated[list[Path], typer.Argument(help="Model files, uncompressed.")],
    frames: Annotated[Path, typer.Option("--input", "-i", help="File that ASE reads, or a deepmd/npy folder.")],
) -> None:
    """Compare the native kernel with DeePMD-kit on your models and frames, and convert the models for it."""
    from lammps_dpgen.cli.kernel_test import run_kernel_test

    raise typer.Exit(run_kernel_test(models, frames))


@app.command()
def validate(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="Configuration of the validation (YAML).")],
    against: Annotated[
        Path | None, typer.Option(help="validation.json of another validation: show what changed.")
    ] = None,
) -> None:
    """Compute properties of potentials and hold them against references; under mpirun its ranks share the work."""
    from lammps_dpgen.cli.validate import run_validate

    raise typer.Exit(run_validate(config, against, debug=context.ensure_object(Session).debug))


@app.command()
def doctor(
    config: Annotated[
        Path | None,
        typer.Argument(help="Configuration (YAML): one tiny label is made with each labeler, where it is to run."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Tell what is installed, whether labels work where they are to run, and for each problem what to do."""
    from lammps_dpgen.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(config, as_json))


@app.command()
def schema(
    which: Annotated[
        Literal["campaign", "learn", "bootstrap", "validation"], typer.Argument(help="Which configuration file.")
    ],
) -> None:
    """Print the JSON schema of a configuration file, for editors."""
    from lammps_dpgen.cli.schema import print_schema

    print_schema(which)
