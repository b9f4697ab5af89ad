"""Scripts that learn while they run, from the command line: real labels, real trainings, real MD."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import numpy as np
import pytest
from learning_runs import ATOMS, MODELS, N_MODELS, N_STRUCTURES, NVT, PAIR, Work, assert_intact, fix

from lammps_dpgen.ensemble import Ensemble

#: Words of the libraries underneath, none of which the user has asked to hear.
FOREIGN_WORDS = re.compile(r"tensorflow|deepmd-kit|cuda|tf_|absl|warning|traceback", re.IGNORECASE)

LOOP = (
    "include atoms.inc\n"
    + PAIR
    + fix("trust 0.2 5.0 stop candidates 4")
    + """
minimize 1.0e-6 1.0e-6 5 10
reset_timestep 0
dump positions all custom 20 dump.txt id x y z
thermo_style custom step temp pe press f_dp[4]
variable t index 700 900
label again
velocity all create $t 4711
fix nvt all nvt temp $t $t 0.1
run 40
next t
jump SELF again
unfix nvt
fix nve all nve
run 25
"""
)


def in_order(wanted: Iterable[str], kinds: Iterable[str]) -> bool:
    """Tell whether the wanted events occur in this order, others between them or not."""
    rest = iter(kinds)
    return all(kind in rest for kind in wanted)


def test_script_with_a_loop_learns_and_is_resumed(work: Work) -> None:
    (work.folder / "atoms.inc").write_text(ATOMS)
    first = work.md(LOOP, ranks=2)

    assert not FOREIGN_WORDS.search(first.output), first.output
    kinds = work.kinds()
    cycle = ["start", "run", "pause", "selection", "label", *["training"] * N_MODELS, "generation", "swap", "resume"]
    assert in_order([*cycle, "end"], kinds)
    assert work.last("end")["reason"] == "end of script"
    assert work.status()["step"] == work.last("end")["step"] == 105
    assert [event["kernel"] for event in work.journal() if event["kind"] == "kernel"] == ["native"]
    newest = assert_intact(work)
    assert newest >= 1
    assert work.last("swap")["generation"] == work.last("generation")["number"] == newest
    for event in work.journal():
        if event["kind"] == "generation" and event["number"] > 0:
            assert event["force_rmse_after"] < event["force_rmse_before"] or event["force_rmse_before"] < 0.02
    log = work.run.lammps_log.read_text()
    assert len(re.findall(r"^Loop time .* 32 atoms", log, re.MULTILINE)) >= 4
    assert "Fix dpgen dp: native kernel (double precision" in log
    assert "DeePMD-kit's C API" not in log
    assert (work.folder / "dump.txt").read_text().count("TIMESTEP") == 6
    looks = (work.run.deviation).read_text().splitlines()[1:]
    assert {row.rsplit(",", 1)[1] for row in looks} == {str(n) for n in range(newest + 1)}
    log_of_first = work.label_log()
    with work.ledger() as ledger:
        labelled = {stored.frame_hash for stored in ledger.labels()}
    assert set(log_of_first) == labelled
    assert len(labelled) > N_STRUCTURES
    assert set(log_of_first.values()) == {1}

    work.md(LOOP, ranks=2)
    second = work.kinds()[len(kinds) :]
    assert second[0] == "start"
    assert second[-1] == "end"
    assert work.last("end")["step"] == 105
    rows = (work.run.deviation).read_text().splitlines()[1 + len(looks) :]
    assert next(row.rsplit(",", 1)[1] for row in rows if row) == str(newest)
    assert assert_intact(work) >= newest
    assert set(work.label_log().values()) == {1}


def test_hybrid_pair_style_is_swapped(work: Work) -> None:
    pair = """
