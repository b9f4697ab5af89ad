"""Hold the MEAM potential against the MEAM column of the paper, and print how many values agree, by table.

    python examples/09-validate-meam/run.py [--structures FOLDER] [--folder runs/validate-paper]

The structures of Table S9 come from the Materials Project (https://materialsproject.org, CC BY 4.0) and are not part of
this package: FOLDER holds them as mp-1038916.cif and so on. Without them everything else is done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import yaml

from lammps_dpgen.cli.main import main as command

HERE = Path(__file__).resolve().parent
#: How many values of each table agree when all is well; the others are explained in the README.
EXPECTED = {"Table I": 11, "Table S8": 14, "Table S7": 10, "Table S6": 10, "Table S9": 52}


def configuration(folder: Path, structures: Path | None) -> Path:
    """Write the configuration of the example with absolute paths, and the alloys where there are structures."""
    data = yaml.safe_load((HERE / "validation.yaml").read_text(encoding="utf-8"))
    data["folder"] = str(folder)
    for section in data["references"].values():
        section["file"] = str(HERE / section["file"])
    if structures is not None:
        alloys = {"property": "alloys", "files": [str(structures.resolve())], "relax": "lammps"}
        data["properties"].append({**alloys, "volumes": str(HERE / "paper_volumes.csv")})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "validation.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def score(found: Path) -> dict[str, list[bool]]:
    """Return for each table of the paper which of its values are within their tolerance."""
    data = json.loads(found.read_text(encoding="utf-8"))
    values = {(row["subject"], row["quantity"]): row["value"] for row in data["potentials"]["MEAM"]["rows"]}
    tables: dict[str, list[bool]] = defaultdict(list)
    for reference in data["references"]["paper"]:
        key = (reference["subject"], reference["quantity"])
        if key not in values:
            continue
        value = values[key]
        agrees = value is not None and abs(value - reference["value"]) <= reference["tolerance"] + 1e-9
        tables[reference["source"].split(",")[0]].append(agrees)
        if not agrees:
            shown = "failed" if value is None else f"{value:.4g}"
            print(f"  {key[0]} {key[1]}: {shown}, printed {reference['value']:g}")
    return tables


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--structures", type=Path)
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / "runs" / "validate-paper")
    wanted = parser.parse_args()
    path = configuration(wanted.folder.resolve(), wanted.structures)
    code = command(["validate", str(path)])
    if code not in (0, 1):
        return code
    print("not within half of the last printed digit (or the tolerance of the row):")
    tables = score(path.parent / "validation.json")
    missed = 0
    for table, judged in tables.items():
        least = EXPECTED.get(table, 0)
        missed += sum(judged) < least
        print(f"{table}: {sum(judged)} of {len(judged)} agree (at least {least} expected)")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
