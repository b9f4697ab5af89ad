"""The learning run: a script of the user's own, unchanged, that pauses, learns and goes on. All ranks run this together.

Rank 0 keeps the run folder and decides; decisions go to all ranks, which carry them out in LAMMPS together.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mpi4py.MPI import IN_PLACE, MAX

from lammps_dpgen.config.learn import LearnConfig
from lammps_dpgen.errors import ConfigError, DpgenError, LearningError
from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.geometry import closest_contact
from lammps_dpgen.learning.ensembles import largest_force
from lammps_dpgen.learning.learner import Learner
from lammps_dpgen.learning.logbook import Logbook
from lammps_dpgen.learning.looks import LookLog
from lammps_dpgen.learning.plugin_api import END_ALL, FAIL, GO_ON
from lammps_dpgen.learning.selection import check_max_atoms
from lammps_dpgen.learning.session import SAME_FORCES, LammpsSession, check_script, threads_of_this_process
from lammps_dpgen.learning.trajectory import Reaction, Situation, Trajectory
from lammps_dpgen.monitor.journal import Journal
from lammps_dpgen.monitor.view import View, open_view
from lammps_dpgen.mpi import on_root
from lammps_dpgen.noise import divert_library_output
from lammps_dpgen.store.ledger import Ledger
from lammps_dpgen.store.run_folder import RunFolder

if TYPE_CHECKING:
    from mpi4py import MPI

    from lammps_dpgen import _core

#: Energies of LAMMPS and of an independent evaluation of the same model may differ by this much, eV/atom.
SAME_ENERGY = 1e-6


@dataclass(frozen=True)
class Orders:
    """What rank 0 tells all ranks to do in LAMMPS after a pause."""

    rollback: int | None = None
    every: int = 1
    swap_to: tuple[str, ...] = ()
    end: str = ""


@dataclass
class Tally:
    """Counts and times of one start of the command."""

    pauses: int = 0
    rollbacks: int = 0
    looks: int = 0
    deviation: float = 0.0
    in_pauses: float = 0.0
    started: float = field(default_factory=time.monotonic)


def learn(script: Path, config: LearnConfig, variables: Mapping[str, list[str]], comm: MPI.Comm) -> int:
    """Run an input script and learn whenever its fix dpgen asks for it.

    Collective over `comm`. Killed anywhere and called again, it goes on with all labels and the newest models.

    Returns
    -------
    int
        0 if the script ran to its end; 1 if the trajectory was set aside or a limit ended it, with everything stored.

    Raises
    ------
    DpgenError
        The configuration, the script, the run folder or the learning failed; the message says what to do.
    """
    threads_of_this_process()
    with ExitStack() as stack:
        stack.enter_context(divert_library_output(RunFolder(config.run_folder).path / "log.libraries"))
        desk = on_root(comm, lambda: None) if comm.rank else None
        if comm.rank == 0:
            desk = _open_desk(script, config, comm, stack)
        return LearningRun(script, config, variables, comm, desk).run()


def _open_desk(script: Path, config: LearnConfig, comm: MPI.Comm, stack: ExitStack) -> Desk:
    """Open everything that rank 0 keeps; errors reach all ranks."""

    def work() -> None:
        nonlocal desk
        check_script(script, config.fix)
        run = RunFolder(config.run_folder).create()
        stack.enter_context(run.lock())
        ledger = stack.enter_context(Ledger.open(run.ledger, config_hash=config.config_hash()))
        journal = stack.enter_context(Journal(run.journal))
        view = open_view(script.name)
        stack.callback(view.close)
        logbook = Logbook(ledger, journal)
        learner = stack.enter_context(Learner(config, run, ledger, logbook, view))
        looks = stack.enter_context(LookLog(run.deviation))
        desk = Desk(run, ledger, logbook, view, learner, looks)

    desk: Desk | None = None
    on_root(comm, work)
    assert desk is not None
    return desk


@dataclass(frozen=True)
class Desk:
    """What rank 0 works with."""

    run: RunFolder
    ledger: Ledger
    logbook: Logbook
    view: View
    learner: Learner
    looks: LookLog


class LearningRun:
    """One walker on all ranks of a communicator; `desk` is None except on rank 0."""

    def __init__(
        self, script: Path, config: LearnConfig, variables: Mapping[str, list[str]], comm: MPI.Comm, desk: Desk | None
    ) -> None:
        self._script, self._config, self._variables, self._comm = script, config, variables, comm
        self._desk = desk
        self._run_folder = RunFolder(config.run_folder)
        self._session: LammpsSession | None = None
        self._trajectory: Trajectory | None = None
        self._tally = Tally()
        self._error: BaseException | None = None
        self._ended = ""
        self._every = 0
        self._check_next_look = True
        self._driver_is_model: bool | None = None

    # ---- the whole run -----------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Make or find models, run the script, and close the books."""
        hashes = on_root(self._comm, self._begin)
        self._session = LammpsSession(
            self._comm, self._config.fix, self._run_folder.lammps_log, self._run_folder.models, self._variables
        )
        self._hashes = hashes
        try:
            self._session.run_script(self._script, self._on_look, self._on_pause)
        except Exception as error:
            if self._error is None:
                self._error = _readable(error, self._script, self._run_folder.lammps_log)
        finally:
            on_root(self._comm, self._close_books)
        first = next((error for error in self._comm.allgather(self._error) if error is not None), None)
        if first is not None:
            raise first
        if self._tally.looks == 0:
            raise ConfigError(
                f"{self._script} ran to its end, but fix {self._config.fix} never looked at a step: no run command came "
                "after the fix"
            )
        return 1 if self._ended else 0

    def _begin(self) -> tuple[str, ...]:
        desk = self._desk
        assert desk is not None
        desk.logbook.write("start", script=str(self._script.name), ranks=self._comm.size)
        desk.learner.begin()
        self._show_totals()
        desk.view.phase("MD", self._script.name)
        return self._current_hashes()

    def _current_hashes(self) -> tuple[str, ...]:
        assert self._desk is not None
        generation = self._desk.learner.generation
        assert generation is not None
        return tuple(model.sha256 for model in generation.models)

    def _close_books(self) -> None:
        desk = self._desk
        assert desk is not None
        desk.looks.flush()
        total = time.monotonic() - self._tally.started
        spent = desk.learner.seconds
        learning = spent["labels"] + spent["training"]
        other = max(0.0, self._tally.in_pauses - self._learning_in_pauses)
        md = max(0.0, total - learning - other - self._tally.deviation)
        seconds = {
            "md": md,
            "deviation": self._tally.deviation,
            "labels": spent["labels"],
            "training": spent["training"],
            "other": other,
        }
        reason = self._ended or ("error" if self._error is not None else "end of script")
        step = self._session.step if self._session is not None else -1
        cause = "" if self._error is None else str(self._error)
        desk.logbook.write("end", step, reason=reason, seconds=seconds, cause=cause)
        desk.view.phase("done", reason)
        self._write_status("done", step)

    # ---- looks -------------------------------------------------------------------------------------------------------

    def _on_look(self, look: _core.Look) -> None:
        try:
            self._look(look)
        except BaseException as error:
            self._fail(error)
        # LAMMPS leaves its loop rank by rank: an error on one of them has to end the run on all at the same step.
        if self._anywhere(self._error is not None) and self._session is not None:
            self._session.api.interrupt()

    def _anywhere(self, mine: bool) -> bool:
        flag = np.array([int(mine)])
        if self._comm.size > 1:
            self._comm.Allreduce(IN_PLACE, flag, op=MAX)
        return bool(flag[0])

    def _look(self, look: _core.Look) -> None:
        session = self._session
        assert session is not None
        self._tally.looks += 1
        self._tally.deviation += look.seconds
        if self._trajectory is None:
            self._first_look(session, look)
        if self._check_next_look:
            self._check_next_look = False
            self._check_driver(session)
        desk = self._desk
        if desk is None:
            return
        generation = desk.learner.generation
        desk.looks.write(look, -1 if generation is None else generation.number)
        desk.view.md(look.step, look.last_step, look.temperature, look.deviation.max_f, look.trust)

    def _first_look(self, session: LammpsSession, look: _core.Look) -> None:
        check_max_atoms(session.n_atoms, self._config.selection.max_atoms)
        session.check_models(self._hashes)
        self._every = session.api.every()
        every = self._config.safe_points.every or 10 * self._every
        session.api.set_safe_points(every, self._config.safe_points.keep)
        self._trajectory = Trajectory(self._config.safe_points, self._every, margin=every)
        self._note("run", look.step, last=look.last_step, n_atoms=session.n_atoms, every=self._every, trust=list(look.trust))

    def _check_driver(self, session: LammpsSession) -> None:
        """Assert that the models which drive the MD are those of the current generation.

        Two independent facts: the pair style's forces differ from those of model 1 in the fix (whose file hash was
        asserted) as little as before the swap; and where they are equal, the pair style's energy is that of model 1
        loaded a second time from its own file.
        """
        difference, energy = session.api.driver_difference(), session.api.pair_energy()
        frame = session.api.current_frame()
        is_model = difference < SAME_FORCES
        if self._driver_is_model and not is_model:
            raise LearningError(
                f"after the swap at step {session.step} the pair style's forces differ from those of model 1 by "
                f"{difference:.3g} eV/Å: it does not run the new model. Name the models by their stable links in the "
                "pair_style command, and give all pair coefficients in the script itself"
            )
        self._driver_is_model = is_model
        if self._desk is None or frame is None or not is_model:
            return
        ensemble = self._desk.learner.ensemble
        assert ensemble is not None
        expected = float(ensemble.predict(frame_of(frame, "check")).energies[0])
        error = abs(expected - energy) / len(frame.species)  # NaN where LAMMPS has not summed up an energy at this step
        if error > SAME_ENERGY:
            raise LearningError(
                f"at step {session.step} the pair style's energy is {energy:.8f} eV, but model 1 of the current generation "
                f"gives {expected:.8f} eV for the same atoms: another model drives the MD"
            )

    # ---- pauses ------------------------------------------------------------------------------------------------------

    def _on_pause(self, pause: _core.Pause) -> int:
        begin = time.monotonic()
        try:
            return self._pause(pause)
        except BaseException as error:
            self._fail(error)
            return FAIL
        finally:
            self._tally.in_pauses += time.monotonic() - begin

    def _pause(self, pause: _core.Pause) -> int:
        if self._error is not None:
            return FAIL
        session = self._session
        assert session is not None
        api = session.api
        points = api.safe_points()
        refusal = api.rollback_refusal() if points else ""
        situation = (pause, points, refusal, api.every())
        before = self._learning_seconds()
        orders: Orders = on_root(self._comm, lambda: self._decide(*situation))
        self._learning_in_pauses += self._learning_seconds() - before
        return self._carry_out(orders)

    _learning_in_pauses = 0.0

    def _learning_seconds(self) -> float:
        return 0.0 if self._desk is None else float(sum(self._desk.learner.seconds.values()))

    def _decide(self, pause: _core.Pause, points: list[int], refusal: str, every: int) -> Orders:
        """Rank 0: what follows this pause; labels and trains where that is it."""
        desk, trajectory = self._desk, self._trajectory
        assert desk is not None
        assert trajectory is not None
        self._tally.pauses += 1
        desk.looks.flush()
        generation = desk.learner.generation
        assert generation is not None
        candidates = [frame_of(frame, "md", generation.number) for frame in pause.candidates]
        failed = None if pause.failed is None else frame_of(pause.failed, "md", generation.number)
        desk.logbook.write(
            "pause",
            pause.step,
            reason=pause.reason,
            n_candidates=len(candidates),
            n_failed=int(failed is not None),
            max_devi_f=failed.origin.max_devi_f if failed else max(f.origin.max_devi_f for f in candidates),
        )
        limit = self._limit_reached()
        if limit:
            return self._end(limit, pause.step)
        situation = Situation(
            reason=pause.reason,
            step=pause.step,
            n_candidates=len(candidates),
            failed_is_sane=failed is not None and not self._insane(failed),
            safe_points=points,
            refusal=refusal,
            every=every,
        )
        reaction = trajectory.react(situation)
        if reaction.give_up:
            desk.logbook.write("set_aside", pause.step, cause=reaction.give_up)
            return self._end(f"trajectory set aside: {reaction.give_up}", pause.step)
        if refusal and pause.reason == "failed":
            desk.view.message(f"no return to a safe point: {refusal}")
        if not reaction.learn:
            return Orders(rollback=reaction.rollback, every=reaction.every)
        frames = [*candidates, failed] if reaction.use_failed and failed is not None else candidates
        learnt = desk.learner.learn(frames, pause.reason, pause.step)
        self._show_totals()
        swap_to = self._current_hashes() if learnt else ()
        return Orders(rollback=reaction.rollback, every=reaction.every, swap_to=swap_to)

    def _insane(self, frame: Frame) -> str:
        """Return why a failed frame is not worth a label; empty if it is."""
        assert self._desk is not None
        assert self._desk.learner.ensemble is not None
        limits = self._config.safe_points.sanity
        contact = closest_contact(frame, limits.min_distance or self._config.selection.min_distance)
        if contact is not None:
            return contact.describe(frame)
        force = largest_force(self._desk.learner.ensemble, frame)
        return f"a force of {force:.1f} eV/Å" if force > limits.max_force else ""

    def _limit_reached(self) -> str:
        assert self._desk is not None
        limits, generation = self._config.limits, self._desk.learner.generation
        if self._desk.learner.labels_left() == 0:
            return f"limit of {limits.labels} labels reached"
        if limits.generations is not None and generation is not None and generation.number >= limits.generations:
            return f"limit of {limits.generations} generations reached"
        if limits.wall_time is not None and time.monotonic() - self._tally.started > limits.wall_time:
            return f"limit of {limits.wall_time:.0f} s wall time reached"
        return ""

    def _end(self, why: str, step: int) -> Orders:
        assert self._desk is not None
        self._desk.view.message(why)
        return Orders(end=why)

    def _carry_out(self, orders: Orders) -> int:
        """All ranks: roll back, swap, set the looks' interval."""
        session, trajectory = self._session, self._trajectory
        assert session is not None
        assert trajectory is not None
        if orders.end:
            self._ended = orders.end
            return END_ALL
        api, step = session.api, session.step
        if orders.rollback is not None:
            to_step = api.safe_points()[orders.rollback]
            api.roll_back(orders.rollback)
            trajectory.returned(step, to_step)
            self._tally.rollbacks += 1
            self._note("rollback", step, to_step=to_step, every=orders.every)
        api.set_every(orders.every)
        if orders.swap_to:
            begin = time.monotonic()
            session.swap_models(orders.swap_to)
            self._check_next_look = True
            self._note_swap(step, time.monotonic() - begin)
        self._note("resume", step)
        if self._desk is not None:
            self._show_totals()
            self._desk.view.phase("MD", self._script.name)
            self._write_status("MD", step)
        return GO_ON

    def _note_swap(self, step: int, seconds: float) -> None:
        """Report how far energy and forces of the frame at hand jump from the old to the new model 1."""
        assert self._session is not None
        frame = self._session.api.current_frame()
        if self._desk is None or frame is None:
            return
        here = frame_of(frame, "swap")
        learner = self._desk.learner
        assert learner.generation is not None
        energy, force = learner.jump(here)
        self._desk.logbook.write(
            "swap",
            step,
            generation=learner.generation.number,
            energy_jump_per_atom=energy,
            force_jump_max=force,
            seconds=seconds,
        )

    # ---- small things ------------------------------------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        """Keep the first error; the run ends, and it is raised again when LAMMPS has returned."""
        if self._error is None:
            self._error = error

    def _note(self, kind: str, step: int, **data: Any) -> None:
        if self._desk is not None:
            self._desk.logbook.write(kind, step, **data)

    def _show_totals(self) -> None:
        desk = self._desk
        assert desk is not None
        limits, generation = self._config.limits, desk.learner.generation
        desk.view.totals(
            -1 if generation is None else generation.number,
            desk.ledger.counts().labels,
            self._tally.pauses,
            self._tally.rollbacks,
            max_labels=limits.labels,
            max_generations=limits.generations,
            wall_limit=limits.wall_time,
        )

    def _write_status(self, phase: str, step: int) -> None:
        desk = self._desk
        assert desk is not None
        counts, generation = desk.ledger.counts(), desk.learner.generation
        desk.run.write_status(
            {
                "phase": phase,
                "step": step,
                "generation": -1 if generation is None else generation.number,
                "labels": counts.labels,
                "pauses": self._tally.pauses,
                "rollbacks": self._tally.rollbacks,
                "seconds": dict(Counter(desk.learner.seconds)),
            }
        )


def frame_of(stored: _core.Frame, source: str, generation: int = -1) -> Frame:
    """Return a frame of the fix as one of the package: positions from the cell's corner, unwrapped."""
    return Frame(
        species=tuple(stored.species),
        positions=stored.positions - stored.origin,
        cell=stored.cell,
        pbc=(bool(stored.periodic[0]), bool(stored.periodic[1]), bool(stored.periodic[2])),
        origin=FrameOrigin(
            source=source,
            reason=stored.frame_class,
            generation=generation,
            step=stored.step,
            time=stored.time,
            temperature=stored.temperature,
            max_devi_f=stored.deviation.max_f,
            max_devi_v=stored.deviation.max_v,
        ),
        spread=stored.spread,
    )


def _readable(error: Exception, script: Path, log: Path) -> Exception:
    """Return LAMMPS' own errors as one of the package, with where to read on."""
    if isinstance(error, DpgenError):
        return error
    return LearningError(f"LAMMPS stopped in {script}: {str(error).strip()}. See {log}; labels and models are stored")
