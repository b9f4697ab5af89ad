"""Write the keys that DP-GEN itself knows to keys.json: in an environment with dpgen 0.14, ``python make_keys.py``.

Keys of ``dpgen run`` with LAMMPS as the engine, those of a job among them, and those of each code for labels.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

from dpgen.generator import arginfo


def main() -> None:
    common = arginfo.basic_args() + arginfo.data_args() + arginfo.training_args_common() + arginfo.fp_args()
    variants = [arginfo.training_args(), *arginfo.model_devi_args()]
    run = [*names(common), *(variant.flag_name for variant in variants)]
    run += names(arginfo.training_args_dp()) + names(arginfo.model_devi_lmp_args())
    codes = arginfo.fp_style_variant_type_args().choice_dict
    answer = {
        "dpgen": version("dpgen"),
        "run": sorted({*run, "fp_style"}),
        "job": sorted(names(arginfo.model_devi_jobs_args().sub_fields.values())),
        "codes": {code: sorted(argument.sub_fields) for code, argument in sorted(codes.items())},
    }
    (Path(__file__).parent / "keys.json").write_text(json.dumps(answer, indent=1) + "\n")


def names(arguments: object) -> list[str]:
    return [name for argument in arguments for name in (argument.name, *argument.alias)]


if __name__ == "__main__":
    main()
