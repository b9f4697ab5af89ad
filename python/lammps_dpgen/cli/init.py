"""``lammps-dpgen init``: a commented campaign to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from lammps_dpgen.errors import ConfigError

#: What can be asked for: the labeler, or the smallest campaign that runs within minutes.
Template = Literal["quick", "lammps", "vasp", "gpaw", "espresso"]


def campaign_text(template: Template, file: str = "campaign.yaml") -> str:
    """Return a campaign as YAML; `file` is how it is going to be called."""
    environment = Environment(
        loader=PackageLoader("lammps_dpgen.config"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    quick = template == "quick"
    return environment.get_template("campaign.yaml.j2").render(template=template, quick=quick, file=file)


def run_init(template: Template, output: Path) -> None:
    """Write a campaign, never over another file.

    Raises
    ------
    ConfigError
        The file is there already, or cannot be written.
    """
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(campaign_text(template, output.name))
    except FileExistsError:
        raise ConfigError(f"{output} is there already; move it away, or give another file with --output") from None
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}; give another file with --output") from error
    print(f"{output} is a campaign with the template '{template}'; edit it, then:")
    print(f"  lammps-dpgen run {output} --dry-run")
