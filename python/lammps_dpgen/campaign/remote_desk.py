"""The desk of a campaign's walker: what it can decide itself it does, for the rest it asks the controller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lammps_dpgen.campaign.messages import (
    Explore,
    Interrupted,
    Learn,
    Looks,
    Models,
    Note,
    Offer,
    Outcome,
    Park,
    Progress,
    Resume,
    Stop,
    Swap,
    ToWalker,
)
from lammps_dpgen.campaign.post import LeaderPost
from lammps_dpgen.config.learning import LearningConfig
from lammps_dpgen.ensemble import Ensemble
from lammps_dpgen.errors import LearningError
from lammps_dpgen.frame import Frame
from lammps_dpgen.learning.ensembles import beyond_sanity, jump
from lammps_dpgen.learning.interrupts import Interrupts
from lammps_dpgen.learning.trajectory import Situation, Trajectory
from lammps_dpgen.learning.walker import Orders, WalkerState, frame_of
from lammps_dpgen.mpi import NAP

if TYPE_CHECKING:
    from lammps_dpgen import _core

#: Seconds between two letters about the progress of a trajectory.
REPORT_INTERVAL = 1.0


@dataclass(frozen=True)
class Held:
    """What a walker holds when it pauses, why, and at which step."""

    reason: str
    step: int
    candidates: Sequence[Frame]
    failed: Frame | None = None
    n_dropped: int = 0


class RemoteDesk:
    """On the leader of a walker, for one trajectory.

    Parameters
    ----------
    take_models
        Makes a generation the walker's own, on this rank: links its files and returns the loaded models.
    parked
        Restart file to write when the trajectory is parked.

    Attributes
    ----------
    looks
        What was seen so far.
    outcome, cause
        How the trajectory leaves the walker, and why.
    models
        Files of the generation in use.
    audits
        Accurate frames drawn at random that are still to be handed over.
    waited
        Seconds in which it waited for answers of the controller.
    """

    def __init__(
        self,
        post: LeaderPost,
        task: Explore,
        config: LearningConfig,
        ensemble: Ensemble,
        *,
        take_models: Callable[[Models], Ensemble],
        parked: Path | None,
        interrupts: Interrupts,
    ) -> None:
        self._post, self._task, self._config, self._ensemble = post, task, config, ensemble
        self._take_models, self._parked, self._interrupts = take_models, parked, interrupts
        self._generation = task.models.generation
        self._letter: ToWalker | None = None
        self._reported = 0.0
        self._interrupt_told = False
        self._old: Ensemble | None = None
        self._policy: Trajectory | None = None
        self.models = task.models
        self.looks = Looks()
        self.outcome: Outcome = "done"
        self.cause = ""
        self.audits: tuple[Frame, ...] = ()
        self.waited = 0.0

    @property
    def ensemble(self) -> Ensemble:
        """Models of the generation in use, loaded from their own files."""
        return self._ensemble

    @property
    def generation_number(self) -> int:
        """Number of the generation in use."""
        return self._generation

    @property
    def policy(self) -> Mapping[str, Any] | None:
        """What the policy of rollbacks remembers; None before the first look."""
        return None if self._policy is None else self._policy.to_json()

    def trajectory(self, margin: int) -> Trajectory:
        """Make the policy of rollbacks, with the memory of an earlier walker where there was one."""
        self._policy = Trajectory(self._config.safe_points, margin)
        return self._policy if self._task.policy is None else self._policy.recall(self._task.policy)

    # ---- what the walker reports -------------------------------------------------------------------------------------

    def note_run(self, look: _core.Look, n_atoms: int, every: int) -> None:
        """Tell the controller about the first look."""
        self._note("run", look.step, last=look.last_step, n_atoms=n_atoms, every=every, trust=list(look.trust))

    def note_look(self, look: _core.Look) -> None:
        """Count a look; the controller hears of it now and then."""
        self.count(look.frame_class, look.deviation.max_f, look.step, look.last_step)

    def count(self, frame_class: str, max_devi_f: float, step: int, last_step: int) -> None:
        """Count a look by its class, with the deviation in eV/Å."""
        self.looks.add(frame_class, max_devi_f)
        now = time.monotonic()
        if now - self._reported > REPORT_INTERVAL:
            self._reported = now
            self._post.send(Progress(self._post.walker, step, last_step, max_devi_f))

    def wants_pause(self) -> bool:
        """Tell whether the controller has written: new models, or the end of the campaign."""
        self._tell_interrupt()
        if self._letter is None:
            self._letter = self._post.receive()
        return self._letter is not None

    def note_rollback(self, step: int, to_step: int, every: int) -> None:
        """Tell the controller that the walker returned to a safe point."""
        self._note("rollback", step, to_step=to_step, every=every)

    def note_swap(self, frame: Frame, seconds: float) -> None:
        """Tell the controller how far energy and forces of the frame at hand jump from the old to the new model 1."""
        energy, force = jump(self._old, self._ensemble, frame)
        self._note(
            "swap",
            frame.origin.step,
            generation=self._generation,
            energy_jump_per_atom=energy,
            force_jump_max=force,
            seconds=seconds,
        )

    def resume(self, step: int) -> None:
        """Tell the controller that MD goes on."""
        self._note("resume", step)

    def _note(self, kind: str, step: int, **data: Any) -> None:
        self._post.send(Note(self._post.walker, kind, step, {**data, "trajectory": self._task.number}))

    def _tell_interrupt(self) -> None:
        if self._interrupts.cause and not self._interrupt_told:
            self._interrupt_told = True
            self._post.send(Interrupted(self._post.walker, self._interrupts.cause, self._interrupts.goes_on))

    # ---- what follows a pause ----------------------------------------------------------------------------------------

    def decide(
        self, pause: _core.Pause, walker: WalkerState, trajectory: Trajectory, audits: Sequence[Frame]
    ) -> Orders:
        """Say what follows a pause; where new models are needed, wait for them."""
        self.audits = tuple(map(self._described, audits))
        candidates = [frame_of(frame, "md", self._generation) for frame in pause.candidates]
        failed = None if pause.failed is None else frame_of(pause.failed, "md", self._generation)
        return self.decide_on(Held(pause.reason, pause.step, candidates, failed, pause.n_dropped), walker, trajectory)

    def decide_on(self, held: Held, walker: WalkerState, trajectory: Trajectory) -> Orders:
        """Say what follows a pause in which these frames are held."""
        candidates = [self._described(frame) for frame in held.candidates]
        failed = None if held.failed is None else self._described(held.failed)
        if held.reason == "requested":
            return self._obey(candidates, walker)
        self._note_pause(held, candidates, failed)
        reaction = trajectory.react(
            Situation(
                reason=held.reason,
                step=held.step,
                n_candidates=len(candidates),
                failed_is_sane=failed is not None and not beyond_sanity(self._ensemble, failed, self._config),
                safe_points=walker.safe_points,
                refusal=walker.refusal,
                every=walker.every,
            )
        )
        if reaction.give_up:
            self._offer(candidates)
            return self._end("set_aside", reaction.give_up)
        if not reaction.learn:
            return Orders(rollback=reaction.rollback, every=reaction.every)
        offered = [*candidates, failed] if reaction.use_failed and failed is not None else candidates
        answer = self._ask(held, offered)
        return self._follow(answer, Orders(rollback=reaction.rollback, every=reaction.every))

    def take_rest(self, pause: _core.Pause, audits: Sequence[Frame]) -> None:
        """Hand over what is held when the script is over."""
        self.hand_over([frame_of(frame, "md", self._generation) for frame in pause.candidates], audits)

    def hand_over(self, candidates: Iterable[Frame], audits: Iterable[Frame]) -> None:
        """Give the controller candidates; audits go with the letter that the trajectory has ended."""
        self._offer([self._described(frame) for frame in candidates])
        self.audits = tuple(map(self._described, audits))

    def _ask(self, held: Held, offered: Iterable[Frame]) -> ToWalker:
        """Hand frames over and sleep until there is an answer.

        What the controller wrote before it knew of this pause answers it as well; it will not write again.
        """
        resumable = self._parked is not None
        self._post.send(
            Learn(self._post.walker, held.reason, held.step, self._generation, tuple(offered), self.audits, resumable)
        )
        self.audits = ()
        letter, self._letter = self._letter, None
        return self.wait() if letter is None else letter

    def wait(self) -> ToWalker:
        """Sleep until the controller writes."""
        begin = time.monotonic()
        while True:
            self._tell_interrupt()
            letter = self._post.receive()
            if letter is not None:
                self.waited += time.monotonic() - begin
                return letter
            time.sleep(NAP)

    def _obey(self, candidates: Sequence[Frame], walker: WalkerState) -> Orders:
        """Follow what the controller wrote while MD was under way; nothing was wrong with the frame at hand."""
        self._offer(candidates)
        letter, self._letter = self._letter, None
        return self._follow(letter, Orders(every=walker.every))

    def _offer(self, frames: Sequence[Frame]) -> None:
        if frames:
            self._post.send(Offer(self._post.walker, tuple(frames)))

    def _follow(self, letter: ToWalker | None, orders: Orders) -> Orders:
        if isinstance(letter, Swap):
            self._old, self._ensemble = self._ensemble, self._take_models(letter.models)
            self._generation = letter.models.generation
            self.models = letter.models
            return replace(orders, swap_to=letter.models.hashes, trust=letter.trust)
        if isinstance(letter, Park):
            return replace(orders, park=self._parked, end=self._leave("parked", "waits for new models"))
        if isinstance(letter, Stop) and letter.park:
            return replace(orders, park=self._parked, end=self._leave("stopped", letter.cause))
        if isinstance(letter, Stop):
            return self._end("set_aside", letter.cause)
        if isinstance(letter, Resume) or letter is None:
            return orders
        raise LearningError(f"a walker under way got a letter that it cannot follow: {type(letter).__name__}")

    def _end(self, outcome: Outcome, cause: str) -> Orders:
        return Orders(end=self._leave(outcome, cause))

    def _leave(self, outcome: Outcome, cause: str) -> str:
        self.outcome, self.cause = outcome, cause
        return cause or outcome

    def _described(self, frame: Frame) -> Frame:
        task = self._task
        origin = replace(
            frame.origin,
            stage=task.stage,
            structure=task.structure,
            walker=self._post.walker,
            trajectory=task.number,
            pressure=float(task.plan.conditions.get("pressure", float("nan"))),
        )
        return replace(frame, origin=origin)

    def _note_pause(self, held: Held, candidates: Sequence[Frame], failed: Frame | None) -> None:
        worst = failed if failed is not None else max(candidates, key=lambda frame: frame.origin.max_devi_f)
        self._note(
            "pause",
            held.step,
            reason=held.reason,
            n_candidates=len(candidates),
            n_failed=int(failed is not None),
            n_dropped=held.n_dropped,
            max_devi_f=worst.origin.max_devi_f,
        )
