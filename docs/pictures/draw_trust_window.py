"""Draw docs/pictures/trust-window.png: the labels of one learning run, the relation in them, and the window."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

from lammps_dpgen.error_relation import fit_relation
from lammps_dpgen.report.pictures.style import BLACK, BLUE, GREY, ORANGE, PINK, RED, SETTINGS, canvas, plain_log

TARGET, CONFIDENCE = 0.2, 0.9
HERE = Path(__file__).parent
table = np.loadtxt(HERE.parents[1] / "tests/data/error_relation/labels.csv", delimiter=",", skiprows=1)
run, generation, x, y = table[table[:, 0] == 4].T
relation = fit_relation(x, y, generation.astype(np.int64))
assert relation is not None
lo, hi = relation.deviation_at(TARGET, CONFIDENCE), relation.deviation_at(2 * TARGET)
assert lo is not None
assert hi is not None
with mpl.rc_context(SETTINGS):
    figure, grid = canvas(1, 1, 4.6)
    axes = grid[0, 0]
    line = np.geomspace(0.03, 0.25, 100)
    axes.scatter(x, y, s=14, color=GREY, linewidths=0, alpha=0.7, label=f"{len(x)} labels of 8 generations")
    axes.plot(line, line, color=GREY, lw=1, ls="--", label="error = deviation")
    axes.plot(line, relation.typical(line), color=BLUE, label="typical error")
    axes.plot(line, relation.quantile(line, CONFIDENCE), color=PINK, label="90 % of the errors are below")
    axes.axhline(TARGET, color=BLACK, lw=1, ls=":", label="target")
    axes.axvline(lo, color=ORANGE, label=f"lo = {lo:.3g}")
    axes.axvline(hi, color=RED, label=f"hi = {hi:.3g}")
    axes.set(xscale="log", yscale="log", xlim=(0.03, 0.25), ylim=(0.03, 0.7))
    axes.set(xlabel="max_devi_f  (eV/Å)", ylabel="largest force error of an atom  (eV/Å)")
    plain_log(axes.xaxis, axes.yaxis)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4)
    figure.savefig(sys.argv[1] if len(sys.argv) > 1 else HERE / "trust-window.png", dpi=110)
