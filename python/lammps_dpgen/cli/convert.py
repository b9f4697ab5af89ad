"""``lammps-dpgen convert``: DP-GEN's param.json and machine.json as campaign.yaml."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lammps_dpgen.config.campaign import CampaignConfig
from lammps_dpgen.config.problems import problems
from lammps_dpgen.convert.account import Account, Fate
from lammps_dpgen.convert.campaign import Conversion, convert, read_input
from lammps_dpgen.convert.document import campaign_text
from lammps_dpgen.errors import ConfigError

#: Width of the table where it goes to a file.
_FILE_WIDTH = 160
_COLORS = {Fate.CARRIED: "default", Fate.CHANGED: "yellow", Fate.LEFT: "red"}


def run_convert(param: Path, machine: Path | None, output: Path) -> None:
    """Write a campaign and show what became of every key.

    Raises
    ------
    ConfigError
        An input that cannot be read or is none of DP-GEN's 'run', or an output that is there already.
    """
    content = read_input(param)
    machine_content = None if machine is None else read_input(machine)
    folder = param.absolute().parent
    way_to_machine = "" if machine is None else os.path.relpath(machine.absolute(), output.absolute().parent)
    conversion = convert(content, machine_content, folder, way_to_machine)
    if output.absolute().parent != folder:
        _rebase(conversion, Path(os.path.relpath(folder, output.absolute().parent)))
    texts = {output.with_name(name): script for name, script in conversion.scripts.items()}
    source = param.name if machine is None else f"{param.name} and {machine.name}"
    texts[output] = text = campaign_text(conversion, source, output.name)
    _write(texts)
    _show(conversion.account)
    _tell(output, text, conversion.todo, conversion.imports)


def _write(texts: dict[Path, str]) -> None:
    for path in texts:
        if path.exists():
            raise ConfigError(f"{path} is there already and stays as it is; give another file or folder with --output")
    for path, text in texts.items():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}; give another file with --output") from error


def campaign_problems(text: str, folder: Path) -> list[str]:
    """Return what keeps a text from being a campaign, one line each.

    Parameters
    ----------
    folder
        Where relative paths in it are meant from.
    """
    data: Any = yaml.safe_load(text)
    try:
        CampaignConfig.model_validate(data, context={"folder": folder})
    except ValidationError as error:
        found = problems(error, CampaignConfig, data)
        return [f"{'.'.join(map(str, location)) or 'the whole file'}: {problem}" for location, problem in found]
    return []


def _rebase(conversion: Conversion, way: Path) -> None:
    """Make relative paths start from the output's folder; `way` leads from there to that of the input."""
    conversion.imports[:] = [str(way / name) for name in conversion.imports]
    for source in conversion.sections["structures"]:
        source["files"] = [str(way / name) for name in source["files"]]
    for stage in conversion.sections["stages"]:
        if "file" in stage and stage["file"] not in conversion.scripts:
            stage["file"] = str(way / stage["file"])
    settings = conversion.sections["labeler"]["settings"]
    for key in ("incar_file", "pseudo_folder"):
        if key in settings:
            settings[key] = str(way / settings[key])


def _show(account: Account) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("key of DP-GEN", "", "in the campaign", "remark", box=None, header_style="bold")
    for fate in Fate:
        for entry in account.of(fate):
            table.add_row(entry.key, fate.value, entry.target, entry.remark, style=_COLORS[fate])
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    console.print(table)


def _tell(output: Path, text: str, todo: list[str], imports: list[str]) -> None:
    print(f"\n{output} is written")
    for one in todo:
        print(f"to complete: {one}")
    if imports:
        print(f"labelled data to import first ({len(imports)}): see the head of {output}")
    for problem in campaign_problems(text, output.absolute().parent):
        print(f"not yet valid: {problem}")