pair_style hybrid/overlay deepmd ${dpgen_models}/0.pb zbl 1.0 2.0
pair_coeff * * deepmd Al
pair_coeff * * zbl 13 13
"""
    work.configure(kernel="deepmd")
    work.md(ATOMS + pair + fix("trust 0.05 5.0 stop candidates 3") + NVT.format(t=900) + "run 25\n")
    assert assert_intact(work) >= 1
    assert "kernel" not in work.kinds()
    assert "native kernel" not in work.run.lammps_log.read_text().replace("converted for the native kernel", "")
    assert work.last("swap")["force_jump_max"] > 1e-3
    assert work.last("end")["step"] == 25


def test_pair_style_named_again_after_a_restart_file_is_swapped(work: Work) -> None:
    """LAMMPS takes a second pair_style of the same name for settings; the restart file has made the first."""
    begin = ATOMS + PAIR + NVT.format(t=700) + "run 5\nwrite_restart x.restart\nclear\n"
    learning = "units metal\nread_restart x.restart\n" + PAIR + "timestep 0.002\nfix nvt all nvt temp 700 700 0.1\n"
    work.md(begin + learning + fix("trust 0.05 5.0 stop candidates 3") + "run 20\n")
    assert assert_intact(work) >= 1
    assert work.last("swap")["force_jump_max"] > 1e-3
    assert work.last("end")["reason"] == "end of script"


def test_pair_style_dpgen_is_swapped_in_place(work: Work) -> None:
    pair = f"pair_style dpgen {MODELS}\npair_coeff * * Al\n"
    work.md(ATOMS + pair + fix("trust 0.2 5.0 stop candidates 4") + NVT.format(t=900) + "run 25\n")
    assert assert_intact(work) >= 1
    assert work.last("swap")["force_jump_max"] > 1e-3
    assert work.last("end")["reason"] == "end of script"


def test_script_with_clear(work: Work) -> None:
    """After clear everything is made anew, by the same links: the second part begins with the newest models."""
    part = ATOMS + PAIR + fix("trust 0.05 5.0 stop candidates 3") + NVT.format(t=700)
    script = part + "run 15\nunfix dp\nrun 5\nclear\n" + part + "run 15\n"
    output = work.md(script).output
    assert "1 run command went without fix dp: nothing was learnt there" in output
    newest = assert_intact(work)
    assert newest >= 1
    assert work.last("end")["reason"] == "end of script"
    rows = [row.split(",") for row in (work.run.deviation).read_text().splitlines()[1:]]
    starts = [int(row[-1]) for row in rows if row[0] == "0"]
    assert starts[0] == 0
    assert starts[-1] >= 1


def test_npt_returns_to_a_safe_point(work: Work) -> None:
    npt = "velocity all create 900 4711\nfix npt all npt temp 900 900 0.1 iso 0 0 1.0\n"
    work.md(ATOMS + PAIR + fix("trust 0.05 0.2 stop failed") + npt + "run 60\n", check=False)
    assert assert_intact(work) >= 1
    failed = next(event for event in work.journal() if event["kind"] == "pause")
    assert failed["reason"] == "failed"
    rollback = next(event for event in work.journal() if event["kind"] == "rollback")
    assert rollback["step"] == failed["step"] > rollback["to_step"]
    log = work.run.lammps_log.read_text()
    assert "ERROR" not in log


def test_final_training_ends_the_run_and_is_not_repeated(work: Work) -> None:
    work.configure(final_training={"settings": {"numb_steps": 300}})

    def script(lo: float) -> str:
        return ATOMS + PAIR + fix(f"trust {lo} 50.0 stop candidates 3") + NVT.format(t=900) + "run 25\n"

    work.md(script(0.05), ranks=2)
    newest = assert_intact(work)
    with work.ledger() as ledger:
        *_, last_round, final = ledger.generations()
        n_labels = ledger.counts().labels
    assert (last_round.reason, final.reason, final.number) == ("candidates", "final", newest)
    assert [model.steps for model in final.models] == [300] * N_MODELS
    assert final.n_labels == n_labels
    assert final.force_rmse_after is None
    assert in_order(["resume", "script_end", *["training"] * N_MODELS, "generation", "end"], work.kinds())

    work.md(script(20.0), ranks=2)  # nothing to learn: nothing to train
    assert assert_intact(work) == newest
    rows = (work.run.deviation).read_text().splitlines()
    assert int(rows[-1].rsplit(",", 1)[1]) == newest


def test_audited_frames_are_labelled_and_tell_the_miss_rate(work: Work) -> None:
    """Heated from the perfect lattice, most frames are accurate; two of them go into each batch of four."""
    work.configure(audit={"share": 0.5})
    hi = 0.25
    heat = "velocity all create 50 4711\nfix nvt all nvt temp 50 1200 0.05\n"
    script = ATOMS + PAIR + fix(f"trust 0.1 {hi} stop candidates 4") + heat + "run 200\n"
    work.md(script, ranks=2, check=False)
    assert assert_intact(work) >= 1
    with work.ledger() as ledger:
        generations = ledger.generations()
        audited = [stored for stored in ledger.labels() if stored.frame.origin.source == "audit"]
    assert len(audited) >= 2
    errors = []
    for stored in audited:
        origin = stored.frame.origin
        assert origin.reason == "accurate"
        assert origin.max_devi_f < 0.1
        assert stored.generation_judged == origin.generation
        assert stored.trained_in == origin.generation + 1
        model = work.run.path / generations[origin.generation].models[0].path
        forces = Ensemble([model], min_models=1).predict(stored.frame).forces[0]
        errors.append(float(np.linalg.norm(forces - stored.label.forces, axis=1).max()))
        assert stored.force_error_max == pytest.approx(errors[-1], abs=1e-6)
    assert len({stored.frame.origin.step for stored in audited}) == len(audited)

    audit = json.loads(work.run.summary.read_text())["audit"]
    assert audit["audited"] == len(audited)
    assert audit["misses"] == sum(error > hi for error in errors)
    assert audit["low"] <= audit["rate"] <= audit["high"]
    assert "drawn at random" in work.run.report.read_text()
