"""What goes wrong in a learning run ends with a clear message, a bounded number of attempts, and a usable store."""

from __future__ import annotations

from learning_runs import ATOMS, INITIAL_MODELS, NVT, PAIR, Work, ase_labeler, assert_intact, fix, trainer

ALWAYS_CANDIDATES = ATOMS + PAIR + fix("trust 0.02 5.0 stop candidates 2") + NVT.format(t=900)


def test_every_label_fails(fresh_work: Work) -> None:
    work = fresh_work
    labeler = ase_labeler(work, "raise RuntimeError('SCF did not converge')", retries=0)
    work.configure(initial_models=INITIAL_MODELS, labeler=labeler, safe_points={"tries": 2})
    run = work.md(ALWAYS_CANDIDATES + "run 100\n", check=False)
    assert run.returncode == 3, run.output
    assert "happened in 2 pauses one after another" in run.output
    assert "SCF did not converge" in run.output
    assert "Traceback" not in run.output
    assert work.kinds().count("pause") == 2
    assert work.last("end")["reason"] == "error"
    assert assert_intact(work) == 0
    with work.ledger() as ledger:
        assert ledger.counts().frames["set_aside"] == ledger.counts().failures == 4


def test_labeler_that_hangs_is_stopped_retried_and_its_frame_set_aside(fresh_work: Work) -> None:
    """The first frame hangs whenever it comes; the others of the batch are learnt from."""
    work = fresh_work
    hang = (
        "key = f'{atoms.positions[1:].sum():.9f}'; first = HERE / 'first'\n"
        "        first.exists() or first.write_text(key)\n"
        "        if first.read_text() == key:\n"
        "            with (HERE / 'hung').open('a') as file: file.write('x')\n"
        "            time.sleep(600)"
    )
    labeler = ase_labeler(work, hang, timeout=8.0, retries=1)
    work.configure(
        initial_models=INITIAL_MODELS,
        labeler=labeler,
        trainer=trainer(numb_steps=600),
        execution={"width": 1},
        limits={"generations": 1},
    )
    script = ATOMS + PAIR + fix("trust 0.02 9.0 stop candidates 4") + NVT.format(t=900) + "run 30\n"
    run = work.md(script, check=False)
    assert run.returncode in (0, 1), run.output
    assert (work.folder / "hung").read_text() == "xx"
    with work.ledger() as ledger:
        (aside,) = ledger.frames("set_aside")
    assert "time limit" in aside.cause or "timeout" in aside.cause
    assert assert_intact(work) == 1


def test_training_that_diverges(fresh_work: Work) -> None:
    work = fresh_work
    bad = trainer(start_lr=1.0e3, stop_lr=1.0e2, numb_steps=20)
    work.configure(initial_models=INITIAL_MODELS, trainer=bad)
    run = work.md(ALWAYS_CANDIDATES + "run 100\n", check=False)
    assert run.returncode == 3, run.output
    assert "Traceback" not in run.output
    assert "tored" in run.output
    assert work.kinds().count("training_rejected") >= 2
    assert assert_intact(work) == 0
    with work.ledger() as ledger:
        counts = ledger.counts()
    assert counts.untrained == counts.labels == sum(work.label_log().values()) > 0


def test_models_named_by_fixed_paths(work: Work) -> None:
    """The models of generation 0 by their own names: a swap would change nothing, which is found at once."""
    script = ALWAYS_CANDIDATES.replace("${dpgen_models}/0.pb", "run/models/g000/model_0.pb")
    script = script.replace("${dpgen_models}/1.pb", "run/models/g000/model_1.pb")
    run = work.md(script + "run 40\n", check=False)
    assert run.returncode == 3
    assert "name the models in the script by their stable links" in run.output
    assert assert_intact(work) == 1


def test_driver_named_by_a_fixed_path(work: Work) -> None:
    """The fix has the links, the pair style has not: it would run the old model for ever."""
    script = ALWAYS_CANDIDATES.replace(
        "pair_style deepmd ${dpgen_models}/0.pb", "pair_style deepmd run/models/g000/model_0.pb"
    )
    run = work.md(script + "run 40\n", ranks=2, check=False)
    assert run.returncode == 3
    assert "it does not run the new model" in run.output
    assert assert_intact(work) == 1


def test_no_livelock_where_the_models_fail_again_and_again(work: Work) -> None:
    """A hot start and rare looks: accurate at one look, failed at the next, and no candidate in between."""
    tries, keep = 2, 2
    work.configure(safe_points={"tries": tries, "keep": keep, "every": 5})
    script = ATOMS + PAIR + fix("trust 0.0499 0.05 stop failed", every=20) + NVT.format(t=3000) + "run 200\n"
    run = work.md(script, check=False)
    assert run.returncode == 1, run.output
    assert "trajectory set aside" in run.output
    assert "failed once more" in work.last("set_aside")["cause"] or "sanity" in work.last("set_aside")["cause"]
    pauses = [event for event in work.journal() if event["kind"] == "pause"]
    assert 1 < len(pauses) <= tries * (keep + 2) + 1
    assert any(event["kind"] == "rollback" and event["every"] == 1 for event in work.journal())
    assert_intact(work)
