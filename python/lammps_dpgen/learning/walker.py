"""A walker: one LAMMPS script on the ranks of one communicator, which pauses, obeys and goes on.

The leader, rank 0 of the communicator, has the desk: it reports there and asks what follows a pause. Its orders go to
all ranks, which carry them out in LAMMPS.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from mpi4py.MPI import IN_PLACE, MAX

from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.errors import LearningError
from lammps_dpgen.frame import Frame, FrameOrigin
from lammps_dpgen.learning.audit import AuditSample
from lammps_dpgen.learning.plugin_api import END_ALL, FAIL, GO_ON
from lammps_dpgen.learning.preload import Preload
from lammps_dpgen.learning.selection import check_max_atoms
from lammps_dpgen.learning.session import SAME_FORCES, LammpsSession
from lammps_dpgen.learning.trajectory import Trajectory

if TYPE_CHECKING:
    from mpi4py import MPI

    from lammps_dpgen import _core
    from lammps_dpgen.config.learning import LearningConfig

#: Energies of LAMMPS and of an independent evaluation of the same model may differ by this much, eV/atom.
SAME_ENERGY = 1e-5

# What a rank wishes at a look; the largest of all ranks holds.
_NOTHING, _PAUSE, _END = 0, 1, 2


@dataclass(frozen=True)
class Orders:
    """What all ranks do in LAMMPS after a pause.

    Attributes
    ----------
    rollback
        Safe point to return to (0 is the newest); None: none.
    every
        Interval of the looks from now on, in steps.
    swap_to
        SHA-256 of the models to load; empty: the old ones stay.
    trust
        Window of max_devi_f (eV/Å) from now on; None: as before.
    park
        LAMMPS restart file to write before the end, so that the trajectory can be resumed; None: none.
    end
        Why the run ends here; empty: it goes on.
    """

    rollback: int | None = None
    every: int = 1
    swap_to: tuple[str, ...] = ()
    trust: tuple[float, float] | None = None
    park: Path | None = None
    end: str = ""


@dataclass(frozen=True)
class WalkerState:
    """What the walker knows at a pause: see :class:`Situation`; `at_hand` are the atoms as they are, if in order."""

    safe_points: Sequence[int]
    refusal: str
    every: int
    at_hand: Frame | None = None


class Desk(Protocol):
    """Whom the leader of a walker reports to, and who decides; there is none on the other ranks."""

    @property
    def ensemble(self) -> Ensemble:
        """Models of the current generation, loaded from their own files."""

    @property
    def generation_number(self) -> int:
        """Number of the current generation."""

    def note_run(self, look: _core.Look, n_atoms: int, every: int) -> None:
        """Take note of the first look of a script."""

    def note_look(self, look: _core.Look) -> None:
        """Take note of a look."""

    def wants_pause(self) -> bool:
        """Tell whether the run shall pause although its fix does not ask for it."""

    def decide(
        self, pause: _core.Pause, walker: WalkerState, trajectory: Trajectory, audits: Sequence[Frame]
    ) -> Orders:
        """Say what follows a pause; label and train before where that is it."""

    def take_rest(self, pause: _core.Pause, audits: Sequence[Frame]) -> None:
        """Take what is held when the script is over."""

    def note_rollback(self, step: int, to_step: int, every: int) -> None:
        """Take note that the walker returned to a safe point."""

    def note_swap(self, frame: Frame, seconds: float) -> None:
        """Take note of a swap, with the frame at hand."""

    def resume(self, step: int) -> None:
        """Take note that MD goes on."""


class Walker:
    """One LAMMPS instance on all ranks of a communicator; every method is called on all of them.

    Parameters
    ----------
    comm
        The walker's own ranks.
    desk
        None except on rank 0.
    hashes
        SHA-256 of the models that the script finds.
    check
        Called at each look, on every rank; raises to end the run.
    at_hand
        The models that the script finds, if this rank has loaded them already.
    preload
        Of these ranks, if they have one from an earlier script.

    Attributes
    ----------
    error
        The first error of this rank; the run ends with it.
    ended
        Why a decision of the desk ended the run; empty if none did.
    looks
        How often the fix looked.
    first_look
        When it began to do so first (monotonic clock, s); NaN before.
    deviation_seconds, pause_seconds
        Wall time of the looks, and of the pauses with all that was done in them.
    """

    def __init__(
        self,
        comm: MPI.Comm,
        session: LammpsSession,
        config: LearningConfig,
        desk: Desk | None,
        hashes: tuple[str, ...],
        *,
        rng: np.random.Generator,
        trajectory: Callable[[int], Trajectory],
        check: Callable[[], None] = lambda: None,
        at_hand: Ensemble | None = None,
        preload: Preload | None = None,
    ) -> None:
        self._comm, self._config, self._desk, self._hashes, self._check = comm, config, desk, hashes, check
        self.session = session
        self.error: BaseException | None = None
        self.ended = ""
        self.looks = 0
        self.first_look = float("nan")
        self.deviation_seconds = self.pause_seconds = 0.0
        self._draining = False
        self._make_trajectory = trajectory
        self._trajectory: Trajectory | None = None
        self._check_next_look = True
        self._driver_is_model: bool | None = None
        self._replay: tuple[int, int] | None = None  # step at which a replay is over, and the usual interval of looks
        self._audit = AuditSample(config.audit, config.selection.batch, rng)
        self._at_hand = desk.ensemble if at_hand is None and desk is not None else at_hand
        self._preload = Preload(comm, config.models, config.kernel) if preload is None else preload

    def run(self, script: Path) -> None:
        """Run a script to its end, or until an error or an order ends it.

        Raises
        ------
        Exception
            LAMMPS' own errors; those of looks and pauses are in `error`.
        """
        at_hand = None if self._at_hand is None else self._at_hand.core
        self.session.run_script(script, self._on_look, self._on_pause, at_hand)

    def drain(self) -> None:
        """Hand the candidates that are still held to the desk; the script is over."""
        self._draining = True
        self.session.api.drain()

    def announce(self, model: Path) -> None:
        """On the leader, while its desk decides: a new model may run after this pause; the other ranks load it now."""
        self._preload.announce(model)

    def anywhere(self, mine: bool) -> bool:
        """Tell whether something is true on any rank."""
        return self._worst(int(mine)) > 0

    def fail(self, error: BaseException) -> None:
        """Keep the first error; the run ends, and it is raised again when LAMMPS has returned."""
        if self.error is None:
            self.error = error

    def _worst(self, mine: int) -> int:
        flag = np.array([mine])
        if self._comm.size > 1:
            self._comm.Allreduce(IN_PLACE, flag, op=MAX)
        return int(flag[0])

    # ---- looks -------------------------------------------------------------------------------------------------------

    def _on_look(self, look: _core.Look) -> None:
        wish = _NOTHING
        try:
            self._look(look)
            self._check()
            if self._desk is not None and self._desk.wants_pause():
                wish = _PAUSE
        except BaseException as error:
            self.fail(error)
        # LAMMPS leaves its loop rank by rank: what one of them wishes has to happen on all at the same step.
        wish = self._worst(wish if self.error is None else _END)
        if wish == _END:
            self.session.api.interrupt()
        elif wish == _PAUSE:
            self.session.api.request_pause()

    def _look(self, look: _core.Look) -> None:
        session = self.session
        self.looks += 1
        self.deviation_seconds += look.seconds
        if self._trajectory is None:
            self._trajectory = self._first_look(look)
        if self._check_next_look:
            self._check_next_look = False
            self._check_driver()
        if self._replay is not None and look.step > self._replay[0]:
            session.api.set_every(self._replay[1])
            self._replay = None
        if look.frame_class == "accurate":
            self._audit.offer(self._frame_to_audit)
        if self._desk is not None:
            self._desk.note_look(look)

    def _first_look(self, look: _core.Look) -> Trajectory:
        session = self.session
        self.first_look = time.monotonic() - look.seconds  # when it began: the look itself counts as deviation
        if self._config.extract is None:
            check_max_atoms(session.n_atoms, self._config.selection.max_atoms)
        session.check_models(self._hashes)
        every = session.api.every()
        settings = self._config.safe_points
        margin = settings.every or 10 * every
        session.api.set_safe_points(margin, settings.keep)
        if self._desk is not None:
            self._desk.note_run(look, session.n_atoms, every)
        return self._make_trajectory(margin)

    def _frame_to_audit(self) -> Frame | None:
        frame = self.session.api.current_frame()
        return None if frame is None or self._desk is None else frame_of(frame, "audit", self._desk.generation_number)

    def _check_driver(self) -> None:
        """Assert that the models which drive the MD are those of the current generation.

        Two independent facts: the pair style's forces differ from those of model 1 in the fix (whose file hash was
        asserted) as little as before the swap; and where they are equal, the pair style's energy is that of model 1
        loaded a second time from its own file.
        """
        session = self.session
        difference, energy = session.api.driver_difference(), session.api.pair_energy()
        frame = session.api.current_frame()
        is_model = difference < SAME_FORCES
        if self._driver_is_model and not is_model:
            raise LearningError(
                f"after the swap at step {session.step} the pair style's forces differ from those of model 1 by "
                f"{difference:.3g} eV/Å: it does not run the new model. Name the models by their stable links in the "
                "pair_style command"
            )
        self._driver_is_model = is_model
        if self._desk is None or frame is None or not is_model:
            return
        expected = float(self._desk.ensemble.predict_first(frame_of(frame, "check")).energies[0])
        error = abs(expected - energy) / len(frame.species)  # NaN where LAMMPS has not summed up an energy at this step
        if error > SAME_ENERGY:
            raise LearningError(
                f"at step {session.step} the pair style's energy is {energy:.8f} eV, but model 1 of the current "
                f"generation gives {expected:.8f} eV for the same atoms: another model drives the MD"
            )

    # ---- pauses ------------------------------------------------------------------------------------------------------

    def _on_pause(self, pause: _core.Pause) -> int:
        begin = time.monotonic()
        try:
            return self._pause(pause)
        except BaseException as error:
            self.fail(error)
            return FAIL
        finally:
            self.pause_seconds += time.monotonic() - begin

    def _pause(self, pause: _core.Pause) -> int:
        session, trajectory = self.session, self._trajectory
        if self.error is not None or trajectory is None:
            return FAIL
        if self._draining:
            if self._desk is not None:
                self._desk.take_rest(pause, self._audit.frames)
            return GO_ON
        points = session.api.safe_points()
        at_hand = self._frame_at_hand()
        state = WalkerState(points, session.api.rollback_refusal() if points else "", session.api.every(), at_hand)

        def decide() -> Orders:
            assert self._desk is not None
            return self._desk.decide(pause, state, trajectory, self._audit.frames)

        orders = self._preload.on_root(decide, at_hand)
        if orders.end:
            self.ended = orders.end
        if orders.end and orders.park is None:
            return END_ALL
        self._carry_out(orders, trajectory)
        return END_ALL if orders.end else GO_ON

    def _frame_at_hand(self) -> Frame | None:
        """Return the atoms of all ranks as they are, on each rank; None where they are not in order."""
        stored = self.session.api.current_frame()
        frame = self._comm.bcast(None if stored is None else frame_of(stored, "pause"))
        return frame if frame is not None and np.isfinite(frame.positions).all() else None

    def _carry_out(self, orders: Orders, trajectory: Trajectory) -> None:
        """All ranks: roll back, write a restart file, swap, set the looks' interval."""
        api, desk, step = self.session.api, self._desk, self.session.step
        usual = self._replay[1] if self._replay is not None else api.every()
        self._replay = None
        if orders.rollback is not None:
            to_step = api.safe_points()[orders.rollback]
            api.roll_back(orders.rollback)
            trajectory.returned(step, to_step)
            if desk is not None:
                desk.note_rollback(step, to_step, orders.every)
            if not orders.swap_to:
                self._replay = (2 * step - to_step, usual)
        if orders.park is not None:
            self.session.write_restart(orders.park)
            return
        api.set_every(orders.every)
        if orders.trust is not None:
            api.set_trust(*orders.trust)
        if orders.swap_to:
            begin = time.monotonic()
            self._hashes = orders.swap_to
            models = self._preload.take(self._hashes) if desk is None else desk.ensemble
            self.session.swap_models(self._hashes, None if models is None else models.core)
            self._check_next_look = True
            self._audit.clear()
            seconds, frame = time.monotonic() - begin, api.current_frame()
            if desk is not None and frame is not None:
                desk.note_swap(frame_of(frame, "swap"), seconds)
        if desk is not None:
            desk.resume(step)


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
