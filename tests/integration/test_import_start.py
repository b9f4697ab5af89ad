"""Imported labels are all that a learning run needs for generation 0."""

from __future__ import annotations

from learning_runs import ATOMS, N_STRUCTURES, NVT, PAIR, Work, assert_intact, fix

from conftest import BIN, start


def test_generation_0_of_imported_labels(work: Work) -> None:
    command, run = BIN / "lammps-dpgen", work.run.path
    paid = work.label_log()
    start([command, "export", "run", "-o", "data"], work.folder, work.env, 60, True)
    run.rename(work.folder / "old")
    words = ["import", "run", "data", "--config", "learn.yaml", "--same-settings"]
    said = start([command, *words], work.folder, work.env, 60, True).output
    assert f"{N_STRUCTURES} labelled frames imported" in said

    script = ATOMS + PAIR + fix("trust 8.0 9.0 stop never") + NVT.format(t=300) + "run 10\n"
    work.md(script)
    assert assert_intact(work) == 0
    with work.ledger() as ledger:
        (generation,) = ledger.generations()
        assert {one.frame.origin.source for one in ledger.labels()} == {"import"}
    assert generation.n_labels == N_STRUCTURES
    assert work.label_log() == paid
    assert "import" in work.kinds()
